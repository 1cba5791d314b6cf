//! People together in one session: several sockets, an API client and a stream act at once and
//! agree on every event; the queue is put in order, paused, resumed and cleared; a prompt outlives
//! its sandbox; a session is forked.

use std::collections::BTreeMap;

use protocol::api::{CreatedPrompt, CreatedSession, EventPage, SessionList};
use protocol::callback::{PromptResult, Report};
use protocol::command::{SendPrompt, Start};
use protocol::event::{Event, Fact, Mode, Outcome as PromptOutcome, PartBody, PartOutcome, Source};
use protocol::frame::ClientFrame;
use protocol::{PartId, PromptId, Seq, SnapshotId};
use reqwest::Method;
use serde_json::{Value, json};
use support::client::{Client, ClientError, Viewer};
use support::forge::ORGANIZATION;

use crate::forge;
use crate::stage::{BOB, DELIVERED, Failure, LIMIT, Outcome, Played, REPOSITORY};
use crate::tests;
use crate::world::{Group, World};

pub fn group(group: &mut Group<'_>) {
    tests!(group;
        two_browsers_an_api_client_a_stream_and_a_webhook_agree_on_every_event,
        a_stopped_queue_waits_until_it_is_resumed,
        a_stopped_queue_can_be_cleared,
        prompts_run_in_the_order_that_somebody_gave_them,
        a_waiting_prompt_joins_the_running_one,
        history_pages_backwards_to_the_beginning,
        a_stream_goes_on_from_the_last_event_that_its_client_has,
        a_prompt_goes_on_when_its_sandbox_is_lost,
        a_fork_goes_on_from_the_end_of_a_prompt,
    );
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

async fn a_stopped_queue_waits_until_it_is_resumed(world: &World) -> Outcome {
    let mut session = Numbered::ready(world).await?;
    let mut viewer = session
        .played
        .client
        .watch(&session.played.session, Seq(0))
        .await?;
    let first = session.prompt("first").await?;
    assert_eq!(session.sent().await?.prompt, first);
    let second = session.prompt("second").await?;
    let bob = world.played().await.client(BOB).await?;
    bob.stop(&session.played.session).await?;
    session.end(&first, PromptResult::Stopped).await?;
    let third = session.prompt("third").await?;
    assert!(session.paused().await?);
    let by = viewer
        .wait_for_fact("the pause", LIMIT, |fact| match fact {
            Fact::QueuePaused { by } => Some(by.login.clone()),
            _ => None,
        })
        .await?;
    assert_eq!(by, BOB);
    viewer.send(&ClientFrame::ResumeQueue {}).await?;
    assert_eq!(session.sent().await?.prompt, second);
    session.end(&second, PromptResult::Completed).await?;
    assert_eq!(session.sent().await?.prompt, third);
    assert!(!session.paused().await?);
    // Nothing started between the pause and its end.
    let page = session
        .played
        .client
        .events(&session.played.session, Seq(0))
        .await?;
    let facts = page.events.iter().map(|event| &event.fact);
    let paused = facts
        .skip_while(|fact| !matches!(fact, Fact::QueuePaused { .. }))
        .take_while(|fact| !matches!(fact, Fact::QueueResumed { .. }));
    for fact in paused {
        assert!(!matches!(fact, Fact::PromptStarted { .. }), "{fact:?}");
    }
    Ok(())
}

async fn a_stopped_queue_can_be_cleared(world: &World) -> Outcome {
    let mut session = Numbered::ready(world).await?;
    let first = session.prompt("first").await?;
    session.sent().await?;
    for text in ["second", "third"] {
        session.prompt(text).await?;
    }
    session.ask(Method::POST, "/stop", &json!({})).await?;
    session.end(&first, PromptResult::Stopped).await?;
    session
        .ask(Method::POST, "/queue/clear", &json!({}))
        .await?;
    let fourth = session.prompt("fourth").await?;
    assert_eq!(session.sent().await?.prompt, fourth);
    let page = session
        .played
        .client
        .events(&session.played.session, Seq(0))
        .await?;
    let cancelled = |event: &&Event| matches!(event.fact, Fact::PromptCancelled { .. });
    assert_eq!(page.events.iter().filter(cancelled).count(), 2);
    Ok(())
}

async fn prompts_run_in_the_order_that_somebody_gave_them(world: &World) -> Outcome {
    let mut session = Numbered::ready(world).await?;
    let first = session.prompt("first").await?;
    session.sent().await?;
    let second = session.prompt("second").await?;
    let third = session.prompt("third").await?;
    let order = json!({ "order": [second] });
    let refused = session.ask(Method::PUT, "/queue", &order).await;
    let error = refused.expect_err("a prompt is missing");
    let Some(ClientError::Refused { status, code, .. }) = error.downcast_ref() else {
        panic!("{error:?}");
    };
    assert_eq!((status.as_u16(), code.as_str()), (409, "queue_changed"));
    let order = json!({ "order": [third, second] });
    session.ask(Method::PUT, "/queue", &order).await?;
    session.end(&first, PromptResult::Completed).await?;
    assert_eq!(session.sent().await?.prompt, third);
    Ok(())
}

async fn a_waiting_prompt_joins_the_running_one(world: &World) -> Outcome {
    let mut session = Numbered::ready(world).await?;
    let first = session.prompt("first").await?;
    session.sent().await?;
    let second = session.prompt("second").await?;
    let third = session.prompt("third").await?;
    let insert = format!("/prompts/{third}/insert");
    session.ask(Method::POST, &insert, &json!({})).await?;
    let sent = session.sent().await?;
    assert_eq!((&sent.prompt, sent.mode), (&third, Mode::Insert));
    for prompt in [&first, &third] {
        session.end(prompt, PromptResult::Completed).await?;
    }
    assert_eq!(session.sent().await?.prompt, second);
    Ok(())
}

async fn history_pages_backwards_to_the_beginning(world: &World) -> Outcome {
    let mut session = Numbered::ready(world).await?;
    let notices = (0..10).map(|number| Report::Notice {
        message: number.to_string(),
    });
    session.report(notices.collect()).await?;
    let client = &session.played.client;
    let log = client.events(&session.played.session, Seq(0)).await?.events;
    let mut before = Seq(log.len() as u64 + 1);
    let mut pages = Vec::new();
    while before > Seq(1) {
        let path = session.path(&format!("/events?before={before}&limit=4"));
        let page: EventPage = client.send(Method::GET, &path, None::<&()>).await?;
        let first = page.events.first().expect("there is more");
        before = first.seq;
        pages.push(page.events);
    }
    pages.reverse();
    assert_eq!(pages.concat(), log);
    let both = session.path("/events?before=3&since=1");
    let refused = client
        .send::<EventPage>(Method::GET, &both, None::<&()>)
        .await;
    assert!(matches!(refused, Err(ClientError::Refused { status, .. }) if status == 400));
    Ok(())
}

/// Server-sent events, read as a browser reads them.
struct Stream {
    response: reqwest::Response,
    text: String,
    events: Vec<Event>,
}

impl Stream {
    async fn open(client: &Client, path: &str, last: Option<Seq>) -> Result<Self, Failure> {
        let mut request = client
            .request(Method::GET, path)
            .header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last.to_string());
        }
        let response = request.send().await?.error_for_status()?;
        let kind = response.headers().get("content-type");
        assert_eq!(
            kind.and_then(|kind| kind.to_str().ok()),
            Some("text/event-stream")
        );
        Ok(Self {
            response,
            text: String::new(),
            events: Vec::new(),
        })
    }

    /// All events that came, once `head` is among them.
    async fn up_to(&mut self, head: Seq) -> Result<Vec<Event>, Failure> {
        let read = async {
            while self.events.last().is_none_or(|last| last.seq < head) {
                let chunk = self.response.chunk().await?.ok_or("the stream ended")?;
                self.text.push_str(std::str::from_utf8(&chunk)?);
                while let Some((message, rest)) = self.text.split_once("\n\n") {
                    let mut lines = message.lines();
                    if let Some(id) = lines.next().and_then(|line| line.strip_prefix("id: ")) {
                        let data = lines.next().and_then(|line| line.strip_prefix("data: "));
                        let event: Event = serde_json::from_str(data.ok_or("no data")?)?;
                        assert_eq!(id, event.seq.to_string());
                        self.events.push(event);
                    }
                    self.text = rest.to_owned();
                }
            }
            Ok::<_, Failure>(())
        };
        tokio::time::timeout(LIMIT, read).await??;
        Ok(self.events.clone())
    }
}

async fn a_stream_goes_on_from_the_last_event_that_its_client_has(world: &World) -> Outcome {
    let mut session = Numbered::ready(world).await?;
    let notice = |message: &str| Report::Notice {
        message: message.to_owned(),
    };
    let client = session.played.client.clone();
    let path = session.path("/events");
    let mut stream = Stream::open(&client, &path, None).await?;
    session.report(vec![notice("one")]).await?;
    let id = session.played.session.clone();
    let head = client.events(&id, Seq(0)).await?.head_seq;
    stream.up_to(head).await?;
    drop(stream);
    session.report(vec![notice("two")]).await?;
    let mut again = Stream::open(&client, &path, Some(head)).await?;
    session.report(vec![notice("three")]).await?;
    let rest = client.events(&id, head).await?;
    assert_eq!(rest.events.len(), 2);
    assert_eq!(again.up_to(rest.head_seq).await?, rest.events);
    let beyond = client
        .request(Method::GET, &path)
        .header("accept", "text/event-stream")
        .header("last-event-id", "1000000")
        .send()
        .await?;
    assert_eq!(beyond.status().as_u16(), 400);
    Ok(())
}

fn snapshot(number: u8) -> SnapshotId {
    SnapshotId::from_random([number; 16])
}

async fn a_prompt_goes_on_when_its_sandbox_is_lost(world: &World) -> Outcome {
    let mut session = Numbered::ready(world).await?;
    let id = session.played.session.clone();
    let mut viewer = session.played.client.watch(&id, Seq(0)).await?;
    let prompt = session.prompt("a long piece of work").await?;
    session.sent().await?;
    let started = part(1, &prompt).swap_remove(0);
    let kept = Report::Snapshotted {
        snapshot: snapshot(11),
        prompt: None,
    };
    let reason = "the machine went away".to_owned();
    session
        .report(vec![started, kept, Report::Lost { reason }])
        .await?;
    session.another().await?;
    assert_eq!(session.start.snapshot, Some(snapshot(11)));
    assert_eq!(session.start.first_part, PartId(2));
    let sent = session.sent().await?;
    assert_eq!((&sent.prompt, sent.resumed), (&prompt, true));
    session.report(part(2, &prompt)).await?;
    session.end(&prompt, PromptResult::Completed).await?;
    let outcome = viewer
        .wait_for_fact("the end", LIMIT, |fact| match fact {
            Fact::PromptFinished { outcome, .. } => Some(outcome.clone()),
            _ => None,
        })
        .await?;
    assert_eq!(outcome, PromptOutcome::Completed);
    let resumed = Fact::PromptResumed {
        prompt,
        epoch: session.start.epoch,
    };
    let times = viewer.events.iter().filter(|event| event.fact == resumed);
    assert_eq!(times.count(), 1);
    Ok(())
}

async fn a_fork_goes_on_from_the_end_of_a_prompt(world: &World) -> Outcome {
    let mut session = Numbered::ready(world).await?;
    let prompt = session.prompt("what is gone on from").await?;
    session.sent().await?;
    let client = session.played.client.clone();
    let fork = session.path("/fork");
    let body = json!({ "prompt": prompt, "client_request_id": format!("fork-{prompt}") });
    let code = async |body: &Value| {
        let refused = client
            .send::<CreatedSession>(Method::POST, &fork, Some(body))
            .await;
        match refused {
            Err(ClientError::Refused { status, code, .. }) => (status.as_u16(), code),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code(&body).await, (409, "not_finished".to_owned()));
    session.end(&prompt, PromptResult::Completed).await?;
    assert_eq!(code(&body).await, (409, "no_snapshot".to_owned()));
    let unknown = json!({ "prompt": PromptId::from_random([77; 16]) });
    assert_eq!(code(&unknown).await, (404, "not_found".to_owned()));
    session
        .report(vec![Report::Snapshotted {
            snapshot: snapshot(12),
            prompt: Some(prompt.clone()),
        }])
        .await?;
    let made: CreatedSession = client.send(Method::POST, &fork, Some(&body)).await?;
    let again: CreatedSession = client.send(Method::POST, &fork, Some(&body)).await?;
    assert_eq!(made, again);
    let start = session.played.puppet.start_command(&made.id).await?;
    assert_eq!(start.snapshot, Some(snapshot(12)));
    assert_ne!(start.work_branch, session.start.work_branch);
    let summary = client.session(&made.id).await?;
    let parent = summary.parent.expect("it says where it comes from");
    assert_eq!(
        (&parent.session, &parent.prompt),
        (&session.played.session, &prompt)
    );
    let children = session.path("/children");
    let children: SessionList = client.send(Method::GET, &children, None::<&()>).await?;
    let ids: Vec<_> = children.sessions.iter().map(|one| &one.id).collect();
    assert_eq!(ids, [&made.id]);
    let page = client.events(&session.played.session, Seq(0)).await?;
    let named = page.events.iter().filter(|event| {
        matches!(&event.fact, Fact::Notice { message } if message.contains(made.id.as_str()))
    });
    assert_eq!(named.count(), 1, "the old session names the new one");
    Ok(())
}
