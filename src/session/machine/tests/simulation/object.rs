//! The Durable Object as far as the machine relies on it: commits, a schedule whose work is taken
//! under a lease, and a log that clients are told of. What `store.rs` does in SQLite is done here
//! in memory, so that there can be many histories.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::super::*;
use super::dice::Dice;

/// One entry of the log, with its final text in it.
pub struct Entry {
    pub fact: Rc<Fact>,
    pub text: Option<String>,
}

/// What live viewers are told.
#[derive(Clone)]
pub enum Told {
    Event {
        seq: u64,
        fact: Rc<Fact>,
    },
    Delta {
        part: PartId,
        offset: u64,
        text: String,
    },
}

#[derive(Clone)]
pub struct Row {
    pub due: Millis,
    pub attempts: u32,
    pub effect: Effect,
}

/// A piece of work that somebody took.
pub struct Task {
    pub key: String,
    pub until: Millis,
    pub attempts: u32,
    pub effect: Effect,
    /// What came of it, once it was tried.
    pub outcome: Option<Result<Option<Input>, Failure>>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Failure {
    Passing,
    Final,
}

pub const LEASE_MS: i64 = 60_000;
pub const MAX_ATTEMPTS: u32 = 10;
const IDLE_MS: i64 = 600_000;

pub struct Object {
    pub state: State,
    pub log: Vec<Entry>,
    pub growing: BTreeMap<PartId, String>,
    pub schedule: BTreeMap<String, Row>,
    pub kept: BTreeMap<PromptId, Kept>,
    /// What came of each client's request.
    pub requests: BTreeMap<u64, PromptId>,
    pub tasks: Vec<Task>,
    /// What has been committed since clients were last told.
    pub told: Vec<Told>,
}

impl Object {
    pub fn new(wanted: Create, now: Millis, dice: &mut Dice) -> Self {
        let (state, transition) = create(wanted, context(now, dice));
        let mut object = Self {
            state,
            log: Vec::new(),
            growing: BTreeMap::new(),
            schedule: BTreeMap::new(),
            kept: BTreeMap::new(),
            requests: BTreeMap::new(),
            tasks: Vec::new(),
            told: Vec::new(),
        };
        object.commit(transition, None);
        object
    }

    pub fn step(
        &mut self,
        input: Input,
        done: Option<(&str, Millis)>,
        now: Millis,
        dice: &mut Dice,
    ) -> Result<(), Refusal> {
        let transition = self.state.step(input, context(now, dice))?;
        self.commit(transition, done);
        self.check_schedule();
        Ok(())
    }

    fn commit(&mut self, transition: Transition, done: Option<(&str, Millis)>) {
        for output in transition.outputs {
            match output {
                Output::Fact(fact) => self.append(fact),
                Output::Delta { part, offset, text } => {
                    let grown = self.growing.entry(part).or_default();
                    assert_eq!(length(grown), offset, "deltas meet");
                    grown.push_str(&text);
                    self.told.push(Told::Delta { part, offset, text });
                }
                Output::Kept { prompt, kept } => {
                    self.kept.insert(prompt, kept);
                }
                Output::Contacts { .. } => {}
            }
        }
        for key in &transition.cancelled {
            self.schedule.remove(key);
        }
        if let Some((key, until)) = done {
            self.finish(key, until);
        }
        for (due, effect) in transition.effects {
            let attempts = 0;
            let row = Row {
                due,
                attempts,
                effect,
            };
            self.schedule.insert(row.effect.key(), row);
        }
    }

    fn append(&mut self, fact: Fact) {
        let text = match &fact {
            Fact::PartFinished { part, text, .. } => {
                let grown = self.growing.remove(part).unwrap_or_default();
                Some(text.clone().unwrap_or(grown))
            }
            _ => None,
        };
        let fact = Rc::new(fact);
        self.log.push(Entry {
            fact: fact.clone(),
            text,
        });
        let seq = self.log.len() as u64;
        self.told.push(Told::Event { seq, fact });
    }

    /// Takes everything that is due.
    pub fn take_due(&mut self, now: Millis) {
        let until = now.plus(LEASE_MS);
        for (key, row) in &mut self.schedule {
            if row.due <= now {
                row.due = until;
                self.tasks.push(Task {
                    key: key.clone(),
                    until,
                    attempts: row.attempts,
                    effect: row.effect.clone(),
                    outcome: None,
                });
            }
        }
    }

    pub fn next_due(&self) -> Option<Millis> {
        self.schedule.values().map(|row| row.due).min()
    }

    fn holds(&self, key: &str, until: Millis) -> bool {
        self.schedule.get(key).is_some_and(|row| row.due == until)
    }

    fn finish(&mut self, key: &str, until: Millis) {
        if self.holds(key, until) {
            self.schedule.remove(key);
        }
    }

    /// What `perform_one` does with the outcome of a piece of work.
    pub fn conclude(&mut self, task: Task, now: Millis, dice: &mut Dice) {
        let (key, until) = (task.key.as_str(), task.until);
        let outcome = task.outcome.expect("it was tried");
        if outcome.is_err() && !self.holds(key, until) {
            return;
        }
        let input = match outcome {
            Ok(input) => input,
            Err(Failure::Passing) if task.attempts + 1 < MAX_ATTEMPTS => {
                let row = self.schedule.get_mut(key).expect("it is held");
                row.attempts += 1;
                row.due = now.plus((250 << row.attempts.min(6)).min(10_000));
                return;
            }
            Err(_) => given_up(&task.effect),
        };
        match input {
            Some(input) => self.step(input, Some((key, until)), now, dice).unwrap(),
            None => self.finish(key, until),
        }
    }

    /// Everything that is not stored is gone.
    pub fn evict(&mut self) {
        self.tasks.clear();
        let json = serde_json::to_string(&self.state).unwrap();
        let state = serde_json::from_str(&json).unwrap();
        assert_eq!(self.state, state, "what is stored is what was there");
        self.state = state;
        for row in self.schedule.values_mut() {
            let json = serde_json::to_string(&row.effect).unwrap();
            row.effect = serde_json::from_str(&json).unwrap();
        }
    }

    /// Nothing stays scheduled for a sandbox that is gone.
    fn check_schedule(&self) {
        let live = self.state.sandbox.as_ref().map(|sandbox| sandbox.epoch);
        for Row { effect, .. } in self.schedule.values() {
            if let Effect::Expire(Deadline::Stop { prompt }) = effect {
                let running = self.state.running.as_ref();
                assert_eq!(running.map(|running| &running.prompt), Some(prompt));
            }
            let Some(epoch) = epoch_of(effect) else {
                continue;
            };
            assert_eq!(Some(epoch), live, "{effect:?} is of no sandbox");
        }
    }
}

/// As `after_failure` in `effects.rs`.
fn given_up(effect: &Effect) -> Option<Input> {
    match effect {
        Effect::StartSandbox { epoch, .. }
        | Effect::SendPrompt { epoch, .. }
        | Effect::StopPrompt { epoch, .. }
        | Effect::SleepSandbox { epoch } => Some(Input::Unreachable {
            epoch: *epoch,
            reason: "away".to_owned(),
        }),
        Effect::OpenPullRequest { .. } => Some(Input::PullRequestFailed {
            message: "no".to_owned(),
        }),
        _ => None,
    }
}

pub fn context(now: Millis, dice: &mut Dice) -> Context {
    Context {
        now,
        random: dice.bytes(),
        idle_ms: IDLE_MS,
    }
}

pub fn length(text: &str) -> u64 {
    text.encode_utf16().count() as u64
}
