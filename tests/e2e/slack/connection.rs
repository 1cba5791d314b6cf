//! Slack takes the app's token no more, and another one later.

use protocol::Seq;
use protocol::api::Integrations;
use protocol::event::Fact;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::chat::RENEWED_TOKEN;

use super::{CHANNEL, Scene, mention, only_session, until_said};
use crate::stage::{Failure, Outcome, eventually};
use crate::tests;
use crate::world::{Group, World};

pub fn group(group: &mut Group<'_>) {
    tests!(group; a_dead_token_is_left_alone_and_a_new_one_says_what_waited);
}

async fn integrations(scene: &Scene) -> Result<Integrations, Failure> {
    let path = "/api/integrations";
    Ok(scene.alice.send(Method::GET, path, None::<&()>).await?)
}

fn calls(scene: &Scene, method: &str) -> usize {
    let calls = scene.chat.calls().into_iter();
    calls.filter(|call| call.method == method).count()
}

async fn a_dead_token_is_left_alone_and_a_new_one_says_what_waited(_: &World) -> Outcome {
    let mut scene = Scene::start("e2e-slack-connection").await?;
    scene.link().await?;
    let words = mention(&scene.chat, "fix it");
    let root = scene.chat.say("alice", CHANNEL, None, &words).await?;
    let session = only_session(&scene.alice).await?;
    let start = scene.ready(&session.id).await?;
    let sent = scene.played.puppet.prompt_command(&start).await?;
    until_said(&scene.chat, &root, &["Working"]).await?;

    // Whoever says so is not believed: Slack is asked.
    let asked = calls(&scene, "auth.test");
    let elsewhere = json!({
        "token": "unused", "team_id": "T0OTHER", "api_app_id": "A1", "type": "event_callback",
        "event_id": "EvElsewhere", "event_time": 1, "event": { "type": "app_uninstalled" },
    });
    let answer = scene
        .chat
        .post("/slack/events", "application/json", &elsewhere.to_string())
        .await?;
    assert_eq!(answer.status(), StatusCode::OK);
    eventually("Slack was asked", || async {
        Ok((calls(&scene, "auth.test") > asked).then_some(()))
    })
    .await?;
    assert!(integrations(&scene).await?.slack.connected);

    scene.chat.disconnect("token_revoked");
    let revoked = json!({ "type": "tokens_revoked", "tokens": { "bot": [scene.chat.bot()] } });
    assert_eq!(scene.chat.deliver(&revoked, "EvRevoked").await?, 200);
    let outage = eventually("it is known", || async {
        Ok(integrations(&scene).await?.slack.outage)
    })
    .await?;
    assert!(outage.message.contains("revoked"), "{outage:?}");
    assert!(outage.message.contains("SLACK_BOT_TOKEN"), "{outage:?}");
    assert!(!integrations(&scene).await?.slack.connected);

    // Work goes on, and nothing is sent on and on.
    scene.finish(&start, &sent, 2).await?;
    let path = format!("/api/sessions/{}/prompts", session.id);
    let body = json!({ "text": "and this" });
    let _: Value = scene.alice.send(Method::POST, &path, Some(&body)).await?;
    let next = scene.played.puppet.prompt_command(&start).await?;
    scene.finish(&start, &next, 3).await?;
    let refused = |scene: &Scene| {
        let calls = scene.chat.calls().into_iter();
        let dead = calls.filter(|call| call.error == "token_revoked");
        dead.map(|call| call.method).collect::<Vec<_>>()
    };
    eventually("it was tried to say it", || async {
        Ok((refused(&scene).len() > 1).then_some(()))
    })
    .await?;
    // What people say meanwhile is taken, and waits.
    let place = Some(root.as_str());
    let meanwhile = scene.chat.say("alice", CHANNEL, place, "and that").await?;

    let token = [("SLACK_BOT_TOKEN", RENEWED_TOKEN)];
    scene.played.stack.restart_with_variables(&token).await?;
    let tried = refused(&scene);
    assert!(tried.len() <= 3, "one question and one try: {tried:?}");
    assert!(integrations(&scene).await?.slack.connected);
    // The queue of a Worker on this machine ends with it. Until the cron puts the delivery on the queue
    // again it takes minutes; that it is told again does so at once, unless it was done or given up.
    let event = scene
        .chat
        .message("alice", CHANNEL, place, "and that", &meanwhile)?;
    let id = format!("Ev{meanwhile}");
    assert_eq!(scene.chat.deliver(&event, &id).await?, 200);
    eventually("what was said meanwhile is a prompt", || async {
        let log = scene.alice.events(&session.id, Seq(0)).await?.events;
        let is_it = |fact: &Fact| match fact {
            Fact::PromptQueued { prompt } => prompt.text.lines().next() == Some("and that"),
            _ => false,
        };
        Ok(log.iter().any(|event| is_it(&event.fact)).then_some(()))
    })
    .await?;
    scene.chat.say("alice", CHANNEL, place, "at last").await?;
    eventually("everything that waited is said", || async {
        let said = scene.chat.said(CHANNEL, &root).await?;
        let done = said
            .iter()
            .filter(|message| message.to_string().contains("*:white_check_mark: Done*"));
        Ok((done.count() == 2).then_some(()))
    })
    .await?;
    until_said(&scene.chat, &root, &["asked elsewhere", "and this", "Done"]).await?;
    assert_eq!(refused(&scene), tried, "the old token is used no more");
    scene.alice.archive(&session.id).await?;
    Ok(())
}
