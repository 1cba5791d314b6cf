//! What the forge tells, and what is counted.

use protocol::api::{ChecksVerdict, PullRequest};
use protocol::event::{PullRequestState, ReviewVerdict};

use super::*;
use crate::session::machine::figures::{Figure, PromptEnd};
use crate::session::machine::pull_requests::PullRequestNews;

/// A session that has opened pull request 7.
fn opened() -> Session {
    let mut session = Session::ready();
    session.state.pull_requests.push(PullRequest {
        number: 7,
        url: "https://github.com/acme/tool/pull/7".to_owned(),
        title: "Fix it".to_owned(),
        branch: session.state.work_branch.clone(),
        state: PullRequestState::Open,
        review: None,
        checks: None,
    });
    session
}

fn changed(number: u64, state: PullRequestState) -> Input {
    Input::PullRequest(PullRequestNews::Changed {
        number,
        state,
        by: "bob".to_owned(),
    })
}

fn reviewed(review: i64) -> Input {
    judged(review, ReviewVerdict::Approved)
}

fn judged(review: i64, verdict: ReviewVerdict) -> Input {
    Input::PullRequest(PullRequestNews::Reviewed {
        number: 7,
        review,
        verdict,
        by: "bob".to_owned(),
    })
}

fn checks(failed: &[&str]) -> Input {
    checks_of("c0ffee", failed)
}

fn pushed(commit: &str) -> Input {
    Input::PullRequest(PullRequestNews::Pushed {
        number: 7,
        commit: commit.to_owned(),
    })
}

fn checks_of(commit: &str, failed: &[&str]) -> Input {
    Input::PullRequest(PullRequestNews::ChecksFinished {
        number: 7,
        commit: commit.to_owned(),
        failed: failed.iter().map(|name| (*name).to_owned()).collect(),
    })
}

#[test]
fn a_merge_is_told_once_and_lists_show_it() {
    let mut session = opened();
    session.take(changed(7, PullRequestState::Merged)).unwrap();
    session.take(changed(7, PullRequestState::Merged)).unwrap();
    let merges = session.count(|fact| matches!(fact, Fact::PullRequestChanged { number: 7, .. }));
    assert_eq!(merges, 1);
    assert_eq!(
        session.state.pull_requests[0].state,
        PullRequestState::Merged
    );
    assert!(session.schedule.contains_key("index"));
}

#[test]
fn what_is_told_of_another_pull_request_changes_nothing() {
    let mut session = opened();
    let writes = session.writes;
    session.take(changed(8, PullRequestState::Merged)).unwrap();
    assert_eq!(session.writes, writes);
}

#[test]
fn each_review_is_told_once() {
    let mut session = opened();
    for review in [1, 2, 1, 2] {
        session.take(reviewed(review)).unwrap();
    }
    let told = session.count(|fact| matches!(fact, Fact::PullRequestReviewed { .. }));
    assert_eq!(told, 2);
}

#[test]
fn the_end_of_checks_is_told_again_only_if_it_came_out_otherwise() {
    let mut session = opened();
    for failed in [&["test", "lint"][..], &["lint", "test"], &[], &[]] {
        session.take(checks(failed)).unwrap();
    }
    let told = session.count(|fact| matches!(fact, Fact::ChecksFinished { .. }));
    assert_eq!(told, 2);
}

#[test]
fn lists_show_the_newest_verdict_that_is_more_than_a_comment() {
    use ReviewVerdict::{Approved, ChangesRequested, Commented};
    let mut session = opened();
    let mut shown = |input| {
        session.take(input).unwrap();
        session.state.pull_requests[0].review
    };
    assert_eq!(shown(judged(1, Commented)), None);
    assert_eq!(shown(judged(3, ChangesRequested)), Some(ChangesRequested));
    assert_eq!(shown(judged(4, Commented)), Some(ChangesRequested));
    // It was said before, and is told late.
    assert_eq!(shown(judged(2, Approved)), Some(ChangesRequested));
    assert_eq!(shown(judged(5, Approved)), Some(Approved));
    let dismissed = |review| Input::PullRequest(PullRequestNews::Dismissed { number: 7, review });
    assert_eq!(shown(dismissed(5)), Some(ChangesRequested));
    assert_eq!(shown(dismissed(6)), Some(ChangesRequested));
    assert_eq!(shown(judged(6, Approved)), Some(ChangesRequested));
}

#[test]
fn lists_show_how_the_checks_of_the_newest_commit_ended() {
    let mut session = opened();
    let mut shown = |input| {
        session.take(input).unwrap();
        session.state.pull_requests[0].checks
    };
    assert_eq!(
        shown(checks_of("c1", &["test"])),
        Some(ChecksVerdict::Failed)
    );
    assert_eq!(shown(checks_of("c1", &[])), Some(ChecksVerdict::Passed));
    assert_eq!(shown(pushed("c2")), None);
    assert_eq!(shown(checks_of("c1", &["test"])), None);
    // Of a commit that is told of later.
    assert_eq!(shown(checks_of("c3", &[])), None);
    assert_eq!(shown(pushed("c3")), Some(ChecksVerdict::Passed));
}

#[test]
fn a_push_of_the_session_leaves_its_pull_request_unchecked_and_reviewed() {
    let mut session = opened();
    session.take(prompt(1, 1, Mode::Queue)).unwrap();
    session.take(reviewed(1)).unwrap();
    session.take(checks(&[])).unwrap();
    let branch = session.state.work_branch.clone();
    let report = Report::Pushed {
        prompt: prompt_id(1),
        branch,
        commit: "c2".to_owned(),
        files: Vec::new(),
        summary: String::new(),
        base: None,
    };
    session.report(report).unwrap();
    let pull = &session.state.pull_requests[0];
    assert_eq!(
        (pull.review, pull.checks),
        (Some(ReviewVerdict::Approved), None)
    );
}

#[test]
fn what_was_told_long_ago_is_forgotten_first() {
    let mut session = opened();
    for review in 0..150 {
        session.take(reviewed(review)).unwrap();
    }
    session.take(reviewed(149)).unwrap();
    let told = session.count(|fact| matches!(fact, Fact::PullRequestReviewed { .. }));
    assert_eq!(told, 150);
    assert!(session.state.told.len() <= 100);
}

#[test]
fn a_prompt_is_counted_when_it_comes_when_it_speaks_and_when_it_ends() {
    let mut session = Session::ready();
    session.take(prompt(1, 1, Mode::Queue)).unwrap();
    let queued_at = Millis(session.clock);
    session
        .report(Report::Step {
            step: Step {
                name: StepName::FirstToken,
                started_at: Millis(0),
                ms: 700,
                detail: None,
            },
        })
        .unwrap();
    session.finish(1, PromptResult::Completed).unwrap();
    let figures: Vec<&Figure> = session
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::CountPrompt { prompt, figure } if *prompt == prompt_id(1) => Some(figure),
            _ => None,
        })
        .collect();
    assert_eq!(
        figures,
        [
            &Figure::Queued { at: queued_at },
            &Figure::FirstToken { ms: 700 },
            &Figure::Ended {
                result: PromptEnd::Completed
            },
        ]
    );
}
