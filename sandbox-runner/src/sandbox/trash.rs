//! Removes what is no longer needed: out of the way at once, from the disk when there is time.

use std::fs::{self, ReadDir};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// ext4 does not use the place of a removed file again for some seconds, and looks at each of them
/// when a file is made: after a hundred thousand removals at once, making files takes ten times as
/// long for a while. This rate cannot be noticed.
const BATCH: usize = 100;
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, Clone)]
pub(crate) struct Trash {
    root: PathBuf,
    /// One removal at a time: mass deletion slows every other writer of the file system down.
    turn: Arc<Mutex<()>>,
}

impl Trash {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self {
            root,
            turn: Arc::default(),
        }
    }

    /// What is not there has been discarded already.
    pub(crate) fn discard(&self, path: &Path) -> io::Result<()> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        let discarded = self
            .root
            .join(format!("{:016x}", u64::from_be_bytes(bytes)));
        match fs::rename(path, &discarded) {
            Ok(()) => self.remove(discarded),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Goes on with what an earlier process left.
    pub(crate) fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.root)? {
            self.remove(entry?.path());
        }
        Ok(())
    }

    /// Without a runtime it stays until the next sweep.
    fn remove(&self, path: PathBuf) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let turn = Arc::clone(&self.turn);
        runtime.spawn(async move {
            let _turn = turn.lock().await;
            if let Err(error) = remove_files(&path).await {
                tracing::warn!(path = %path.display(), %error, "failed to empty the trash slowly");
            }
            if let Err(error) = remove_tree(&path).await {
                tracing::warn!(path = %path.display(), %error, "failed to empty the trash");
            }
        });
    }
}

/// Removes the files of a tree slowly. What it cannot reach is left for [`remove_tree`].
async fn remove_files(root: &Path) -> io::Result<()> {
    let mut removal = Removal {
        directories: vec![root.to_owned()],
        entries: None,
    };
    loop {
        // In small pieces, since a runtime that ends waits for what blocks.
        let more;
        (removal, more) = spawn_blocking(move || {
            let more = removal.remove_batch();
            (removal, more)
        })
        .await?;
        if !more {
            return Ok(());
        }
        sleep(PAUSE).await;
    }
}

struct Removal {
    directories: Vec<PathBuf>,
    /// What is left of the directory that was begun.
    entries: Option<ReadDir>,
}

impl Removal {
    /// Whether there is more to do.
    fn remove_batch(&mut self) -> bool {
        for _ in 0..BATCH {
            let Some(entry) = self.entries.as_mut().and_then(Iterator::next) else {
                let Some(directory) = self.directories.pop() else {
                    return false;
                };
                self.entries = fs::read_dir(directory).ok();
                continue;
            };
            let Ok(entry) = entry else { continue };
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.directories.push(entry.path());
            } else {
                let _ = fs::remove_file(entry.path());
            }
        }
        true
    }
}

/// `rm` takes trees of any depth, which what a sandbox wrote may have. Overlays leave directories
/// with mode 000, which their owner must open first when it is not root.
async fn remove_tree(path: &Path) -> io::Result<()> {
    if run("rm", &["-rf", "--"], path).await?.status.success() {
        return Ok(());
    }
    run("chmod", &["-R", "u+rwX", "--"], path).await?;
    let output = run("rm", &["-rf", "--"], path).await?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(
        String::from_utf8_lossy(&output.stderr).into_owned(),
    ))
}

async fn run(program: &str, arguments: &[&str], path: &Path) -> io::Result<Output> {
    Command::new(program)
        .args(arguments)
        .arg(path)
        .output()
        .await
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn directories_that_nobody_may_enter_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let closed = root.path().join("tree/work/work");
        fs::create_dir_all(&closed).unwrap();
        fs::write(closed.join("file"), "").unwrap();
        fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
        remove_tree(&root.path().join("tree")).await.unwrap();
        assert!(!root.path().join("tree").exists());
    }

    #[tokio::test]
    async fn the_slow_removal_leaves_no_file_and_follows_no_link() {
        let root = tempfile::tempdir().unwrap();
        let (tree, kept) = (root.path().join("tree"), root.path().join("kept"));
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "").unwrap();
        fs::write(tree.join("a/b/file"), "").unwrap();
        std::os::unix::fs::symlink(&kept, tree.join("a/link")).unwrap();
        remove_files(&tree).await.unwrap();
        assert!(fs::read_dir(tree.join("a/b")).unwrap().next().is_none());
        assert!(fs::symlink_metadata(tree.join("a/link")).is_err());
        assert!(kept.join("file").exists());
    }

    #[tokio::test]
    async fn trees_deeper_than_a_path_can_be_long_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let (tree, above) = (root.path().join("tree"), root.path().join("above"));
        fs::create_dir(&tree).unwrap();
        for _ in 0..3000 {
            fs::create_dir(&above).unwrap();
            fs::rename(&tree, above.join("d")).unwrap();
            fs::rename(&above, &tree).unwrap();
        }
        remove_tree(&tree).await.unwrap();
        assert!(!tree.exists());
    }

    #[tokio::test]
    async fn a_discarded_directory_is_gone_at_once() {
        let root = tempfile::tempdir().unwrap();
        let (tree, bin) = (root.path().join("tree"), root.path().join("trash"));
        fs::create_dir(&tree).unwrap();
        fs::create_dir(&bin).unwrap();
        let trash = Trash::new(bin);
        trash.discard(&tree).unwrap();
        assert!(!tree.exists());
        trash.discard(&tree).unwrap();
    }
}
