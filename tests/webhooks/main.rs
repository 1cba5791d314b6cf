//! Every delivery that GitHub publishes as an example is read, and what is read of it is what the
//! `octocrab` crate reads.
//!
//! The examples are those of the package `@octokit/webhooks-examples`: `npm ci` in this folder.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use hosted_agents::github::event::{Account, Event, Subject};
use octocrab::models::Author;
use octocrab::models::webhook_events::payload::{
    IssueCommentWebhookEventPayload, PullRequestReviewCommentWebhookEventPayload,
    PullRequestReviewWebhookEventPayload, PullRequestWebhookEventPayload, PushWebhookEventPayload,
};
use octocrab::models::webhook_events::{WebhookEvent, WebhookEventPayload};
use protocol::event::PullRequestState;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Examples {
    name: String,
    examples: Vec<Value>,
}

/// Names and bodies of all examples.
fn examples() -> Vec<(String, Value)> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/webhooks/node_modules/@octokit/webhooks-examples/api.github.com/index.json"
    );
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{path}: {error}; run `npm ci` in tests/webhooks"));
    let all: Vec<Examples> = serde_json::from_str(&text).unwrap();
    let named = all.into_iter().flat_map(|Examples { name, examples }| {
        examples.into_iter().map(move |body| (name.clone(), body))
    });
    named.collect()
}

fn read(name: &str, body: &Value) -> Event {
    Event::parse(name, body.to_string().as_bytes())
        .unwrap_or_else(|error| panic!("{name}: {error}: {body}"))
}

#[test]
fn every_published_delivery_is_read() {
    let examples = examples();
    assert_eq!(examples.len(), 329);
    for (name, body) in &examples {
        let event = read(name, body);
        let is_other = event.subject == Subject::Other;
        // A push of a tag, or of a branch that is gone, is passed over.
        assert!(
            is_other != Event::is_acted_on(name) || name == "push",
            "{name}"
        );
        assert_eq!(event.repository.is_some(), body["repository"].is_object());
    }
}

#[test]
fn what_is_read_is_what_octocrab_reads() {
    let mut compared = std::collections::BTreeMap::<String, usize>::new();
    for (name, body) in examples() {
        if !Event::is_acted_on(&name) {
            continue;
        }
        let ours = read(&name, &body);
        let text = body.to_string();
        // It does not read every example of issues.
        let Ok(theirs) = WebhookEvent::try_from_header_and_body(&name, &text) else {
            assert_eq!(name, "issues");
            continue;
        };
        compare(&name, &ours, &theirs, &body);
        *compared.entry(name).or_default() += 1;
    }
    assert!(compared.len() >= 16, "{compared:?}");
    assert!(compared.values().sum::<usize>() >= 120, "{compared:?}");
}

fn compare(name: &str, ours: &Event, theirs: &WebhookEvent, body: &Value) {
    let place = ours
        .repository
        .as_ref()
        .map(|place| (place.id.0.unsigned_abs(), place.name.to_string()));
    let their_place = theirs.repository.as_ref().map(|repository| {
        let name = repository.full_name.clone().unwrap_or_default();
        (repository.id.into_inner(), name)
    });
    assert_eq!(place, their_place, "{name}");
    assert_eq!(
        who(ours.sender.as_ref()),
        whom(theirs.sender.as_ref()),
        "{name}"
    );
    let installation = theirs.installation.as_ref().map(|it| it.id().into_inner());
    assert_eq!(
        ours.installation.map(|id| id.0.unsigned_abs()),
        installation,
        "{name}"
    );
    match (&ours.subject, &theirs.specific) {
        (Subject::PullRequest(event), WebhookEventPayload::PullRequest(payload)) => {
            assert_eq!(pull_request(event), their_pull_request(payload, body));
        }
        (Subject::Review(event), WebhookEventPayload::PullRequestReview(payload)) => {
            assert_eq!(review(event), their_review(payload));
        }
        (Subject::ReviewComment(event), WebhookEventPayload::PullRequestReviewComment(payload)) => {
            assert_eq!(review_comment(event), their_review_comment(payload));
        }
        (Subject::IssueComment(event), WebhookEventPayload::IssueComment(payload)) => {
            assert_eq!(issue_comment(event), their_issue_comment(payload));
        }
        (Subject::Push(push), WebhookEventPayload::Push(payload)) => {
            assert_eq!(pushed(push), their_push(payload));
        }
        (Subject::Check(event), payload) => {
            // It keeps these as JSON.
            let (part, action) = match payload {
                WebhookEventPayload::CheckRun(it) => (&it.check_run, json!(it.action)),
                WebhookEventPayload::CheckSuite(it) => (&it.check_suite, json!(it.action)),
                WebhookEventPayload::WorkflowRun(it) => (&it.workflow_run, json!(it.action)),
                other => panic!("{name}: {other:?}"),
            };
            let check = &event.check;
            assert_eq!(
                lower(&event.action),
                action.as_str().unwrap().replace('_', "")
            );
            assert_eq!(json!(check.id), part["id"]);
            assert_eq!(json!(check.head_sha), part["head_sha"]);
            assert_eq!(json!(check.status), part["status"]);
            assert_eq!(
                check.conclusion.map(|conclusion| lower(&conclusion)),
                part["conclusion"].as_str().map(|it| it.replace('_', ""))
            );
            let numbers = |pulls: &Value| -> Vec<Value> {
                let pulls = pulls.as_array().into_iter().flatten();
                pulls.map(|pull| pull["number"].clone()).collect()
            };
            let linked: Vec<Value> = check
                .pull_requests
                .iter()
                .map(|it| json!(it.number))
                .collect();
            assert_eq!(linked, numbers(&part["pull_requests"]));
        }
        (Subject::Installation(installation), payload) => {
            let names = |listed: &[(_, protocol::event::Repository)]| -> Vec<String> {
                listed.iter().map(|(_, name)| name.to_string()).collect()
            };
            let ours = [names(&installation.added), names(&installation.removed)].concat();
            let theirs: Vec<String> = match payload {
                WebhookEventPayload::Installation(it) => {
                    let listed = it.repositories.iter().flatten();
                    listed.map(|it| it.full_name.clone()).collect()
                }
                WebhookEventPayload::InstallationRepositories(it) => {
                    let listed = it.repositories_added.iter().chain(&it.repositories_removed);
                    listed.map(|it| it.full_name.clone()).collect()
                }
                other => panic!("{name}: {other:?}"),
            };
            assert_eq!(ours, theirs);
        }
        (Subject::Member(member), WebhookEventPayload::Member(it)) => {
            let id = member.person().map(|person| json!(person.id));
            assert_eq!(id, Some(it.member["id"].clone()));
        }
        _ => {}
    }
}

fn who(account: Option<&Account>) -> Option<(u64, String)> {
    account.map(|account| (account.id.0.unsigned_abs(), account.login.clone()))
}

fn whom(author: Option<&Author>) -> Option<(u64, String)> {
    author.map(|author| (author.id.into_inner(), author.login.clone()))
}

/// The name of a variant, without anything that ways of writing it differ in.
fn lower(variant: &impl std::fmt::Debug) -> String {
    format!("{variant:?}").to_lowercase()
}

fn pull_request(event: &hosted_agents::github::event::PullRequestEvent) -> Value {
    let pull = &event.pull_request;
    json!({
        "action": lower(&event.action),
        "number": pull.number,
        "title": pull.title,
        "url": pull.html_url,
        "head": [pull.head.branch, pull.head.sha],
        "base": [pull.base.branch, pull.base.sha],
        "author": who(pull.user.as_ref()),
        "merged": pull.state() == PullRequestState::Merged,
        "merged_at": pull.merged_at,
        "closed_at": pull.closed_at,
        "created_at": pull.created_at,
        "draft": pull.draft,
        "lines": [pull.additions, pull.deletions],
        "after": event.after,
    })
}

fn their_pull_request(payload: &PullRequestWebhookEventPayload, body: &Value) -> Value {
    let pull = &payload.pull_request;
    // Actions that nothing here acts on are of one kind.
    let action = lower(&payload.action);
    let known = [
        "opened",
        "edited",
        "closed",
        "reopened",
        "synchronize",
        "readyforreview",
        "convertedtodraft",
    ];
    let action = match known.contains(&action.as_str()) {
        true => action,
        false => "other".to_owned(),
    };
    json!({
        "action": action,
        "number": pull.number,
        "title": pull.title,
        "url": pull.html_url,
        "head": [pull.head.ref_field, pull.head.sha],
        "base": [pull.base.ref_field, pull.base.sha],
        "author": whom(pull.user.as_deref()),
        "merged": pull.merged_at.is_some(),
        "merged_at": pull.merged_at.map(|at| at.timestamp_millis()),
        "closed_at": pull.closed_at.map(|at| at.timestamp_millis()),
        "created_at": pull.created_at.map(|at| at.timestamp_millis()),
        "draft": pull.draft.unwrap_or_default(),
        "lines": [body["pull_request"]["additions"], body["pull_request"]["deletions"]],
        "after": payload.after,
    })
}

fn review(event: &hosted_agents::github::event::ReviewEvent) -> Value {
    json!({
        "action": lower(&event.action),
        "id": event.review.id,
        "state": lower(&event.review.state),
        "by": who(event.review.user.as_ref()),
        "body": event.review.body,
        "commit": event.review.commit_id,
        "at": event.review.submitted_at,
        "number": event.pull_request.number,
    })
}

fn their_review(payload: &PullRequestReviewWebhookEventPayload) -> Value {
    json!({
        "action": lower(&payload.action),
        "id": payload.review.id.into_inner(),
        "state": payload.review.state.map(|state| lower(&state)),
        "by": whom(payload.review.user.as_ref()),
        "body": payload.review.body.clone().unwrap_or_default(),
        "commit": payload.review.commit_id,
        "at": payload.review.submitted_at.map(|at| at.timestamp_millis()),
        "number": payload.pull_request.number,
    })
}

fn review_comment(event: &hosted_agents::github::event::ReviewComment) -> Value {
    json!({
        "action": lower(&event.action),
        "id": event.comment.id,
        "by": who(event.comment.user.as_ref()),
        "body": event.comment.body,
        "url": event.comment.html_url,
        "path": event.comment.path,
        "line": event.comment.line,
        "hunk": event.comment.diff_hunk,
        "number": event.pull_request.number,
    })
}

fn their_review_comment(payload: &PullRequestReviewCommentWebhookEventPayload) -> Value {
    json!({
        "action": lower(&payload.action),
        "id": payload.comment.id.into_inner(),
        "by": whom(payload.comment.user.as_ref()),
        "body": payload.comment.body,
        "url": payload.comment.html_url,
        "path": payload.comment.path,
        "line": payload.comment.line,
        "hunk": payload.comment.diff_hunk,
        "number": payload.pull_request.number,
    })
}

fn issue_comment(event: &hosted_agents::github::event::IssueComment) -> Value {
    json!({
        "action": lower(&event.action),
        "id": event.comment.id,
        "by": who(event.comment.user.as_ref()),
        "body": event.comment.body,
        "url": event.comment.html_url,
        "at": event.comment.created_at,
        "number": event.issue.number,
        "title": event.issue.title,
        "is_pull_request": event.issue.is_pull_request(),
    })
}

fn their_issue_comment(payload: &IssueCommentWebhookEventPayload) -> Value {
    json!({
        "action": lower(&payload.action),
        "id": payload.comment.id.into_inner(),
        "by": whom(Some(&payload.comment.user)),
        "body": payload.comment.body.clone().unwrap_or_default(),
        "url": payload.comment.html_url,
        "at": payload.comment.created_at.timestamp_millis(),
        "number": payload.issue.number,
        "title": payload.issue.title,
        "is_pull_request": payload.issue.pull_request.is_some(),
    })
}

fn pushed(push: &hosted_agents::github::event::Push) -> Value {
    json!({
        "ref": format!("refs/heads/{}", push.branch),
        "before": push.before,
        "after": push.head,
        "forced": push.forced,
        "commits": push.commits,
    })
}

fn their_push(payload: &PushWebhookEventPayload) -> Value {
    let commits: Vec<&str> = payload
        .commits
        .iter()
        .map(|commit| commit.id.as_str())
        .collect();
    json!({
        "ref": payload.r#ref,
        "before": payload.before,
        "after": payload.after,
        "forced": payload.forced,
        "commits": commits,
    })
}
