//! What people look at beside the log: what prompts have changed, and a shell in the sandbox.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use protocol::api::{
    Change, ChangedFile, Changes, ChangesScope, KeepChanges, Patch, TERMINAL_SUBPROTOCOL,
    TerminalNotice, TerminalRequest, TerminalTicket,
};
use protocol::callback::{PromptResult, Report};
use protocol::event::Fact;
use protocol::frame::TICKET_PREFIX;
use protocol::{Epoch, PromptId, Seq, SessionId};
use reqwest::{Method, StatusCode};
use serde_json::json;
use support::client::{Client, ClientError};
use support::demo;
use support::puppet::PuppetError;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::stage::{ALICE, BOB, CAROL, Failure, LIMIT, Outcome, Played};
use crate::tests;
use crate::world::{Group, World};

pub fn group(group: &mut Group<'_>) {
    tests!(group;
        what_a_prompt_changed_is_shown_when_its_sandbox_is_gone,
        what_an_earlier_sandbox_tells_of_changes_is_void,
        changes_are_for_those_who_reach_the_repository,
        a_ticket_for_a_terminal_is_good_once_for_its_own_page_and_for_nothing_else,
        the_sandboxes_host_has_terminals_and_nothing_of_the_app,
        a_terminal_without_a_sandbox_says_so,
        pages_may_connect_to_the_sandboxes_host,
        a_terminal_is_shared_and_changes_outlive_the_sandbox,
    );
}

/// A first answer waits for an image, a sandbox and a cold agent.
const READY: Duration = Duration::from_secs(180);

fn changed(prompt: &PromptId, scope: ChangesScope, path: &str) -> Changes {
    Changes {
        prompt: prompt.clone(),
        scope,
        files: vec![ChangedFile {
            path: path.to_owned(),
            previous: None,
            change: Change::Added,
            additions: Some(1),
            deletions: Some(0),
            patch: Patch::Text {
                hunks: "@@ -0,0 +1 @@\n+hello\n".to_owned(),
            },
        }],
        omitted: 0,
    }
}

fn told(played: &Played<'_>, epoch: Epoch, prompt: &PromptId, path: &str) -> KeepChanges {
    KeepChanges {
        sandbox: played.start.sandbox.clone(),
        epoch,
        prompt: prompt.clone(),
        changes: vec![
            changed(prompt, ChangesScope::Session, path),
            changed(prompt, ChangesScope::Prompt, path),
        ],
    }
}

async fn diff(client: &Client, session: &SessionId, query: &str) -> Result<Changes, ClientError> {
    let path = format!("/api/sessions/{session}/diff{query}");
    client.send(Method::GET, &path, None::<&()>).await
}

fn refusal<T>(outcome: Result<T, ClientError>) -> (u16, String) {
    match outcome {
        Err(ClientError::Refused { status, code, .. }) => (status.as_u16(), code),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was not refused"),
    }
}

async fn keep(played: &Played<'_>, changes: &KeepChanges) -> Result<String, PuppetError> {
    let path = format!("/runner/changes/{}", played.session);
    played.puppet.post(&path, changes).await
}

async fn what_a_prompt_changed_is_shown_when_its_sandbox_is_gone(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let (client, session) = (&played.client, &played.session);
    let nothing = refusal(diff(client, session, "").await);
    assert_eq!(nothing, (404, "no_changes".to_owned()));
    let (mut viewer, sent) = played.prompt("write").await?;
    let prompt = sent.prompt;
    let finished = Report::PromptFinished {
        prompt: prompt.clone(),
        result: PromptResult::Completed,
    };
    played
        .puppet
        .report(&played.start, 2, vec![finished])
        .await?;
    client.archive(session).await?;
    // It was on its way when the session was archived; and it comes twice.
    let changes = told(&played, played.start.epoch, &prompt, "a b.txt");
    for _ in 0..2 {
        keep(&played, &changes).await?;
    }
    let seen = viewer
        .wait_for_fact("the changes", LIMIT, |fact| match fact {
            Fact::ChangesKept {
                prompt,
                files,
                additions,
                deletions,
            } => Some((prompt.clone(), *files, *additions, *deletions)),
            _ => None,
        })
        .await?;
    assert_eq!(seen, (prompt.clone(), 1, 1, 0));
    assert_eq!(diff(client, session, "").await?, changes.changes[0]);
    let query = format!("?prompt={prompt}&scope=prompt");
    assert_eq!(diff(client, session, &query).await?, changes.changes[1]);
    let events = client.events(session, Seq(0)).await?.events;
    let kept = events
        .iter()
        .filter(|event| matches!(event.fact, Fact::ChangesKept { .. }));
    assert_eq!(kept.count(), 1);
    let other = refusal(diff(client, session, "?prompt=pmt_0").await);
    assert_eq!(other, (404, "no_changes".to_owned()));
    assert_eq!(refusal(diff(client, session, "?scope=all").await).0, 400);
    Ok(())
}

async fn what_an_earlier_sandbox_tells_of_changes_is_void(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let (_viewer, sent) = played.prompt("write").await?;
    let earlier = told(&played, Epoch(played.start.epoch.0 + 7), &sent.prompt, "a");
    let outcome = keep(&played, &earlier).await;
    assert!(
        matches!(outcome, Err(PuppetError::Refused { status: 410, .. })),
        "{outcome:?}"
    );
    let unknown = PromptId::parse("pmt_0")?;
    let outcome = keep(&played, &told(&played, played.start.epoch, &unknown, "a")).await;
    assert!(
        matches!(outcome, Err(PuppetError::Refused { status: 404, .. })),
        "{outcome:?}"
    );
    let nothing = refusal(diff(&played.client, &played.session, "").await);
    assert_eq!(nothing.1, "no_changes");
    Ok(())
}

async fn changes_are_for_those_who_reach_the_repository(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let carol = world.played().await.client(CAROL).await?;
    let refused = refusal(diff(&carol, &played.session, "").await);
    assert_eq!(refused, (404, "not_found".to_owned()));
    let refused = refusal(ticket(&carol, &played.session).await);
    assert_eq!(refused, (404, "not_found".to_owned()));
    Ok(())
}

/// The status and text of a file.
async fn file(
    client: &Client,
    session: &SessionId,
    path: &str,
) -> Result<(u16, String), ClientError> {
    let path = format!("/api/sessions/{session}/files/{path}");
    let answer = client.request(Method::GET, &path).send().await?;
    let status = answer.status().as_u16();
    let text = answer.text().await?;
    Ok((status, text))
}

pub async fn ticket(client: &Client, session: &SessionId) -> Result<TerminalTicket, ClientError> {
    let path = format!("/api/sessions/{session}/terminal");
    client.send(Method::POST, &path, Some(&json!({}))).await
}

/// One viewer of a terminal.
pub struct Terminal {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    output: String,
    yours: bool,
}

/// Opens one as a page of `origin` does.
pub async fn open(
    url: &str,
    ticket: &str,
    origin: &str,
    cookie: Option<&str>,
) -> Result<Terminal, tungstenite::Error> {
    let mut request = url.into_client_request()?;
    let offered = format!("{TERMINAL_SUBPROTOCOL}, {TICKET_PREFIX}{ticket}");
    let headers = [
        ("origin", Some(origin)),
        ("sec-websocket-protocol", Some(offered.as_str())),
        ("cookie", cookie),
    ];
    for (name, value) in headers {
        if let Some(value) = value {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
    }
    let (socket, answer) = connect_async(request).await?;
    assert_eq!(
        answer.headers()["sec-websocket-protocol"],
        TERMINAL_SUBPROTOCOL
    );
    Ok(Terminal {
        socket,
        output: String::new(),
        yours: false,
    })
}

fn status(outcome: Result<Terminal, tungstenite::Error>) -> u16 {
    match outcome {
        Err(tungstenite::Error::Http(answer)) => answer.status().as_u16(),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was let in"),
    }
}

impl Terminal {
    pub async fn type_in(&mut self, text: &str) -> Outcome {
        let bytes = text.as_bytes().to_vec();
        Ok(self.socket.send(Message::binary(bytes)).await?)
    }

    async fn ask(&mut self, request: &TerminalRequest) -> Outcome {
        let text = serde_json::to_string(request)?;
        Ok(self.socket.send(Message::text(text)).await?)
    }

    /// The next notice.
    async fn notice(&mut self) -> Result<TerminalNotice, Failure> {
        loop {
            let message = timeout(READY, self.socket.next()).await?;
            match message.ok_or("the terminal was closed")?? {
                Message::Binary(bytes) => self.output.push_str(&String::from_utf8_lossy(&bytes)),
                Message::Text(text) => {
                    let notice = serde_json::from_str(&text)?;
                    if let TerminalNotice::State { yours, .. } = &notice {
                        self.yours = *yours;
                    }
                    return Ok(notice);
                }
                _ => {}
            }
        }
    }

    pub async fn sees(&mut self, text: &str) -> Outcome {
        while !self.output.contains(text) {
            let message = timeout(READY, self.socket.next()).await;
            let message = message.map_err(|_| format!("no {text} in {:?}", self.output))?;
            if let Message::Binary(bytes) = message.ok_or("the terminal was closed")?? {
                self.output.push_str(&String::from_utf8_lossy(&bytes));
            }
        }
        Ok(())
    }
}

async fn a_ticket_for_a_terminal_is_good_once_for_its_own_page_and_for_nothing_else(
    world: &World,
) -> Outcome {
    let played = Played::ready(world).await?;
    let other = Played::ready(world).await?;
    let (client, session) = (&played.client, &played.session);
    let ours = world.played().await.stack.url();
    let elsewhere = ticket(client, session).await?;
    let evil = open(
        &elsewhere.url,
        &elsewhere.ticket,
        "https://evil.example",
        None,
    )
    .await;
    assert_eq!(status(evil), 403);
    // The sandboxes' own pages are no pages of ours.
    let beside = elsewhere.url.replacen("ws", "http", 1);
    let beside = beside.split("/terminal").next().unwrap_or_default();
    let inside = open(&elsewhere.url, &elsewhere.ticket, beside, None).await;
    assert_eq!(status(inside), 403);

    let spent = ticket(client, session).await?;
    drop(open(&spent.url, &spent.ticket, &ours, None).await);
    let again = open(&spent.url, &spent.ticket, &ours, None).await;
    assert_eq!(status(again), 401);

    let theirs = ticket(client, session).await?;
    let url = theirs.url.replace(session.as_str(), other.session.as_str());
    assert_eq!(status(open(&url, &theirs.ticket, &ours, None).await), 401);
    let sockets = client.ticket(session).await?;
    assert_eq!(status(open(&theirs.url, &sockets, &ours, None).await), 401);
    let terminals = ticket(client, session).await?;
    assert!(client.open(session, &terminals.ticket).await.is_err());
    Ok(())
}

async fn the_sandboxes_host_has_terminals_and_nothing_of_the_app(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let (client, session) = (&played.client, &played.session);
    let ours = world.played().await.stack.url();
    let asked = ticket(client, session).await?;
    let beside = asked.url.replacen("ws", "http", 1);
    let beside = beside.split("/terminal").next().unwrap_or_default();
    assert_ne!(beside, ours);
    let signed_in = client.request(Method::GET, "/api/me").build()?;
    let cookie = signed_in.headers()["cookie"].to_str()?.to_owned();
    let http = reqwest::Client::new();
    for path in [
        "/",
        "/api/me",
        "/auth/github/login",
        "/healthz",
        "/sessions/x",
    ] {
        let request = http
            .get(format!("{beside}{path}"))
            .header("cookie", &cookie);
        let answer = request.send().await?;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        assert!(answer.headers().get("set-cookie").is_none());
    }
    // A cookie lets nobody in there, and a ticket nobody here.
    let by_cookie = open(&asked.url, "none", &ours, Some(&cookie)).await;
    assert_eq!(status(by_cookie), 401);
    let here = asked.url.replace(beside, &ours).replacen("http", "ws", 1);
    let here = here.replace(
        &beside.replacen("http", "ws", 1),
        &ours.replacen("http", "ws", 1),
    );
    assert_eq!(status(open(&here, &asked.ticket, &ours, None).await), 404);
    Ok(())
}

async fn a_terminal_without_a_sandbox_says_so(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    played.client.archive(&played.session).await?;
    let ours = world.played().await.stack.url();
    let asked = ticket(&played.client, &played.session).await?;
    let mut terminal = open(&asked.url, &asked.ticket, &ours, None).await?;
    let notice = terminal.notice().await?;
    assert!(
        matches!(&notice, TerminalNotice::Error { code, .. } if code == "no_sandbox"),
        "{notice:?}"
    );
    let closed = timeout(LIMIT, terminal.socket.next()).await?;
    assert!(
        matches!(closed, Some(Ok(Message::Close(Some(_))))),
        "{closed:?}"
    );
    Ok(())
}

async fn pages_may_connect_to_the_sandboxes_host(world: &World) -> Outcome {
    let played = world.played().await;
    let port = played.stack.url();
    let port = port.rsplit(':').next().unwrap_or_default();
    for path in ["/", "/sessions/ses_1"] {
        let page = reqwest::get(format!("{}{path}", played.stack.url())).await?;
        assert_eq!(page.status(), StatusCode::OK);
        let policy = page.headers()["content-security-policy"].to_str()?;
        assert!(
            policy.contains(&format!("connect-src 'self' ws://localhost:{port}")),
            "{policy}"
        );
        assert!(
            policy.contains("require-trusted-types-for 'script'"),
            "{policy}"
        );
        assert!(page.text().await?.contains("<!doctype html>"));
    }
    Ok(())
}

async fn a_terminal_is_shared_and_changes_outlive_the_sandbox(world: &World) -> Outcome {
    let (stage, client) = world.whole().await;
    let ours = stage.stack.url();
    let bob = Client::sign_in(&ours, &stage.stack.forge, BOB).await?;
    let session = client.create_session(&stage.wanted(None)).await?.id;
    let mut viewer = client.watch(&session, Seq(0)).await?;
    demo::ready(&mut viewer).await?;
    let text = r#"write. [[write path="seen.txt" content="by the agent\n"]] [[say text="Done."]]"#;
    let path = format!("/api/sessions/{session}/prompts");
    let asked: protocol::api::CreatedPrompt = client
        .send(Method::POST, &path, Some(&json!({ "text": text })))
        .await?;
    let kept = viewer
        .wait_for_fact("the changes", READY, |fact| match fact {
            Fact::ChangesKept { prompt, files, .. } => Some((prompt.clone(), *files)),
            _ => None,
        })
        .await?;
    assert_eq!(kept, (asked.id.clone(), 1));
    let written = (200, "by the agent\n".to_owned());
    assert_eq!(file(client, &session, "seen.txt").await?, written);
    assert_eq!(file(client, &session, "none.txt").await?.0, 404);
    assert_eq!(file(client, &session, "..%2F.bashrc").await?.0, 400);

    let first = ticket(client, &session).await?;
    let mut alice = open(&first.url, &first.ticket, &ours, None).await?;
    alice.notice().await?;
    assert!(alice.yours);
    let second = ticket(&bob, &session).await?;
    let mut bob = open(&second.url, &second.ticket, &ours, None).await?;
    let TerminalNotice::State {
        viewers,
        controller,
        yours: false,
        ..
    } = bob.notice().await?
    else {
        return Err("Bob sees no state, or types".into());
    };
    let names: Vec<&str> = viewers.iter().map(|person| person.login.as_str()).collect();
    assert_eq!(names, [ALICE, BOB]);
    assert_eq!(
        controller.map(|person| person.login).as_deref(),
        Some(ALICE)
    );
    bob.type_in("echo not \"this\"\n").await?;
    alice
        .type_in("cat seen.txt; git config --get remote.origin.url; echo e\"n\"d\n")
        .await?;
    alice.sees("end").await?;
    bob.sees("end").await?;
    assert!(bob.output.contains("by the agent") && !bob.output.contains("not this"));
    bob.ask(&TerminalRequest::TakeControl {}).await?;
    while !bob.yours {
        bob.notice().await?;
    }
    bob.type_in("echo b\"o\"b\n").await?;
    alice.sees("bob").await?;

    client.archive(&session).await?;
    while !matches!(alice.notice().await?, TerminalNotice::Ended { .. }) {}
    assert_eq!(file(client, &session, "seen.txt").await?, written);
    let query = format!("?prompt={}&scope=prompt", asked.id);
    let changes = diff(client, &session, &query).await?;
    let [file] = changes.files.as_slice() else {
        return Err(format!("{changes:?}").into());
    };
    assert_eq!(
        (file.path.as_str(), file.change),
        ("seen.txt", Change::Added)
    );
    let hunks = "@@ -0,0 +1 @@\n+by the agent\n".to_owned();
    assert_eq!(file.patch, Patch::Text { hunks });
    Ok(())
}
