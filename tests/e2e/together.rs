//! People together in one session: several sockets, an API client and a stream act at once and
//! agree on every event; the queue is put in order, paused, resumed and cleared; a prompt outlives
//! its sandbox; a session is forked.

use std::collections::BTreeMap;

use protocol::api::{CreatedPrompt, EventPage};
use protocol::callback::{PromptResult, Report};
use protocol::command::{SendPrompt, Start};
use protocol::event::{Event, Fact, Mode, PartBody, PartOutcome, Source};
use protocol::frame::ClientFrame;
use protocol::{PartId, PromptId, Seq};
use reqwest::Method;
use serde_json::{Value, json};
use support::client::{Client, Viewer};
use support::forge::ORGANIZATION;

use self::log::Stream;
use crate::forge;
use crate::stage::{BOB, DELIVERED, Failure, LIMIT, Outcome, Played, REPOSITORY};
use crate::tests;
use crate::world::{Group, World};

mod log;
mod onward;
mod queue;

pub fn group(group: &mut Group<'_>) {
    tests!(group;
        two_browsers_an_api_client_a_stream_and_a_webhook_agree_on_every_event,
    );
    queue::group(group);
    log::group(group);
    onward::group(group);
}

/// A sandbox of the session whose reports are numbered as they are made.
struct Numbered<'w> {
    played: Played<'w>,
    start: Start,
    next: u64,
}

impl<'w> Numbered<'w> {
    async fn ready(world: &'w World) -> Result<Self, Failure> {
        let played = Played::ready(world).await?;
        let start = played.start.clone();
        let next = 2;
        Ok(Self {
            played,
            start,
            next,
        })
    }

    async fn report(&mut self, reports: Vec<Report>) -> Outcome {
        let count = reports.len() as u64;
        let puppet = self.played.puppet;
        puppet.report(&self.start, self.next, reports).await?;
        self.next += count;
        Ok(())
    }

    async fn end(&mut self, prompt: &PromptId, result: PromptResult) -> Outcome {
        let prompt = prompt.clone();
        self.report(vec![Report::PromptFinished { prompt, result }])
            .await
    }

    /// The next sandbox of the session, ready.
    async fn another(&mut self) -> Outcome {
        let puppet = self.played.puppet;
        self.start = puppet.start_command(&self.played.session).await?;
        self.next = 1;
        let image = None;
        let commit = "c0ffee".to_owned();
        self.report(vec![Report::Ready { image, commit }]).await
    }

    async fn sent(&self) -> Result<SendPrompt, Failure> {
        Ok(self.played.puppet.prompt_command(&self.start).await?)
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/sessions/{}{rest}", self.played.session)
    }

    async fn ask(&self, method: Method, rest: &str, body: &Value) -> Outcome {
        let path = self.path(rest);
        let client = &self.played.client;
        client.send::<Value>(method, &path, Some(body)).await?;
        Ok(())
    }

    async fn prompt(&self, text: &str) -> Result<PromptId, Failure> {
        prompt_by_api(&self.played.client, &self.path("/prompts"), text, text).await
    }

    async fn paused(&self) -> Result<bool, Failure> {
        let summary = self.played.client.session(&self.played.session).await?;
        Ok(summary.paused)
    }
}

async fn prompt_by_api(
    client: &Client,
    path: &str,
    text: &str,
    request: &str,
) -> Result<PromptId, Failure> {
    let body = json!({ "text": text, "client_request_id": request });
    let made: CreatedPrompt = client.send(Method::POST, path, Some(&body)).await?;
    Ok(made.id)
}

fn frame(text: String, request: String) -> ClientFrame {
    ClientFrame::Prompt {
        text,
        mode: Mode::Queue,
        client_request_id: Some(request),
        attachments: Vec::new(),
    }
}

fn part(number: u64, prompt: &PromptId) -> Vec<Report> {
    let part = PartId(number);
    let prompt = prompt.clone();
    let outcome = PartOutcome::Completed { title: None };
    vec![
        Report::PartStarted {
            part,
            prompt: prompt.clone(),
            body: PartBody::Text,
        },
        Report::Delta {
            part,
            offset: 0,
            text: "done".to_owned(),
        },
        Report::PartFinished {
            part,
            prompt,
            length: 4,
            text: None,
            outcome,
        },
    ]
}

/// Reads until everything up to `head` is there, with each text where it ends.
async fn whole(viewer: &mut Viewer, head: Seq) -> Result<Vec<Event>, Failure> {
    if viewer.seq < head {
        viewer
            .wait_for("the rest of the log", LIMIT, |viewer, _| {
                (viewer.seq >= head).then_some(())
            })
            .await?;
    }
    let mut events = viewer.events.clone();
    for event in &mut events {
        if let Fact::PartFinished { part, text, .. } = &mut event.fact {
            *text = viewer.finished.get(part).cloned();
        }
    }
    Ok(events)
}

async fn two_browsers_an_api_client_a_stream_and_a_webhook_agree_on_every_event(
    world: &World,
) -> Outcome {
    // Together fewer than may wait.
    const PROMPTS: usize = 4;
    let mut session = Numbered::ready(world).await?;
    let id = session.played.session.clone();
    let alice = session.played.client.clone();
    let stack = world.played().await;
    let bob = stack.client(BOB).await?;
    // There is a pull request, on which somebody is going to speak.
    let (mut alices, sent) = session.played.prompt("begin").await?;
    let (number, _) = forge::open(stack, &session.played, &mut alices, &sent.prompt).await?;
    session.next = 4;
    let mut bobs = bob.watch(&id, Seq(0)).await?;
    let mut stream = Stream::open(&bob, &session.path("/events"), None).await?;
    let path = session.path("/prompts");
    // Everybody writes at once, and the API client says everything twice.
    let by_alice = async {
        for number in 0..PROMPTS {
            alices
                .send(&frame(format!("alice {number}"), format!("a{number}")))
                .await?;
            alices.send(&ClientFrame::Typing {}).await?;
        }
        Ok::<_, Failure>(())
    };
    let by_bob = async {
        for number in 0..PROMPTS {
            let again = frame(format!("bob {number}"), format!("b{number}"));
            bobs.send(&again).await?;
            bobs.send(&again).await?;
        }
        Ok::<_, Failure>(())
    };
    let by_api = async {
        for number in 0..PROMPTS {
            let (text, request) = (format!("api {number}"), format!("c{number}"));
            let first = prompt_by_api(&bob, &path, &text, &request);
            let other = format!("{request}-alice");
            let second = prompt_by_api(&alice, &path, &text, &other);
            let (first, _) = tokio::try_join!(first, second)?;
            let again = prompt_by_api(&bob, &path, &text, &request).await?;
            assert_eq!(first, again, "one request is one prompt");
        }
        Ok::<_, Failure>(())
    };
    let by_runner = async {
        // The first four prompts are worked on while the others are still being sent.
        for number in 1..=4 {
            let sent = session.sent().await?;
            session.report(part(number, &sent.prompt)).await?;
            session.end(&sent.prompt, PromptResult::Completed).await?;
        }
        Ok::<_, Failure>(())
    };
    let by_webhook = async {
        let forge = &stack.stack.forge;
        let words = "say it louder";
        forge
            .review(
                ORGANIZATION,
                REPOSITORY,
                number,
                BOB,
                "REQUEST_CHANGES",
                words,
            )
            .await?;
        Ok::<_, Failure>(())
    };
    tokio::try_join!(by_alice, by_bob, by_api, by_runner, by_webhook)?;
    let queued = |viewer: &Viewer| {
        let facts = viewer.events.iter().map(|event| &event.fact);
        facts
            .filter(|fact| matches!(fact, Fact::PromptQueued { .. }))
            .count()
    };
    // Theirs, the first one, and the one that the review became.
    let all = 4 * PROMPTS + 2;
    if queued(&alices) < all {
        alices
            .wait_for("every prompt", DELIVERED, |viewer, _| {
                (queued(viewer) == all).then_some(())
            })
            .await?;
    }
    alices
        .wait_for_fact("the review", DELIVERED, |fact| match fact {
            Fact::PullRequestReviewed { by, .. } => Some(by.clone()),
            _ => None,
        })
        .await?;
    session.ask(Method::POST, "/stop", &json!({})).await?;
    let running = session.sent().await?.prompt;
    session.end(&running, PromptResult::Stopped).await?;
    session
        .ask(Method::POST, "/queue/clear", &json!({}))
        .await?;
    // Sockets are read in their order: when these are there, so is all before.
    let EventPage {
        events: log,
        head_seq: head,
    } = alice.events(&id, Seq(0)).await?;
    assert_eq!(whole(&mut alices, head).await?, log);
    assert_eq!(whole(&mut bobs, head).await?, log);
    assert_eq!(stream.up_to(head).await?, log);
    let mut requests = BTreeMap::new();
    let mut of_webhook = 0;
    for event in &log {
        if let Fact::PromptQueued { prompt } = &event.fact {
            of_webhook += usize::from(prompt.source == Source::Github);
            *requests.entry(&prompt.client_request_id).or_insert(0) += 1;
        }
    }
    assert_eq!(of_webhook, 1);
    assert!(requests.values().all(|times| *times == 1), "{requests:?}");
    Ok(())
}
