//! Whatever clients, runners and clocks do, in whatever order.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// What a hostile order of clients, runners and clocks may do.
#[derive(Debug, Clone)]
enum Happening {
    Prompt(u8, i64, bool),
    Cancel(u8),
    Insert(u8),
    Reorder(u64),
    Resume,
    Clear,
    Forked(u8),
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

fn act() -> impl Strategy<Value = Happening> {
    let number = 0..6u8;
    prop_oneof![
        4 => (number.clone(), 1..4i64, any::<bool>()).prop_map(|(n, a, i)| Happening::Prompt(n, a, i)),
        1 => number.clone().prop_map(Happening::Cancel),
        2 => number.clone().prop_map(Happening::Insert),
        2 => any::<u64>().prop_map(Happening::Reorder),
        2 => Just(Happening::Resume),
        1 => Just(Happening::Clear),
        1 => number.clone().prop_map(Happening::Forked),
        2 => Just(Happening::Stop),
        3 => Just(Happening::Typing),
        2 => (1..700_000i64).prop_map(Happening::Wait),
        2 => (0..9u8).prop_map(Happening::Snapshotted),
        1 => (0..9u8).prop_map(Happening::Slept),
        4 => (0..8usize).prop_map(Happening::Ring),
        1 => Just(Happening::ExpireRest),
        1 => Just(Happening::ExpireSleep),
        3 => Just(Happening::Placed),
        1 => Just(Happening::Unreachable),
        4 => Just(Happening::Ready),
        4 => (1..8u64, number.clone()).prop_map(|(p, n)| Happening::PartStarted(p, n)),
        6 => (1..8u64, 0..4u64, "[a-z😀]{0,3}").prop_map(|(p, o, t)| Happening::Delta(p, o, t)),
        3 => (1..8u64, number.clone(), proptest::option::of("[a-z]{0,4}"))
            .prop_map(|(p, n, t)| Happening::PartFinished(p, n, t)),
        5 => (number.clone(), 0..3u8).prop_map(|(n, r)| Happening::Finished(n, r)),
        1 => Just(Happening::Lost),
        1 => Just(Happening::ExpireStart),
        1 => number.prop_map(Happening::ExpireStop),
        1 => Just(Happening::ExpireSilence),
    ]
}

/// A snapshot whose name says which sandbox it is of.
fn kept(epoch: Epoch, number: u8) -> SnapshotId {
    let mut bytes = [number; 16];
    bytes[..4].copy_from_slice(&epoch.0.to_be_bytes());
    SnapshotId::from_random(bytes)
}

fn perform(session: &mut Session, act: Happening, used: &mut BTreeSet<u8>) {
    let epoch = session.state.epoch;
    // Refusals are part of what is tried; that they change nothing is checked in `take`.
    let _ = match act {
        Happening::Prompt(number, author, insert) => {
            if !used.insert(number) {
                return;
            }
            session.take(prompt(
                number,
                author,
                if insert { Mode::Insert } else { Mode::Queue },
            ))
        }
        Happening::Cancel(number) => session.take(
            Act::Cancel {
                prompt: prompt_id(number),
            }
            .by(person(1)),
        ),
        Happening::Insert(number) => session.take(
            Act::Insert {
                prompt: prompt_id(number),
            }
            .by(person(2)),
        ),
        Happening::Reorder(salt) => {
            let queue = session.state.queue.iter();
            let mut order: Vec<_> = queue.map(|waiting| waiting.prompt.clone()).collect();
            let turns = usize::try_from(salt % 7).unwrap().min(order.len());
            order.rotate_left(turns);
            if salt % 5 == 0 {
                order.pop();
            }
            session.take(Act::Reorder { order }.by(person(1)))
        }
        Happening::Resume => session.take(Act::ResumeQueue.by(person(1))),
        Happening::Clear => session.take(Act::ClearQueue.by(person(2))),
        Happening::Forked(number) => session.take(Input::Forked {
            session: SessionId::from_random([number; 16]),
            by: person(2),
        }),
        Happening::Stop => session.take(Act::Stop.by(person(3))),
        Happening::Typing => session.take(Input::Typing),
        Happening::Wait(millis) => {
            session.clock += millis;
            Ok(())
        }
        Happening::Snapshotted(number) => session.report(Report::Snapshotted {
            snapshot: kept(epoch, number),
            prompt: None,
        }),
        Happening::Slept(number) => session.report(Report::Slept {
            snapshot: kept(epoch, number),
        }),
        Happening::Ring(place) => {
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
        Happening::ExpireRest => {
            let _ = session.take(Input::Expired(Deadline::Abandoned { epoch }));
            session.take(Input::Expired(Deadline::Idle { epoch }))
        }
        Happening::ExpireSleep => session.take(Input::Expired(Deadline::Sleep { epoch })),
        Happening::Placed => {
            session.placed();
            Ok(())
        }
        Happening::Unreachable => session.take(Input::Unreachable {
            epoch,
            reason: "away".to_owned(),
        }),
        Happening::Ready => session.report(Report::Ready {
            image: None,
            commit: "c".to_owned(),
        }),
        Happening::PartStarted(part, number) => session.report(Report::PartStarted {
            part: PartId(part),
            prompt: prompt_id(number),
            body: PartBody::Text,
        }),
        Happening::Delta(part, offset, text) => session.report(Report::Delta {
            part: PartId(part),
            offset,
            text,
        }),
        Happening::PartFinished(part, number, text) => session.report(Report::PartFinished {
            part: PartId(part),
            prompt: prompt_id(number),
            length: 0,
            text,
            outcome: PartOutcome::Completed { title: None },
        }),
        Happening::Finished(number, result) => session.finish(
            number,
            match result {
                0 => PromptResult::Completed,
                1 => PromptResult::Stopped,
                _ => PromptResult::Failed {
                    message: "no".to_owned(),
                },
            },
        ),
        Happening::Lost => session.report(Report::Lost {
            reason: "gone".to_owned(),
        }),
        Happening::ExpireStart => session.take(Input::Expired(Deadline::Start { epoch })),
        Happening::ExpireStop(number) => session.take(Input::Expired(Deadline::Stop {
            prompt: prompt_id(number),
        })),
        Happening::ExpireSilence => session.take(Input::Expired(Deadline::Silence { epoch })),
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
            let epoch = epoch_of(effect);
            prop_assert!(epoch.is_none() || epoch == live, "{effect:?} is of no sandbox");
        }
        let mut started = BTreeSet::new();
        let mut finished = BTreeSet::new();
        let mut resumed = std::collections::BTreeMap::<_, u32>::new();
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
                Fact::PromptResumed { prompt, .. } => {
                    prop_assert!(started.contains(prompt) && !finished.contains(prompt));
                    let times = resumed.entry(prompt.clone()).or_default();
                    *times += 1;
                    prop_assert!(*times <= MAX_RESUMED, "not for ever");
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
            running.prompts().cloned()
        }).collect();
        let unfinished: BTreeSet<_> = started.difference(&finished).cloned().collect();
        prop_assert_eq!(running, unfinished, "what started and has not finished is running");
        let alive: BTreeSet<_> = open.difference(&closed).copied().collect();
        prop_assert_eq!(session.state.open_parts.keys().copied().collect::<BTreeSet<_>>(), alive);
        let json = serde_json::to_string(&session.state).unwrap();
        prop_assert_eq!(serde_json::from_str::<State>(&json).unwrap(), session.state);
    }
}
