//! What people do in a thread without a mention: replies, reactions, and the same from the browser.

use protocol::Seq;
use protocol::event::{Fact, Mode, Source};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{CHANNEL, Scene, accept, check_pace, invitation, mention, only_session, until_said};
use crate::stage::{BOB, LIMIT, Outcome, eventually};
use crate::tests;
use crate::world::{Group, World};

pub fn group(group: &mut Group<'_>) {
    tests!(group;
        a_reply_needs_no_mention_and_reactions_insert_and_stop,
        what_is_said_in_one_place_shows_in_the_other_with_its_author,
    );
}

async fn a_reply_needs_no_mention_and_reactions_insert_and_stop(_: &World) -> Outcome {
    let scene = Scene::start("e2e-slack-gestures").await?;
    scene.link().await?;
    let (chat, puppet) = (&scene.chat, &scene.played.puppet);
    let react = async |ts: &str, name: &str| {
        let reaction = json!({
            "type": "reaction_added", "user": chat.person("alice")?, "reaction": name,
            "item": { "type": "message", "channel": chat.channel(CHANNEL)?, "ts": ts },
        });
        let status = chat.deliver(&reaction, &format!("Ev{name}{ts}")).await?;
        assert_eq!(status, 200);
        Ok::<_, crate::stage::Failure>(())
    };

    // Nobody is spoken to, and nothing happens; nor by a reply to it.
    let chatter = chat.say("alice", CHANNEL, None, "good morning").await?;
    chat.say("bob", CHANNEL, Some(&chatter), "morning").await?;
    react(&chatter, "octagonal_sign").await?;

    let root = chat
        .say("alice", CHANNEL, None, &mention(chat, "the first"))
        .await?;
    let session = only_session(&scene.alice).await?;
    let start = scene.ready(&session.id).await?;
    let first = puppet.prompt_command(&start).await?;
    let second = chat
        .say("alice", CHANNEL, Some(&root), "the second")
        .await?;
    let third = chat.say("alice", CHANNEL, Some(&root), "the third").await?;
    eventually("both wait", || async {
        let log = scene.alice.events(&session.id, Seq(0)).await?.events;
        let queued = log
            .iter()
            .filter(|event| matches!(event.fact, Fact::PromptQueued { .. }));
        Ok((queued.count() == 3).then_some(()))
    })
    .await?;
    react(&third, "thumbsup").await?;
    react(&third, "fast_forward").await?;
    let inserted = puppet.prompt_command(&start).await?;
    assert_eq!(
        (inserted.text.lines().next(), inserted.mode),
        (Some("the third"), Mode::Insert)
    );
    react(&second, "octagonal_sign::skin-tone-2").await?;
    let stopped = puppet.stop_command(&start).await?;
    assert_eq!(stopped, first.prompt);
    assert_eq!(
        chat.said(CHANNEL, &chatter).await?,
        Vec::<Value>::new(),
        "what is not for us is left alone"
    );
    scene.alice.archive(&session.id).await?;
    Ok(())
}

async fn what_is_said_in_one_place_shows_in_the_other_with_its_author(_: &World) -> Outcome {
    let scene = Scene::start("e2e-slack-both").await?;
    scene.link().await?;
    let (chat, puppet) = (&scene.chat, &scene.played.puppet);
    let root = chat
        .say("alice", CHANNEL, None, &mention(chat, "the first"))
        .await?;
    let session = only_session(&scene.alice).await?;
    let start = scene.ready(&session.id).await?;
    let first = puppet.prompt_command(&start).await?;
    let mut viewer = scene.alice.watch(&session.id, Seq(0)).await?;

    // From Slack to an open page, by whoever wrote it.
    let bob = scene.played.client(BOB).await?;
    let calls = chat.calls().len();
    chat.say("bob", CHANNEL, Some(&root), "and mine").await?;
    let url = invitation(chat, "bob", calls).await?;
    assert_eq!(
        accept(&scene.played.stack, &bob, &url).await?,
        StatusCode::OK
    );
    let prompt = viewer
        .wait_for_fact("Bob's prompt", LIMIT, |fact| match fact {
            Fact::PromptQueued { prompt } if prompt.author.login == BOB => Some(prompt.clone()),
            _ => None,
        })
        .await?;
    assert_eq!(prompt.source, Source::Slack);
    assert!(prompt.text.starts_with("and mine"), "{}", prompt.text);

    // From a page to the thread, by whoever wrote it, while the first still runs.
    let path = format!("/api/sessions/{}/prompts", session.id);
    let body = json!({ "text": "from the page <!channel>" });
    let _: Value = bob.send(Method::POST, &path, Some(&body)).await?;
    let said = until_said(chat, &root, &["*bob* asked elsewhere", "from the page"]).await?;
    assert!(!said.to_string().contains("<!channel>"), "{said}");

    // How each ended is said in the thread, and in the page.
    scene.finish(&start, &first, 2).await?;
    for number in [3, 4] {
        let next = puppet.prompt_command(&start).await?;
        scene.finish(&start, &next, number).await?;
    }
    viewer
        .wait_for_fact("the end", LIMIT, |fact| match fact {
            Fact::PromptFinished { .. } => Some(()),
            _ => None,
        })
        .await?;
    eventually("every turn is said to be done", || async {
        let said = chat.said(CHANNEL, &root).await?;
        let done = said
            .iter()
            .filter(|message| message.to_string().contains(":white_check_mark:"));
        Ok((done.count() == 3).then_some(()))
    })
    .await?;
    // Nothing was said twice: one status a turn, an edit a second.
    check_pace(chat);
    scene.alice.archive(&session.id).await?;
    Ok(())
}
