//! People whom nobody knows yet, and people of other workspaces.

use protocol::Seq;
use protocol::api::SessionList;
use protocol::callback::{PromptResult, Report};
use protocol::event::{Fact, FileChange, Opener, Outcome as PromptOutcome};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::forge::ORGANIZATION;

use super::peers::check_calls;
use super::{CHANNEL, Scene, accept, invitation, mention, only_session, until_said};
use crate::github::push;
use crate::stage::{Outcome, REPOSITORY, eventually};
use crate::tests;
use crate::world::{Group, World};

pub fn group(group: &mut Group<'_>) {
    tests!(group;
        who_is_linked_to_nobody_works_where_it_is_allowed_and_it_is_said,
        an_address_is_a_hint_and_gives_nothing,
        other_workspaces_are_refused_unless_they_are_allowed,
    );
}

async fn who_is_linked_to_nobody_works_where_it_is_allowed_and_it_is_said(_: &World) -> Outcome {
    let open = format!("{ORGANIZATION}/{REPOSITORY}");
    let variables = [
        ("SLACK_UNLINKED", "allow"),
        ("SLACK_REPOSITORIES", open.as_str()),
    ];
    let scene = Scene::start_with("e2e-slack-unlinked", &variables).await?;
    let (chat, puppet) = (&scene.chat, &scene.played.puppet);

    let root = chat
        .say("bob", CHANNEL, None, &mention(chat, "write work.txt"))
        .await?;
    // It is nobody's that GitHub knows, so it is in nobody's own list.
    let session = eventually("a session", || async {
        let everybodys: SessionList = scene
            .alice
            .send(Method::GET, "/api/sessions", None::<&()>)
            .await?;
        assert!(everybodys.sessions.len() < 2, "{everybodys:#?}");
        Ok(everybodys.sessions.into_iter().next())
    })
    .await?;
    assert_eq!(session.repository.to_string(), open);
    let start = scene.ready(&session.id).await?;
    let sent = puppet.prompt_command(&start).await?;
    assert_eq!(sent.text, "write work.txt");
    let log = scene.alice.events(&session.id, Seq(0)).await?.events;
    let author = log.iter().find_map(|event| match &event.fact {
        Fact::PromptQueued { prompt } => Some(prompt.author.clone()),
        _ => None,
    });
    let author = author.ok_or("no prompt")?;
    assert!(author.id.0 < 0, "nobody's account: {author:?}");
    assert!(author.login.starts_with("slack-"), "{author:?}");
    assert_eq!(author.name, "bob");

    let commit = push(&scene.played, &start.work_branch, "one\n").await?;
    let pushed = Report::Pushed {
        prompt: sent.prompt.clone(),
        branch: start.work_branch.clone(),
        base: None,
        commit,
        files: vec![FileChange {
            path: "work.txt".to_owned(),
            additions: Some(1),
            deletions: Some(0),
        }],
        summary: "Wrote it.".to_owned(),
    };
    let finished = Report::PromptFinished {
        prompt: sent.prompt,
        result: PromptResult::Completed,
    };
    puppet.report(&start, 2, vec![pushed, finished]).await?;
    until_said(chat, &root, &["Pull request", "opened by the App"]).await?;
    let log = scene.alice.events(&session.id, Seq(0)).await?.events;
    let is_apps = |fact: &Fact| {
        matches!(
            fact,
            Fact::PullRequestOpened {
                by: Opener::App,
                ..
            }
        )
    };
    assert!(log.iter().any(|event| is_apps(&event.fact)));
    // Nobody was asked who they are.
    let calls = chat.calls();
    assert!(calls.iter().all(|call| call.method != "chat.postEphemeral"));

    // Of whom Slack says nothing is a stranger, and does nothing here.
    let stop = json!({
        "type": "reaction_added", "user": "UELSEWHERE", "reaction": "octagonal_sign",
        "item": { "type": "message", "channel": chat.channel(CHANNEL)?, "ts": root },
    });
    chat.say("bob", CHANNEL, Some(&root), "once more").await?;
    let sent = puppet.prompt_command(&start).await?;
    let known = chat
        .calls()
        .iter()
        .filter(|call| call.method == "users.info")
        .count();
    assert_eq!(chat.deliver(&stop, "EvStranger").await?, 200);
    eventually("Slack was asked who that is", || async {
        let asked = chat
            .calls()
            .iter()
            .filter(|call| call.method == "users.info")
            .count();
        Ok((asked > known).then_some(()))
    })
    .await?;
    scene.finish(&start, &sent, 4).await?;
    let ended = eventually("both have ended", || async {
        let log = scene.alice.events(&session.id, Seq(0)).await?.events;
        let ended: Vec<_> = log
            .into_iter()
            .filter_map(|event| match event.fact {
                Fact::PromptFinished { outcome, .. } => Some(outcome),
                _ => None,
            })
            .collect();
        Ok((ended.len() == 2).then_some(ended))
    })
    .await?;
    let is_done = |ended: &PromptOutcome| *ended == PromptOutcome::Completed;
    assert!(ended.iter().all(is_done), "{ended:?}");
    check_calls(chat).await?;
    scene.alice.archive(&session.id).await?;
    Ok(())
}

async fn an_address_is_a_hint_and_gives_nothing(_: &World) -> Outcome {
    let scene = Scene::start("e2e-slack-hint").await?;
    let chat = &scene.chat;
    let wanted = json!({ "commit_email": "alice@example.com" });
    let request = scene.alice.request(Method::PUT, "/api/me").json(&wanted);
    assert_eq!(request.send().await?.status(), StatusCode::NO_CONTENT);

    for (name, is_known) in [("alice", true), ("bob", false)] {
        chat.say(name, CHANNEL, None, &mention(chat, "fix it"))
            .await?;
        let url = invitation(chat, name, 0).await?;
        let calls = chat.calls();
        let whisper = calls
            .iter()
            .find(|call| call.body.to_string().contains(&url))
            .ok_or("no invitation")?;
        let text = whisper.body["text"].as_str().ok_or("no text")?;
        assert_eq!(text.contains("Are you *@alice* there?"), is_known, "{text}");
    }
    // Nothing was done by that.
    let sessions = scene.alice.sessions().await?.sessions;
    assert_eq!(sessions.len(), 0);
    // Whoever signs in decides who it is.
    let url = invitation(chat, "alice", 0).await?;
    let bob = scene.played.client(crate::stage::BOB).await?;
    assert_eq!(
        accept(&scene.played.stack, &bob, &url).await?,
        StatusCode::OK
    );
    let session = only_session(&bob).await?;
    assert_eq!(session.created_by.login, "bob");
    bob.archive(&session.id).await?;
    Ok(())
}

async fn other_workspaces_are_refused_unless_they_are_allowed(_: &World) -> Outcome {
    let variables = [("SLACK_WORKSPACES", "T0PARTNER")];
    let scene = Scene::start_with("e2e-slack-workspaces", &variables).await?;
    let chat = &scene.chat;
    let words = mention(chat, "fix it");
    let told = async |team: &str, user_team: &str| {
        let ts = chat.write("bob", CHANNEL, None, &words).await?;
        let mut event = chat.message("bob", CHANNEL, None, &words, &ts)?;
        event["user_team"] = user_team.into();
        event["team"] = user_team.into();
        let envelope = json!({
            "token": "unused", "team_id": team, "api_app_id": "A1", "event": event,
            "type": "event_callback", "event_id": format!("Ev{ts}"), "event_time": 1,
            "is_ext_shared_channel": true,
        });
        let kind = "application/json";
        let answer = chat
            .post("/slack/events", kind, &envelope.to_string())
            .await?;
        assert_eq!(answer.status(), StatusCode::OK);
        Ok::<_, crate::stage::Failure>(ts)
    };
    let own = chat.team().to_owned();
    let refused = [
        told(&own, "T0OTHER").await?,
        told("T0OTHER", &own).await?,
        told("T0OTHER", "T0OTHER").await?,
    ];
    let taken = [
        told(&own, "T0PARTNER").await?,
        told("T0PARTNER", "T0PARTNER").await?,
    ];
    // What is listened to is seen, and what came before it in the queue was passed over by then.
    for ts in &taken {
        eventually("it is seen", || async {
            let calls = chat.calls();
            let is_seen = |body: &Value| body["timestamp"] == **ts && body["name"] == "eyes";
            let seen = calls.iter().any(|call| is_seen(&call.body));
            Ok(seen.then_some(()))
        })
        .await?;
    }
    invitation(chat, "bob", 0).await?;
    for ts in &refused {
        let calls = chat.calls();
        assert!(
            calls.iter().all(|call| call.body["timestamp"] != **ts),
            "{calls:#?}"
        );
    }
    Ok(())
}
