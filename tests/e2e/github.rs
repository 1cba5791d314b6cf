//! What comes from GitHub: deliveries, links, and what is counted of them.

use std::process::Stdio;

use protocol::api::{BranchList, RepositoryList, Statistics};
use protocol::callback::{PromptResult, Report};
use protocol::event::{FileChange, PullRequestState, ReviewVerdict, Step, StepName};
use protocol::{Fact, Millis};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::client::{Client, ClientError, Viewer};
use support::forge::ORGANIZATION;
use support::stack::{ModelChoice, Stack, WEBHOOK_SECRET, repository_root};
use tokio::process::Command;

use crate::images::bench::{git, refused_with};
use crate::stage::{
    ALICE, BOB, CAROL, DELIVERED, Failure, LIMIT, Outcome, Played, PlayedStack, REPOSITORY, chain,
    eventually,
};
use crate::tests;
use crate::world::{Group, World};

pub fn group(group: &mut Group<'_>) {
    tests!(group;
        what_octokit_signs_is_taken_and_done_once,
        what_octokit_did_not_sign_for_us_is_refused,
        the_webhook_of_another_app_is_refused,
        a_pull_request_is_followed_and_counted_even_while_the_worker_is_down,
        an_expired_token_is_renewed_once_for_all_who_need_it,
        who_revoked_the_app_is_signed_out_and_has_to_link_again,
    );
}

/// Delivers every published example; answers each one's status and what was said.
async fn deliver_examples(
    stack: &Stack,
    forged: Option<&str>,
) -> Result<Vec<(u16, Value)>, Failure> {
    let output = Command::new(std::env::var("NODE_BIN")?)
        .arg(repository_root().join("tests/webhooks/deliver.mjs"))
        .arg(format!("{}/github/webhooks", stack.url()))
        .arg(WEBHOOK_SECRET)
        .args(forged)
        .stderr(Stdio::inherit())
        .output()
        .await?;
    assert!(output.status.success(), "deliver.mjs failed");
    String::from_utf8(output.stdout)?
        .lines()
        .map(|line| {
            let said: Value = serde_json::from_str(line)?;
            let status = said["status"]
                .as_u64()
                .and_then(|it| u16::try_from(it).ok());
            Ok((status.ok_or("no status")?, said["answer"]["status"].clone()))
        })
        .collect()
}

async fn what_octokit_signs_is_taken_and_done_once(world: &World) -> Outcome {
    let stack = &world.played().await.stack;
    let first = deliver_examples(stack, None).await?;
    assert_eq!(first.len(), 329);
    for (status, answer) in &first {
        let known = ["queued", "ignored"].map(Value::from);
        let is_ping = *status == 200 && answer.is_null();
        assert!(
            is_ping || *status == 202 && known.contains(answer),
            "{status} {answer}"
        );
    }
    let queued = |answers: &[(u16, Value)]| answers.iter().filter(|(_, it)| it == "queued").count();
    assert!(queued(&first) > 100, "{}", queued(&first));
    // What is done is known; the queue needs a while for all of them.
    eventually("every delivery is done", || async {
        let again = deliver_examples(stack, None).await?;
        Ok((queued(&again) == 0).then_some(()))
    })
    .await
}

async fn what_octokit_did_not_sign_for_us_is_refused(world: &World) -> Outcome {
    let stack = &world.played().await.stack;
    for (status, _) in deliver_examples(stack, Some("another body")).await? {
        assert_eq!(status, 401);
    }
    Ok(())
}

async fn the_webhook_of_another_app_is_refused(world: &World) -> Outcome {
    let stack = &world.played().await.stack;
    let ours = stack.forge.app().app_id;
    for (target, expected) in [(ours, StatusCode::ACCEPTED), (1, StatusCode::BAD_REQUEST)] {
        let response = reqwest::Client::new()
            .post(format!("{}/github/webhooks", stack.url()))
            .header("x-github-event", "star")
            .header("x-github-delivery", "of-another")
            .header("x-github-hook-installation-target-id", target)
            // Of an empty object with the stack's secret.
            .header(
                "x-hub-signature-256",
                crate::images::bench::signature(b"{}"),
            )
            .body("{}")
            .send()
            .await?;
        assert_eq!(response.status(), expected);
    }
    Ok(())
}

/// Commits to a branch on the forge, as the session's gateway does; answers the new head.
pub async fn push(stack: &PlayedStack, branch: &str, text: &str) -> Result<String, Failure> {
    let forge = &stack.stack.forge;
    let token = forge
        .installation_token(ORGANIZATION, &[REPOSITORY], &[("contents", "write")])
        .await?;
    let name = format!("checkout-{}", branch.replace('/', "-"));
    let at = stack.stack.directory().join(name);
    let url = forge.clone_url(ORGANIZATION, REPOSITORY);
    if !at.exists() {
        std::fs::create_dir_all(&at)?;
        git(&at, &token, &["clone", "-q", &url, "."]).await?;
        git(&at, &token, &["checkout", "-q", "-b", branch]).await?;
    }
    std::fs::write(at.join("work.txt"), text)?;
    git(&at, &token, &["add", "."]).await?;
    git(&at, &token, &["commit", "-q", "-m", "Work"]).await?;
    git(&at, &token, &["push", "-q", "origin", branch]).await?;
    git(&at, &token, &["rev-parse", "HEAD"]).await
}

/// A session whose prompt ended with a pull request; answers a socket and the number.
async fn pull_request(stack: &PlayedStack, played: &Played<'_>) -> Result<(Viewer, u64), Failure> {
    let (mut viewer, sent) = played.prompt("Write work.txt").await?;
    let branch = played.start.work_branch.clone();
    let commit = push(stack, &branch, "one\ntwo\nthree\n").await?;
    let step = Step {
        name: StepName::FirstToken,
        started_at: Millis(0),
        ms: 700,
        detail: None,
    };
    let pushed = Report::Pushed {
        prompt: sent.prompt.clone(),
        branch,
        base: None,
        commit,
        files: vec![FileChange {
            path: "work.txt".to_owned(),
            additions: Some(3),
            deletions: Some(0),
        }],
        summary: "Wrote it.".to_owned(),
    };
    let finished = Report::PromptFinished {
        prompt: sent.prompt,
        result: PromptResult::Completed,
    };
    let reports = vec![Report::Step { step }, pushed, finished];
    played.puppet.report(&played.start, 2, reports).await?;
    let number = viewer
        .wait_for_fact("the pull request", LIMIT, |fact| match fact {
            Fact::PullRequestOpened { number, .. } => Some(*number),
            _ => None,
        })
        .await?;
    Ok((viewer, number))
}

/// Has a stack of its own, whose Worker it ends, and whose figures it reads.
async fn a_pull_request_is_followed_and_counted_even_while_the_worker_is_down(
    _: &World,
) -> Outcome {
    let mut stack = own("e2e-followed").await;
    let played = Played::ready_on(&stack).await?;
    let client = played.client.clone();
    let (mut viewer, number) = pull_request(&stack, &played).await?;
    let (session, work_branch) = (played.session.clone(), played.start.work_branch.clone());
    drop(played);

    // Bob, who did not prompt, approves; a push after that is a revision.
    let bob = stack.stack.forge.sign_in(BOB).await?;
    let path = format!("repos/{ORGANIZATION}/{REPOSITORY}/pulls/{number}/reviews");
    let review = json!({ "event": "APPROVE", "body": "Fine" });
    let response = reqwest::Client::new()
        .post(format!("{}/{path}", stack.stack.forge.url()))
        .bearer_auth(&bob.access_token)
        .header("user-agent", "e2e")
        .json(&review)
        .send()
        .await?;
    assert!(response.status().is_success(), "{}", response.text().await?);
    viewer
        .wait_for_fact("the review", DELIVERED, |fact| match fact {
            Fact::PullRequestReviewed {
                verdict: ReviewVerdict::Approved,
                by,
                ..
            } if by == BOB => Some(()),
            _ => None,
        })
        .await?;
    push(&stack, &work_branch, "one\ntwo\nthree\nfour\n").await?;
    eventually("the push is counted", || async {
        let figures = statistics(&client).await?;
        Ok((figures.revisions == Some(1.0)).then_some(()))
    })
    .await?;

    // GitHub cannot deliver the merge, and is asked for it when the Worker is there again.
    drop(viewer);
    stack.stack.kill_worker().await;
    stack
        .stack
        .forge
        .merge(ORGANIZATION, REPOSITORY, number, BOB)
        .await?;
    eventually("the delivery failed", || async {
        Ok((stack.stack.forge.undelivered() > 0).then_some(()))
    })
    .await?;
    stack.stack.start_worker().await?;
    let tick = format!("{}/cdn-cgi/handler/scheduled", stack.stack.url());
    assert_eq!(reqwest::get(tick).await?.status(), StatusCode::OK);
    eventually("the session knows of the merge", || async {
        let summary = client.session(&session).await?;
        let pull = summary.pull_requests.first().ok_or("no pull request")?;
        Ok((pull.state == PullRequestState::Merged).then_some(()))
    })
    .await?;
    assert_eq!(stack.stack.forge.undelivered(), 0);

    let figures = eventually("the prompt is counted", || async {
        let figures = statistics(&client).await?;
        Ok((figures.first_token_p95_ms.is_some()).then_some(figures))
    })
    .await?;
    assert_eq!((figures.opened, figures.merged), (1, 1));
    assert_eq!(figures.merged_share, Some(1.0));
    assert_eq!(figures.approval_share, Some(1.0));
    assert_eq!((figures.prompts, figures.people_prompting), (1, 1));
    assert_eq!(figures.first_token_p50_ms, Some(700));
    assert!(figures.median_first_response_ms.is_some());
    let repository = figures.repositories.first().ok_or("no repository")?;
    assert_eq!((repository.merged, repository.all_merged), (1, 1));
    assert_eq!((repository.lines, repository.all_lines), (4, 4));
    let person = figures.people.first().ok_or("nobody")?;
    assert_eq!((person.login.as_str(), person.totals.merged), (ALICE, 1));

    // Who does not reach the repository sees nothing of it.
    let carol = stack.client(CAROL).await?;
    let nothing = statistics(&carol).await?;
    assert_eq!((nothing.opened, nothing.prompts), (0, 0));
    assert_eq!(nothing.repositories, []);
    let path = format!("/api/statistics?repository={ORGANIZATION}/{REPOSITORY}");
    let answer = carol
        .send::<Statistics>(Method::GET, &path, None::<&()>)
        .await;
    refused_with(answer, 404, "not_found");
    Ok(())
}

async fn statistics(client: &Client) -> Result<Statistics, ClientError> {
    client
        .send(Method::GET, "/api/statistics?days=7", None::<&()>)
        .await
}

async fn repositories(client: &Client) -> Result<RepositoryList, ClientError> {
    client
        .send(Method::GET, "/api/repositories", None::<&()>)
        .await
}

/// A refresh token works once: were it used twice, all but the first would have to link again.
async fn an_expired_token_is_renewed_once_for_all_who_need_it(world: &World) -> Outcome {
    let stack = world.played().await;
    let alice = stack.client(ALICE).await?;
    stack.stack.forge.expire_user_tokens(ALICE);
    let path = format!("/api/repositories/{ORGANIZATION}/{REPOSITORY}/branches");
    let branches = async || {
        let asked = alice.send::<BranchList>(Method::GET, &path, None::<&()>);
        asked.await
    };
    let all = tokio::join!(branches(), branches(), branches(), branches());
    for answer in [all.0, all.1, all.2, all.3] {
        assert!(!answer?.branches.is_empty());
    }
    Ok(())
}

/// Has a stack of its own: others act as these people.
async fn who_revoked_the_app_is_signed_out_and_has_to_link_again(_: &World) -> Outcome {
    let stack = own("e2e-revoked").await;
    let bob = stack.client(BOB).await?;
    stack.stack.forge.revoke_user_tokens(BOB);
    refused_with(repositories(&bob).await, 401, "link_broken");
    // Signing in is linking again.
    let bob = Client::sign_in(&stack.stack.url(), &stack.stack.forge, BOB).await?;
    repositories(&bob).await?;
    let mut lobby = bob.listen().await?;

    let me: Value = bob.send(Method::GET, "/api/me", None::<&()>).await?;
    let body = json!({ "action": "revoked", "sender": {
        "id": me["person"]["id"], "login": BOB, "type": "User",
    }})
    .to_string();
    let response = reqwest::Client::new()
        .post(format!("{}/github/webhooks", stack.stack.url()))
        .header("x-github-event", "github_app_authorization")
        .header("x-github-delivery", "bob-revokes")
        .header(
            "x-hub-signature-256",
            crate::images::bench::signature(body.as_bytes()),
        )
        .body(body)
        .send()
        .await?;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    eventually("Bob is signed out", || async {
        match bob.send::<Value>(Method::GET, "/api/me", None::<&()>).await {
            Err(ClientError::Refused { status, .. }) if status == StatusCode::UNAUTHORIZED => {
                Ok(Some(()))
            }
            Err(error) => Err(error.into()),
            Ok(_) => Ok(None),
        }
    })
    .await?;
    assert_eq!(lobby.closed(DELIVERED).await?, 4001);
    Ok(())
}

async fn own(name: &str) -> PlayedStack {
    let stack = Stack::start_without_runner(name, ModelChoice::Scripted)
        .await
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    PlayedStack::of(stack).await
}
