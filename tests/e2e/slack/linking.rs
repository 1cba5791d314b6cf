//! Who somebody is at GitHub, and for which repository they speak.

use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};
use support::forge::ORGANIZATION;

use super::peers::check_calls;
use super::{CHANNEL, Scene, accept, invitation, mention, only_session, until_said};
use crate::stage::{Outcome, REPOSITORY, eventually, write_source};
use crate::tests;
use crate::world::{Group, World};

pub fn group(group: &mut Group<'_>) {
    tests!(group; who_is_unknown_is_asked_in_private_and_then_chooses_the_repository);
}

async fn who_is_unknown_is_asked_in_private_and_then_chooses_the_repository(_: &World) -> Outcome {
    let scene = Scene::start("e2e-slack-choice").await?;
    let forge = &scene.played.stack.forge;
    let source = scene.played.stack.directory().join("second");
    write_source(&source);
    forge
        .create_repository(ORGANIZATION, "website", &source)
        .await?;
    let (chat, stack) = (&scene.chat, &scene.played.stack);

    let root = chat
        .say("alice", CHANNEL, None, &mention(chat, "fix it"))
        .await?;
    let url = invitation(chat, "alice", 0).await?;
    let said = chat.said(CHANNEL, &root).await?;
    assert_eq!(said, Vec::<Value>::new(), "nothing of it is said in public");
    // From elsewhere nobody is linked.
    let sealed = url.split_once("invitation=").ok_or("no invitation")?.1;
    let forged = scene
        .alice
        .request(Method::POST, "/slack/link")
        .header(header::ORIGIN, "https://evil.example")
        .body(format!("invitation={sealed}"))
        .send()
        .await?;
    assert_eq!(forged.status(), StatusCode::FORBIDDEN);
    assert_eq!(accept(stack, &scene.alice, &url).await?, StatusCode::OK);

    // Two repositories and nothing that decides: a question, with a menu over all.
    until_said(chat, &root, &["Which repository", "choose_any"]).await?;
    let suggestion = json!({
        "type": "block_suggestion", "action_id": "choose_any", "value": "WEB",
        "user": { "id": chat.person("alice")? }, "team": { "id": chat.team() },
    });
    let options: Value = chat.interact(&suggestion).await?.json().await?;
    let website = format!("{ORGANIZATION}/website");
    assert_eq!(options["options"][0]["value"], website);
    assert_eq!(options["options"].as_array().map(Vec::len), Some(1));
    let action = json!({
        "action_id": "choose_any", "action_ts": "1", "selected_option": { "value": website },
    });
    assert_eq!(chat.press("alice", CHANNEL, &root, &action).await?, 200);
    let session = only_session(&scene.alice).await?;
    assert_eq!(session.repository.name(), "website");
    until_said(chat, &root, &["it is, says alice"]).await?;

    // It was the other one after all: the work begins there, and ends here.
    until_said(chat, &root, &["Wrong repository"]).await?;
    let doubt = json!({ "action_id": "correct", "action_ts": "2", "value": session.id });
    assert_eq!(chat.press("alice", CHANNEL, &root, &doubt).await?, 200);
    until_said(chat, &root, &["Then which one is it?"]).await?;
    let tool = format!("{ORGANIZATION}/{REPOSITORY}");
    let action = json!({ "action_id": "choose:0", "action_ts": "3", "value": tool });
    assert_eq!(chat.press("alice", CHANNEL, &root, &action).await?, 200);
    let second = eventually("another session", || async {
        let sessions = scene.alice.sessions().await?.sessions;
        Ok(sessions
            .into_iter()
            .find(|found| found.repository.name() == REPOSITORY))
    })
    .await?;
    let start = scene.ready(&second.id).await?;
    let sent = scene.played.puppet.prompt_command(&start).await?;
    assert_eq!(sent.text, "fix it");

    // A reaction stops it.
    let stop = json!({
        "type": "reaction_added", "user": chat.person("alice")?, "reaction": "octagonal_sign",
        "item": { "type": "message", "channel": chat.channel(CHANNEL)?, "ts": root },
    });
    assert_eq!(chat.deliver(&stop, "EvStop").await?, 200);
    assert_eq!(scene.played.puppet.stop_command(&start).await?, sent.prompt);
    check_calls(chat).await?;
    scene.alice.archive(&second.id).await?;
    Ok(())
}
