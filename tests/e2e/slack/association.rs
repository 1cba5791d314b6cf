//! What a channel is for, and what repositories are called: as people say it.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::forge::ORGANIZATION;
use support::model::{Step, Turn};
use support::stack::{MODEL_KEY, ModelChoice, Stack};

use super::peers::check_calls;
use super::{CHANNEL, Scene, chat_of, mention, until_said};
use crate::stage::{ALICE, CAROL, Failure, Outcome, PlayedStack, REPOSITORY, eventually};
use crate::tests;
use crate::world::{Group, World};

pub fn group(group: &mut Group<'_>) {
    tests!(group;
        a_channel_is_for_a_repository_once_somebody_says_always,
        hints_of_the_settings_reach_the_classifier,
    );
}

/// What the slash command answers somebody in the channel.
async fn command(scene: &Scene, name: &str, words: &str) -> Result<Value, Failure> {
    let chat = &scene.chat;
    let (team, user, place) = (chat.team(), chat.person(name)?, chat.channel(CHANNEL)?);
    let words = words.replace('/', "%2F").replace(' ', "+");
    let body = format!(
        "command=%2Fagent&text={words}&team_id={team}&user_id={user}&user_name={name}&channel_id={place}"
    );
    let form = "application/x-www-form-urlencoded";
    let answer = chat.post("/slack/commands", form, &body).await?;
    assert_eq!(answer.status(), StatusCode::OK);
    Ok(answer.json().await?)
}

async fn press(scene: &Scene, name: &str, root: &str, action: &str, value: &str) -> Outcome {
    let action = json!({ "action_id": action, "action_ts": root, "value": value });
    let status = scene.chat.press(name, CHANNEL, root, &action).await?;
    assert_eq!(status, 200);
    Ok(())
}

/// Waits until somebody is whispered these words in a thread.
async fn until_whispered(scene: &Scene, name: &str, root: &str, words: &str) -> Outcome {
    let user = scene.chat.person(name)?;
    eventually("a whisper", || async {
        let calls = scene.chat.calls();
        let whispers = calls
            .iter()
            .filter(|call| call.method == "chat.postEphemeral" && call.body["user"] == user)
            .filter(|call| call.body["thread_ts"] == root);
        let is_it = |text: &str| text.contains(words);
        let found = whispers
            .filter_map(|call| call.body["text"].as_str())
            .any(is_it);
        Ok(found.then_some(()))
    })
    .await
}

/// Waits until the whole channel is told something with these words, in no thread.
async fn until_announced(scene: &Scene, words: &[&str]) -> Outcome {
    eventually("an announcement", || async {
        let calls = scene.chat.calls();
        let mut posted = calls
            .iter()
            .filter(|call| call.method == "chat.postMessage")
            .filter(|call| call.body["thread_ts"].is_null())
            .map(|call| call.body.to_string());
        let found = posted.any(|text| words.iter().all(|word| text.contains(word)));
        Ok(found.then_some(()))
    })
    .await
}

async fn a_channel_is_for_a_repository_once_somebody_says_always(_: &World) -> Outcome {
    let scene = Scene::start("e2e-slack-association").await?;
    scene.add_repository("website").await?;
    scene.link().await?;
    scene.link_bob(CAROL).await?;
    let chat = &scene.chat;
    let website = format!("{ORGANIZATION}/website");
    let tool = format!("{ORGANIZATION}/{REPOSITORY}");
    let ask = async |words: &str| {
        chat.say("alice", CHANNEL, None, &mention(chat, words))
            .await
    };

    // Where a person chose, always is offered; everybody is told who said it.
    let first = ask("fix it").await?;
    until_said(chat, &first, &["Which repository"]).await?;
    scene.choose(&first, &website).await?;
    until_said(chat, &first, &["it is, says alice", "\"always\""]).await?;
    let mut known = vec![scene.another(&[]).await?.id];
    press(&scene, "alice", &first, "always", &website).await?;
    until_said(
        chat,
        &first,
        &["alice said that this channel is for", &website],
    )
    .await?;
    until_said(chat, &first, &["it is, and always in this channel"]).await?;
    let calls = chat.calls();
    let told = calls
        .iter()
        .find(|call| call.body.to_string().contains("said that this channel"))
        .ok_or("nothing was told")?;
    assert_eq!(told.body["reply_broadcast"], true, "{told:?}");

    // The next message is for it, without a question.
    let second = ask("and this").await?;
    let session = scene.another(&known).await?;
    assert_eq!(session.repository.to_string(), website);
    known.push(session.id);
    until_said(chat, &second, &["this channel is for it"]).await?;

    // Somebody who does not reach it is told nothing of it, and takes nothing back.
    let hers = chat
        .say("bob", CHANNEL, None, &mention(chat, "fix it"))
        .await?;
    until_whispered(&scene, "bob", &hers, "There is no repository here").await?;
    assert_eq!(chat.said(CHANNEL, &hers).await?, Vec::<Value>::new());
    press(&scene, "bob", &first, "undo", &website).await?;
    until_whispered(&scene, "bob", &first, "You do not reach that repository").await?;
    let told = command(&scene, "bob", "channel").await?;
    assert!(!told.to_string().contains("website"), "{told}");
    let told = command(&scene, "bob", &format!("channel {tool}")).await?;
    assert_eq!(told["response_type"], "ephemeral", "{told}");
    let told = command(&scene, "alice", "channel").await?;
    assert!(told.to_string().contains(&website), "{told}");
    assert_eq!(told["response_type"], "ephemeral");

    // A correction offers it again, and what was before comes back when it is taken back.
    press(&scene, "alice", &second, "correct", "").await?;
    until_said(chat, &second, &["Then which one is it?"]).await?;
    scene.choose(&second, &tool).await?;
    until_said(chat, &second, &["it is, says alice", "\"always\""]).await?;
    known.push(scene.another(&known).await?.id);
    press(&scene, "alice", &second, "always", &tool).await?;
    until_said(chat, &second, &["this channel is for", &tool, "\"undo\""]).await?;
    press(&scene, "alice", &second, "undo", &tool).await?;
    until_said(chat, &second, &["alice took that back", &website]).await?;

    // By the keyboard as well.
    let told = command(&scene, "alice", &format!("channel {tool}")).await?;
    assert_eq!(told["response_type"], "ephemeral", "{told}");
    until_announced(&scene, &[&tool, "\"undo\""]).await?;
    let told = command(&scene, "alice", "channel").await?;
    assert!(told.to_string().contains(&tool), "{told}");
    assert!(!told.to_string().contains("\"undo\""), "{told}");
    let told = command(&scene, "alice", "channel nonsense").await?;
    assert_eq!(told["response_type"], "ephemeral", "{told}");
    let told = command(&scene, "alice", "channel none").await?;
    assert_eq!(told["response_type"], "ephemeral", "{told}");
    until_announced(&scene, &["alice said", "for no repository any more"]).await?;
    let third = ask("and that").await?;
    until_said(chat, &third, &["Which repository"]).await?;

    // Where two are alone nothing is offered.
    let direct = chat.say("alice", "@alice", None, "fix it").await?;
    let said = async |words: &'static str| {
        eventually("an answer to Alice alone", || async {
            let said = chat.said("@alice", &direct).await?;
            let found = said
                .into_iter()
                .find(|message| message.to_string().contains(words));
            Ok(found)
        })
        .await
    };
    said("Which repository").await?;
    let action = json!({ "action_id": "choose:0", "action_ts": direct, "value": website });
    assert_eq!(chat.press("alice", "@alice", &direct, &action).await?, 200);
    let chosen = said("it is, says alice").await?;
    assert!(!chosen.to_string().contains("\"always\""), "{chosen}");
    known.push(scene.another(&known).await?.id);
    check_calls(chat).await?;
    for session in &known {
        scene.alice.archive(session).await?;
    }
    Ok(())
}

async fn hints_of_the_settings_reach_the_classifier(_: &World) -> Outcome {
    let mut stack = Stack::start_without_runner("e2e-slack-hints", ModelChoice::Scripted).await?;
    let model = format!("{}/v1", stack.model().url());
    let classifier = [
        ("CLASSIFIER_URL", model.as_str()),
        ("CLASSIFIER_KEY", MODEL_KEY),
        ("CLASSIFIER_MODEL", "openai/scripted-1"),
    ];
    let chat = chat_of(&mut stack, &classifier).await?;
    let website = format!("{ORGANIZATION}/website");
    let chosen = website.clone();
    let step = Step::computed(move |conversation| {
        // Only with the words of the settings does anything lead there.
        let is_known = conversation
            .prompt()
            .contains("what finance calls the books");
        Turn::default().call(
            "choose",
            json!({
                "repository": if is_known { chosen.as_str() } else { "unknown" },
                "confidence": if is_known { "high" } else { "low" },
                "reason": "it is about the books", "alternatives": [],
            }),
        )
    });
    stack.model().script("books", [step]);
    let played = PlayedStack::of(stack).await;
    let alice = played.client(ALICE).await?;
    let scene = Scene {
        played,
        chat,
        alice,
    };
    scene.add_repository("website").await?;
    scene.link().await?;
    let path = format!("/api/repositories/{website}/settings");
    let settings = json!({ "hints": "the ledger, what finance calls the books" });
    let kept: Value = scene
        .alice
        .send(Method::PUT, &path, Some(&settings))
        .await?;
    assert_eq!(kept["hints"], settings["hints"]);
    let too_long = json!({ "hints": "x".repeat(1001) });
    let refused = scene.alice.request(Method::PUT, &path).json(&too_long);
    assert_eq!(refused.send().await?.status(), StatusCode::BAD_REQUEST);

    let words = mention(&scene.chat, "the books are wrong [[books]]");
    let root = scene.chat.say("alice", CHANNEL, None, &words).await?;
    let session = scene.another(&[]).await?;
    assert_eq!(session.repository.to_string(), website);
    until_said(&scene.chat, &root, &["it is about the books"]).await?;
    scene.alice.archive(&session.id).await?;
    Ok(())
}
