//! Which image of a base is the newest and which was it before: two small files for each, replaced
//! as a whole.
//!
//! What is older has expired: nothing starts from it any more. So has an image that nothing has started
//! from for long; when something last did is the time of its file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use protocol::event::Repository;
use protocol::image::Base;

use super::{Image, ImageError};
use crate::sandbox::{directory, durable};

const NEWEST: &str = "json";
const PREVIOUS: &str = "previous";
const LOG: &str = "log";
const FAILED_LOG: &str = "failed.log";

pub(super) struct Shelf {
    root: PathBuf,
    /// Held by whoever changes which images there are, or relies on it: none expires that is put or
    /// taken at that moment.
    turn: Mutex<()>,
}

impl Shelf {
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            root,
            turn: Mutex::default(),
        }
    }

    /// What an earlier version of this program wrote and this one does not know is no image: it is
    /// replaced by the next one.
    pub(super) fn newest(&self, base: &Base) -> Result<Option<Image>, ImageError> {
        let path = self.path(base, NEWEST);
        match fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ImageError::Read { path, source }),
        }
    }

    /// Every image that has not expired.
    pub(super) fn kept(&self) -> Result<Vec<Image>, ImageError> {
        let mut images = self.all()?;
        images.extend(self.with_extension(PREVIOUS)?);
        Ok(images)
    }

    /// The newest image of every base. A file that cannot be parsed is passed over.
    pub(super) fn all(&self) -> Result<Vec<Image>, ImageError> {
        self.with_extension(NEWEST)
    }

    fn with_extension(&self, wanted: &str) -> Result<Vec<Image>, ImageError> {
        let mut images = Vec::new();
        for path in self.files(wanted)? {
            match fs::read(&path) {
                Ok(json) => images.extend(serde_json::from_slice::<Image>(&json).ok()),
                // It has expired meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(ImageError::Read { path, source }),
            }
        }
        Ok(images)
    }

    fn files(&self, wanted: &str) -> Result<Vec<PathBuf>, ImageError> {
        let mut files = Vec::new();
        for owner in entries(&self.root)? {
            for repository in entries(&owner)? {
                let all = entries(&repository)?.into_iter();
                files.extend(all.filter(|file| file.extension().is_some_and(|it| it == wanted)));
            }
        }
        Ok(files)
    }

    /// The image is the newest of its branch when this returns, also after a loss of power.
    pub(super) fn put(&self, image: &Image) -> Result<(), ImageError> {
        let _turn = self.turn();
        let before = self.newest(&image.base).unwrap_or_default();
        let before = before.filter(|before| before.id != image.id);
        let path = self.path(&image.base, NEWEST);
        let parent = self.directory(&image.base.repository);
        directory::create(&parent, directory::PASSABLE)
            .and_then(|()| match before {
                // First, so that what somebody is starting from is on record at every moment.
                Some(before) => durable::write_json(&self.path(&image.base, PREVIOUS), &before),
                None => Ok(()),
            })
            .and_then(|()| durable::write_json(&path, image))
            .map_err(|source| ImageError::Write { path, source })
    }

    /// The newest image, from which something starts now.
    pub(super) fn take(&self, base: &Base, now: SystemTime) -> Result<Option<Image>, ImageError> {
        let _turn = self.turn();
        let newest = self.newest(base)?;
        if newest.is_some() {
            match self.used(base, now) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => {
                    tracing::warn!(%error, repository = %base.repository, "an image in use may expire");
                }
            }
        }
        Ok(newest)
    }

    fn used(&self, base: &Base, now: SystemTime) -> io::Result<()> {
        let file = fs::File::options()
            .write(true)
            .open(self.path(base, NEWEST))?;
        file.set_modified(now)
    }

    /// Forgets the images that nothing has started from since `before`, and says how many.
    pub(super) fn expire(&self, before: SystemTime) -> Result<usize, ImageError> {
        let mut expired = 0;
        for path in self.files(NEWEST)? {
            let _turn = self.turn();
            let about = fs::metadata(&path).and_then(|about| about.modified());
            // One that is replaced just now is not old.
            if about.is_ok_and(|used_at| used_at < before) {
                // The newest last: it is what an expiry that was cut short is gone on from.
                for extension in [FAILED_LOG, LOG, PREVIOUS, NEWEST] {
                    remove(&path.with_extension(extension))?;
                }
                expired += 1;
            }
        }
        Ok(expired)
    }

    /// What the making of the newest image printed.
    pub(super) fn log(&self, base: &Base) -> String {
        fs::read_to_string(self.path(base, LOG)).unwrap_or_default()
    }

    pub(super) fn put_log(&self, base: &Base, text: &str) -> Result<(), ImageError> {
        self.put_text(base, LOG, text)
    }

    /// Keeps what was printed by the last attempt that became no image.
    pub(super) fn put_failure(&self, base: &Base, text: &str) -> Result<(), ImageError> {
        self.put_text(base, FAILED_LOG, text)
    }

    fn put_text(&self, base: &Base, extension: &str, text: &str) -> Result<(), ImageError> {
        let path = self.path(base, extension);
        let parent = self.directory(&base.repository);
        directory::create(&parent, directory::PASSABLE)
            .and_then(|()| fs::write(&path, text))
            .map_err(|source| ImageError::Write { path, source })
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn directory(&self, repository: &Repository) -> PathBuf {
        self.root.join(repository.owner()).join(repository.name())
    }

    fn path(&self, base: &Base, extension: &str) -> PathBuf {
        let mut name = escape(&base.branch);
        // An escaped branch has no `@`, so this is no other branch's name.
        if let Some(environment) = &base.environment {
            name.push_str(&format!("@{environment}"));
        }
        self.directory(&base.repository)
            .join(format!("{name}.{extension}"))
    }
}

fn remove(path: &Path) -> Result<(), ImageError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(ImageError::Write {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, ImageError> {
    let read = |source| ImageError::Read {
        path: directory.to_owned(),
        source,
    };
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    fs::read_dir(directory)
        .map_err(read)?
        .map(|entry| Ok(entry.map_err(read)?.path()))
        .collect()
}

/// A name without a slash or a leading dot, different for different branches.
fn escape(branch: &str) -> String {
    let mut name = String::new();
    for byte in branch.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            other => name.push_str(&format!("%{other:02X}")),
        }
    }
    name
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use protocol::{ImageId, Millis};

    use super::*;

    fn base(branch: &str) -> Base {
        Base {
            repository: Repository::parse("octo/hello").unwrap(),
            branch: branch.to_owned(),
            environment: None,
        }
    }

    fn image(branch: &str, number: u8) -> Image {
        Image {
            id: ImageId::from_random([number; 16]),
            base: base(branch),
            commit: "0".repeat(40),
            ground: crate::image::Ground::default(),
            reason: String::new(),
            layers: Vec::new(),
            built_at: Millis(1),
            steps: Vec::new(),
            runtime: BTreeMap::new(),
            bytes: 0,
        }
    }

    #[test]
    fn the_newest_image_is_the_one_put_last_on_its_branch() {
        let root = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(root.path().to_owned());
        assert_eq!(shelf.newest(&base("main")).unwrap(), None);
        for (branch, number) in [
            ("main", 1),
            ("main", 2),
            ("feature/x", 3),
            ("feature-2Fx", 4),
        ] {
            shelf.put(&image(branch, number)).unwrap();
        }
        for (branch, number) in [("main", 2), ("feature/x", 3), ("feature-2Fx", 4)] {
            assert_eq!(
                shelf.newest(&base(branch)).unwrap(),
                Some(image(branch, number))
            );
        }
    }

    #[test]
    fn an_image_expires_when_there_are_two_newer_ones() {
        let root = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(root.path().to_owned());
        for (branch, number) in [("main", 1), ("main", 2), ("main", 3), ("main", 3), ("x", 4)] {
            shelf.put(&image(branch, number)).unwrap();
        }
        let kept = shelf.kept().unwrap();
        for number in 1..=4 {
            let id = ImageId::from_random([number; 16]);
            assert_eq!(
                kept.iter().any(|image| image.id == id),
                number != 1,
                "{number}"
            );
        }
        assert_eq!(shelf.all().unwrap().len(), 2);
    }

    #[test]
    fn an_image_expires_when_nothing_has_started_from_it_for_long() {
        let root = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(root.path().to_owned());
        let (now, day) = (SystemTime::now(), Duration::from_secs(24 * 3600));
        for (branch, number) in [
            ("used", 1),
            ("used", 2),
            ("old.x", 3),
            ("old.x", 4),
            ("new", 5),
        ] {
            shelf.put(&image(branch, number)).unwrap();
            shelf.put_log(&base(branch), "log").unwrap();
            shelf.put_failure(&base(branch), "log").unwrap();
        }
        for (branch, at) in [("used", now - 3 * day), ("old.x", now - 3 * day)] {
            shelf.used(&base(branch), at).unwrap();
        }
        shelf.used(&base("used"), now - day).unwrap();
        assert_eq!(shelf.expire(now - 2 * day).unwrap(), 1);
        assert_eq!(shelf.newest(&base("old.x")).unwrap(), None);
        let kept = shelf.kept().unwrap().into_iter();
        let mut kept: Vec<_> = kept.map(|image| image.id).collect();
        kept.sort();
        let expected = [1, 2, 5].map(|number| ImageId::from_random([number; 16]));
        assert_eq!(kept, expected);
        let files = entries(&root.path().join("octo/hello")).unwrap();
        assert!(
            !files
                .iter()
                .any(|file| file.display().to_string().contains("old"))
        );
        assert_eq!(shelf.log(&base("used")), "log");
    }

    #[test]
    fn an_expiry_that_was_cut_short_is_gone_on_with() {
        let root = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(root.path().to_owned());
        for number in [1, 2] {
            shelf.put(&image("main", number)).unwrap();
        }
        // It cannot be removed, like what a kill comes before.
        let stuck = shelf.path(&base("main"), PREVIOUS);
        fs::remove_file(&stuck).unwrap();
        fs::create_dir(&stuck).unwrap();
        let later = SystemTime::now() + Duration::from_secs(60);
        shelf.expire(later).unwrap_err();
        fs::remove_dir(&stuck).unwrap();
        assert_eq!(shelf.expire(later).unwrap(), 1);
        assert_eq!(shelf.kept().unwrap(), []);
    }

    #[test]
    fn what_is_taken_does_not_expire() {
        let root = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(root.path().to_owned());
        let (now, day) = (SystemTime::now(), Duration::from_secs(24 * 3600));
        assert_eq!(shelf.take(&base("main"), now).unwrap(), None);
        shelf.put(&image("main", 1)).unwrap();
        let taken = shelf.take(&base("main"), now + 2 * day).unwrap();
        assert_eq!(taken, Some(image("main", 1)));
        assert_eq!(shelf.expire(now + day).unwrap(), 0);
    }

    #[test]
    fn no_branch_name_leaves_the_directory() {
        for branch in ["../../x", ".", "a/../b", "a\0b"] {
            assert!(!escape(branch).contains(['/', '.', '\0']), "{branch}");
        }
    }
}
