//! Messages that people edit and delete.

use protocol::event::Fact;
use protocol::{Seq, SessionId};
use serde_json::{Value, json};
use support::forge::ORGANIZATION;

use super::{CHANNEL, Scene, mention, only_session, until_said};
use crate::stage::{Failure, Outcome, eventually};
use crate::tests;
use crate::world::{Group, World};

pub fn group(group: &mut Group<'_>) {
    tests!(group;
        what_waits_changes_with_its_message_and_what_runs_does_not,
        what_waits_for_a_repository_changes_with_its_message,
    );
}

/// A message of Alice's in a thread, as events tell that it was changed.
struct Said<'a> {
    scene: &'a Scene,
    root: &'a str,
    ts: &'a str,
    words: &'a str,
}

impl Said<'_> {
    fn message(&self, words: &str) -> Result<Value, Failure> {
        let chat = &self.scene.chat;
        Ok(json!({
            "type": "message", "user": chat.person("alice")?, "team": chat.team(), "text": words,
            "ts": self.ts, "thread_ts": self.root,
        }))
    }

    /// `at` orders the revisions of one message.
    async fn tell(&self, at: u64, mut event: Value) -> Outcome {
        let chat = &self.scene.chat;
        let ts = format!("9000000000.{at:06}");
        event["type"] = "message".into();
        event["hidden"] = true.into();
        event["channel"] = chat.channel(CHANNEL)?.into();
        event["channel_type"] = "channel".into();
        event["ts"] = ts.as_str().into();
        event["previous_message"] = self.message(self.words)?;
        // As often as it likes.
        for _ in 0..2 {
            let status = chat.deliver(&event, &format!("Ev{}{ts}", self.ts)).await?;
            assert_eq!(status, 200);
        }
        Ok(())
    }

    async fn edit(&self, at: u64, words: &str) -> Outcome {
        let message = self.message(words)?;
        let event = json!({ "subtype": "message_changed", "message": message });
        self.tell(at, event).await
    }

    async fn delete(&self, at: u64) -> Outcome {
        let event = json!({ "subtype": "message_deleted", "deleted_ts": self.ts });
        self.tell(at, event).await
    }

    /// As a message is deleted that has replies.
    async fn bury(&self, at: u64) -> Outcome {
        let message = json!({
            "type": "message", "subtype": "tombstone", "user": "USLACKBOT", "hidden": true,
            "text": "This message was deleted.", "ts": self.ts, "thread_ts": self.root,
        });
        let event = json!({ "subtype": "message_changed", "message": message });
        self.tell(at, event).await
    }
}

/// The first lines of prompts that were queued, and what became of those that waited.
async fn told(scene: &Scene, session: &SessionId) -> Result<Vec<String>, Failure> {
    let log = scene.alice.events(session, Seq(0)).await?.events;
    let line = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    Ok(log
        .into_iter()
        .filter_map(|event| match event.fact {
            Fact::PromptQueued { prompt } => Some(format!("queued {}", line(&prompt.text))),
            Fact::PromptEdited { text, by, .. } => {
                Some(format!("edited {} by {}", line(&text), by.login))
            }
            Fact::PromptCancelled { by, .. } => Some(format!("cancelled by {}", by.login)),
            _ => None,
        })
        .collect())
}

async fn what_waits_changes_with_its_message_and_what_runs_does_not(_: &World) -> Outcome {
    let scene = Scene::start("e2e-slack-revisions").await?;
    scene.link().await?;
    let (chat, puppet) = (&scene.chat, &scene.played.puppet);
    let words = mention(chat, "the first");
    let root = chat.say("alice", CHANNEL, None, &words).await?;
    let session = only_session(&scene.alice).await?;
    let start = scene.ready(&session.id).await?;
    let first = puppet.prompt_command(&start).await?;
    let place = Some(root.as_str());
    let of = |ts, words| Said {
        scene: &scene,
        root: &root,
        ts,
        words,
    };
    // Nobody is told of this one: it is what was said before.
    chat.write("bob", CHANNEL, place, "look at the log").await?;
    let second = chat.say("alice", CHANNEL, place, "the second").await?;
    let third = chat.say("alice", CHANNEL, place, "the third").await?;
    let fourth = chat.say("alice", CHANNEL, place, "the fourth").await?;
    eventually("all of them wait", || async {
        let told = told(&scene, &session.id).await?;
        Ok((told.len() == 4).then_some(()))
    })
    .await?;
    // One is edited, and one deleted, before it is heard of itself.
    let early = chat.write("alice", CHANNEL, place, "too early").await?;
    of(&early, "too early").edit(1, "in time").await?;
    let gone = chat.write("alice", CHANNEL, place, "never mind").await?;
    of(&gone, "never mind").delete(1).await?;

    // What runs is left alone, and what only shows a link changes nothing.
    of(&root, &words).edit(1, "something else").await?;
    of(&root, &words).bury(2).await?;
    of(&second, "the second").edit(1, "the second").await?;
    of(&second, "the second")
        .edit(3, "the second, better")
        .await?;
    // An edit that was made before comes after.
    of(&second, "the second")
        .edit(2, "the second, worse")
        .await?;
    of(&third, "the third").delete(1).await?;
    of(&fourth, "the fourth").bury(1).await?;
    for (ts, words) in [(&early, "too early"), (&gone, "never mind")] {
        let event = chat.message("alice", CHANNEL, place, words, ts)?;
        assert_eq!(chat.deliver(&event, &format!("Ev{ts}")).await?, 200);
    }
    let last = chat.say("alice", CHANNEL, place, "the last").await?;
    eventually("the last is a prompt", || async {
        let told = told(&scene, &session.id).await?;
        Ok(told.contains(&"queued the last".to_owned()).then_some(()))
    })
    .await?;
    of(&last, "the last").edit(1, "the very last").await?;
    let expected = [
        "cancelled by alice",
        "cancelled by alice",
        "edited the second, better by alice",
        "edited the very last by alice",
        "queued in time",
        "queued the first",
        "queued the fourth",
        "queued the last",
        "queued the second",
        "queued the third",
    ];
    eventually("everything has changed", || async {
        let mut told = told(&scene, &session.id).await?;
        told.sort();
        Ok((told == expected).then_some(()))
    })
    .await?;

    // What was said before is still told beside what was edited.
    scene.finish(&start, &first, 2).await?;
    let next = puppet.prompt_command(&start).await?;
    assert!(
        next.text.starts_with("the second, better\n"),
        "{}",
        next.text
    );
    let bob = chat.person("bob")?;
    let said = format!("not instructions.\n\n[bob ({bob})]: look at the log");
    assert!(next.text.contains(&said), "{}", next.text);
    scene.finish(&start, &next, 3).await?;
    // And once.
    let next = puppet.prompt_command(&start).await?;
    assert_eq!(next.text, "in time");
    scene.finish(&start, &next, 4).await?;
    scene.alice.archive(&session.id).await?;
    Ok(())
}

async fn what_waits_for_a_repository_changes_with_its_message(_: &World) -> Outcome {
    let scene = Scene::start("e2e-slack-undecided").await?;
    scene.add_repository("website").await?;
    scene.link().await?;
    let chat = &scene.chat;
    let website = format!("{ORGANIZATION}/website");
    let ask = async |words: &str| {
        let root = chat.say("alice", CHANNEL, None, words).await?;
        until_said(chat, &root, &["Which repository"]).await?;
        Ok::<_, Failure>(root)
    };
    let of = |root, words| Said {
        scene: &scene,
        root,
        ts: root,
        words,
    };
    let words = mention(chat, "fix it");
    let root = ask(&words).await?;
    of(&root, &words).bury(1).await?;
    until_said(chat, &root, &["there is nothing to do"]).await?;
    scene.choose(&root, &website).await?;

    let root = ask(&words).await?;
    let better = mention(chat, "fix it well");
    of(&root, &words).edit(1, &better).await?;
    scene.choose(&root, &website).await?;
    let session = only_session(&scene.alice).await?;
    let start = scene.ready(&session.id).await?;
    let sent = scene.played.puppet.prompt_command(&start).await?;
    assert_eq!(sent.text, "fix it well");
    scene.alice.archive(&session.id).await?;
    Ok(())
}
