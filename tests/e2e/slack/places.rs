//! Where else people meet the agent: direct messages, the shortcut on messages, addresses of
//! sessions, and the app's home.

use protocol::Seq;
use protocol::event::Fact;
use reqwest::StatusCode;
use serde_json::{Value, json};
use support::forge::ORGANIZATION;

use super::peers::check_calls;
use super::{CHANNEL, Scene, accept, invitation, mention, only_session, until_said};
use crate::github::push;
use crate::stage::{CAROL, Failure, Outcome, REPOSITORY, eventually};
use crate::tests;
use crate::world::{Group, World};

pub fn group(group: &mut Group<'_>) {
    tests!(group;
        a_direct_message_needs_no_mention_and_the_shortcut_takes_anybodys_words,
        an_address_shows_its_session_to_those_who_may_see_it,
        the_home_says_who_one_is_and_holds_what_sessions_start_with,
    );
}

async fn a_direct_message_needs_no_mention_and_the_shortcut_takes_anybodys_words(
    _: &World,
) -> Outcome {
    let scene = Scene::start("e2e-slack-direct").await?;
    scene.link().await?;
    let (chat, puppet) = (&scene.chat, &scene.played.puppet);
    let root = chat.say("alice", "@alice", None, "fix it").await?;
    let session = only_session(&scene.alice).await?;
    let start = scene.ready(&session.id).await?;
    let sent = puppet.prompt_command(&start).await?;
    assert_eq!(sent.text, "fix it");
    chat.say("alice", "@alice", Some(&root), "and this").await?;
    scene.finish(&start, &sent, 2).await?;
    let next = puppet.prompt_command(&start).await?;
    assert_eq!(next.text, "and this");
    scene.finish(&start, &next, 3).await?;
    eventually("it is answered where it was asked", || async {
        let said = chat.said("@alice", &root).await?;
        let done = said
            .iter()
            .filter(|message| message.to_string().contains(":white_check_mark:"));
        Ok((done.count() == 2).then_some(()))
    })
    .await?;
    scene.alice.archive(&session.id).await?;

    // Bob wrote it to nobody; Alice has it worked on, in her name, and once.
    let words = "the title is wrong";
    let root = chat.write("bob", CHANNEL, None, words).await?;
    let mut message = chat.message("bob", CHANNEL, None, words, &root)?;
    message["type"] = "message".into();
    let shortcut = json!({
        "type": "message_action", "callback_id": "work_on_this", "trigger_id": "1.2.a",
        "user": { "id": chat.person("alice")? }, "team": { "id": chat.team() },
        "channel": { "id": chat.channel(CHANNEL)? }, "message": message,
        "response_url": "https://hooks.slack.com/x", "message_ts": root,
    });
    for trigger in ["1.2.a", "1.2.b"] {
        let mut shortcut = shortcut.clone();
        shortcut["trigger_id"] = trigger.into();
        assert_eq!(chat.interact(&shortcut).await?.status(), StatusCode::OK);
    }
    let second = eventually("a session of it", || async {
        let sessions = scene.alice.sessions().await?.sessions;
        Ok(sessions.into_iter().find(|found| found.id != session.id))
    })
    .await?;
    assert_eq!(second.created_by.login, "alice");
    let start = scene.ready(&second.id).await?;
    assert_eq!(puppet.prompt_command(&start).await?.text, words);
    until_said(chat, &root, &["\"stop\""]).await?;
    let log = scene.alice.events(&second.id, Seq(0)).await?.events;
    let queued = log
        .iter()
        .filter(|event| matches!(event.fact, Fact::PromptQueued { .. }));
    assert_eq!(queued.count(), 1);
    // A reaction to Bob's message is about the work that came of it.
    let stop = json!({
        "type": "reaction_added", "user": chat.person("alice")?, "reaction": "octagonal_sign",
        "item": { "type": "message", "channel": chat.channel(CHANNEL)?, "ts": root },
    });
    assert_eq!(chat.deliver(&stop, "EvStopShortcut").await?, 200);
    puppet.stop_command(&start).await?;
    scene.alice.archive(&second.id).await?;
    Ok(())
}

async fn an_address_shows_its_session_to_those_who_may_see_it(_: &World) -> Outcome {
    let scene = Scene::start("e2e-slack-unfurl").await?;
    scene.link().await?;
    let chat = &scene.chat;
    chat.say("alice", CHANNEL, None, &mention(chat, "the secret title"))
        .await?;
    let session = only_session(&scene.alice).await?;
    // Bob in Slack is Carol on GitHub, who does not reach the repository.
    let carol = scene.played.client(CAROL).await?;
    let calls = chat.calls().len();
    chat.say("bob", CHANNEL, None, &mention(chat, "hello"))
        .await?;
    let url = invitation(chat, "bob", calls).await?;
    assert_eq!(
        accept(&scene.played.stack, &carol, &url).await?,
        StatusCode::OK
    );

    let address = format!(
        "{}/sessions/{}?prompt=1",
        scene.played.stack.url(),
        session.id
    );
    let posted = async |name: &str, ts: &str| {
        let event = json!({
            "type": "link_shared", "user": chat.person(name)?, "channel": chat.channel(CHANNEL)?,
            "message_ts": ts, "event_ts": ts, "is_bot_user_member": true,
            "links": [
                { "domain": "127.0.0.1", "url": address },
                { "domain": "127.0.0.1", "url": "https://evil.example/sessions/x" },
            ],
        });
        assert_eq!(chat.deliver(&event, &format!("EvLink{ts}")).await?, 200);
        Ok::<_, Failure>(())
    };
    let (hers, ours) = ("1700000001.000100", "1700000002.000100");
    posted("bob", hers).await?;
    posted("alice", ours).await?;
    let unfurled = eventually("a card", || async {
        let calls = chat.calls();
        let found = calls
            .into_iter()
            .find(|call| call.method == "chat.unfurl" && call.body["ts"] == ours);
        Ok(found.map(|call| call.body))
    })
    .await?;
    let cards = unfurled["unfurls"].as_object().ok_or("no cards")?;
    assert_eq!(cards.keys().collect::<Vec<_>>(), [&address]);
    let card = cards[&address].to_string();
    assert!(card.contains("the secret title"), "{card}");
    // One channel is heard in order: hers was seen to before.
    let calls = chat.calls();
    let shown = calls.iter().filter(|call| call.method == "chat.unfurl");
    assert_eq!(shown.count(), 1);
    check_calls(chat).await?;
    scene.alice.archive(&session.id).await?;
    Ok(())
}

async fn the_home_says_who_one_is_and_holds_what_sessions_start_with(_: &World) -> Outcome {
    let models = [(
        "MODELS",
        "openai/scripted-1=Scripted, openai/scripted-2=Another",
    )];
    let scene = Scene::start_with("e2e-slack-home", &models).await?;
    let (chat, puppet) = (&scene.chat, &scene.played.puppet);
    // The last home that somebody was shown, once it says all of these words.
    let home = async |name: &str, words: &[&str]| {
        let user = chat.person(name)?;
        eventually("a home", || async {
            let calls = chat.calls();
            let last = calls
                .into_iter()
                .rfind(|call| call.method == "views.publish" && call.body["user_id"] == user);
            let shown = last.filter(|call| {
                let text = call.body.to_string();
                call.status == 200 && words.iter().all(|word| text.contains(word))
            });
            Ok(shown.map(|call| call.body))
        })
        .await
    };
    let opened = async |name: &str, event_id: &str| {
        let event = json!({
            "type": "app_home_opened", "user": chat.person(name)?, "channel": "D1", "tab": "home",
        });
        assert_eq!(chat.deliver(&event, event_id).await?, 200);
        Ok::<_, Failure>(())
    };

    opened("alice", "EvHome1").await?;
    home("alice", &["Sign in with GitHub", "/slack/link?invitation="]).await?;
    scene.link().await?;
    opened("alice", "EvHome2").await?;
    home(
        "alice",
        &[
            "You work here as *alice*",
            "no sessions yet",
            "As here: Scripted",
        ],
    )
    .await?;

    let choose = async |action: Value| {
        assert_eq!(chat.choose_at_home("alice", &action).await?, 200);
        Ok::<_, Failure>(())
    };
    choose(json!({
        "type": "static_select", "action_id": "default_model", "action_ts": "1",
        "selected_option": { "value": "openai/never-heard" },
    }))
    .await?;
    home("alice", &["no such model"]).await?;
    choose(json!({
        "type": "static_select", "action_id": "default_model", "action_ts": "2",
        "selected_option": { "value": "openai/scripted-2" },
    }))
    .await?;
    let shown = home("alice", &["start with it"]).await?;
    let chosen = shown.pointer("/view/blocks/2/elements/0/initial_option/text/text");
    assert_eq!(chosen, Some(&Value::from("Another")));
    choose(json!({
        "type": "plain_text_input", "action_id": "default_branch", "action_ts": "3",
        "value": "../../evil",
    }))
    .await?;
    home("alice", &["no name of a branch"]).await?;
    choose(json!({
        "type": "plain_text_input", "action_id": "default_branch", "action_ts": "4",
        "value": "next",
    }))
    .await?;
    let shown = home("alice", &["start on it"]).await?;
    let written = shown.pointer("/view/blocks/3/element/initial_value");
    assert_eq!(written, Some(&Value::from("next")));
    // What is not one's own is not set: Bob is nobody yet.
    let stolen = json!({
        "type": "plain_text_input", "action_id": "default_branch", "action_ts": "5", "value": "x",
    });
    assert_eq!(chat.choose_at_home("bob", &stolen).await?, 200);
    home("bob", &["Sign in with GitHub"]).await?;

    // A branch that is not there is passed over, one that is there is taken, and what the message
    // says goes before both.
    let mut made = Vec::new();
    let begin = async |words: &str, made: &mut Vec<protocol::SessionId>| {
        chat.say("alice", CHANNEL, None, &mention(chat, words))
            .await?;
        let session = eventually("another session", || async {
            let sessions = scene.alice.sessions().await?.sessions;
            Ok(sessions.into_iter().find(|found| !made.contains(&found.id)))
        })
        .await?;
        made.push(session.id.clone());
        let start = puppet.start_command(&session.id).await?;
        Ok::<_, Failure>((start.branch, start.model.name))
    };
    let (branch, model) = begin("fix it", &mut made).await?;
    assert_eq!((branch.as_str(), model.as_str()), ("main", "scripted-2"));
    for branch in ["next", "release"] {
        push(&scene.played, branch, branch).await?;
    }
    let (branch, _) = begin("fix it again", &mut made).await?;
    assert_eq!(branch, "next");
    let (branch, model) = begin(
        "fix it on the release branch, with model scripted-1",
        &mut made,
    )
    .await?;
    assert_eq!((branch.as_str(), model.as_str()), ("release", "scripted-1"));

    opened("alice", "EvHome3").await?;
    let repository = format!("{ORGANIZATION}/{REPOSITORY}");
    home("alice", &["Your sessions", &repository, "fix it again"]).await?;
    check_calls(chat).await?;
    for session in made {
        scene.alice.archive(&session).await?;
    }
    Ok(())
}
