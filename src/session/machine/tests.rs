//! Properties of the machine under any order of inputs, and one statement for each rule.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use protocol::UserId;
use protocol::callback::{PromptResult, Report};
use protocol::command::Provider;
use protocol::event::{Mode, Outcome, PartBody, PartOutcome, StepName};

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
        let create_input = Create {
            session: SessionId::from_random([1; 16]),
            repository: Repository::new("acme", "tool").unwrap(),
            branch: "main".to_owned(),
            model: Model {
                provider: Provider::Openai,
                name: "m".to_owned(),
            },
            environment: None,
            by: person(1),
        };
        let (state, transition) = create(create_input, at(0));
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
        match self.state.step(input, at(self.clock)) {
            Ok(transition) => {
                if self.state != before || !transition.is_empty() {
                    self.writes += 1;
                }
                self.absorb(transition);
                self.check_step(&before);
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

    fn absorb(&mut self, transition: Transition) {
        for output in transition.outputs {
            match output {
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

#[test]
fn a_prompt_waits_for_the_sandbox_and_is_sent_when_it_is_ready() {
    let mut session = Session::new();
    session.take(prompt(1, 1, Mode::Queue)).unwrap();
    assert!(session.sends().is_empty());
    session.placed();
    session
        .report(Report::Ready {
            image: None,
            commit: "c".to_owned(),
        })
        .unwrap();
    assert_eq!(session.sends(), [&prompt_id(1)]);
}

#[test]
fn prompts_run_one_after_the_other_in_their_order() {
    let mut session = Session::ready();
    for number in 1..=3 {
        session.take(prompt(number, 1, Mode::Queue)).unwrap();
    }
    assert_eq!(session.sends(), [&prompt_id(1)]);
    session.finish(1, PromptResult::Completed).unwrap();
    session.finish(2, PromptResult::Completed).unwrap();
    assert_eq!(
        session.sends(),
        [&prompt_id(1), &prompt_id(2), &prompt_id(3)]
    );
}

#[test]
fn an_inserted_prompt_is_sent_at_once_and_ends_with_the_one_it_joined() {
    let mut session = Session::ready();
    session.take(prompt(1, 1, Mode::Queue)).unwrap();
    session.take(prompt(2, 2, Mode::Insert)).unwrap();
    assert_eq!(session.sends(), [&prompt_id(1), &prompt_id(2)]);
    session.finish(1, PromptResult::Completed).unwrap();
    assert_eq!(session.outcome_of(2), Some(&Outcome::Completed));
}

#[test]
fn everybody_who_prompted_since_the_last_commit_is_credited() {
    let mut session = Session::ready();
    session.take(prompt(1, 1, Mode::Queue)).unwrap();
    session.finish(1, PromptResult::Completed).unwrap();
    session.take(prompt(2, 2, Mode::Queue)).unwrap();
    let Some(Effect::SendPrompt {
        author, co_authors, ..
    }) = session
        .effects
        .iter()
        .rfind(|effect| matches!(effect, Effect::SendPrompt { .. }))
    else {
        panic!("nothing was sent");
    };
    assert_eq!(
        (author.id, co_authors.len(), co_authors[0].id),
        (UserId(2), 1, UserId(1))
    );
}

#[test]
fn a_stopped_prompt_says_who_stopped_it() {
    let mut session = Session::ready();
    session.take(prompt(1, 1, Mode::Queue)).unwrap();
    session.take(Input::Stop { by: person(2) }).unwrap();
    session.finish(1, PromptResult::Stopped).unwrap();
    assert_eq!(
        session.outcome_of(1),
        Some(&Outcome::Stopped { by: person(2) })
    );
}

#[test]
fn an_agent_that_does_not_stop_loses_its_sandbox() {
    let mut session = Session::ready();
    session.take(prompt(1, 1, Mode::Queue)).unwrap();
    session.take(Input::Stop { by: person(1) }).unwrap();
    session
        .take(Input::Expired(Deadline::Stop {
            prompt: prompt_id(1),
        }))
        .unwrap();
    assert!(matches!(
        session.outcome_of(1),
        Some(Outcome::Failed { .. })
    ));
    assert!(
        session
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::EndSandbox { .. }))
    );
    assert_eq!(session.state.sandbox, None);
}

#[test]
fn a_sandbox_that_never_starts_fails_what_waits_and_says_why() {
    let mut session = Session::new();
    session.take(prompt(1, 1, Mode::Queue)).unwrap();
    let reason = "no runner".to_owned();
    session
        .take(Input::Unreachable {
            epoch: Epoch(1),
            reason,
        })
        .unwrap();
    let failed = Outcome::Failed {
        message: "no runner".to_owned(),
    };
    assert_eq!(session.outcome_of(1), Some(&failed));
    assert_eq!(session.state.activity(), SessionState::Failed);
}

#[test]
fn a_repeated_batch_changes_nothing_and_a_gap_is_refused() {
    let mut session = Session::ready();
    let sandbox = session.state.sandbox.clone().unwrap();
    let batch = |first, message: &str| Batch {
        sandbox: sandbox.id.clone(),
        epoch: sandbox.epoch,
        first,
        reports: vec![Report::Notice {
            message: message.to_owned(),
        }],
    };
    session.take(Input::Batch(batch(2, "a"))).unwrap();
    let facts = session.facts.len();
    session.take(Input::Batch(batch(2, "a"))).unwrap();
    assert_eq!(session.facts.len(), facts);
    let refusal = session.take(Input::Batch(batch(4, "c"))).unwrap_err();
    assert_eq!(refusal, Refusal::Gap { received: 2 });
}

#[test]
fn reports_of_an_earlier_sandbox_are_void() {
    let mut session = Session::ready();
    let old = session.state.sandbox.clone().unwrap();
    session
        .report(Report::Lost {
            reason: "gone".to_owned(),
        })
        .unwrap();
    session.take(Input::Typing).unwrap();
    let batch = Batch {
        sandbox: old.id,
        epoch: old.epoch,
        first: 3,
        reports: Vec::new(),
    };
    assert_eq!(session.take(Input::Batch(batch)), Err(Refusal::Void));
}

#[test]
fn a_lost_sandbox_closes_its_parts_and_fails_its_prompt() {
    let mut session = Session::ready();
    session.take(prompt(1, 1, Mode::Queue)).unwrap();
    let part = session.state.next_part;
    let body = PartBody::Text;
    session
        .report(Report::PartStarted {
            part,
            prompt: prompt_id(1),
            body,
        })
        .unwrap();
    session
        .report(Report::Lost {
            reason: "gone".to_owned(),
        })
        .unwrap();
    assert!(session.state.open_parts.is_empty());
    assert!(matches!(
        session.outcome_of(1),
        Some(Outcome::Failed { .. })
    ));
}

#[test]
fn the_queue_has_a_limit() {
    let mut session = Session::new();
    for number in 0..u8::try_from(protocol::api::MAX_QUEUE).unwrap() {
        session.take(prompt(number, 1, Mode::Queue)).unwrap();
    }
    assert_eq!(
        session.take(prompt(200, 1, Mode::Queue)),
        Err(Refusal::QueueFull)
    );
}

#[test]
fn an_archived_session_takes_no_prompt() {
    let mut session = Session::ready();
    session.take(Input::Archive { by: person(1) }).unwrap();
    assert_eq!(
        session.take(prompt(1, 1, Mode::Queue)),
        Err(Refusal::Archived)
    );
}

/// A session whose first prompt has ended, with a snapshot of it.
fn worked() -> Session {
    let mut session = Session::ready();
    session.take(prompt(1, 1, Mode::Queue)).unwrap();
    session
        .report(Report::Snapshotted {
            snapshot: snapshot(1),
            prompt: Some(prompt_id(1)),
        })
        .unwrap();
    session.finish(1, PromptResult::Completed).unwrap();
    session
}

fn snapshot(number: u8) -> SnapshotId {
    SnapshotId::from_random([number; 16])
}

const FIRST: Epoch = Epoch(1);

#[test]
fn typing_starts_one_sandbox_and_then_writes_at_most_every_fifteen_seconds() {
    let mut session = Session::new();
    session.take(Input::Typing).unwrap();
    let writes = session.writes;
    for _ in 0..50 {
        session.clock += 290;
        session.take(Input::Typing).unwrap();
    }
    assert_eq!(session.writes, writes);
    session.clock += 1000;
    session.take(Input::Typing).unwrap();
    assert_eq!(session.writes, writes + 1);
    let starting = |fact: &Fact| matches!(fact, Fact::SandboxStarting { .. });
    assert_eq!(session.count(starting), 1);
}

#[test]
fn a_sandbox_that_typing_made_ready_is_released_when_no_prompt_follows() {
    let mut session = Session::ready();
    session.ring(Deadline::Abandoned { epoch: FIRST }, 80_000);
    let released = |fact: &Fact| matches!(fact, Fact::SandboxReleased { .. });
    assert_eq!(session.count(released), 1);
    let ends = |effect: &&Effect| matches!(effect, Effect::EndSandbox { .. });
    assert_eq!(session.effects.iter().filter(ends).count(), 1);
    assert_eq!(session.state.activity(), SessionState::Idle);
    // The session can be begun all the same.
    session.take(Input::Typing).unwrap();
    assert_eq!(session.state.epoch, Epoch(2));
}

#[test]
fn nothing_is_released_within_a_minute_of_the_last_keystroke() {
    let mut session = Session::ready();
    session.clock += 50_000;
    session.take(Input::Typing).unwrap();
    session.clock += 14_000;
    session.take(Input::Typing).unwrap();
    let last = session.clock;
    session.ring(Deadline::Abandoned { epoch: FIRST }, 20_000);
    let key = Deadline::Abandoned { epoch: FIRST }.key();
    let due = session.schedule[&key].0;
    assert!(due >= Millis(last + rest::ABANDONED_MS), "{due}");
    assert!(due <= Millis(last + rest::ABANDONED_MS + rest::TYPING_STEP_MS));
    assert!(session.state.sandbox.is_some());
}

#[test]
fn a_prompt_keeps_the_sandbox_and_shows_how_long_it_was_typed() {
    let mut session = Session::new();
    session.take(Input::Typing).unwrap();
    let first = session.clock;
    session.clock += 4000;
    session.take(prompt(1, 1, Mode::Queue)).unwrap();
    let typed = session.facts.iter().find_map(|fact| match fact {
        Fact::Step { step } if step.name == StepName::Typing => Some(step.clone()),
        _ => None,
    });
    let typed = typed.expect("a step");
    assert_eq!((typed.started_at, typed.ms), (Millis(first), 4001));
    session.placed();
    let image = None;
    let commit = "c".to_owned();
    session.report(Report::Ready { image, commit }).unwrap();
    let key = Deadline::Abandoned { epoch: FIRST }.key();
    assert!(!session.schedule.contains_key(&key));
    assert_eq!(session.sends(), [&prompt_id(1)]);
}

#[test]
fn typing_that_was_given_up_is_not_counted() {
    let mut session = Session::new();
    session.take(Input::Typing).unwrap();
    session.clock += 200_000;
    session.take(Input::Typing).unwrap();
    assert_eq!(session.state.typing.unwrap().since, Millis(session.clock));
}

#[test]
fn how_long_the_sandbox_took_is_noted_once() {
    let mut session = Session::ready();
    let image = None;
    let commit = "c".to_owned();
    session.report(Report::Ready { image, commit }).unwrap();
    let notes = |effect: &&Effect| matches!(effect, Effect::NoteReady { ms: 2, .. });
    assert_eq!(session.effects.iter().filter(notes).count(), 1);
}

#[test]
fn a_sandbox_from_before_there_was_sleep_is_not_taken_for_an_abandoned_one() {
    let mut session = Session::ready();
    session.take(prompt(1, 1, Mode::Queue)).unwrap();
    let mut stored = serde_json::to_value(&session.state).unwrap();
    let sandbox = stored["sandbox"].as_object_mut().unwrap();
    for new in ["asked_at", "prompted", "sleeping", "rests_since", "runner"] {
        sandbox.remove(new).unwrap();
    }
    session.state = serde_json::from_value(stored).unwrap();
    session.finish(1, PromptResult::Completed).unwrap();
    session.ring(Deadline::Idle { epoch: FIRST }, IDLE_MS);
    assert!(session.state.sandbox.as_ref().unwrap().sleeping);
}

#[test]
fn an_idle_sandbox_is_put_to_sleep_and_woken_by_the_next_prompt_from_its_snapshot() {
    let mut session = worked();
    session.ring(Deadline::Idle { epoch: FIRST }, IDLE_MS);
    let sleep = Effect::SleepSandbox { epoch: FIRST };
    assert_eq!(session.schedule[&sleep.key()].1, sleep);
    // What comes while it falls asleep waits.
    session.take(prompt(2, 1, Mode::Queue)).unwrap();
    assert_eq!(session.sends(), [&prompt_id(1)]);
    let slept = Report::Slept {
        snapshot: snapshot(2),
    };
    session.report(slept).unwrap();
    assert_eq!(session.state.epoch, Epoch(2));
    let kept = session.state.snapshot.clone().unwrap();
    let runner = Some(RunnerId::from_random([1; 16]));
    assert_eq!((kept.id, kept.runner), (snapshot(2), runner));
    session.placed();
    let image = None;
    let commit = "c".to_owned();
    session.report(Report::Ready { image, commit }).unwrap();
    assert_eq!(session.sends(), [&prompt_id(1), &prompt_id(2)]);
}

#[test]
fn a_sandbox_does_not_sleep_while_somebody_types() {
    let mut session = worked();
    session.clock += IDLE_MS - 1000;
    session.take(Input::Typing).unwrap();
    session.ring(Deadline::Idle { epoch: FIRST }, 1000);
    assert!(!session.state.sandbox.as_ref().unwrap().sleeping);
    session.ring(
        Deadline::Idle { epoch: FIRST },
        IDLE_MS + rest::TYPING_STEP_MS,
    );
    assert!(session.state.sandbox.as_ref().unwrap().sleeping);
}

#[test]
fn a_prompt_that_comes_before_the_sleep_is_run_at_once() {
    let mut session = worked();
    session.clock += IDLE_MS - 10;
    session.take(prompt(2, 1, Mode::Queue)).unwrap();
    assert_eq!(session.sends(), [&prompt_id(1), &prompt_id(2)]);
    let key = Deadline::Idle { epoch: FIRST }.key();
    assert!(!session.schedule.contains_key(&key));
    // The alarm may have been on its way.
    session.clock += 1000;
    session
        .take(Input::Expired(Deadline::Idle { epoch: FIRST }))
        .unwrap();
    assert!(!session.state.sandbox.as_ref().unwrap().sleeping);
}

#[test]
fn a_sandbox_whose_only_prompt_was_cancelled_sleeps_too() {
    let mut session = Session::new();
    session.take(prompt(1, 1, Mode::Queue)).unwrap();
    let by = person(1);
    session
        .take(Input::Cancel {
            prompt: prompt_id(1),
            by,
        })
        .unwrap();
    session.placed();
    let image = None;
    let commit = "c".to_owned();
    session.report(Report::Ready { image, commit }).unwrap();
    session.ring(Deadline::Idle { epoch: FIRST }, IDLE_MS);
    assert!(session.state.sandbox.as_ref().unwrap().sleeping);
}

#[test]
fn a_sandbox_that_does_not_fall_asleep_is_lost_and_its_last_snapshot_is_gone_on_with() {
    let mut session = worked();
    session.ring(Deadline::Idle { epoch: FIRST }, IDLE_MS);
    session.take(prompt(2, 1, Mode::Queue)).unwrap();
    session.ring(Deadline::Sleep { epoch: FIRST }, SLEEP_LIMIT_MS);
    let reason = session.facts.iter().find_map(|fact| match fact {
        Fact::SandboxLost { reason, .. } => Some(reason.as_str()),
        _ => None,
    });
    let reason = reason.expect("it is lost");
    assert!(
        reason.contains("goes on from the newest snapshot"),
        "{reason}"
    );
    assert_eq!(session.state.epoch, Epoch(2));
    assert_eq!(session.state.snapshot.unwrap().id, snapshot(1));
}

#[test]
fn a_sandbox_put_to_sleep_by_its_runner_fails_what_ran() {
    let mut session = Session::ready();
    session.take(prompt(1, 1, Mode::Queue)).unwrap();
    let snapshot = snapshot(1);
    session.report(Report::Slept { snapshot }).unwrap();
    assert!(matches!(
        session.outcome_of(1),
        Some(Outcome::Failed { .. })
    ));
}

/// What a hostile order of clients, runners and clocks may do.
#[derive(Debug, Clone)]
enum Act {
    Prompt(u8, i64, bool),
    Cancel(u8),
    Stop,
    Typing,
    Wait(i64),
    Snapshotted(u8),
    Slept(u8),
    Ring(usize),
    ExpireRest,
    ExpireSleep,
    Placed,
    Unreachable,
    Ready,
    PartStarted(u64, u8),
    Delta(u64, u64, String),
    PartFinished(u64, u8, Option<String>),
    Finished(u8, u8),
    Lost,
    ExpireStart,
    ExpireStop(u8),
    ExpireSilence,
}

fn act() -> impl Strategy<Value = Act> {
    let number = 0..6u8;
    prop_oneof![
        4 => (number.clone(), 1..4i64, any::<bool>()).prop_map(|(n, a, i)| Act::Prompt(n, a, i)),
        1 => number.clone().prop_map(Act::Cancel),
        2 => Just(Act::Stop),
        3 => Just(Act::Typing),
        2 => (1..700_000i64).prop_map(Act::Wait),
        2 => (0..9u8).prop_map(Act::Snapshotted),
        1 => (0..9u8).prop_map(Act::Slept),
        4 => (0..8usize).prop_map(Act::Ring),
        1 => Just(Act::ExpireRest),
        1 => Just(Act::ExpireSleep),
        3 => Just(Act::Placed),
        1 => Just(Act::Unreachable),
        4 => Just(Act::Ready),
        4 => (1..8u64, number.clone()).prop_map(|(p, n)| Act::PartStarted(p, n)),
        6 => (1..8u64, 0..4u64, "[a-z😀]{0,3}").prop_map(|(p, o, t)| Act::Delta(p, o, t)),
        3 => (1..8u64, number.clone(), proptest::option::of("[a-z]{0,4}"))
            .prop_map(|(p, n, t)| Act::PartFinished(p, n, t)),
        5 => (number.clone(), 0..3u8).prop_map(|(n, r)| Act::Finished(n, r)),
        1 => Just(Act::Lost),
        1 => Just(Act::ExpireStart),
        1 => number.prop_map(Act::ExpireStop),
        1 => Just(Act::ExpireSilence),
    ]
}

/// A snapshot whose name says which sandbox it is of.
fn kept(epoch: Epoch, number: u8) -> SnapshotId {
    let mut bytes = [number; 16];
    bytes[..4].copy_from_slice(&epoch.0.to_be_bytes());
    SnapshotId::from_random(bytes)
}

fn perform(session: &mut Session, act: Act, used: &mut BTreeSet<u8>) {
    let epoch = session.state.epoch;
    // Refusals are part of what is tried; that they change nothing is checked in `take`.
    let _ = match act {
        Act::Prompt(number, author, insert) => {
            if !used.insert(number) {
                return;
            }
            session.take(prompt(
                number,
                author,
                if insert { Mode::Insert } else { Mode::Queue },
            ))
        }
        Act::Cancel(number) => session.take(Input::Cancel {
            prompt: prompt_id(number),
            by: person(1),
        }),
        Act::Stop => session.take(Input::Stop { by: person(3) }),
        Act::Typing => session.take(Input::Typing),
        Act::Wait(millis) => {
            session.clock += millis;
            Ok(())
        }
        Act::Snapshotted(number) => session.report(Report::Snapshotted {
            snapshot: kept(epoch, number),
            prompt: None,
        }),
        Act::Slept(number) => session.report(Report::Slept {
            snapshot: kept(epoch, number),
        }),
        Act::Ring(place) => {
            let deadlines = session
                .schedule
                .values()
                .filter_map(|(due, effect)| match effect {
                    Effect::Expire(deadline) => Some((*due, deadline.clone())),
                    _ => None,
                });
            let Some((due, deadline)) = deadlines.clone().nth(place) else {
                return;
            };
            session.clock = session.clock.max(due.0);
            session.schedule.remove(&deadline.key());
            session.take(Input::Expired(deadline))
        }
        Act::ExpireRest => {
            let _ = session.take(Input::Expired(Deadline::Abandoned { epoch }));
            session.take(Input::Expired(Deadline::Idle { epoch }))
        }
        Act::ExpireSleep => session.take(Input::Expired(Deadline::Sleep { epoch })),
        Act::Placed => {
            session.placed();
            Ok(())
        }
        Act::Unreachable => session.take(Input::Unreachable {
            epoch,
            reason: "away".to_owned(),
        }),
        Act::Ready => session.report(Report::Ready {
            image: None,
            commit: "c".to_owned(),
        }),
        Act::PartStarted(part, number) => session.report(Report::PartStarted {
            part: PartId(part),
            prompt: prompt_id(number),
            body: PartBody::Text,
        }),
        Act::Delta(part, offset, text) => session.report(Report::Delta {
            part: PartId(part),
            offset,
            text,
        }),
        Act::PartFinished(part, number, text) => session.report(Report::PartFinished {
            part: PartId(part),
            prompt: prompt_id(number),
            length: 0,
            text,
            outcome: PartOutcome::Completed { title: None },
        }),
        Act::Finished(number, result) => session.finish(
            number,
            match result {
                0 => PromptResult::Completed,
                1 => PromptResult::Stopped,
                _ => PromptResult::Failed {
                    message: "no".to_owned(),
                },
            },
        ),
        Act::Lost => session.report(Report::Lost {
            reason: "gone".to_owned(),
        }),
        Act::ExpireStart => session.take(Input::Expired(Deadline::Start { epoch })),
        Act::ExpireStop(number) => session.take(Input::Expired(Deadline::Stop {
            prompt: prompt_id(number),
        })),
        Act::ExpireSilence => session.take(Input::Expired(Deadline::Silence { epoch })),
    };
}

proptest! {
    #[test]
    fn whatever_happens_the_log_makes_sense(acts in proptest::collection::vec(act(), 0..120)) {
        let mut session = Session::new();
        let mut used = BTreeSet::new();
        for act in acts {
            let before = session.state.clone();
            perform(&mut session, act.clone(), &mut used);
            let after = &session.state;
            if after.snapshot != before.snapshot {
                // Identifiers begin with their epoch, so a later one is the greater text.
                let prefix = |state: &State| {
                    let known = state.snapshot.as_ref()?;
                    known.id.as_str().get(..11).map(str::to_owned)
                };
                prop_assert!(prefix(after) >= prefix(&before), "snapshots only get newer");
            }
            let released = session.facts.iter().rev().take(2).any(|fact| {
                matches!(fact, Fact::SandboxReleased { epoch, .. } if *epoch == before.epoch)
            });
            if released {
                prop_assert!(before.running.is_none() && before.queue.is_empty());
            }
        }
        let live = session.state.sandbox.as_ref().map(|sandbox| sandbox.epoch);
        for (_, effect) in session.schedule.values() {
            let epoch = match effect {
                Effect::StartSandbox { epoch, .. }
                | Effect::SleepSandbox { epoch }
                | Effect::Expire(
                    Deadline::Start { epoch }
                    | Deadline::Silence { epoch }
                    | Deadline::Abandoned { epoch }
                    | Deadline::Idle { epoch }
                    | Deadline::Sleep { epoch },
                ) => Some(*epoch),
                _ => None,
            };
            prop_assert!(epoch.is_none() || epoch == live, "{effect:?} is of no sandbox");
        }
        let mut started = BTreeSet::new();
        let mut finished = BTreeSet::new();
        let mut open = BTreeSet::new();
        let mut closed = BTreeSet::new();
        for fact in &session.facts {
            match fact {
                Fact::PromptStarted { prompt } => {
                    prop_assert!(started.insert(prompt.clone()), "a prompt starts once");
                }
                Fact::PromptFinished { prompt, .. } => {
                    prop_assert!(started.contains(prompt), "what finishes has started");
                    prop_assert!(finished.insert(prompt.clone()), "a prompt finishes once");
                }
                Fact::PartStarted { part, .. } => {
                    prop_assert!(open.insert(*part), "a part starts once");
                }
                Fact::PartFinished { part, length, text, .. } => {
                    prop_assert!(open.contains(part), "what finishes has started");
                    prop_assert!(closed.insert(*part), "a part finishes once");
                    let streamed = session.texts.get(part).cloned().unwrap_or_default();
                    let full = text.clone().unwrap_or(streamed);
                    prop_assert_eq!(full.encode_utf16().count() as u64, *length);
                }
                _ => {}
            }
        }
        let running: BTreeSet<_> = session.state.running.iter().flat_map(|running| {
            std::iter::once(running.prompt.clone()).chain(running.inserted.clone())
        }).collect();
        let unfinished: BTreeSet<_> = started.difference(&finished).cloned().collect();
        prop_assert_eq!(running, unfinished, "what started and has not finished is running");
        let alive: BTreeSet<_> = open.difference(&closed).copied().collect();
        prop_assert_eq!(session.state.open_parts.keys().copied().collect::<BTreeSet<_>>(), alive);
        let json = serde_json::to_string(&session.state).unwrap();
        prop_assert_eq!(serde_json::from_str::<State>(&json).unwrap(), session.state);
    }
}
