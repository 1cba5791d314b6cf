//! Slack, end to end: what people write there becomes work, and what comes of it is said there.

mod association;
mod connection;
mod faults;
mod files;
mod gestures;
mod linking;
mod peers;
mod people;
mod pictures;
mod places;
mod revisions;
mod streams;
mod whole;

use std::time::Duration;

use protocol::SessionId;
use protocol::api::SessionSummary;
use protocol::callback::{PromptResult, Report};
use protocol::command::{SendPrompt, Start};
use reqwest::{Method, StatusCode, header};
use serde_json::Value;
use support::chat::Chat;
use support::client::Client;
use support::forge::ORGANIZATION;
use support::stack::{ModelChoice, Stack};

use crate::stage::{ALICE, Failure, Outcome, PlayedStack, eventually, write_source};
use crate::world::Group;

pub fn group(group: &mut Group<'_>) {
    whole::group(group);
    streams::group(group);
    faults::group(group);
    linking::group(group);
    people::group(group);
    files::group(group);
    gestures::group(group);
    places::group(group);
    peers::group(group);
    association::group(group);
    revisions::group(group);
    connection::group(group);
    pictures::group(group);
}

const CHANNEL: &str = "payments";

/// A first answer waits for an image, a sandbox and a cold agent.
const READY: Duration = Duration::from_secs(180);

/// The scopes that the manifest asks for.
fn scopes() -> Vec<String> {
    let manifest: Value = serde_json::from_str(hosted_agents::slack::MANIFEST).expect("JSON");
    let scopes = manifest["oauth_config"]["scopes"]["bot"].as_array();
    let scopes = scopes.expect("scopes").iter();
    scopes
        .map(|scope| scope.as_str().expect("a name").to_owned())
        .collect()
}

/// Gives a stack a chat; it restarts the stack's Worker.
async fn chat_of(stack: &mut Stack, more: &[(&'static str, &str)]) -> Result<Chat, Failure> {
    let scopes = scopes();
    let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
    let directory = stack.directory().join("chat");
    let chat = Chat::start(&directory, &stack.url(), &[CHANNEL], &scopes).await?;
    let variables = chat.variables();
    let mut all: Vec<(&'static str, &str)> = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    all.extend(more);
    stack.restart_with_variables(&all).await?;
    Ok(chat)
}

fn mention(chat: &Chat, words: &str) -> String {
    format!("<@{}> {words}", chat.bot())
}

/// The address of the invitation that somebody was whispered after `calls` calls.
async fn invitation(chat: &Chat, name: &str, calls: usize) -> Result<String, Failure> {
    let user = chat.person(name)?;
    eventually("an invitation", || async {
        let call = chat
            .calls()
            .into_iter()
            .skip(calls)
            .find(|call| call.method == "chat.postEphemeral" && call.body["user"] == user);
        Ok(call.and_then(|call| {
            let url = call.body.pointer("/blocks/1/elements/0/url")?;
            Some(url.as_str()?.to_owned())
        }))
    })
    .await
}

/// Says on our page who one is; answers the status.
async fn accept(stack: &Stack, client: &Client, url: &str) -> Result<StatusCode, Failure> {
    let path = url.strip_prefix(&stack.url()).ok_or("another host")?;
    let page = client.request(Method::GET, path).send().await?;
    assert_eq!(page.status(), StatusCode::OK);
    let page = page.text().await?;
    assert!(page.contains("Are you"), "{page}");
    let sealed = path.split_once("invitation=").ok_or("no invitation")?.1;
    let answer = client
        .request(Method::POST, "/slack/link")
        .header(header::ORIGIN, stack.url())
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(format!("invitation={sealed}"))
        .send()
        .await?;
    Ok(answer.status())
}

/// Waits until something that the app said in a thread has all of these words in it.
async fn until_said(chat: &Chat, root: &str, words: &[&str]) -> Result<Value, Failure> {
    let deadline = tokio::time::Instant::now() + READY;
    loop {
        let said = chat.said(CHANNEL, root).await?;
        let found = said.iter().find(|message| {
            let text = message.to_string();
            words.iter().all(|word| text.contains(word))
        });
        if let Some(found) = found {
            return Ok(found.clone());
        }
        if tokio::time::Instant::now() > deadline {
            return Err(format!("{words:?} was never said, but {said:#?}").into());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn only_session(client: &Client) -> Result<SessionSummary, Failure> {
    eventually("a session", || async {
        let sessions = client.sessions().await?.sessions;
        assert!(sessions.len() < 2, "{sessions:#?}");
        Ok(sessions.into_iter().next())
    })
    .await
}

/// A stack whose runner the test plays, with a chat in which Alice is linked.
struct Scene {
    played: PlayedStack,
    chat: Chat,
    alice: Client,
}

impl Scene {
    async fn start(name: &str) -> Result<Self, Failure> {
        Self::start_with(name, &[]).await
    }

    async fn start_with(name: &str, more: &[(&'static str, &str)]) -> Result<Self, Failure> {
        let mut stack = Stack::start_without_runner(name, ModelChoice::Scripted).await?;
        let chat = chat_of(&mut stack, more).await?;
        let played = PlayedStack::of(stack).await;
        let alice = played.client(ALICE).await?;
        Ok(Self {
            played,
            chat,
            alice,
        })
    }

    /// Links Alice by the slash command.
    async fn link(&self) -> Outcome {
        let (team, user) = (self.chat.team(), self.chat.person("alice")?);
        let body = format!("command=%2Fagent&text=&team_id={team}&user_id={user}&user_name=alice");
        let form = "application/x-www-form-urlencoded";
        let answer = self.chat.post("/slack/commands", form, &body).await?;
        let answer: Value = answer.json().await?;
        assert_eq!(answer["response_type"], "ephemeral");
        let url = answer
            .pointer("/blocks/1/elements/0/url")
            .and_then(Value::as_str);
        let url = url.ok_or("no invitation")?;
        assert_eq!(
            accept(&self.played.stack, &self.alice, url).await?,
            StatusCode::OK
        );
        Ok(())
    }

    /// Links Bob of the chat to somebody at GitHub, by the invitation that his next words lead to.
    async fn link_bob(&self, login: &'static str) -> Outcome {
        let calls = self.chat.calls().len();
        let words = mention(&self.chat, "hello");
        self.chat.say("bob", CHANNEL, None, &words).await?;
        let url = invitation(&self.chat, "bob", calls).await?;
        let client = self.played.client(login).await?;
        let status = accept(&self.played.stack, &client, &url).await?;
        assert_eq!(status, StatusCode::OK);
        Ok(())
    }

    /// One more repository.
    async fn add_repository(&self, name: &str) -> Outcome {
        let stack = &self.played.stack;
        let source = stack.directory().join(name);
        write_source(&source);
        stack
            .forge
            .create_repository(ORGANIZATION, name, &source)
            .await?;
        Ok(())
    }

    /// Alice answers a question with a repository's button.
    async fn choose(&self, root: &str, repository: &str) -> Outcome {
        let action = serde_json::json!({
            "action_id": "choose:0", "action_ts": root, "value": repository,
        });
        let status = self.chat.press("alice", CHANNEL, root, &action).await?;
        assert_eq!(status, 200);
        Ok(())
    }

    /// A session of Alice's that is none of these.
    async fn another(&self, known: &[SessionId]) -> Result<SessionSummary, Failure> {
        eventually("another session", || async {
            let sessions = self.alice.sessions().await?.sessions;
            Ok(sessions
                .into_iter()
                .find(|found| !known.contains(&found.id)))
        })
        .await
    }

    /// The session's sandbox, which is ready.
    async fn ready(&self, session: &SessionId) -> Result<Start, Failure> {
        let start = self.played.puppet.start_command(session).await?;
        let ready = Report::Ready {
            image: None,
            commit: "c0ffee".to_owned(),
        };
        self.played.puppet.report(&start, 1, vec![ready]).await?;
        Ok(start)
    }

    async fn finish(&self, start: &Start, sent: &SendPrompt, number: u64) -> Outcome {
        let finished = Report::PromptFinished {
            prompt: sent.prompt.clone(),
            result: PromptResult::Completed,
        };
        self.played
            .puppet
            .report(start, number, vec![finished])
            .await?;
        Ok(())
    }
}

/// Never more than one message or edit a second.
fn check_pace(chat: &Chat) {
    let is_spoken = |method: &str| {
        matches!(
            method,
            "chat.update" | "chat.postMessage" | "chat.appendStream" | "chat.stopStream"
        )
    };
    let calls = chat.calls().into_iter();
    let spoken: Vec<_> = calls
        // What was refused was no edit.
        .filter(|call| is_spoken(&call.method) && call.error.is_empty())
        .collect();
    for pair in spoken.windows(2) {
        let apart = pair[1].at.duration_since(pair[0].at);
        assert!(
            apart >= Duration::from_millis(950),
            "{apart:?} between {pair:#?}"
        );
    }
}
