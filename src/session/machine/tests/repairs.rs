//! A failed check is worked on while that may help, and no longer.

use protocol::event::Limit;

use super::*;
use crate::session::machine::forge::MOST_REPAIRS;

const HEAD: &str = "c0ffee";

/// A session whose only prompt has pushed a commit.
fn pushed() -> Session {
    let mut session = Session::ready();
    session.take(prompt(1, 1, Mode::Queue)).unwrap();
    push(&mut session, 1, HEAD);
    session.finish(1, PromptResult::Completed).unwrap();
    session
}

fn push(session: &mut Session, number: u8, commit: &str) {
    let report = Report::Pushed {
        prompt: prompt_id(number),
        branch: session.state.work_branch.clone(),
        commit: commit.to_owned(),
        files: Vec::new(),
        summary: String::new(),
        base: None,
    };
    session.report(report).unwrap();
}

/// A check fails on a commit of the work branch; the prompt that comes of it ends at once.
fn fails(session: &mut Session, number: u8, commit: &str) -> Result<(), Refusal> {
    let Input::Prompt(prompt) = prompt(number, 1, Mode::Queue) else {
        panic!("it is one");
    };
    let branch = session.state.work_branch.clone();
    let commit = commit.to_owned();
    session.take(Input::Repair {
        prompt,
        branch,
        commit,
    })?;
    session.finish(number, PromptResult::Completed)
}

#[test]
fn a_failed_check_is_worked_on_so_often_until_a_person_prompts() {
    let mut session = pushed();
    let most = u8::try_from(MOST_REPAIRS).unwrap();
    for number in 0..most {
        assert_eq!(fails(&mut session, 10 + number, HEAD), Ok(()));
    }
    let refused = fails(&mut session, 20, HEAD);
    assert!(matches!(refused, Err(Refusal::NoRepair(_))), "{refused:?}");
    // Somebody looked at it.
    session.take(prompt(21, 2, Mode::Queue)).unwrap();
    session.finish(21, PromptResult::Completed).unwrap();
    assert_eq!(fails(&mut session, 22, HEAD), Ok(()));
}

#[test]
fn what_the_session_pushes_meanwhile_does_not_allow_more_repairs() {
    let mut session = pushed();
    let most = u8::try_from(MOST_REPAIRS).unwrap();
    for number in 0..most {
        let Input::Prompt(asked) = prompt(10 + number, 1, Mode::Queue) else {
            panic!("it is one");
        };
        let branch = session.state.work_branch.clone();
        let commit = session.state.forge.heads[&branch].commit.clone();
        let repair = Input::Repair {
            prompt: asked,
            branch,
            commit,
        };
        session.take(repair).unwrap();
        push(&mut session, 10 + number, &format!("repair-{number}"));
        session
            .finish(10 + number, PromptResult::Completed)
            .unwrap();
    }
    let newest = format!("repair-{}", most - 1);
    let refused = fails(&mut session, 20, &newest);
    assert!(matches!(refused, Err(Refusal::NoRepair(_))), "{refused:?}");
}

#[test]
fn a_branch_that_somebody_else_moved_on_is_left_to_them() {
    let mut session = pushed();
    let refused = fails(&mut session, 10, "a-commit-of-a-person");
    assert!(matches!(refused, Err(Refusal::NoRepair(_))), "{refused:?}");
    assert_eq!(fails(&mut session, 11, HEAD), Ok(()));
}

#[test]
fn a_session_whose_money_is_spent_repairs_nothing() {
    let mut session = pushed();
    let report = Report::LimitReached {
        limit: Limit::Money,
        message: "spent".to_owned(),
    };
    session.report(report).unwrap();
    let refused = fails(&mut session, 10, HEAD);
    assert!(matches!(refused, Err(Refusal::NoRepair(_))), "{refused:?}");
}
