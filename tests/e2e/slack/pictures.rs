//! Pictures of the agent's, where the app may not upload them.

use protocol::ArtifactId;
use reqwest::StatusCode;

use super::{CHANNEL, Scene, mention, only_session, until_said};
use crate::stage::Outcome;
use crate::tests;
use crate::world::{Group, World};

pub fn group(group: &mut Group<'_>) {
    tests!(group; a_picture_that_may_not_be_uploaded_is_shown_by_a_link);
}

const PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89";

async fn a_picture_that_may_not_be_uploaded_is_shown_by_a_link(_: &World) -> Outcome {
    const METHOD: &str = "files.getUploadURLExternal";
    let scene = Scene::start("e2e-slack-pictures").await?;
    scene.link().await?;
    let (chat, puppet) = (&scene.chat, &scene.played.puppet);
    chat.refuse(METHOD, "missing_scope");
    let root = chat
        .say("alice", CHANNEL, None, &mention(chat, "draw"))
        .await?;
    let session = only_session(&scene.alice).await?;
    let start = scene.ready(&session.id).await?;
    let sent = puppet.prompt_command(&start).await?;
    for (id, caption) in [
        (*b"shared-by-agent1", "Before"),
        (*b"shared-by-agent2", "After"),
    ] {
        let path = format!(
            "/runner/artifacts/{}?id={}&name=shot.png&prompt={}&caption={caption}",
            session.id,
            ArtifactId::from_random(id),
            sent.prompt
        );
        let signature = puppet.sign("POST", &path, PNG)?;
        let (status, body) = puppet.post_with(&path, PNG.to_vec(), &signature).await?;
        assert_eq!(status, 201, "{body}");
        let said = until_said(chat, &root, &[":frame_with_picture:", caption]).await?;
        // Whoever reads the thread sees it, signed in or not.
        let text = said["text"].as_str().ok_or("no text")?;
        let url = text
            .split_once('<')
            .and_then(|(_, rest)| rest.split_once('|'));
        let (url, _) = url.ok_or("no link")?;
        let shown = reqwest::get(url.replace("&amp;", "&")).await?;
        assert_eq!(shown.status(), StatusCode::OK);
        assert_eq!(shown.bytes().await?, PNG);
    }
    // That it may not is remembered: it was tried once.
    let tried = chat
        .calls()
        .into_iter()
        .filter(|call| call.method == METHOD);
    assert_eq!(tried.count(), 1);
    scene.alice.archive(&session.id).await?;
    Ok(())
}
