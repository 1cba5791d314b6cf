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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;
    use std::process::{Child, Command};

    use super::*;
    use crate::sandbox::cgroup::control::Control;
    use crate::sandbox::cgroup::hierarchy::Mounts;
    use crate::sandbox::cgroup::{FREEZE, KILL};

    /// A shell with children, in a group of this machine's freezer that is removed in the end.
    struct Frozen {
        control: Control,
        shell: Child,
    }

    impl Frozen {
        fn start(name: &str) -> Self {
            let freezer = Mounts::read().separate.remove("freezer").unwrap();
            let path = freezer.join(format!("{name}-{}", std::process::id()));
            fs::create_dir(&path).unwrap();
            let script = "read -r line; while :; do sleep 600 & sleep 600 & wait; done";
            let mut shell = Command::new("sh")
                .args(["-c", script])
                .stdin(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            file::write(&path.join("cgroup.procs"), shell.id()).unwrap();
            drop(shell.stdin.take());
            let control = Control::Freezer(Freezer::new(path));
            Self { control, shell }
        }

        fn state(&self) -> String {
            fs::read_to_string(self.control.path().join("freezer.state")).unwrap()
        }
    }

    impl Drop for Frozen {
        fn drop(&mut self) {
            let _ = self.control.kill(KILL);
            let _ = self.shell.wait();
            let _ = fs::remove_dir(self.control.path());
        }
    }

    #[test]
    fn the_older_freezer_stops_and_lets_go() {
        let frozen = Frozen::start("freeze");
        frozen.control.freeze(FREEZE).unwrap();
        assert_eq!(frozen.state(), "FROZEN\n");
        frozen.control.thaw().unwrap();
        assert_eq!(frozen.state(), "THAWED\n");
    }

    #[test]
    fn without_a_kernel_that_kills_groups_each_process_is_ended() {
        let mut frozen = Frozen::start("kill");
        frozen.control.freeze(FREEZE).unwrap();
        frozen.control.kill(KILL).unwrap();
        assert_eq!(frozen.control.processes().unwrap(), Vec::<i32>::new());
        let status = frozen.shell.wait().unwrap();
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&status),
            Some(9)
        );
    }
}
