//! What becomes of a prompt: sent in order, inserted, stopped, credited, refused.

use super::*;

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
    session.finish_all(&[1, 2]);
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
    session.take(Act::Stop.by(person(2))).unwrap();
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
    session.take(Act::Stop.by(person(1))).unwrap();
    session
        .take(Input::Expired(Deadline::Stop {
            prompt: prompt_id(1),
        }))
        .unwrap();
    assert_eq!(
        session.outcome_of(1),
        Some(&Outcome::Stopped { by: person(1) })
    );
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
    for epoch in 1..=2 {
        assert_eq!(session.outcome_of(1), None, "it is tried twice");
        session
            .take(Input::Unreachable {
                epoch: Epoch(epoch),
                reason: "no runner".to_owned(),
            })
            .unwrap();
    }
    let failed = Outcome::Failed {
        message: "no runner".to_owned(),
    };
    assert_eq!(session.outcome_of(1), Some(&failed));
    assert_eq!(session.state.activity(), SessionState::Failed);
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
    session.take(Act::Archive.by(person(1))).unwrap();
    assert_eq!(
        session.take(prompt(1, 1, Mode::Queue)),
        Err(Refusal::Archived)
    );
}
