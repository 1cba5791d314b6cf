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

fn at(millis: i64) -> Context {
    Context {
        now: Millis(millis),
        random: [u8::try_from(millis % 251).unwrap_or(0); 16],
    }
}

/// A session together with everything it has said and asked for.
struct Session {
    state: State,
    facts: Vec<Fact>,
    texts: BTreeMap<PartId, String>,
    effects: Vec<Effect>,
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
            by: person(1),
        };
        let (state, transition) = create(create_input, at(0));
        let mut session = Self {
            state,
            facts: Vec::new(),
            texts: BTreeMap::new(),
            effects: Vec::new(),
            clock: 0,
            reports: 0,
        };
        session.absorb(transition);
        session
    }

    /// A session whose sandbox is ready.
    fn ready() -> Self {
        let mut session = Self::new();
        session.take(Input::Warm).unwrap();
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
        let runner_url = "http://runner".to_owned();
        self.take(Input::Placed {
            epoch,
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
                self.absorb(transition);
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
        self.effects
            .extend(transition.effects.into_iter().map(|(_, effect)| effect));
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
    session.take(Input::Warm).unwrap();
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

/// What a hostile order of clients, runners and clocks may do.
#[derive(Debug, Clone)]
enum Act {
    Prompt(u8, i64, bool),
    Cancel(u8),
    Stop,
    Warm,
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
        1 => Just(Act::Warm),
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
        Act::Warm => session.take(Input::Warm),
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
            perform(&mut session, act, &mut used);
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
