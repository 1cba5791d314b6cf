//! What has images built without anybody asking: pushes and the cron.

use protocol::api::{CreateSession, ImageState};
use reqwest::StatusCode;
use serde_json::{Value, json};
use support::stack::{ModelChoice, Stack};

use super::bench::{self, Bench};
use crate::stage::{Failure, Outcome, PlayedStack, chain, eventually, wanted};
use crate::tests;
use crate::world::{Group, World};

pub fn tests(group: &mut Group<'_>) {
    tests!(group;
        three_pushes_are_one_build_and_the_next_waits,
        a_push_to_what_nothing_starts_from_builds_nothing,
        a_webhook_that_github_did_not_sign_is_refused,
        the_cron_builds_what_moved_and_nothing_else,
    );
}

struct Delivery<'a> {
    id: &'a str,
    event: &'a str,
    body: String,
}

impl Delivery<'_> {
    async fn send(&self, bench: &Bench<'_>) -> Result<(StatusCode, Value), Failure> {
        let signature = bench::signature(self.body.as_bytes());
        self.send_with(bench, Some(&signature)).await
    }

    /// Sends it, and waits until it was acted on: what is done is known.
    async fn send_and_see_done(&self, bench: &Bench<'_>) -> Outcome {
        eventually("the delivery is done", || async {
            let (status, answer) = self.send(bench).await?;
            assert_eq!(status, StatusCode::ACCEPTED);
            Ok((answer == json!({ "status": "known" })).then_some(()))
        })
        .await
    }

    async fn send_with(
        &self,
        bench: &Bench<'_>,
        signature: Option<&str>,
    ) -> Result<(StatusCode, Value), Failure> {
        let url = format!("{}/github/webhooks", bench.stack.stack.url());
        let mut request = reqwest::Client::new()
            .post(url)
            .header("content-type", "application/json")
            .header("x-github-event", self.event)
            .header("x-github-delivery", self.id)
            .body(self.body.clone());
        if let Some(signature) = signature {
            request = request.header("x-hub-signature-256", signature);
        }
        let response = request.send().await?;
        Ok((response.status(), response.json().await?))
    }
}

fn push<'a>(bench: &Bench<'_>, id: &'a str, head: &str) -> Delivery<'a> {
    let body = json!({
        "ref": "refs/heads/main",
        "before": "0".repeat(40),
        "after": head,
        "deleted": false,
        "repository": { "id": 1, "full_name": bench.repository },
        "commits": [],
    });
    Delivery {
        id,
        event: "push",
        body: body.to_string(),
    }
}

/// A session is what makes a base worth looking after.
async fn start_session(bench: &Bench<'_>) -> Outcome {
    bench.puppet.register().await?;
    let wanted = CreateSession {
        repository: bench.repository.clone(),
        ..wanted(None)
    };
    bench.alice.create_session(&wanted).await?;
    Ok(())
}

/// Has a stack of its own: any registration has built what waits.
async fn three_pushes_are_one_build_and_the_next_waits(_: &World) -> Outcome {
    let stack = stack("e2e-pushes").await;
    let bench = Bench::on(&stack, "pushed").await?;
    start_session(&bench).await?;
    let [first, second, third] = ["1111111a", "2222222b", "3333333c"];
    for (id, head) in [("push-1", first), ("push-2", second), ("push-3", third)] {
        push(&bench, id, head).send_and_see_done(&bench).await?;
    }
    let build = bench.build().await?;
    bench.finish(&build.image, bench::ready(third)).await?;
    assert_eq!(bench.images().await?.len(), 1);

    push(&bench, "push-4", "4444444d")
        .send_and_see_done(&bench)
        .await?;
    bench.puppet.register().await?;
    let images = bench.images().await?;
    let [waiting, built] = images.as_slice() else {
        panic!("{images:?}");
    };
    assert_eq!(built.state, ImageState::Ready);
    assert_eq!(waiting.state, ImageState::Requested);
    assert_eq!(waiting.reason, "main moved from 3333333 to 4444444");
    assert_eq!(waiting.requested_by, None);
    Ok(())
}

async fn a_push_to_what_nothing_starts_from_builds_nothing(world: &World) -> Outcome {
    let bench = Bench::new(world, "unused").await?;
    push(&bench, "unused-1", "1111111a")
        .send_and_see_done(&bench)
        .await?;
    assert_eq!(bench.images().await?, []);
    Ok(())
}

async fn a_webhook_that_github_did_not_sign_is_refused(world: &World) -> Outcome {
    let bench = Bench::new(world, "unsigned").await?;
    start_session(&bench).await?;
    let delivery = push(&bench, "unsigned-1", "1111111a");
    let forged = bench::signature_with("another secret", delivery.body.as_bytes());
    let of_another_body = bench::signature(b"{}");
    for (offered, code) in [
        (None, "missing_signature"),
        (Some(forged.as_str()), "bad_signature"),
        (Some(of_another_body.as_str()), "bad_signature"),
        (Some("sha256="), "bad_signature"),
    ] {
        let (status, answer) = delivery.send_with(&bench, offered).await?;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.pointer("/error/code"), Some(&json!(code)));
    }
    assert_eq!(bench.images().await?, []);
    for (event, expected) in [("ping", StatusCode::OK), ("star", StatusCode::ACCEPTED)] {
        let other = Delivery {
            id: "unsigned-2",
            event,
            body: "{}".to_owned(),
        };
        assert_eq!(other.send(&bench).await?.0, expected, "{event}");
    }
    Ok(())
}

/// Has a stack of its own: the cron looks after the bases of all tests.
async fn the_cron_builds_what_moved_and_nothing_else(_: &World) -> Outcome {
    let stack = stack("e2e-cron").await;
    let bench = Bench::on(&stack, "cron").await?;
    start_session(&bench).await?;
    let forge = &stack.stack.forge;
    let head = forge
        .branch(bench.repository.owner(), bench.repository.name(), "main")
        .await?
        .ok_or("no head")?;

    tick(&bench).await?;
    let build = bench.puppet.build_command(&bench.repository).await?;
    bench.finish(&build.image, bench::ready(&head)).await?;
    tick(&bench).await?;
    assert_eq!(bench.images().await?.len(), 1, "nothing moved");

    let moved = bench.push("main").await?;
    tick(&bench).await?;
    let build = bench.puppet.build_command(&bench.repository).await?;
    let images = bench.images().await?;
    let newest = images.first().ok_or("no image")?;
    let (from, to) = (head.get(..7), moved.get(..7));
    let reason = format!("main moved from {} to {}", from.unwrap(), to.unwrap());
    assert_eq!(
        (newest.id.clone(), newest.reason.clone()),
        (build.image, reason)
    );
    // It is under way, so the next tick has nothing to add.
    tick(&bench).await?;
    assert!(!bench.puppet.has_build_command(&bench.repository));
    Ok(())
}

async fn stack(name: &str) -> PlayedStack {
    let stack = Stack::start_without_runner(name, ModelChoice::Scripted)
        .await
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    PlayedStack::of(stack).await
}

async fn tick(bench: &Bench<'_>) -> Outcome {
    bench.puppet.register().await?;
    let url = format!("{}/cdn-cgi/handler/scheduled", bench.stack.stack.url());
    let response = reqwest::get(url).await?;
    assert_eq!(response.status(), StatusCode::OK);
    Ok(())
}
