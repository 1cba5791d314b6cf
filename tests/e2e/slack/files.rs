//! Files of messages.

use protocol::Seq;
use protocol::event::Fact;
use serde_json::{Value, json};

use super::{CHANNEL, Scene, mention, only_session};
use crate::stage::Outcome;
use crate::tests;
use crate::world::{Group, World};

pub fn group(group: &mut Group<'_>) {
    tests!(group; files_of_a_message_become_attachments_and_the_token_stays_with_slack);
}

const PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89";

async fn files_of_a_message_become_attachments_and_the_token_stays_with_slack(
    _: &World,
) -> Outcome {
    let emoji = [("SLACK_EMOJI_SEEN", ":acme_eyes:")];
    let scene = Scene::start_with("e2e-slack-files", &emoji).await?;
    scene.link().await?;
    let chat = &scene.chat;
    let mut too_large = chat.keep("large.bin", "application/octet-stream", b"x");
    too_large["size"] = (11 * 1024 * 1024).into();
    let files = json!([
        chat.keep("shot.png", "image/png", PNG),
        // The page that Slack answers with when the app may not have the file.
        chat.keep("page.txt", "text/html", b"<h1>Sign in</h1>"),
        chat.file_elsewhere("stolen.txt"),
        chat.lead_away("moved.txt", "stolen-too.txt"),
        chat.keep("not-a.png", "image/png", b"plain text"),
        too_large,
        chat.keep("seventh.txt", "text/plain", b"too many"),
    ]);
    chat.keep("stolen.txt", "text/plain", b"x");
    chat.keep("stolen-too.txt", "text/plain", b"x");

    let words = mention(chat, "make it look like this");
    let root = chat.write("alice", CHANNEL, None, &words).await?;
    let mut event = chat.message("alice", CHANNEL, None, &words, &root)?;
    event["subtype"] = "file_share".into();
    event["files"] = files;
    assert_eq!(chat.deliver(&event, "EvFiles").await?, 200);
    let session = only_session(&scene.alice).await?;
    let start = scene.ready(&session.id).await?;
    let sent = scene.played.puppet.prompt_command(&start).await?;
    let attached: Vec<_> = sent
        .attachments
        .iter()
        .map(|it| (it.artifact.name.as_str(), it.artifact.media_type.as_str()))
        .collect();
    let [("shot.png", "image/png"), ("not-a.png", kind)] = attached.as_slice() else {
        panic!("{attached:?}")
    };
    assert!(
        !kind.starts_with("image/"),
        "what is shown as a picture is one: {kind}"
    );
    // They are the session's, for the browser as well.
    let log = scene.alice.events(&session.id, Seq(0)).await?.events;
    let in_log = log.iter().find_map(|event| match &event.fact {
        Fact::PromptQueued { prompt } => Some(prompt.attachments.len()),
        _ => None,
    });
    assert_eq!(in_log, Some(2));
    let calls = chat.calls();
    // The workspace has a sign of its own for what was seen.
    let is_sign = |body: &Value| body["timestamp"] == *root && body["name"] == "acme_eyes";
    assert!(calls.iter().any(|call| is_sign(&call.body)), "{calls:#?}");
    let asked: Vec<_> = calls
        .iter()
        .filter(|call| call.method.starts_with("files/"))
        .collect();
    for call in &asked {
        let host = call.body[1].as_str().unwrap_or_default();
        let is_own = host.starts_with("127.0.0.1");
        assert_eq!(call.body[0].is_string(), is_own, "{call:?}");
        for never in ["stolen.txt", "large.bin", "seventh.txt"] {
            assert_ne!(call.method, format!("files/{never}"));
        }
    }
    scene.alice.archive(&session.id).await?;
    Ok(())
}
