//! The log read from its beginning, as a client does: what it says must make sense at every entry
//! and be all over at the end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::super::*;
use super::object::Entry;
use protocol::event::Outcome;

#[derive(Default)]
pub struct Reading {
    queue: VecDeque<PromptId>,
    paused: bool,
    running: Option<PromptId>,
    /// What runs and has not ended, the running one included.
    together: Vec<PromptId>,
    /// The running prompt's sandbox is gone.
    adrift: bool,
    epoch: Epoch,
    ready: bool,
    snapshot: Option<SnapshotId>,
    open: BTreeSet<PartId>,
    closed: BTreeSet<PartId>,
    numbers: BTreeSet<u64>,
    notices: BTreeMap<Epoch, u64>,
    pub queued: BTreeSet<PromptId>,
    pub cancelled: BTreeSet<PromptId>,
    pub outcomes: BTreeMap<PromptId, Outcome>,
    /// The epochs in which a prompt was first of those that ran.
    pub epochs: BTreeMap<PromptId, Vec<Epoch>>,
    /// What was pushed last to each branch.
    pub pushed: BTreeMap<String, String>,
    pub forks: usize,
    archived: bool,
}

impl Reading {
    pub fn of(log: &[Entry]) -> Self {
        let mut reading = Self::default();
        for entry in log {
            reading.fact(&entry.fact);
        }
        reading
    }

    fn fact(&mut self, fact: &Fact) {
        match fact {
            Fact::PromptQueued { prompt } => {
                assert!(self.queued.insert(prompt.id.clone()), "queued once");
                assert!(!self.archived);
                self.queue.push_back(prompt.id.clone());
            }
            Fact::PromptCancelled { prompt, .. } => {
                self.leave(prompt);
                assert!(self.cancelled.insert(prompt.clone()));
            }
            Fact::PromptEdited { prompt, .. } => assert!(self.queue.contains(prompt)),
            Fact::PromptsReordered { order, .. } => {
                let known: BTreeSet<_> = self.queue.iter().collect();
                assert_eq!(
                    known,
                    order.iter().collect(),
                    "nothing comes or goes by order"
                );
                assert_eq!(self.queue.len(), order.len());
                self.queue = order.iter().cloned().collect();
            }
            Fact::QueuePaused { .. } => {
                assert!(!self.paused && !self.queue.is_empty());
                self.paused = true;
            }
            Fact::QueueResumed { .. } => {
                assert!(self.paused);
                self.paused = false;
            }
            Fact::PromptStarted { prompt } => self.started(prompt),
            Fact::PromptResumed { prompt, epoch } => {
                assert_eq!(self.running.as_ref(), Some(prompt));
                assert!(self.adrift, "one loss is one resumption");
                assert!(self.ready && *epoch == self.epoch);
                self.adrift = false;
                self.epochs.entry(prompt.clone()).or_default().push(*epoch);
            }
            Fact::PromptFinished { prompt, outcome } => self.finished(prompt, outcome),
            Fact::SandboxStarting { epoch, .. } => {
                assert_eq!(epoch.0, self.epoch.0 + 1);
                (self.epoch, self.ready) = (*epoch, false);
            }
            Fact::SandboxReady { epoch, .. } => {
                assert_eq!(*epoch, self.epoch);
                self.ready = true;
            }
            Fact::SandboxLost { epoch, .. } | Fact::SandboxReleased { epoch, .. } => {
                self.gone(*epoch);
            }
            Fact::SandboxSlept {
                epoch, snapshot, ..
            } => {
                self.snapshot = Some(snapshot.clone());
                self.gone(*epoch);
            }
            Fact::Snapshotted { snapshot, .. } => self.snapshot = Some(snapshot.clone()),
            Fact::PartStarted { part, .. } => {
                assert!(self.ready, "nobody works without a sandbox");
                assert!(self.open.insert(*part) && !self.closed.contains(part));
            }
            Fact::PartFinished { part, .. } => {
                assert!(self.open.remove(part) && self.closed.insert(*part), "once");
            }
            Fact::Pushed { branch, commit, .. } => {
                self.pushed.insert(branch.clone(), commit.clone());
            }
            Fact::PullRequestOpened { number, .. } => {
                assert!(self.numbers.insert(*number), "opened once");
            }
            Fact::Notice { message } => self.notice(message),
            Fact::SessionArchived { .. } => self.archived = true,
            _ => {}
        }
    }

    /// Notices of a sandbox are named after their place among its reports.
    fn notice(&mut self, message: &str) {
        self.forks += usize::from(message.contains("forked"));
        let Some((epoch, number)) = message.split_once('-') else {
            return;
        };
        if let (Ok(epoch), Ok(number)) = (epoch.parse::<u32>(), number.parse::<u64>()) {
            assert_eq!(
                epoch, self.epoch.0,
                "reports of an earlier sandbox are void"
            );
            let last = self.notices.insert(self.epoch, number);
            assert!(last < Some(number), "reports are taken in order, once");
        }
    }

    fn leave(&mut self, prompt: &PromptId) {
        let place = self.queue.iter().position(|one| one == prompt);
        self.queue
            .remove(place.expect("what leaves the queue was in it"));
    }

    fn started(&mut self, prompt: &PromptId) {
        assert!(!self.paused, "nothing starts while the queue is paused");
        if self.running.is_none() {
            // One that came to be inserted is at the end; it was alone then.
            assert_eq!(self.queue.front(), Some(prompt), "in their order");
            self.running = Some(prompt.clone());
            let epochs = self.epochs.entry(prompt.clone()).or_default();
            epochs.push(self.epoch);
        }
        self.leave(prompt);
        self.together.push(prompt.clone());
    }

    fn finished(&mut self, prompt: &PromptId, outcome: &Outcome) {
        let place = self.together.iter().position(|one| one == prompt);
        self.together.remove(place.expect("what ends has started"));
        if self.running.as_ref() == Some(prompt) {
            // The next of those that had joined goes on.
            self.running = self.together.first().cloned();
        }
        self.adrift &= self.running.is_some();
        let before = self.outcomes.insert(prompt.clone(), outcome.clone());
        assert_eq!(before, None, "a prompt ends once");
    }

    fn gone(&mut self, epoch: Epoch) {
        assert_eq!(epoch, self.epoch);
        self.ready = false;
        self.adrift = self.running.is_some();
    }

    pub fn snapshot(&self) -> Option<&SnapshotId> {
        self.snapshot.as_ref()
    }

    /// What must be so when nothing goes on any more.
    pub fn check_rest(&self) {
        assert!(
            self.queue.is_empty() && !self.paused,
            "nothing waits for ever"
        );
        assert_eq!(self.running, None, "every prompt ends");
        assert!(self.together.is_empty() && self.open.is_empty());
        for prompt in &self.queued {
            let ended = self.outcomes.contains_key(prompt);
            assert_ne!(ended, self.cancelled.contains(prompt), "one or the other");
        }
        for (prompt, epochs) in &self.epochs {
            assert!(
                epochs.len() <= 1 + MAX_RESUMED as usize,
                "{prompt} for ever"
            );
        }
    }
}
