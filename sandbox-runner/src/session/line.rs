//! The sandboxes of one session, one at a time: a start with a higher epoch says that the session has
//! given up those before it. They end, and what they leave is there when the new one begins.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use protocol::command::Start;
use protocol::{Epoch, SandboxId, SessionId};
use tokio::sync::watch;
use tokio::time::timeout;

/// How long a sandbox waits for what those before it leave.
const PATIENCE: Duration = Duration::from_secs(60);

/// A sandbox's place among those of its session. Clones are the same place.
#[derive(Clone)]
pub(super) struct Line {
    passed: watch::Receiver<bool>,
    left: Arc<watch::Sender<bool>>,
    before: Vec<watch::Receiver<bool>>,
}

/// Who is in the lines of all sessions.
#[derive(Default)]
pub(super) struct Lines {
    members: HashMap<SandboxId, Member>,
}

struct Member {
    session: SessionId,
    epoch: Epoch,
    pass: watch::Sender<bool>,
    left: watch::Receiver<bool>,
}

impl Line {
    /// Returns when the session has a newer sandbox than this one.
    pub(super) async fn passed(&self) {
        let mut passed = self.passed.clone();
        if passed.wait_for(|passed| *passed).await.is_err() {
            std::future::pending().await
        }
    }

    /// Returns when all that the sandboxes before this one leave is there.
    pub(super) async fn reached(&self) {
        let left = async {
            for before in &self.before {
                // One whose task has failed leaves nothing more.
                let _ = before.clone().wait_for(|left| *left).await;
            }
        };
        if timeout(PATIENCE, left).await.is_err() {
            tracing::warn!("a sandbox begins before the one before it has ended");
        }
    }

    /// To be told when what the sandbox leaves is there.
    pub(super) fn leave(&self) {
        self.left.send_replace(true);
    }
}

impl Lines {
    /// The place of a sandbox that begins. Those before it are told.
    pub(super) fn enter(&mut self, start: &Start) -> Line {
        let (pass, passed) = watch::channel(false);
        let (left, leaving) = watch::channel(false);
        let mut before = Vec::new();
        let others = self.members.values();
        for other in others.filter(|other| other.session == start.session) {
            if other.epoch < start.epoch {
                other.pass.send_replace(true);
                before.push(other.left.clone());
            } else if other.epoch > start.epoch {
                pass.send_replace(true);
            }
        }
        let member = Member {
            session: start.session.clone(),
            epoch: start.epoch,
            pass,
            left: leaving,
        };
        self.members.insert(start.sandbox.clone(), member);
        Line {
            passed,
            left: Arc::new(left),
            before,
        }
    }

    pub(super) fn remove(&mut self, sandbox: &SandboxId) {
        self.members.remove(sandbox);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn start(session: u8, epoch: u32) -> Start {
        let mut seed = [session; 16];
        seed[0] = epoch as u8;
        Start {
            session: SessionId::from_random([session; 16]),
            sandbox: SandboxId::from_random(seed),
            epoch: Epoch(epoch),
            ..fixture::start("http://127.0.0.1:1/")
        }
    }

    fn is_passed(line: &Line) -> bool {
        *line.passed.borrow()
    }

    #[tokio::test]
    async fn a_sandbox_passes_those_of_its_session_and_waits_for_what_they_leave() {
        let mut lines = Lines::default();
        let (first, other) = (lines.enter(&start(1, 1)), lines.enter(&start(2, 1)));
        let second = lines.enter(&start(1, 2));
        first.passed().await;
        assert!(!is_passed(&other) && !is_passed(&second));
        let reaching = second.clone();
        let reached = tokio::spawn(async move { reaching.reached().await });
        assert!(!reached.is_finished());
        first.leave();
        assert!(reached.await.is_ok());
    }

    #[tokio::test]
    async fn a_sandbox_that_comes_late_is_passed_already() {
        let mut lines = Lines::default();
        let second = lines.enter(&start(1, 2));
        let first = lines.enter(&start(1, 1));
        first.passed().await;
        second.reached().await;
        assert!(!is_passed(&second));
    }

    #[tokio::test]
    async fn nobody_waits_for_one_that_has_ended() {
        let mut lines = Lines::default();
        drop(lines.enter(&start(1, 1)));
        lines.enter(&start(1, 2)).reached().await;
        lines.remove(&start(1, 2).sandbox);
        assert!(!is_passed(&lines.enter(&start(1, 1))));
    }
}
