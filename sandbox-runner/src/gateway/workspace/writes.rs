//! Calls of the agent that wrote, and what people wrote by hand, counted, and how many of them lie where the loss of the machine does
//! not reach them. The plugin holds the next call that writes until then, not for long.
//!
//! Whoever tells may mean ill: it can have its own work kept more often, and nothing else.

use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::timeout;

/// How long a request is held. Shorter than what clients wait for an answer.
const HOLD: Duration = Duration::from_secs(55);

/// What became of the work that a request told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kept {
    /// The loss of the machine would cost nothing of it.
    Safe,
    /// It will not be kept as it is, and waiting is of no use.
    GivenUp,
    /// Nobody knows yet: it is to be told again.
    Unknown,
}

#[derive(Debug, Default)]
pub struct Writes {
    standing: watch::Sender<Standing>,
}

#[derive(Debug, Default)]
struct Standing {
    /// Calls so far.
    count: u64,
    /// Of calls up to this one nothing can be lost.
    safe: u64,
    /// Nobody tries to keep what calls up to this one wrote.
    given_up: u64,
    /// Why the newest are not safe, as far as that is known.
    trouble: Option<String>,
    /// Whether people were told that it takes long.
    told: bool,
    closed: bool,
}

impl Standing {
    fn kept(&self, number: u64) -> Option<Kept> {
        if number <= self.safe {
            return Some(Kept::Safe);
        }
        (number <= self.given_up).then_some(Kept::GivenUp)
    }
}

impl Writes {
    /// The number of the newest call, once there is one after `seen`.
    pub async fn after(&self, seen: u64) -> u64 {
        let mut standing = self.standing.subscribe();
        let newer = standing.wait_for(|standing| standing.count > seen).await;
        // Its sender is this one's own.
        match newer.map(|standing| standing.count) {
            Ok(count) => count,
            Err(_) => std::future::pending().await,
        }
    }

    /// Calls so far.
    pub fn count(&self) -> u64 {
        self.standing.borrow().count
    }

    /// What calls up to this one wrote is out of danger.
    pub fn safe(&self, upto: u64) {
        self.standing.send_if_modified(|standing| {
            let is_news = upto > standing.safe;
            if is_news {
                (standing.safe, standing.told) = (upto, false);
                standing.trouble = None;
            }
            is_news
        });
    }

    /// What calls up to this one wrote is not kept, however long anybody waits.
    pub fn give_up(&self, upto: u64) {
        self.standing
            .send_modify(|standing| standing.given_up = standing.given_up.max(upto));
    }

    /// Why it takes longer.
    pub fn troubled(&self, trouble: String) {
        self.standing
            .send_modify(|standing| standing.trouble = Some(trouble));
    }

    /// What people are to be told when a call did not wait any longer: once until something is safe
    /// again, and nothing if all is.
    pub fn lateness(&self) -> Option<String> {
        let mut lateness = None;
        self.standing.send_if_modified(|standing| {
            if standing.told || standing.kept(standing.count).is_some() {
                return false;
            }
            standing.told = true;
            let trouble = standing.trouble.as_ref();
            let why = trouble.map(|why| format!(" ({why})")).unwrap_or_default();
            lateness = Some(format!(
                "What the agent wrote last is not kept outside of its sandbox yet{why}. It goes on \
                 without waiting for that: until it is, the loss of the machine would cost more than \
                 the last step."
            ));
            false
        });
        lateness
    }

    /// Counts what people wrote by hand. Nobody waits for it.
    pub fn by_hand(&self) {
        self.standing.send_modify(|standing| standing.count += 1);
    }

    /// Counts a call that has ended, and says what became of all that was written by then.
    pub(super) async fn told(&self) -> Kept {
        let mut standing = self.standing.subscribe();
        let mut number = 0;
        self.standing.send_modify(|standing| {
            standing.count += 1;
            number = standing.count;
        });
        let settled = standing.wait_for(|now| now.closed || now.kept(number).is_some());
        match timeout(HOLD, settled).await {
            Ok(Ok(standing)) => standing.kept(number).unwrap_or(Kept::Unknown),
            _ => Kept::Unknown,
        }
    }

    /// Answers whoever is held, so that it tells again.
    pub(super) fn close(&self) {
        self.standing.send_modify(|standing| standing.closed = true);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn whoever_has_written_is_held_until_that_is_safe() {
        let writes = Writes::default();
        let mut first = Box::pin(writes.told());
        assert!((&mut first).now_or_never().is_none());
        assert_eq!(writes.after(0).now_or_never(), Some(1));
        // What is kept from now on may lack what the second wrote.
        let mut second = Box::pin(writes.told());
        assert!((&mut second).now_or_never().is_none());
        writes.safe(1);
        assert_eq!(first.now_or_never(), Some(Kept::Safe));
        assert!((&mut second).now_or_never().is_none());
        assert_eq!(writes.after(1).now_or_never(), Some(2));
        writes.safe(2);
        assert_eq!(second.now_or_never(), Some(Kept::Safe));
        assert_eq!(writes.after(2).now_or_never(), None);
    }

    #[tokio::test]
    async fn calls_that_ended_at_once_are_kept_at_once() {
        let writes = Writes::default();
        let mut all: Vec<_> = (0..5).map(|_| Box::pin(writes.told())).collect();
        for told in &mut all {
            assert!(told.now_or_never().is_none());
        }
        assert_eq!(writes.after(0).now_or_never(), Some(5));
        writes.safe(5);
        for told in all {
            assert_eq!(told.now_or_never(), Some(Kept::Safe));
        }
    }

    #[tokio::test]
    async fn nobody_waits_for_what_is_given_up_or_for_a_sandbox_that_is_not_served_any_more() {
        let writes = Writes::default();
        let mut held = Box::pin(writes.told());
        assert!((&mut held).now_or_never().is_none());
        writes.give_up(1);
        assert_eq!(held.now_or_never(), Some(Kept::GivenUp));
        let mut held = Box::pin(writes.told());
        assert!((&mut held).now_or_never().is_none());
        writes.close();
        assert_eq!(held.now_or_never(), Some(Kept::Unknown));
    }

    #[tokio::test]
    async fn lateness_is_told_once_until_something_is_safe_again() {
        let writes = Writes::default();
        assert_eq!(writes.lateness(), None);
        assert!(writes.told().now_or_never().is_none());
        writes.troubled("the depot is away".to_owned());
        assert!(writes.lateness().unwrap().contains("the depot is away"));
        assert_eq!(writes.lateness(), None);
        writes.safe(1);
        assert_eq!(writes.lateness(), None);
        assert!(writes.told().now_or_never().is_none());
        let told = writes.lateness().unwrap();
        assert!(!told.contains("the depot is away"), "{told}");
    }
}
