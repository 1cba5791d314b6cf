//! Removes what is no longer needed: out of the way at once, from the disk when there is time.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use tokio::process::Command;
use tokio::sync::Mutex;

#[derive(Debug, Clone)]
pub(super) struct Trash {
    root: PathBuf,
    /// One removal at a time: mass deletion slows every other writer of the file system down.
    turn: Arc<Mutex<()>>,
}

impl Trash {
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            root,
            turn: Arc::default(),
        }
    }

    /// What is not there has been discarded already.
    pub(super) fn discard(&self, path: &Path) -> io::Result<()> {
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
    pub(super) fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.root)? {
            self.remove(entry?.path());
        }
        Ok(())
    }

    fn remove(&self, path: PathBuf) {
        let turn = Arc::clone(&self.turn);
        tokio::spawn(async move {
            let _turn = turn.lock().await;
            if let Err(error) = remove_tree(&path).await {
                tracing::warn!(path = %path.display(), %error, "failed to empty the trash");
            }
        });
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
