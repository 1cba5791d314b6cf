//! A prompt that outlives its sandboxes, and sessions that go on from a prompt's end.

use super::*;

fn running() -> Session {
    let mut session = Session::ready();
    session.take(prompt(1, 1, Mode::Queue)).unwrap();
    session
}

/// What was sent, to which sandbox, whether beside another and whether again.
fn sent(session: &Session) -> Vec<(PromptId, Epoch, bool, bool)> {
    let sends = session.effects.iter().filter_map(|effect| match effect {
        Effect::SendPrompt {
            prompt,
            epoch,
            insert,
            resumed,
            ..
        } => Some((prompt.clone(), *epoch, *insert, *resumed)),
        _ => None,
    });
    sends.collect()
}

fn resumptions(session: &Session) -> usize {
    session.count(|fact| matches!(fact, Fact::PromptResumed { .. }))
}

#[test]
fn a_prompt_goes_on_in_the_next_sandbox_and_says_so() {
    let mut session = running();
    session.lost();
    assert_eq!(session.outcome_of(1), None);
    assert_eq!(session.state.activity(), SessionState::Working);
    session.another();
    let resumed = Fact::PromptResumed {
        prompt: prompt_id(1),
        epoch: Epoch(2),
    };
    assert_eq!(session.count(|fact| *fact == resumed), 1);
    let expected = [
        (prompt_id(1), Epoch(1), false, false),
        (prompt_id(1), Epoch(2), false, true),
    ];
    assert_eq!(sent(&session), expected);
    session.finish(1, PromptResult::Completed).unwrap();
    assert_eq!(session.outcome_of(1), Some(&Outcome::Completed));
}

#[test]
fn a_commit_that_the_next_sandbox_tells_again_is_logged_once() {
    let mut session = running();
    let branch = session.state.work_branch.clone();
    let pushed = |commit: &str| Report::Pushed {
        prompt: prompt_id(1),
        branch: branch.clone(),
        commit: commit.to_owned(),
        files: Vec::new(),
        summary: String::new(),
        base: None,
    };
    session.report(pushed("c1")).unwrap();
    session.lost();
    session.another();
    session.report(pushed("c1")).unwrap();
    session.report(pushed("c2")).unwrap();
    assert_eq!(session.count(|fact| matches!(fact, Fact::Pushed { .. })), 2);
}

#[test]
fn prompts_that_had_joined_go_on_beside_it() {
    let mut session = running();
    session.take(prompt(2, 2, Mode::Insert)).unwrap();
    session.lost();
    // One that comes while there is no sandbox joins as well.
    session.take(prompt(3, 2, Mode::Insert)).unwrap();
    session.another();
    let again = |(_, epoch, ..): &(PromptId, Epoch, bool, bool)| *epoch == Epoch(2);
    let again: Vec<_> = sent(&session).into_iter().filter(again).collect();
    let expected = [
        (prompt_id(1), Epoch(2), false, true),
        (prompt_id(2), Epoch(2), true, true),
        (prompt_id(3), Epoch(2), true, true),
    ];
    assert_eq!(again, expected);
    session.finish_all(&[1, 2, 3]);
    assert_eq!(session.outcome_of(3), Some(&Outcome::Completed));
}

#[test]
fn one_loss_is_one_resumption() {
    let mut session = running();
    session.lost();
    session.another();
    let image = None;
    let commit = "c".to_owned();
    session.report(Report::Ready { image, commit }).unwrap();
    assert_eq!(resumptions(&session), 1);
}

#[test]
fn nothing_of_the_lost_sandbox_is_sent_or_waited_for() {
    let mut session = running();
    session.take(prompt(2, 2, Mode::Insert)).unwrap();
    session.lost();
    let left: Vec<_> = session
        .schedule
        .keys()
        .filter(|key| key.ends_with(":1"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_prompt_that_loses_one_sandbox_after_the_other_fails() {
    let mut session = running();
    session.take(prompt(2, 1, Mode::Queue)).unwrap();
    for _ in 0..MAX_RESUMED {
        session.lost();
        session.another();
    }
    assert_eq!(resumptions(&session), 3);
    session.lost();
    let Some(Outcome::Failed { message }) = session.outcome_of(1) else {
        panic!("{:?}", session.outcome_of(1));
    };
    assert_eq!(message, "gone; it had been resumed 3 times before");
    // What waits behind it has lost nothing yet.
    session.another();
    assert_eq!(session.sends().last(), Some(&&prompt_id(2)));
}

#[test]
fn a_prompt_that_is_being_stopped_ends_with_its_sandbox() {
    let mut session = running();
    session.take(prompt(2, 1, Mode::Queue)).unwrap();
    session.take(Act::Stop.by(person(2))).unwrap();
    session.lost();
    let stopped = Outcome::Stopped { by: person(2) };
    assert_eq!(session.outcome_of(1), Some(&stopped));
    assert_eq!(session.state.sandbox, None, "what waits is paused");
}

#[test]
fn a_prompt_without_a_sandbox_is_stopped_at_once() {
    let mut session = running();
    session.lost();
    session.take(Act::Stop.by(person(2))).unwrap();
    let stopped = Outcome::Stopped { by: person(2) };
    assert_eq!(session.outcome_of(1), Some(&stopped));
    let stop = Deadline::Stop {
        prompt: prompt_id(1),
    };
    assert!(!session.schedule.contains_key(&stop.key()));
    session.another();
    assert_eq!(resumptions(&session), 0);
}

#[test]
fn sandboxes_that_are_never_ready_fail_a_prompt_that_was_running() {
    let mut session = running();
    session.lost();
    session.lost();
    assert_eq!(session.outcome_of(1), None);
    session.lost();
    assert!(matches!(
        session.outcome_of(1),
        Some(Outcome::Failed { .. })
    ));
    assert_eq!(session.state.sandbox, None);
}

#[test]
fn a_resumed_prompt_that_falls_silent_loses_that_sandbox_too() {
    let mut session = running();
    session.lost();
    session.another();
    let second = Deadline::Silence { epoch: Epoch(2) };
    session.ring(second, SILENCE_LIMIT_MS);
    session.another();
    assert_eq!(resumptions(&session), 2);
}

#[test]
fn parts_are_numbered_on_across_sandboxes() {
    let mut session = running();
    let start = |part| Report::PartStarted {
        part: PartId(part),
        prompt: prompt_id(1),
        body: PartBody::Text,
    };
    session.report(start(1)).unwrap();
    session.lost();
    assert_eq!(session.state.next_part, PartId(2));
    session.another();
    session.report(start(2)).unwrap();
    session.finish(1, PromptResult::Completed).unwrap();
    let finished = |fact: &Fact| matches!(fact, Fact::PartFinished { .. });
    assert_eq!(session.count(finished), 2);
}

#[test]
fn a_sandbox_that_runner_and_session_disagree_about_is_ended() {
    let mut session = running();
    let reason = "no answer".to_owned();
    let epoch = Epoch(1);
    session.take(Input::Unreachable { epoch, reason }).unwrap();
    let ended = |effect: &&Effect| matches!(effect, Effect::EndSandbox { .. });
    assert_eq!(session.effects.iter().filter(ended).count(), 1);
}

#[test]
fn what_a_batch_asks_for_and_then_takes_back_is_not_done() {
    let mut session = Session::new();
    session.take(prompt(1, 1, Mode::Queue)).unwrap();
    session.placed();
    let sandbox = session.state.sandbox.clone().unwrap();
    let ready = Report::Ready {
        image: None,
        commit: "c".to_owned(),
    };
    let lost = Report::Lost {
        reason: "gone".to_owned(),
    };
    session
        .take(Input::Batch(Batch {
            sandbox: sandbox.id,
            epoch: sandbox.epoch,
            first: 1,
            reports: vec![ready, lost],
        }))
        .unwrap();
    assert_eq!(sent(&session), []);
}

fn kept(number: u8) -> Kept {
    Kept {
        id: SnapshotId::from_random([number; 16]),
        runner: Some(RunnerId::from_random([1; 16])),
    }
}

fn snapshotted(number: u8, prompt: u8) -> Report {
    Report::Snapshotted {
        snapshot: kept(number).id,
        prompt: Some(prompt_id(prompt)),
    }
}

fn fork(session: &Session, number: u8, kept: Option<Kept>) -> Result<Create, Refusal> {
    let new = SessionId::from_random([9; 16]);
    session.state.fork(prompt_id(number), kept, new, person(2))
}

#[test]
fn a_fork_starts_from_the_files_at_the_prompts_end() {
    let mut session = running();
    session.finish(1, PromptResult::Completed).unwrap();
    session.report(snapshotted(1, 1)).unwrap();
    session.take(prompt(2, 1, Mode::Queue)).unwrap();
    session.finish(2, PromptResult::Completed).unwrap();
    session.report(snapshotted(2, 2)).unwrap();
    let create = fork(&session, 1, Some(kept(1))).unwrap();
    let parent = create.parent.clone().unwrap();
    assert_eq!(
        (parent.session, parent.prompt),
        (session.state.session.clone(), prompt_id(1))
    );
    let (forked, transition) = super::create(create, at(5));
    assert_eq!(forked.snapshot, Some(kept(1)));
    assert_eq!(forked.branch, session.state.branch);
    assert_ne!(forked.work_branch, session.state.work_branch);
    let told = transition.outputs.iter().any(|output| {
        matches!(output, Output::Fact(Fact::SessionCreated { parent: Some(parent), .. })
            if parent.prompt == prompt_id(1))
    });
    assert!(told);
}

#[test]
fn a_prompt_that_has_not_ended_or_whose_files_are_not_kept_has_no_fork() {
    let mut session = running();
    session.take(prompt(2, 1, Mode::Queue)).unwrap();
    for number in [1, 2] {
        assert_eq!(
            fork(&session, number, Some(kept(1))),
            Err(Refusal::NotFinished)
        );
    }
    session.finish(1, PromptResult::Completed).unwrap();
    assert_eq!(fork(&session, 1, None), Err(Refusal::NoSnapshot));
}

#[test]
fn prompts_that_ended_together_are_kept_together() {
    let mut session = running();
    session.take(prompt(2, 2, Mode::Insert)).unwrap();
    session.finish_all(&[1, 2]);
    let batch = Batch {
        sandbox: session.state.sandbox.clone().unwrap().id,
        epoch: Epoch(1),
        first: 4,
        reports: vec![snapshotted(1, 2)],
    };
    let transition = session.state.step(Input::Batch(batch), at(50)).unwrap();
    let of: Vec<_> = transition
        .outputs
        .iter()
        .filter_map(|output| match output {
            Output::Kept { prompt, .. } => Some(prompt.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(of, [prompt_id(1), prompt_id(2)]);
}

#[test]
fn a_fork_is_told_of_once() {
    let mut session = running();
    for _ in 0..2 {
        session
            .take(Input::Forked {
                session: SessionId::from_random([9; 16]),
                by: person(2),
            })
            .unwrap();
    }
    assert_eq!(session.count(|fact| matches!(fact, Fact::Notice { .. })), 1);
}
