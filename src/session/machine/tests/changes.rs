//! What prompts have changed: told once, shown by the newest, believed of the newest sandbox.

use super::*;

fn kept(session: &mut Session, prompt: u8, files: u32) {
    let kept = KeptChanges {
        prompt: prompt_id(prompt),
        files,
        additions: 1,
        deletions: 0,
    };
    session.take(Input::ChangesKept(kept)).unwrap();
}

fn told(session: &Session) -> Vec<(PromptId, u32)> {
    let facts = session.facts.iter().filter_map(|fact| match fact {
        Fact::ChangesKept { prompt, files, .. } => Some((prompt.clone(), *files)),
        _ => None,
    });
    facts.collect()
}

/// Two prompts have ended, one after the other.
fn worked_twice() -> Session {
    let mut session = Session::ready();
    for number in [1, 2] {
        session.take(prompt(number, 1, Mode::Queue)).unwrap();
        session.finish(number, PromptResult::Completed).unwrap();
    }
    session
}

#[test]
fn a_repetition_is_no_news_and_a_change_of_it_is() {
    let mut session = worked_twice();
    for files in [1, 1, 2] {
        kept(&mut session, 2, files);
    }
    assert_eq!(told(&session), [(prompt_id(2), 1), (prompt_id(2), 2)]);
}

#[test]
fn what_arrives_late_is_kept_and_does_not_become_the_newest() {
    let mut session = worked_twice();
    kept(&mut session, 2, 1);
    kept(&mut session, 1, 5);
    assert_eq!(told(&session), [(prompt_id(2), 1), (prompt_id(1), 5)]);
    assert_eq!(session.state.changes.newest, Some(prompt_id(2)));
}

#[test]
fn a_sandbox_is_believed_when_it_has_ended_but_not_when_another_has_begun() {
    let mut session = worked_twice();
    let sandbox = session.state.sandbox.clone().unwrap();
    let other = SandboxId::from_random([9; 16]);
    assert_eq!(session.state.believes(&sandbox.id, sandbox.epoch), Ok(()));
    assert!(session.state.believes(&other, sandbox.epoch).is_err());
    session.take(Act::Archive.by(person(1))).unwrap();
    assert!(session.state.sandbox.is_none());
    assert_eq!(session.state.believes(&sandbox.id, sandbox.epoch), Ok(()));
    session.state.epoch = Epoch(sandbox.epoch.0 + 1);
    let void = session.state.believes(&sandbox.id, sandbox.epoch);
    assert_eq!(void, Err(Refusal::Void));
}
