//! One statement for each rule of the machine, and properties under any order of inputs.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod changes;
mod prompts;
mod properties;
mod pull_requests;
mod queue;
mod repairs;
mod reports;
mod rest;
mod resumption;
mod simulation;

use std::collections::BTreeMap;

use protocol::api::{PullRequest, SessionState};
use protocol::callback::{Batch, PromptResult, Report};
use protocol::command::{Model, Provider};
use protocol::event::{
    Mode, Opener, Outcome, PartBody, PartOutcome, Person, Prompt, Repository, Source, Step,
    StepName,
};
use protocol::{
    Epoch, Millis, PartId, PromptId, RunnerId, SandboxId, SessionId, SnapshotId, UserId,
};

use super::changes::KeptChanges;
use super::*;

fn person(number: i64) -> Person {
    Person {
        id: UserId(number),
        login: format!("user-{number}"),
        name: format!("User {number}"),
        avatar: String::new(),
    }
}

fn prompt_id(number: u8) -> PromptId {
    PromptId::from_random([number; 16])
}

fn prompt(number: u8, author: i64, mode: Mode) -> Input {
    Input::Prompt(Prompt {
        id: prompt_id(number),
        author: person(author),
        text: format!("do {number}"),
        source: Source::Web,
        mode,
        attachments: Vec::new(),
        client_request_id: None,
    })
}

const IDLE_MS: i64 = 600_000;

fn at(millis: i64) -> Context {
    let mut random = [0; 16];
    random[..8].copy_from_slice(&millis.to_be_bytes());
    Context {
        now: Millis(millis),
        random,
        idle_ms: IDLE_MS,
    }
}

/// The session that is created.
fn wanted() -> Create {
    Create {
        session: SessionId::from_random([1; 16]),
        repository: Repository::new("acme", "tool").unwrap(),
        branch: "main".to_owned(),
        model: Model {
            provider: Provider::Openai,
            name: "m".to_owned(),
        },
        environment: None,
        by: person(1),
        title: String::new(),
        parent: None,
        snapshot: None,
    }
}

/// The sandbox that an effect is about, by its epoch.
fn epoch_of(effect: &Effect) -> Option<Epoch> {
    match effect {
        Effect::StartSandbox { epoch, .. }
        | Effect::SendPrompt { epoch, .. }
        | Effect::StopPrompt { epoch, .. }
        | Effect::SleepSandbox { epoch }
        | Effect::Expire(
            Deadline::Start { epoch }
            | Deadline::Silence { epoch }
            | Deadline::Abandoned { epoch }
            | Deadline::Idle { epoch }
            | Deadline::Sleep { epoch },
        ) => Some(*epoch),
        _ => None,
    }
}

/// A session together with everything it has said and asked for.
struct Session {
    state: State,
    facts: Vec<Fact>,
    texts: BTreeMap<PartId, String>,
    effects: Vec<Effect>,
    /// What is on the schedule, as the store would have it.
    schedule: BTreeMap<String, (Millis, Effect)>,
    /// How many steps changed anything that is stored.
    writes: usize,
    clock: i64,
    reports: u64,
}

impl Session {
    fn new() -> Self {
        let (state, transition) = create(wanted(), at(0));
        let mut session = Self {
            state,
            facts: Vec::new(),
            texts: BTreeMap::new(),
            effects: Vec::new(),
            schedule: BTreeMap::new(),
            writes: 0,
            clock: 0,
            reports: 0,
        };
        session.absorb(transition);
        session
    }

    /// A session whose sandbox is ready.
    fn ready() -> Self {
        let mut session = Self::new();
        session.take(Input::Typing).unwrap();
        session.placed();
        session
            .report(Report::Ready {
                image: None,
                commit: "c0ffee".to_owned(),
            })
            .unwrap();
        session
    }

    fn placed(&mut self) {
        let claim = Step {
            name: StepName::Claim,
            started_at: Millis(0),
            ms: 1,
            detail: None,
        };
        let epoch = self.state.epoch;
        let runner = RunnerId::from_random([1; 16]);
        let runner_url = "http://runner".to_owned();
        self.take(Input::Placed {
            epoch,
            runner,
            runner_url,
            claim,
        })
        .unwrap();
    }

    fn take(&mut self, input: Input) -> Result<(), Refusal> {
        self.clock += 1;
        let before = self.state.clone();
        let known = self.facts.len();
        match self.state.step(input, at(self.clock)) {
            Ok(transition) => {
                if self.state != before || !transition.is_empty() {
                    self.writes += 1;
                }
                self.absorb(transition);
                self.check_step(&before);
                self.check_pause(&before, known);
                Ok(())
            }
            Err(refusal) => {
                assert_eq!(self.state, before, "a refusal changes nothing");
                Err(refusal)
            }
        }
    }

    fn report(&mut self, report: Report) -> Result<(), Refusal> {
        let sandbox = self.state.sandbox.clone().ok_or(Refusal::Void)?;
        self.reports = sandbox.received + 1;
        let first = self.reports;
        self.take(Input::Batch(Batch {
            sandbox: sandbox.id,
            epoch: sandbox.epoch,
            first,
            reports: vec![report],
        }))
    }

    fn finish(&mut self, number: u8, result: PromptResult) -> Result<(), Refusal> {
        self.report(Report::PromptFinished {
            prompt: prompt_id(number),
            result,
        })
    }

    fn finish_all(&mut self, numbers: &[u8]) {
        for number in numbers {
            self.finish(*number, PromptResult::Completed).unwrap();
        }
    }

    fn absorb(&mut self, transition: Transition) {
        for output in transition.outputs {
            match output {
                Output::Contacts { .. } | Output::Kept { .. } => {}
                Output::Fact(fact) => self.facts.push(fact),
                Output::Delta { part, offset, text } => {
                    let known = self.texts.entry(part).or_default();
                    assert_eq!(known.encode_utf16().count() as u64, offset, "deltas meet");
                    known.push_str(&text);
                }
            }
        }
        for key in transition.cancelled {
            self.schedule.remove(&key);
        }
        for (due, effect) in transition.effects {
            self.schedule.insert(effect.key(), (due, effect.clone()));
            self.effects.push(effect);
        }
    }

    /// What holds after every step.
    fn check_step(&self, before: &State) {
        let gone = before.sandbox.as_ref().filter(|old| {
            self.state
                .sandbox
                .as_ref()
                .is_none_or(|new| new.epoch != old.epoch)
        });
        if let Some(gone) = gone {
            let suffix = format!(":{}", gone.epoch);
            let left: Vec<_> = self
                .schedule
                .keys()
                .filter(|key| key.ends_with(&suffix))
                .collect();
            assert!(left.is_empty(), "of a sandbox that is gone: {left:?}");
        }
        for effect in self.effects.iter().rev().take(4) {
            if let Effect::EndSandbox { sandbox, .. } = effect {
                let current = self.state.sandbox.as_ref().map(|current| &current.id);
                assert_ne!(current, Some(sandbox), "what is ended is not used");
            }
        }
        let sleeps = |state: &State| state.sandbox.as_ref().is_some_and(|one| one.sleeping);
        if sleeps(&self.state) && !sleeps(before) {
            assert!(
                before.resting().is_some(),
                "only what rests is put to sleep"
            );
        }
        assert!(
            self.state.running.is_none() || self.state.sandbox.is_some(),
            "what runs has a sandbox"
        );
        if let Some(epoch) = self.state.resting() {
            let rest = [
                Deadline::Abandoned { epoch }.key(),
                Deadline::Idle { epoch }.key(),
            ];
            let ends = rest.iter().filter(|key| self.schedule.contains_key(*key));
            assert_eq!(ends.count(), 1, "a rest has one end");
        }
    }

    fn check_pause(&self, before: &State, known: usize) {
        assert!(
            !self.state.paused || !self.state.queue.is_empty(),
            "a pause is about what waits"
        );
        if before.paused && self.state.paused {
            let mut new = self.facts[known..].iter();
            let started = new.any(|fact| matches!(fact, Fact::PromptStarted { .. }));
            assert!(!started, "nothing starts while the queue is paused");
        }
    }

    /// Another sandbox is placed and ready.
    fn another(&mut self) {
        self.placed();
        let image = None;
        let commit = "c".to_owned();
        self.report(Report::Ready { image, commit }).unwrap();
    }

    fn lost(&mut self) {
        let reason = "gone".to_owned();
        self.report(Report::Lost { reason }).unwrap();
    }

    /// Lets the time pass until `deadline` rings, at `wait` after now at the earliest.
    fn ring(&mut self, deadline: Deadline, wait: i64) {
        self.clock += wait;
        let rung = self.schedule.remove(&deadline.key());
        assert!(rung.is_some(), "{deadline:?} is scheduled");
        self.take(Input::Expired(deadline)).unwrap();
    }

    fn count(&self, wanted: impl Fn(&Fact) -> bool) -> usize {
        self.facts.iter().filter(|fact| wanted(fact)).count()
    }

    fn outcome_of(&self, number: u8) -> Option<&Outcome> {
        self.facts.iter().find_map(|fact| match fact {
            Fact::PromptFinished { prompt, outcome } if *prompt == prompt_id(number) => {
                Some(outcome)
            }
            _ => None,
        })
    }

    fn sends(&self) -> Vec<&PromptId> {
        let sends = self.effects.iter().filter_map(|effect| match effect {
            Effect::SendPrompt { prompt, .. } => Some(prompt),
            _ => None,
        });
        sends.collect()
    }
}
