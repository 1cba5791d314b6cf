//! The whole way: from a mention to a merged pull request, and everything that is said of it.

use protocol::Seq;
use protocol::event::{Fact, Opener, Source};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::client::Client;
use support::forge::ORGANIZATION;
use support::model::{Step, Turn};
use support::stack::{MODEL_KEY, ModelChoice, Stack};

use super::peers::check_calls;
use super::{CHANNEL, accept, chat_of, invitation, mention, only_session, until_said};
use crate::stage::{ALICE, BOB, Outcome, write_source};
use crate::tests;
use crate::world::{Group, World};

/// A picture of one point.
const SHOT: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

pub fn group(group: &mut Group<'_>) {
    tests!(group; a_mention_becomes_a_merged_pull_request_and_the_thread_shows_it);
}

async fn a_mention_becomes_a_merged_pull_request_and_the_thread_shows_it(_: &World) -> Outcome {
    let mut stack = Stack::start("e2e-slack", ModelChoice::Scripted).await?;
    let source = stack.directory().join("source");
    write_source(&source);
    for name in ["billing", "website"] {
        stack
            .forge
            .create_repository(ORGANIZATION, name, &source)
            .await?;
    }
    let model = format!("{}/v1", stack.model().url());
    let classifier = [
        ("CLASSIFIER_URL", model.as_str()),
        ("CLASSIFIER_KEY", MODEL_KEY),
        ("CLASSIFIER_MODEL", "openai/scripted-1"),
    ];
    let chat = chat_of(&mut stack, &classifier).await?;
    // The same words are a question of the classifier's, and a prompt of the agent's.
    let step = Step::computed(|conversation| {
        if conversation.tools.iter().any(|tool| tool == "choose") {
            return Turn::default().call(
                "choose",
                json!({
                    "repository": format!("{ORGANIZATION}/billing"), "confidence": "high",
                    "reason": "it is about invoices", "alternatives": [],
                }),
            );
        }
        let note = json!({ "filePath": "NOTES.md", "content": "dated" });
        Turn::default().call("write", note)
    });
    let look = format!("echo {SHOT} | base64 -d > /tmp/shot.png; make check || true");
    let steps = [
        step,
        Turn::default()
            .call("update", json!({ "text": "The cause is found, @here." }))
            .into(),
        Turn::default()
            .call("bash", json!({ "command": look, "description": "Looks" }))
            .into(),
        Turn::default()
            .call(
                "share_file",
                json!({ "path": "/tmp/shot.png", "caption": "After" }),
            )
            .into(),
    ];
    stack.model().script("note", steps);
    let alice = Client::sign_in(&stack.url(), &stack.forge, ALICE).await?;

    let root = chat
        .say(
            "alice",
            CHANNEL,
            None,
            &mention(&chat, "invoices lack a date [[note]]"),
        )
        .await?;
    let url = invitation(&chat, "alice", 0).await?;
    assert_eq!(accept(&stack, &alice, &url).await?, StatusCode::OK);
    let again = accept(&stack, &alice, &url).await;
    assert_eq!(
        again?,
        StatusCode::BAD_REQUEST,
        "an invitation is good once"
    );

    // Seen, classified, worked on, and a pull request of Alice's.
    let session = only_session(&alice).await?;
    assert_eq!(session.repository.name(), "billing");
    until_said(
        &chat,
        &root,
        &["it is about invoices", "Done", "Open pull request"],
    )
    .await?;
    let opened = until_said(&chat, &root, &["Pull request", "opened as alice"]).await?;
    until_said(&chat, &root, &["1 file changed", "`make check` ran"]).await?;
    // What the agent told on its way, and what it showed.
    let update = until_said(&chat, &root, &[":speech_balloon:", "The cause is found"]).await?;
    assert!(!update.to_string().contains("@here"), "{update}");
    let picture = until_said(&chat, &root, &["\"files\"", "After"]).await?;
    assert_eq!(picture["files"][0]["mimetype"], "image/png", "{picture}");
    let messages = chat.thread(CHANNEL, &root).await?;
    assert_eq!(
        messages[0]["reactions"][0]["name"], "eyes",
        "{:#?}",
        messages[0]
    );
    let log = alice.events(&session.id, Seq(0)).await?.events;
    let prompts: Vec<_> = log
        .iter()
        .filter_map(|event| match &event.fact {
            Fact::PromptQueued { prompt } => Some(prompt),
            _ => None,
        })
        .collect();
    assert_eq!(prompts.len(), 1);
    assert_eq!(
        (prompts[0].source, prompts[0].author.login.as_str()),
        (Source::Slack, ALICE)
    );
    assert_eq!(prompts[0].text, "invoices lack a date [[note]]");
    let updates = log
        .iter()
        .filter(|event| matches!(&event.fact, Fact::Update { text, .. } if text.contains("cause")));
    assert_eq!(updates.count(), 1);
    let number = log.iter().find_map(|event| match &event.fact {
        Fact::PullRequestOpened {
            number,
            by: Opener::User { person },
            ..
        } => {
            assert_eq!(person.login, ALICE);
            Some(*number)
        }
        _ => None,
    });
    let number = number.ok_or("no pull request of a person's")?;
    assert!(opened.to_string().contains(&format!("#{number}")));

    // What is said elsewhere is said here as well.
    let path = format!("/api/sessions/{}/prompts", session.id);
    let body = json!({ "text": "and thank you" });
    let _: Value = alice.send(Method::POST, &path, Some(&body)).await?;
    until_said(&chat, &root, &["asked elsewhere", "and thank you", "Done"]).await?;

    stack
        .forge
        .merge(ORGANIZATION, "billing", number, BOB)
        .await?;
    until_said(&chat, &root, &["merged by bob"]).await?;
    check_calls(&chat).await?;
    alice.archive(&session.id).await?;
    Ok(())
}
