//! The freezer of v1, where no unified hierarchy is mounted.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::{CgroupError, file};

/// The kernel tells nobody when the last process has stopped; it finds out when it is asked.
const PAUSE: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(super) struct Freezer(PathBuf);

impl Freezer {
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Whether all processes have stopped in time.
    pub fn freeze(&self, limit: Duration) -> Result<bool, CgroupError> {
        let state = self.state();
        let deadline = Instant::now() + limit;
        // Written each time: a process that was just being made may have been missed.
        loop {
            file::write(&state, "FROZEN")?;
            if file::read(&state)?.trim() == "FROZEN" {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            thread::sleep(PAUSE);
        }
    }

    pub fn thaw(&self) -> Result<(), CgroupError> {
        file::write(&self.state(), "THAWED")
    }

    fn state(&self) -> PathBuf {
        self.0.join("freezer.state")
    }
}
