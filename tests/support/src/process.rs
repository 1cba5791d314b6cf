//! Child processes that end with their value, and whose lines can be waited for.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::Instant;

/// Lines that an error quotes.
const KEPT_LINES: usize = 400;

/// How long a process gets to end by itself.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("failed to start {program}")]
    Start {
        program: String,
        #[source]
        source: std::io::Error,
    },
    #[error("failed to write {path}")]
    Log {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{name} did not say {wanted:?} within {within:?}; its last lines:\n{lines}")]
    Silent {
        name: String,
        wanted: String,
        within: Duration,
        lines: String,
    },
    #[error("{name} ended before it said {wanted:?}; its last lines:\n{lines}")]
    Ended {
        name: String,
        wanted: String,
        lines: String,
    },
}

/// A running program in a process group of its own, so that what it started ends with it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    group: i32,
    lines: Arc<Mutex<VecDeque<String>>>,
    count: watch::Receiver<u64>,
}

impl Process {
    /// Starts `command`; everything it prints goes to `log` as well.
    pub async fn start(name: &str, mut command: Command, log: &Path) -> Result<Self, ProcessError> {
        let log_error = |source| ProcessError::Log {
            path: log.to_owned(),
            source,
        };
        let file = tokio::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .await
            .map_err(log_error)?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| ProcessError::Start {
                program: name.to_owned(),
                source,
            })?;
        let group = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .unwrap_or(0);
        let lines = Arc::new(Mutex::new(VecDeque::new()));
        let (sender, count) = watch::channel(0);
        let sender = Arc::new(sender);
        let file = Arc::new(tokio::sync::Mutex::new(file));
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(keep(stdout, lines.clone(), sender.clone(), file.clone()));
        }
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(keep(stderr, lines.clone(), sender, file));
        }
        Ok(Self {
            name: name.to_owned(),
            child,
            group,
            lines,
            count,
        })
    }

    /// The first line that `wanted` finds something in, among those kept and those to come.
    pub async fn wait_for<T>(
        &mut self,
        wanted: &str,
        within: Duration,
        find: impl Fn(&str) -> Option<T>,
    ) -> Result<T, ProcessError> {
        let deadline = Instant::now() + within;
        loop {
            let found = {
                let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
                lines.iter().find_map(|line| find(line))
            };
            if let Some(found) = found {
                return Ok(found);
            }
            match tokio::time::timeout_at(deadline, self.count.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => {
                    return Err(ProcessError::Ended {
                        name: self.name.clone(),
                        wanted: wanted.to_owned(),
                        lines: self.last_lines(),
                    });
                }
                Err(_) => {
                    return Err(ProcessError::Silent {
                        name: self.name.clone(),
                        wanted: wanted.to_owned(),
                        within,
                        lines: self.last_lines(),
                    });
                }
            }
        }
    }

    pub fn id(&self) -> i32 {
        self.group
    }

    pub fn last_lines(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let skipped = lines.len().saturating_sub(40);
        lines
            .iter()
            .skip(skipped)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Ends the whole group at once, as a crash would.
    pub async fn kill(mut self) {
        signal(self.group, rustix::process::Signal::KILL);
        // Reaped, so that its port is free again when this returns.
        let _ = tokio::time::timeout(GRACE, self.child.wait()).await;
    }

    /// Asks it to end, and sees to it that it does.
    pub async fn stop(mut self) {
        signal(self.group, rustix::process::Signal::TERM);
        if tokio::time::timeout(GRACE, self.child.wait())
            .await
            .is_err()
        {
            signal(self.group, rustix::process::Signal::KILL);
            let _ = tokio::time::timeout(GRACE, self.child.wait()).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(leader) = rustix::process::Pid::from_raw(self.group) else {
            return;
        };
        let leader = rustix::process::pidfd_open(leader, rustix::process::PidfdFlags::empty());
        signal(self.group, rustix::process::Signal::KILL);
        // What it held, like the lock on a directory, is free when this returns. One that had ended
        // before has no descriptor to wait for.
        if let Ok(leader) = leader {
            let mut ended = [PollFd::new(&leader, PollFlags::IN)];
            let grace = Timespec {
                tv_sec: 5,
                tv_nsec: 0,
            };
            let _ = poll(&mut ended, Some(&grace));
        }
    }
}

fn signal(group: i32, signal: rustix::process::Signal) {
    if let Some(group) = rustix::process::Pid::from_raw(group) {
        // One that has ended already needs no signal.
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

async fn keep(
    output: impl AsyncRead + Unpin,
    lines: Arc<Mutex<VecDeque<String>>>,
    count: Arc<watch::Sender<u64>>,
    log: Arc<tokio::sync::Mutex<tokio::fs::File>>,
) {
    let mut reader = BufReader::new(output).lines();
    while let Ok(Some(line)) = reader.next_line().await {
        {
            let mut file = log.lock().await;
            // A log that cannot be written is no reason to stop what is logged.
            let _ = file.write_all(format!("{line}\n").as_bytes()).await;
            let _ = file.flush().await;
        }
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push_back(line);
        if lines.len() > KEPT_LINES {
            lines.pop_front();
        }
        drop(lines);
        count.send_modify(|count| *count += 1);
    }
}
