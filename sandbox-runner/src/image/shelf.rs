//! Which image of a branch is the newest: one small file per branch, replaced as a whole.

use std::fs;
use std::io;
use std::path::PathBuf;

use protocol::event::Repository;

use super::{Image, ImageError};
use crate::sandbox::{directory, durable};

pub(super) struct Shelf {
    root: PathBuf,
}

impl Shelf {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) fn newest(
        &self,
        repository: &Repository,
        branch: &str,
    ) -> Result<Option<Image>, ImageError> {
        let path = self.path(repository, branch, "json");
        let read = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        read.map_err(|source| ImageError::Read { path, source })
    }

    /// The image is the newest of its branch when this returns, also after a loss of power.
    pub(super) fn put(&self, image: &Image) -> Result<(), ImageError> {
        let path = self.path(&image.repository, &image.branch, "json");
        let parent = self.directory(&image.repository);
        directory::create(&parent, directory::PASSABLE)
            .and_then(|()| durable::write_json(&path, image))
            .map_err(|source| ImageError::Write { path, source })
    }

    /// Keeps what was printed by the last attempt, whether or not it became an image.
    pub(super) fn put_log(
        &self,
        repository: &Repository,
        branch: &str,
        text: &str,
    ) -> Result<(), ImageError> {
        let path = self.path(repository, branch, "log");
        let parent = self.directory(repository);
        directory::create(&parent, directory::PASSABLE)
            .and_then(|()| fs::write(&path, text))
            .map_err(|source| ImageError::Write { path, source })
    }

    fn directory(&self, repository: &Repository) -> PathBuf {
        self.root.join(repository.owner()).join(repository.name())
    }

    fn path(&self, repository: &Repository, branch: &str, extension: &str) -> PathBuf {
        self.directory(repository)
            .join(format!("{}.{extension}", escape(branch)))
    }
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
    use protocol::{ImageId, Millis};

    use super::*;

    fn image(branch: &str, number: u8) -> Image {
        Image {
            id: ImageId::from_random([number; 16]),
            repository: Repository::parse("octo/hello").unwrap(),
            branch: branch.to_owned(),
            commit: "0".repeat(40),
            layers: Vec::new(),
            built_at: Millis(1),
            steps: Vec::new(),
        }
    }

    #[test]
    fn the_newest_image_is_the_one_put_last_on_its_branch() {
        let root = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(root.path().to_owned());
        let repository = Repository::parse("octo/hello").unwrap();
        assert_eq!(shelf.newest(&repository, "main").unwrap(), None);
        for (branch, number) in [
            ("main", 1),
            ("main", 2),
            ("feature/x", 3),
            ("feature%2Fx", 4),
        ] {
            shelf.put(&image(branch, number)).unwrap();
        }
        for (branch, number) in [("main", 2), ("feature/x", 3), ("feature%2Fx", 4)] {
            assert_eq!(
                shelf.newest(&repository, branch).unwrap(),
                Some(image(branch, number))
            );
        }
    }

    #[test]
    fn no_branch_name_leaves_the_directory() {
        for branch in ["../../x", ".", "a/../b", "a\0b"] {
            assert!(!escape(branch).contains(['/', '.', '\0']), "{branch}");
        }
    }
}
