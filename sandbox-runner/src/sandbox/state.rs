//! The state directory: who owns what in it, and where everything is.
//!
//! ```text
//! layers/<id>/{fs/,agent/,system/,meta.json}
//! sandboxes/<id>/{record.json,init.sock,upper/,work/,agent/,system/}
//! tools/<name>-<fingerprint>/   images/   etc/   empty/   trash/   lock   zygote.lock   format
//! ```
//! The runner owns all of it but what a sandbox writes (`upper`, `work`, `agent`, `system`), which
//! belongs to user 1000 if the runner is root: the same on every machine, whichever user a sandbox
//! runs as. Sandboxes reach what they see of it by these paths while they start, so the group of that
//! user can pass through the root and not list it, and so through the directories below. Nobody
//! else can: a program that a sandbox marked to run as its owner is there to be run by the host's
//! other users otherwise.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use protocol::SandboxId;
use rustix::fs::{FlockOperation, flock, statfs};
use rustix::process::getuid;

use super::confinement::AGENT_ID;
use super::directory::{self, CLOSED, PASSABLE, READABLE};

/// Changes whenever what is on disk can no longer be read or used as before.
const FORMAT: &str = "2";

/// How long the lock of a runner that was killed may be held by a program that it was just starting.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two attempts to have it.
const AGAIN: Duration = Duration::from_millis(20);

/// `statfs` type of overlayfs, which cannot carry the upper directory of another overlay.
const OVERLAYFS_MAGIC: u64 = 0x794c_7630;

#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("failed to create the state directory {path}")]
    Create {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the state directory {0} is on an overlay file system: put it on a volume")]
    OnOverlay(PathBuf),
    #[error("another runner uses the state directory {0}: end it, or give this one its own")]
    InUse(PathBuf),
    #[error(
        "the state directory {0} was made by another version: end its sandboxes with the \
         `sandbox-runner sweep` of that version, and remove it"
    )]
    Format(PathBuf),
}

#[derive(Debug)]
pub(super) struct StateDirectory {
    root: PathBuf,
    /// Held for as long as the runner lives, so that two of them never share sandboxes.
    lock: File,
}

impl Drop for StateDirectory {
    fn drop(&mut self) {
        // Closing is not enough: a program that is just being started holds the file as well, until
        // it is executed, and the lock with it.
        let _ = flock(&self.lock, FlockOperation::Unlock);
    }
}

/// The parts of one sandbox's directory.
#[derive(Debug, Clone)]
pub(super) struct SandboxDirectory(PathBuf);

impl StateDirectory {
    pub(super) fn open(root: &Path) -> Result<Self, StateError> {
        let created = |path: &Path, result: io::Result<()>| {
            result.map_err(|source| StateError::Create {
                path: path.to_owned(),
                source,
            })
        };
        let format = root.join("format");
        let found = fs::read_to_string(&format).ok();
        let is_new = found.is_none() && !root.join("sandboxes").exists();
        if found.as_deref() != Some(FORMAT) && !is_new {
            return Err(StateError::Format(root.to_owned()));
        }
        for name in ["", "layers", "sandboxes", "tools", "images", "trash"] {
            let path = root.join(name);
            created(&path, directory::create(&path, PASSABLE))?;
        }
        created(root, close(root))?;
        created(&format, fs::write(&format, FORMAT))?;
        let empty = root.join("empty");
        created(&empty, directory::create(&empty, READABLE))?;
        let file_system = statfs(root).map_err(io::Error::from);
        let file_system = file_system.map_err(|source| StateError::Create {
            path: root.to_owned(),
            source,
        })?;
        if u64::try_from(file_system.f_type) == Ok(OVERLAYFS_MAGIC) {
            return Err(StateError::OnOverlay(root.to_owned()));
        }
        let path = root.join("lock");
        let lock = File::create(&path).map_err(|source| StateError::Create { path, source })?;
        let began = Instant::now();
        while flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            if began.elapsed() > PATIENCE {
                return Err(StateError::InUse(root.to_owned()));
            }
            std::thread::sleep(AGAIN);
        }
        Ok(Self {
            root: root.to_owned(),
            lock,
        })
    }

    pub(super) fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    pub(super) fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    pub(super) fn tools(&self) -> PathBuf {
        self.root.join("tools")
    }

    pub(super) fn trash(&self) -> PathBuf {
        self.root.join("trash")
    }

    /// Held by whoever is at a start that is not on record yet.
    pub(super) fn zygote_lock(&self) -> PathBuf {
        self.root.join("zygote.lock")
    }

    pub(super) fn etc(&self) -> PathBuf {
        self.root.join("etc")
    }

    /// What lies under a sandbox without layers.
    pub(super) fn empty(&self) -> PathBuf {
        self.root.join("empty")
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn sandboxes(&self) -> PathBuf {
        self.root.join("sandboxes")
    }

    pub(super) fn sandbox(&self, id: &SandboxId) -> SandboxDirectory {
        SandboxDirectory(self.sandboxes().join(id.as_str()))
    }
}

fn close(root: &Path) -> io::Result<()> {
    if getuid().is_root() {
        chown(root, None, Some(AGENT_ID))?;
    }
    directory::create(root, CLOSED)
}

impl SandboxDirectory {
    /// Fails if the sandbox exists.
    pub(super) fn create(&self, owner: Option<u32>) -> io::Result<()> {
        fs::create_dir(&self.0)?;
        directory::create(&self.0, PASSABLE)?;
        for path in [self.upper(), self.work(), self.agent()] {
            Self::create_part(&path, owner)?;
        }
        Ok(())
    }

    /// A directory that the sandbox writes.
    pub(super) fn create_part(path: &Path, owner: Option<u32>) -> io::Result<()> {
        directory::create(path, READABLE)?;
        if owner.is_some() {
            chown(path, owner, owner)?;
        }
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn upper(&self) -> PathBuf {
        self.0.join("upper")
    }

    pub(super) fn work(&self) -> PathBuf {
        self.0.join("work")
    }

    /// The agent's own state.
    pub(super) fn agent(&self) -> PathBuf {
        self.0.join("agent")
    }

    /// What is above the layers after a snapshot that is not finished.
    pub(super) fn fresh_upper(&self) -> PathBuf {
        self.0.join("upper.new")
    }

    pub(super) fn fresh_work(&self) -> PathBuf {
        self.0.join("work.new")
    }

    /// The agent's state at the time of a snapshot.
    pub(super) fn copied_agent(&self) -> PathBuf {
        self.0.join("agent.copy")
    }

    /// Packages that are unpacked for an image.
    pub(super) fn system(&self) -> PathBuf {
        self.0.join("system")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_second_runner_on_the_same_state_is_refused_until_the_first_has_ended() {
        let root = tempfile::tempdir().unwrap();
        let first = StateDirectory::open(root.path()).unwrap();
        assert!(matches!(
            StateDirectory::open(root.path()),
            Err(StateError::InUse(_))
        ));
        drop(first);
        StateDirectory::open(root.path()).unwrap();
    }

    #[test]
    fn a_directory_of_another_version_is_refused() {
        for version in [None, Some("1")] {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir(root.path().join("sandboxes")).unwrap();
            if let Some(version) = version {
                fs::write(root.path().join("format"), version).unwrap();
            }
            let refused = StateDirectory::open(root.path());
            assert!(matches!(refused, Err(StateError::Format(_))), "{refused:?}");
        }
    }
}
