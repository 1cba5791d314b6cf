//! Machines with sandboxes. A runner keeps what it has accepted and what it has not delivered,
//! also when its process is killed; a machine that dies takes everything with it. Commands may come
//! twice.

use std::collections::{BTreeMap, VecDeque};

use super::super::*;
use super::dice::Dice;
use super::object::{Failure, length};
use protocol::callback::{PromptResult, Report};
use protocol::event::{PartBody, PartOutcome};

/// Files, as what they are of: how much of each prompt's work is in them.
pub type Files = BTreeMap<PromptId, u32>;

/// How much work a prompt is.
pub const WORK: u32 = 3;

pub enum Command {
    Start {
        epoch: Epoch,
        first_part: PartId,
        files: Files,
    },
    Prompt {
        prompt: PromptId,
        insert: bool,
        resumed: bool,
    },
    Stop(PromptId),
    Sleep,
    End,
}

#[derive(Default)]
pub struct Runner {
    pub dead: bool,
    pub sandboxes: BTreeMap<SandboxId, Tenant>,
}

/// A sandbox, as its runner sees it.
pub struct Tenant {
    pub epoch: Epoch,
    pub outbox: Vec<Report>,
    pub acknowledged: u64,
    pub gone: bool,
    ready: bool,
    next_part: PartId,
    files: Files,
    taken: Vec<PromptId>,
    waiting: VecDeque<PromptId>,
    turn: Option<Turn>,
    drowsy: bool,
}

struct Turn {
    prompts: Vec<PromptId>,
    open: Option<(PartId, u64)>,
    stopping: bool,
}

/// What happened outside of the session, for the checks at the end.
#[derive(Default)]
pub struct World {
    pub snapshots: BTreeMap<SnapshotId, Files>,
    /// How often a sandbox of this epoch began to work on this prompt.
    pub begun: BTreeMap<(PromptId, Epoch), u32>,
    /// Where the work of a prompt was done to its end.
    pub done: BTreeMap<PromptId, Vec<Epoch>>,
}

impl Runner {
    pub fn is_busy(&self) -> bool {
        !self.dead && self.sandboxes.values().any(Tenant::is_busy)
    }

    pub fn command(&mut self, sandbox: &SandboxId, command: Command) -> Result<(), Failure> {
        if self.dead {
            return Err(Failure::Passing);
        }
        if let Command::Start {
            epoch,
            first_part,
            files,
        } = command
        {
            let fresh = Tenant {
                epoch,
                outbox: Vec::new(),
                acknowledged: 0,
                gone: false,
                ready: false,
                next_part: first_part,
                files,
                taken: Vec::new(),
                waiting: VecDeque::new(),
                turn: None,
                drowsy: false,
            };
            self.sandboxes.entry(sandbox.clone()).or_insert(fresh);
            return Ok(());
        }
        let Some(known) = self.sandboxes.get_mut(sandbox).filter(|known| !known.gone) else {
            return match command {
                Command::End => Ok(()),
                _ => Err(Failure::Final),
            };
        };
        match command {
            Command::Start { .. } => {}
            Command::Prompt {
                prompt,
                insert,
                resumed,
            } => known.prompt(prompt, insert, resumed),
            Command::Stop(prompt) => known.stop(&prompt),
            Command::Sleep => known.drowsy = true,
            Command::End => known.gone = true,
        }
        Ok(())
    }
}

impl Tenant {
    fn prompt(&mut self, prompt: PromptId, insert: bool, resumed: bool) {
        assert!(self.ready, "prompts come to those that are ready");
        if self.taken.contains(&prompt) {
            return;
        }
        assert!(
            resumed || !self.files.contains_key(&prompt),
            "whoever goes on with work of a lost sandbox is told so"
        );
        self.taken.push(prompt.clone());
        self.drowsy = false;
        match &mut self.turn {
            Some(turn) if insert && !turn.stopping => turn.prompts.push(prompt),
            _ => self.waiting.push_back(prompt),
        }
    }

    fn stop(&mut self, prompt: &PromptId) {
        if let Some(place) = self.waiting.iter().position(|one| one == prompt) {
            self.waiting.remove(place);
            self.finished(prompt.clone(), PromptResult::Stopped);
        } else if let Some(turn) = &mut self.turn
            && turn.prompts.contains(prompt)
        {
            turn.stopping = true;
        }
    }

    /// Whether it would do something by itself.
    fn is_busy(&self) -> bool {
        !self.gone
            && (!self.ready || self.turn.is_some() || !self.waiting.is_empty() || self.drowsy)
    }

    /// Whether there is something to deliver.
    pub fn is_full(&self) -> bool {
        self.outbox.len() as u64 > self.acknowledged
    }

    pub fn lose(&mut self) {
        if !self.gone {
            let reason = "killed".to_owned();
            self.outbox.push(Report::Lost { reason });
            self.gone = true;
        }
    }

    /// Does the next bit of work. Without `trouble` it only ever succeeds.
    pub fn work(&mut self, trouble: bool, world: &mut World, dice: &mut Dice) {
        if self.gone {
            return;
        }
        if !self.ready {
            if trouble && dice.once_in(12) {
                return self.lose();
            }
            self.ready = true;
            let image = None;
            let commit = "c".to_owned();
            self.outbox.push(Report::Ready { image, commit });
            return;
        }
        if trouble && dice.once_in(40) {
            // A runner that was restarted may say so again.
            let image = None;
            let commit = "c".to_owned();
            self.outbox.push(Report::Ready { image, commit });
        }
        let Some(turn) = &mut self.turn else {
            return self.begin(world, dice);
        };
        if turn.stopping {
            return self.end(PromptResult::Stopped, world, dice);
        }
        let Some((part, length)) = &mut turn.open else {
            return self.open();
        };
        match dice.below(if trouble { 12 } else { 3 }) {
            0..=2 => {
                let (part, length) = (*part, *length);
                turn.open = None;
                let prompt = turn.prompts[0].clone();
                self.close(part, prompt.clone(), length, dice.once_in(4));
                let done = self.files.entry(prompt).or_default();
                *done += 1;
                if *done >= WORK {
                    self.publish(dice);
                    self.end(PromptResult::Completed, world, dice);
                }
            }
            3..=6 => {
                let text = ["a", "bc", "😀"][dice.below(3)].to_owned();
                let (part, offset) = (*part, *length);
                *length += super::object::length(&text);
                self.outbox.push(Report::Delta { part, offset, text });
            }
            7..=10 => self.keep(None, world, dice),
            _ => {
                let message = "the model refused".to_owned();
                self.end(PromptResult::Failed { message }, world, dice);
            }
        }
    }

    fn begin(&mut self, world: &mut World, dice: &mut Dice) {
        if let Some(prompt) = self.waiting.pop_front() {
            let times = world.begun.entry((prompt.clone(), self.epoch)).or_default();
            *times += 1;
            self.turn = Some(Turn {
                prompts: vec![prompt],
                open: None,
                stopping: false,
            });
        } else if self.drowsy {
            let snapshot = SnapshotId::from_random(dice.bytes());
            world.snapshots.insert(snapshot.clone(), self.files.clone());
            self.outbox.push(Report::Slept { snapshot });
            self.gone = true;
        }
    }

    fn open(&mut self) {
        let Some(turn) = &mut self.turn else { return };
        let part = self.next_part;
        self.next_part = part.next();
        turn.open = Some((part, 0));
        let prompt = turn.prompts[0].clone();
        let body = PartBody::Text;
        self.outbox.push(Report::PartStarted { part, prompt, body });
        let message = format!("{}-{}", self.epoch, self.outbox.len() + 1);
        self.outbox.push(Report::Notice { message });
    }

    fn close(&mut self, part: PartId, prompt: PromptId, length: u64, corrected: bool) {
        let text = corrected.then(|| "corrected".to_owned());
        let outcome = PartOutcome::Completed { title: None };
        self.outbox.push(Report::PartFinished {
            part,
            prompt,
            length: text.as_deref().map_or(length, length_of),
            text,
            outcome,
        });
    }

    fn publish(&mut self, dice: &mut Dice) {
        let Some(turn) = &self.turn else { return };
        for branch in 0..=dice.below(2) {
            self.outbox.push(Report::Pushed {
                prompt: turn.prompts[0].clone(),
                branch: format!("agent/{branch}"),
                commit: format!("{:x}", dice.roll()),
                files: Vec::new(),
                summary: String::new(),
                base: None,
            });
        }
    }

    fn end(&mut self, result: PromptResult, world: &mut World, dice: &mut Dice) {
        let Some(turn) = self.turn.take() else { return };
        if let Some((part, length)) = turn.open {
            self.close(part, turn.prompts[0].clone(), length, false);
        }
        if result == PromptResult::Completed {
            let done = world.done.entry(turn.prompts[0].clone()).or_default();
            done.push(self.epoch);
        }
        let mut last = None;
        for prompt in turn.prompts {
            self.finished(prompt.clone(), result.clone());
            last = Some(prompt);
        }
        self.keep(last, world, dice);
    }

    fn finished(&mut self, prompt: PromptId, result: PromptResult) {
        self.outbox.push(Report::PromptFinished { prompt, result });
    }

    fn keep(&mut self, prompt: Option<PromptId>, world: &mut World, dice: &mut Dice) {
        let snapshot = SnapshotId::from_random(dice.bytes());
        world.snapshots.insert(snapshot.clone(), self.files.clone());
        self.outbox.push(Report::Snapshotted { snapshot, prompt });
    }
}

fn length_of(text: &str) -> u64 {
    length(text)
}
