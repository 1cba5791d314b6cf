//! What goes wrong at Slack and at ours: nothing is lost, and nothing is doubled.

use std::time::{Duration, Instant};

use protocol::Seq;
use protocol::event::Fact;
use reqwest::StatusCode;
use serde_json::Value;

use super::{CHANNEL, Scene, check_pace, mention, only_session};
use crate::stage::{Outcome, eventually};
use crate::tests;
use crate::world::{Group, World};

pub fn group(group: &mut Group<'_>) {
    tests!(group; nothing_is_lost_or_doubled_while_slack_and_the_worker_fail);
}

async fn nothing_is_lost_or_doubled_while_slack_and_the_worker_fail(_: &World) -> Outcome {
    let mut scene = Scene::start("e2e-slack-faults").await?;
    scene.link().await?;
    scene.chat.fail("chat.postMessage", &[429, 500, 429]);
    scene.chat.fail("chat.update", &[500, 429]);
    scene.chat.fail("conversations.replies", &[500; 50]);
    scene.chat.fail("reactions.add", &[429]);

    // The same mention comes four times, and once more as the other kind of event.
    let words = mention(&scene.chat, "fix it");
    let root = scene.chat.write("alice", CHANNEL, None, &words).await?;
    let mut event = scene.chat.message("alice", CHANNEL, None, &words, &root)?;
    let (mut fastest, mut slowest) = (Duration::MAX, Duration::ZERO);
    for _ in 0..4 {
        let told = Instant::now();
        assert_eq!(scene.chat.deliver(&event, "EvSame").await?, 200);
        fastest = fastest.min(told.elapsed());
        slowest = slowest.max(told.elapsed());
    }
    assert!(fastest < Duration::from_secs(1), "{fastest:?}");
    // Slack waits no longer.
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");
    event["type"] = "app_mention".into();
    assert_eq!(scene.chat.deliver(&event, "EvOther").await?, 200);
    // It was acknowledged, and the agent was given nothing: that cannot be done yet.
    eventually("work on it has begun", || async {
        let calls = scene.chat.calls();
        let tried = calls
            .iter()
            .any(|call| call.method == "conversations.replies");
        Ok(tried.then_some(()))
    })
    .await?;
    scene.played.stack.kill_worker().await;
    scene.chat.heal("conversations.replies");
    scene.played.stack.start_worker().await?;
    // Two replies at once, without a mention.
    let (chat, place) = (&scene.chat, Some(root.as_str()));
    let (one, two) = tokio::join!(
        chat.say("alice", CHANNEL, place, "one"),
        chat.say("alice", CHANNEL, place, "two"),
    );
    let (_, two) = (one?, two?);
    let session = only_session(&scene.alice).await?;
    let start = scene.ready(&session.id).await?;
    let first = scene.played.puppet.prompt_command(&start).await?;
    assert_eq!(first.text, "fix it");

    let queued = eventually("all are prompts", || async {
        let log = scene.alice.events(&session.id, Seq(0)).await?.events;
        let texts: Vec<String> = log
            .iter()
            .filter_map(|event| match &event.fact {
                Fact::PromptQueued { prompt } => prompt.text.lines().next().map(str::to_owned),
                _ => None,
            })
            .collect();
        Ok((texts.len() >= 3).then_some(texts))
    })
    .await?;
    let mut sorted = queued.clone();
    sorted.sort();
    assert_eq!(sorted, ["fix it", "one", "two"]);

    scene.finish(&start, &first, 2).await?;
    for number in [3, 4] {
        let next = scene.played.puppet.prompt_command(&start).await?;
        scene.finish(&start, &next, number).await?;
    }
    let statuses = eventually("every turn is said to be done", || async {
        let said = chat.said(CHANNEL, &root).await?;
        let done = said
            .iter()
            .filter(|message| message.to_string().contains(":white_check_mark:"));
        Ok((done.count() == 3).then_some(said))
    })
    .await?;
    let of = |words: &str| {
        let has = |message: &&Value| message.to_string().contains(words);
        statuses.iter().filter(has).count()
    };
    assert_eq!(
        of("\"action_id\":\"open\""),
        3,
        "one status for each turn: {statuses:#?}"
    );
    assert_eq!(chat.thread(CHANNEL, &two).await?.len(), 1);

    check_pace(chat);

    // What was not signed for us is nothing, and neither is what a bot says.
    let unsigned = reqwest::Client::new()
        .post(format!("{}/slack/events", scene.played.stack.url()))
        .body("{}")
        .send()
        .await?;
    assert_eq!(unsigned.status(), StatusCode::UNAUTHORIZED);
    let other = scene.chat.write("bob", CHANNEL, None, &words).await?;
    let mut event = scene.chat.message("bob", CHANNEL, None, &words, &other)?;
    event["bot_id"] = "B7".into();
    assert_eq!(scene.chat.deliver(&event, "EvBot").await?, 200);
    only_session(&scene.alice).await?;
    scene.alice.archive(&session.id).await?;
    Ok(())
}
