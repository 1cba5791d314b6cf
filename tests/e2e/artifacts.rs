//! Files: given by people, read back, shared by links, taken to the agent and brought from it.

use std::time::Duration;

use protocol::api::{ArtifactList, ArtifactUrl, CreatePrompt, CreateSession, CreatedPrompt};
use protocol::event::{Artifact, Fact, Mode};
use protocol::{ArtifactId, Seq, SessionId};
use reqwest::{Method, Response, StatusCode};
use serde_json::json;
use support::client::{Client, ClientError};
use support::demo::{self, LOGIN, Stage};
use support::model::Turn;
use support::puppet::Puppet;
use support::stack::{ModelChoice, Stack};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::stage::{ALICE, BOB, CAROL, Failure, LIMIT, Outcome, Played, wanted};
use crate::tests;
use crate::world::{Group, World};

pub fn group(group: &mut Group<'_>) {
    tests!(group;
        a_file_is_kept_once_and_read_back,
        what_only_claims_to_be_a_picture_is_never_shown_in_place,
        a_file_that_is_too_large_or_of_no_length_is_refused,
        a_link_opens_one_file_without_signing_in,
        a_link_that_has_expired_says_so,
        whoever_cannot_reach_the_repository_gets_no_file,
        a_prompt_takes_its_attachments_to_the_runner,
        a_prompt_cannot_attach_what_its_session_does_not_have,
        a_session_begins_with_files_that_were_there_before_it,
        a_file_of_the_agent_is_in_the_log_once,
        the_agent_sees_a_picture_and_shows_it_to_the_session,
    );
}

const ANNOUNCED: Duration = Duration::from_secs(20);

/// One red pixel.
pub const PNG: &[u8] = &[
    0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, b'I', b'H', b'D', b'R', 0, 0, 0,
    1, 0, 0, 0, 1, 8, 2, 0, 0, 0, 0x90, 0x77, 0x53, 0xde, 0, 0, 0, 0x0c, b'I', b'D', b'A', b'T',
    0x78, 0x9c, 0x63, 0xf8, 0xcf, 0xc0, 0, 0, 3, 1, 1, 0, 0xc9, 0xfe, 0x92, 0xef, 0, 0, 0, 0, b'I',
    b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82,
];

async fn send(client: &Client, path: &str, kind: &str, bytes: &[u8]) -> Result<Response, Failure> {
    let request = client.request(Method::POST, path);
    let request = request.header("content-type", kind).body(bytes.to_vec());
    Ok(request.send().await?)
}

/// What is answered to a file of that length before any of it is sent. A client that sends on while
/// it is refused may lose the answer.
async fn announce(client: &Client, path: &str, length: usize) -> Result<StatusCode, Failure> {
    let request = client.request(Method::POST, path).build()?;
    let host = request.url().authority().to_owned();
    let mut text = format!("POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\n");
    for (name, value) in request.headers() {
        text.push_str(&format!("{name}: {}\r\n", value.to_str()?));
    }
    text.push_str("\r\n");
    let mut stream = TcpStream::connect(&host).await?;
    stream.write_all(text.as_bytes()).await?;
    let mut line = String::new();
    let mut lines = BufReader::new(stream);
    timeout(ANNOUNCED, lines.read_line(&mut line)).await??;
    let status = line.split(' ').nth(1).ok_or("no status")?;
    Ok(StatusCode::from_bytes(status.as_bytes())?)
}

async fn upload(
    client: &Client,
    session: &SessionId,
    name: &str,
    bytes: &[u8],
) -> Result<Artifact, Failure> {
    let path = format!("/api/sessions/{session}/artifacts?name={name}");
    let answer = send(client, &path, "image/png", bytes).await?;
    assert_eq!(answer.status(), StatusCode::CREATED);
    Ok(answer.json().await?)
}

async fn get(client: &Client, path: &str) -> Result<Response, Failure> {
    Ok(client.request(Method::GET, path).send().await?)
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    let value = answer.headers().get(name);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

async fn list(client: &Client, session: &SessionId) -> Result<Vec<Artifact>, ClientError> {
    let path = format!("/api/sessions/{session}/artifacts");
    let list: ArtifactList = client.send(Method::GET, &path, None::<&()>).await?;
    Ok(list.artifacts)
}

async fn a_file_is_kept_once_and_read_back(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let (client, session) = (&played.client, &played.session);
    let first = upload(client, session, "..%2Fshot.png", PNG).await?;
    assert_eq!(
        (first.name.as_str(), first.bytes),
        ("shot.png", PNG.len() as u64)
    );
    assert_eq!(upload(client, session, "shot.png", PNG).await?, first);
    let other = upload(client, session, "other.png", PNG).await?;
    assert_ne!(other.id, first.id);
    assert_eq!(list(client, session).await?, [first.clone(), other]);
    let path = format!("/api/sessions/{session}/artifacts/{}", first.id);
    let whole = get(client, &path).await?;
    assert_eq!(header(&whole, "content-type"), "image/png");
    assert!(header(&whole, "content-disposition").starts_with("inline"));
    assert!(header(&whole, "content-security-policy").starts_with("sandbox;"));
    assert_eq!(header(&whole, "x-content-type-options"), "nosniff");
    assert_eq!(whole.bytes().await?, PNG);
    let part = client.request(Method::GET, &path);
    let part = part.header("range", "bytes=1-3").send().await?;
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(
        header(&part, "content-range"),
        format!("bytes 1-3/{}", PNG.len())
    );
    assert_eq!(part.bytes().await?, &b"PNG"[..]);
    Ok(())
}

async fn what_only_claims_to_be_a_picture_is_never_shown_in_place(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let (client, session) = (&played.client, &played.session);
    let page = b"<!doctype html><script>alert(1)</script>";
    let kept = upload(client, session, "shot.png", page).await?;
    let answer = get(
        client,
        &format!("/api/sessions/{session}/artifacts/{}", kept.id),
    )
    .await?;
    assert_eq!(header(&answer, "content-type"), "text/plain");
    assert!(header(&answer, "content-disposition").starts_with("attachment"));
    Ok(())
}

async fn a_file_that_is_too_large_or_of_no_length_is_refused(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let path = format!("/api/sessions/{}/artifacts?name=a", played.session);
    let answer = announce(&played.client, &path, protocol::api::MAX_ARTIFACT + 1).await?;
    assert_eq!(answer, StatusCode::PAYLOAD_TOO_LARGE);
    let empty = send(&played.client, &path, "text/plain", b"").await?;
    assert!(empty.status().is_client_error(), "{}", empty.status());
    assert_eq!(list(&played.client, &played.session).await?, []);
    let largest = vec![b'x'; protocol::api::MAX_ARTIFACT];
    let answer = send(&played.client, &path, "text/plain", &largest).await?;
    assert_eq!(answer.status(), StatusCode::CREATED);
    Ok(())
}

async fn a_link_opens_one_file_without_signing_in(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let (client, session) = (&played.client, &played.session);
    let kept = upload(client, session, "shot.png", PNG).await?;
    let other = upload(client, session, "other.png", PNG).await?;
    let path = format!("/api/sessions/{session}/artifacts/{}/url", kept.id);
    let wish = json!({ "expires_in_seconds": 60 });
    let link: ArtifactUrl = client.send(Method::POST, &path, Some(&wish)).await?;
    let opened = reqwest::get(&link.url).await?;
    assert_eq!(opened.status(), StatusCode::OK);
    assert_eq!(
        header(&opened, "cross-origin-resource-policy"),
        "cross-origin"
    );
    assert_eq!(opened.bytes().await?, PNG);
    let elsewhere = link.url.replace(kept.id.as_str(), other.id.as_str());
    assert_eq!(
        reqwest::get(&elsewhere).await?.status(),
        StatusCode::FORBIDDEN
    );
    let expires = link.expires_at.to_string();
    let longer = link
        .url
        .replace(&expires, &link.expires_at.plus(1000).to_string());
    assert_eq!(reqwest::get(&longer).await?.status(), StatusCode::FORBIDDEN);
    let wish = json!({ "expires_in_seconds": 59 });
    let refused = client
        .send::<ArtifactUrl>(Method::POST, &path, Some(&wish))
        .await;
    assert!(matches!(
        refused,
        Err(ClientError::Refused {
            status: StatusCode::BAD_REQUEST,
            ..
        })
    ));
    Ok(())
}

async fn a_link_that_has_expired_says_so(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let (client, session) = (&played.client, &played.session);
    let kept = upload(client, session, "shot.png", PNG).await?;
    let path = format!("/api/sessions/{session}/artifacts/{}/url", kept.id);
    let wish = json!({ "expires_in_seconds": 60 });
    let link: ArtifactUrl = client.send(Method::POST, &path, Some(&wish)).await?;
    // Time itself is what this is about, and no link lives shorter.
    tokio::time::sleep(Duration::from_secs(61)).await;
    let answer = reqwest::get(&link.url).await?;
    assert_eq!(answer.status(), StatusCode::GONE);
    let body: protocol::api::ErrorBody = answer.json().await?;
    assert_eq!(body.error.code, "link_expired");
    Ok(())
}

async fn whoever_cannot_reach_the_repository_gets_no_file(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let kept = upload(&played.client, &played.session, "shot.png", PNG).await?;
    let carol = world.played().await.client(CAROL).await?;
    let folder = format!("/api/sessions/{}/artifacts", played.session);
    let file = format!("{folder}/{}", kept.id);
    assert_eq!(get(&carol, &folder).await?.status(), StatusCode::NOT_FOUND);
    assert_eq!(get(&carol, &file).await?.status(), StatusCode::NOT_FOUND);
    let link = send(&carol, &format!("{file}/url"), "application/json", b"").await?;
    assert_eq!(link.status(), StatusCode::NOT_FOUND);
    let given = send(&carol, &folder, "image/png", PNG).await?;
    assert_eq!(given.status(), StatusCode::NOT_FOUND);
    Ok(())
}

/// Gets from the Worker what a runner gets.
async fn fetch(puppet: &Puppet, url: &str) -> Result<Response, Failure> {
    let parsed = reqwest::Url::parse(url)?;
    let signature = puppet.sign("GET", parsed.path(), b"")?;
    let mut request = reqwest::Client::new().get(parsed);
    for (name, value) in signature.headers() {
        request = request.header(name, value);
    }
    Ok(request.send().await?)
}

async fn prompt(
    client: &Client,
    session: &SessionId,
    attachments: Vec<ArtifactId>,
) -> Result<CreatedPrompt, ClientError> {
    let path = format!("/api/sessions/{session}/prompts");
    let prompt = CreatePrompt {
        text: "Look at this".to_owned(),
        mode: Mode::Queue,
        attachments,
        client_request_id: None,
    };
    client.send(Method::POST, &path, Some(&prompt)).await
}

async fn a_prompt_takes_its_attachments_to_the_runner(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let (client, session) = (&played.client, &played.session);
    let kept = upload(client, session, "shot.png", PNG).await?;
    let created = prompt(client, session, vec![kept.id.clone()]).await?;
    let sent = played.puppet.prompt_command(&played.start).await?;
    assert_eq!(sent.prompt, created.id);
    let [attachment] = sent.attachments.as_slice() else {
        panic!("one attachment: {:?}", sent.attachments)
    };
    assert_eq!(attachment.artifact, kept);
    let fetched = fetch(played.puppet, &attachment.url).await?;
    assert_eq!(fetched.status(), StatusCode::OK);
    assert_eq!(fetched.bytes().await?, PNG);
    let unsigned = reqwest::get(&attachment.url).await?;
    assert_eq!(unsigned.status(), StatusCode::UNAUTHORIZED);
    let events = client.events(session, Seq(0)).await?.events;
    let queued = events.iter().find_map(|event| match &event.fact {
        Fact::PromptQueued { prompt } => Some(prompt.attachments.clone()),
        _ => None,
    });
    assert_eq!(queued, Some(vec![kept]));
    Ok(())
}

async fn a_prompt_cannot_attach_what_its_session_does_not_have(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let other = Played::ready(world).await?;
    let elsewhere = upload(&other.client, &other.session, "shot.png", PNG).await?;
    let unknown = ArtifactId::from_random([3; 16]);
    for id in [elsewhere.id, unknown] {
        let refused = prompt(&played.client, &played.session, vec![id]).await;
        let Err(ClientError::Refused { code, .. }) = refused else {
            panic!("it was taken: {refused:?}")
        };
        assert_eq!(code, "unknown_attachment");
    }
    let here = upload(&played.client, &played.session, "shot.png", PNG).await?;
    let many = (0..21).map(|number| ArtifactId::from_random([number; 16]));
    let refused = prompt(&played.client, &played.session, many.collect()).await;
    assert!(
        matches!(&refused, Err(ClientError::Refused { code, .. }) if code == "too_many_attachments")
    );
    let twice = prompt(
        &played.client,
        &played.session,
        vec![here.id.clone(), here.id],
    )
    .await;
    assert!(matches!(&twice, Err(ClientError::Refused { code, .. }) if code == "malformed"));
    Ok(())
}

async fn a_session_begins_with_files_that_were_there_before_it(world: &World) -> Outcome {
    let stack = world.played().await;
    let alice = stack.client(ALICE).await?;
    let bob = stack.client(BOB).await?;
    let answer = send(&alice, "/api/artifacts?name=shot.png", "image/png", PNG).await?;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let kept: Artifact = answer.json().await?;
    let wish = CreateSession {
        attachments: vec![kept.id.clone()],
        client_request_id: Some(format!("with-{}", kept.id)),
        ..wanted(Some("Look at this"))
    };
    let refused = bob.create_session(&wish).await;
    assert!(
        matches!(&refused, Err(ClientError::Refused { code, .. }) if code == "unknown_attachment")
    );
    let created = alice.create_session(&wish).await?;
    assert_eq!(alice.create_session(&wish).await?, created);
    assert_eq!(
        list(&alice, &created.id).await?,
        std::slice::from_ref(&kept)
    );
    let path = format!("/api/sessions/{}/artifacts/{}", created.id, kept.id);
    assert_eq!(get(&alice, &path).await?.bytes().await?, PNG);
    let events = alice.events(&created.id, Seq(0)).await?.events;
    let queued: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.fact {
            Fact::PromptQueued { prompt } => Some(prompt.attachments.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(queued, [vec![kept]]);
    Ok(())
}

async fn a_file_of_the_agent_is_in_the_log_once(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let (mut viewer, sent) = played.prompt("Draw").await?;
    let id = ArtifactId::from_random(*b"shared-by-agent1");
    let path = format!(
        "/runner/artifacts/{}?id={id}&name=chart.png&prompt={}&caption=Sales",
        played.session, sent.prompt
    );
    for _ in 0..2 {
        let signature = played.puppet.sign("POST", &path, PNG)?;
        let (status, body) = played
            .puppet
            .post_with(&path, PNG.to_vec(), &signature)
            .await?;
        assert_eq!(status, 201, "{body}");
    }
    let seen = viewer
        .wait_for_fact("the file", LIMIT, |fact| match fact {
            Fact::ArtifactAdded { artifact, prompt } => Some((artifact.clone(), prompt.clone())),
            _ => None,
        })
        .await?;
    assert_eq!(seen.0.caption.as_deref(), Some("Sales"));
    assert_eq!(seen.1, Some(sent.prompt));
    let events = played.client.events(&played.session, Seq(0)).await?.events;
    let added = events
        .iter()
        .filter(|event| matches!(event.fact, Fact::ArtifactAdded { .. }));
    assert_eq!(added.count(), 1);
    let signature = played.puppet.sign("POST", "/elsewhere", PNG)?;
    let (status, _) = played
        .puppet
        .post_with(&path, PNG.to_vec(), &signature)
        .await?;
    assert_eq!(status, 401);
    Ok(())
}

/// A first answer waits for an image, a sandbox and a cold agent.
const READY: Duration = Duration::from_secs(180);

/// The runner is away while the prompt is sent: what it knows of attachments is what it is told anew.
async fn the_agent_sees_a_picture_and_shows_it_to_the_session(_: &World) -> Outcome {
    let stack = Stack::start("e2e-artifacts", ModelChoice::Scripted).await?;
    let mut stage = Stage::set(stack).await?;
    let url = stage.stack.url();
    let client = Client::sign_in(&url, &stage.stack.forge, LOGIN).await?;
    stage.stack.model().script(
        "show",
        [
            Turn::default().call(
                "bash",
                json!({"command": "cp ~/attachments/*-shot.png /tmp/seen.png", "description": "Copies"}),
            ),
            Turn::default().call("share_file", json!({"path": "/tmp/seen.png", "caption": "Seen"})),
            Turn::default().call("share_file", json!({"path": "/etc/passwd", "caption": ""})),
            Turn::say("Shown."),
        ],
    );
    let session = client.create_session(&stage.wanted(None)).await?.id;
    let mut viewer = client.watch(&session, Seq(0)).await?;
    demo::ready(&mut viewer).await?;
    let kept = upload(&client, &session, "shot.png", PNG).await?;
    stage.stack.kill_runner().await;
    let path = format!("/api/sessions/{session}/prompts");
    let wish = json!({ "text": "[[show]] this", "attachments": [kept.id] });
    let asked: CreatedPrompt = client.send(Method::POST, &path, Some(&wish)).await?;
    stage.stack.start_runner().await?;
    let (shared, prompt) = viewer
        .wait_for_fact("the shared file", READY, |fact| match fact {
            Fact::ArtifactAdded { artifact, prompt } => Some((artifact.clone(), prompt.clone())),
            _ => None,
        })
        .await?;
    assert_eq!(prompt, Some(asked.id));
    assert_eq!(shared.caption.as_deref(), Some("Seen"));
    let path = format!("/api/sessions/{session}/artifacts/{}", shared.id);
    assert_eq!(get(&client, &path).await?.bytes().await?, PNG);
    let outcome = viewer
        .wait_for_fact("the prompt's end", READY, |fact| match fact {
            Fact::PromptFinished { outcome, .. } => Some(outcome.clone()),
            _ => None,
        })
        .await?;
    assert_eq!(outcome, protocol::event::Outcome::Completed);
    let requests = stage.stack.model().requests();
    let picture = requests.iter().any(|request| {
        // The first bytes of the picture as base64.
        request
            .body
            .to_string()
            .contains("iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB")
    });
    assert!(picture, "the model was shown the picture");
    let told = requests.iter().any(|request| {
        let body = request.body.to_string();
        body.contains("Files that came with this prompt") && body.contains("-shot.png")
    });
    assert!(told, "the model was told where the file is");
    let said = requests.last().map(|request| request.body.to_string());
    let said = said.unwrap_or_default();
    assert!(
        said.contains("Only files in the workspace and in /tmp"),
        "{said}"
    );
    // Only one of the two was shared, and none of them is part of the work.
    assert_eq!(list(&client, &session).await?.len(), 2);
    let pushed = viewer
        .events
        .iter()
        .any(|event| matches!(event.fact, Fact::Pushed { .. }));
    assert!(!pushed, "attachments are outside of the repository");
    stage.stack.stop().await;
    Ok(())
}
