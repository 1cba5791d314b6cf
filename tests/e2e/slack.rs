//! Slack, end to end: what people write there becomes work, and what comes of it is said there.

use std::process::Stdio;
use std::time::Duration;

use protocol::api::SessionSummary;
use protocol::callback::{PromptResult, Report};
use protocol::command::{SendPrompt, Start};
use protocol::event::{Fact, Opener, PartBody, PartOutcome, Source};
use protocol::{PartId, Seq, SessionId};
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};
use support::chat::{Chat, SIGNING_SECRET};
use support::client::Client;
use support::forge::ORGANIZATION;
use support::model::{Step, Turn};
use support::stack::{MODEL_KEY, ModelChoice, Stack, repository_root};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::stage::{
    ALICE, BOB, Failure, Outcome, PlayedStack, REPOSITORY, eventually, write_source,
};
use crate::tests;
use crate::world::{Group, World};

pub fn group(group: &mut Group<'_>) {
    tests!(group;
        a_mention_becomes_a_merged_pull_request_and_the_thread_shows_it,
        nothing_is_lost_or_doubled_while_slack_and_the_worker_fail,
        a_turn_grows_where_the_workspace_has_that_and_is_edited_where_it_loses_it,
        who_is_unknown_is_asked_in_private_and_then_chooses_the_repository,
        slacks_own_framework_takes_and_refuses_the_same_requests,
    );
}

const CHANNEL: &str = "payments";

/// A picture of one point.
const SHOT: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

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

async fn a_mention_becomes_a_merged_pull_request_and_the_thread_shows_it(_: &World) -> Outcome {
    let mut stack = Stack::start("e2e-slack", ModelChoice::Scripted).await?;
    let source = stack.directory().join("source");
    write_source(&source);
    for name in ["billing", "website"] {
        stack
            .forge
            .create_repository(ORGANIZATION, name, &source)
            .await?;
    }
    let model = format!("{}/v1", stack.model().url());
    let classifier = [
        ("CLASSIFIER_URL", model.as_str()),
        ("CLASSIFIER_KEY", MODEL_KEY),
        ("CLASSIFIER_MODEL", "openai/scripted-1"),
    ];
    let chat = chat_of(&mut stack, &classifier).await?;
    // The same words are a question of the classifier's, and a prompt of the agent's.
    let step = Step::computed(|conversation| {
        if conversation.tools.iter().any(|tool| tool == "choose") {
            return Turn::default().call(
                "choose",
                json!({
                    "repository": format!("{ORGANIZATION}/billing"), "confidence": "high",
                    "reason": "it is about invoices", "alternatives": [],
                }),
            );
        }
        let note = json!({ "filePath": "NOTES.md", "content": "dated" });
        Turn::default().call("write", note)
    });
    let look = format!("echo {SHOT} | base64 -d > /tmp/shot.png; make check || true");
    let steps = [
        step,
        Turn::default()
            .call("update", json!({ "text": "The cause is found, @here." }))
            .into(),
        Turn::default()
            .call("bash", json!({ "command": look, "description": "Looks" }))
            .into(),
        Turn::default()
            .call(
                "share_file",
                json!({ "path": "/tmp/shot.png", "caption": "After" }),
            )
            .into(),
    ];
    stack.model().script("note", steps);
    let alice = Client::sign_in(&stack.url(), &stack.forge, ALICE).await?;

    let root = chat
        .say(
            "alice",
            CHANNEL,
            None,
            &mention(&chat, "invoices lack a date [[note]]"),
        )
        .await?;
    let url = invitation(&chat, "alice", 0).await?;
    assert_eq!(accept(&stack, &alice, &url).await?, StatusCode::OK);
    let again = accept(&stack, &alice, &url).await;
    assert_eq!(
        again?,
        StatusCode::BAD_REQUEST,
        "an invitation is good once"
    );

    // Seen, classified, worked on, and a pull request of Alice's.
    let session = only_session(&alice).await?;
    assert_eq!(session.repository.name(), "billing");
    until_said(
        &chat,
        &root,
        &["it is about invoices", "Done", "Open pull request"],
    )
    .await?;
    let opened = until_said(&chat, &root, &["Pull request", "opened as alice"]).await?;
    until_said(&chat, &root, &["1 file changed", "`make check` ran"]).await?;
    // What the agent told on its way, and what it showed.
    let update = until_said(&chat, &root, &[":speech_balloon:", "The cause is found"]).await?;
    assert!(!update.to_string().contains("@here"), "{update}");
    let picture = until_said(&chat, &root, &["\"files\"", "After"]).await?;
    assert_eq!(picture["files"][0]["mimetype"], "image/png", "{picture}");
    let messages = chat.thread(CHANNEL, &root).await?;
    assert_eq!(
        messages[0]["reactions"][0]["name"], "eyes",
        "{:#?}",
        messages[0]
    );
    let log = alice.events(&session.id, Seq(0)).await?.events;
    let prompts: Vec<_> = log
        .iter()
        .filter_map(|event| match &event.fact {
            Fact::PromptQueued { prompt } => Some(prompt),
            _ => None,
        })
        .collect();
    assert_eq!(prompts.len(), 1);
    assert_eq!(
        (prompts[0].source, prompts[0].author.login.as_str()),
        (Source::Slack, ALICE)
    );
    assert_eq!(prompts[0].text, "invoices lack a date [[note]]");
    let updates = log
        .iter()
        .filter(|event| matches!(&event.fact, Fact::Update { text, .. } if text.contains("cause")));
    assert_eq!(updates.count(), 1);
    let number = log.iter().find_map(|event| match &event.fact {
        Fact::PullRequestOpened {
            number,
            by: Opener::User { person },
            ..
        } => {
            assert_eq!(person.login, ALICE);
            Some(*number)
        }
        _ => None,
    });
    let number = number.ok_or("no pull request of a person's")?;
    assert!(opened.to_string().contains(&format!("#{number}")));

    // What is said elsewhere is said here as well.
    let path = format!("/api/sessions/{}/prompts", session.id);
    let body = json!({ "text": "and thank you" });
    let _: Value = alice.send(Method::POST, &path, Some(&body)).await?;
    until_said(&chat, &root, &["asked elsewhere", "and thank you", "Done"]).await?;

    stack
        .forge
        .merge(ORGANIZATION, "billing", number, BOB)
        .await?;
    until_said(&chat, &root, &["merged by bob"]).await?;
    check_calls(&chat).await?;
    alice.archive(&session.id).await?;
    Ok(())
}

/// Runs one of the scripts that know Slack's own code; answers what it wrote.
async fn script(
    program: &str,
    name: &str,
    arguments: &[&str],
    input: &str,
) -> Result<String, Failure> {
    let mut child = Command::new(program)
        .arg(repository_root().join("tests/slack").join(name))
        .args(arguments)
        .env("PYTHONPATH", std::env::var("SLACK_PYTHON")?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()?;
    let mut stdin = child.stdin.take().ok_or("no standard input")?;
    stdin.write_all(input.as_bytes()).await?;
    drop(stdin);
    let output = child.wait_with_output().await?;
    let written = String::from_utf8(output.stdout)?;
    assert!(output.status.success(), "{name}:\n{written}");
    Ok(written)
}

/// Everything that was said is what Slack's SDKs would have sent, and so is the manifest.
async fn check_calls(chat: &Chat) -> Outcome {
    let calls = chat
        .calls()
        .into_iter()
        .filter(|call| call.body.is_object());
    let mut calls: Vec<Value> = calls
        .map(|call| json!({ "method": call.method, "body": call.body }))
        .collect();
    let bodies: Vec<&Value> = calls.iter().map(|call| &call["body"]).collect();
    script(
        "python3",
        "blocks.py",
        &[],
        &serde_json::to_string(&bodies)?,
    )
    .await?;
    let manifest: Value = serde_json::from_str(hosted_agents::slack::MANIFEST)?;
    let manifest = json!({ "manifest": manifest });
    calls.push(json!({ "method": "apps.manifest.validate", "body": manifest }));
    let node = std::env::var("NODE_BIN")?;
    script(&node, "schemas.mjs", &[], &serde_json::to_string(&calls)?).await?;
    Ok(())
}

async fn slacks_own_framework_takes_and_refuses_the_same_requests(_: &World) -> Outcome {
    let mut stack =
        Stack::start_without_runner("e2e-slack-verdicts", ModelChoice::Scripted).await?;
    let _chat = chat_of(&mut stack, &[]).await?;
    let written = script(
        "python3",
        "verdicts.py",
        &[&stack.url(), SIGNING_SECRET],
        "",
    )
    .await?;
    assert_eq!(written.lines().count(), 63);
    Ok(())
}

/// A stack whose runner the test plays, with a chat in which Alice is linked.
struct Scene {
    played: PlayedStack,
    chat: Chat,
    alice: Client,
}

impl Scene {
    async fn start(name: &str) -> Result<Self, Failure> {
        let mut stack = Stack::start_without_runner(name, ModelChoice::Scripted).await?;
        let chat = chat_of(&mut stack, &[]).await?;
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
        // What the workspace does not have was no edit.
        .filter(|call| is_spoken(&call.method) && !call.is_unknown)
        .collect();
    for pair in spoken.windows(2) {
        let apart = pair[1].at.duration_since(pair[0].at);
        assert!(
            apart >= Duration::from_millis(950),
            "{apart:?} between {pair:#?}"
        );
    }
}

async fn nothing_is_lost_or_doubled_while_slack_and_the_worker_fail(_: &World) -> Outcome {
    let mut scene = Scene::start("e2e-slack-faults").await?;
    scene.link().await?;
    scene.chat.fail("chat.postMessage", &[429, 500, 429]);
    scene.chat.fail("chat.update", &[500, 429]);
    scene.chat.fail("conversations.replies", &[500; 50]);
    scene.chat.fail("reactions.add", &[429]);

    // The same mention comes four times, and once more as the other kind of event.
    let words = mention(&scene.chat, "fix it");
    let root = scene.chat.write("alice", CHANNEL, None, &words).await?;
    let mut event = scene.chat.message("alice", CHANNEL, None, &words, &root)?;
    for _ in 0..4 {
        assert_eq!(scene.chat.deliver(&event, "EvSame").await?, 200);
    }
    event["type"] = "app_mention".into();
    assert_eq!(scene.chat.deliver(&event, "EvOther").await?, 200);
    // It was acknowledged, and the agent was given nothing: that cannot be done yet.
    eventually("work on it has begun", || async {
        let calls = scene.chat.calls();
        let tried = calls
            .iter()
            .any(|call| call.method == "conversations.replies");
        Ok(tried.then_some(()))
    })
    .await?;
    scene.played.stack.kill_worker().await;
    scene.chat.heal("conversations.replies");
    scene.played.stack.start_worker().await?;
    // Two replies at once, without a mention.
    let (chat, place) = (&scene.chat, Some(root.as_str()));
    let (one, two) = tokio::join!(
        chat.say("alice", CHANNEL, place, "one"),
        chat.say("alice", CHANNEL, place, "two"),
    );
    let (_, two) = (one?, two?);
    let session = only_session(&scene.alice).await?;
    let start = scene.ready(&session.id).await?;
    let first = scene.played.puppet.prompt_command(&start).await?;
    assert_eq!(first.text, "fix it");

    let queued = eventually("all are prompts", || async {
        let log = scene.alice.events(&session.id, Seq(0)).await?.events;
        let texts: Vec<String> = log
            .iter()
            .filter_map(|event| match &event.fact {
                Fact::PromptQueued { prompt } => prompt.text.lines().next().map(str::to_owned),
                _ => None,
            })
            .collect();
        Ok((texts.len() >= 3).then_some(texts))
    })
    .await?;
    let mut sorted = queued.clone();
    sorted.sort();
    assert_eq!(sorted, ["fix it", "one", "two"]);

    scene.finish(&start, &first, 2).await?;
    for number in [3, 4] {
        let next = scene.played.puppet.prompt_command(&start).await?;
        scene.finish(&start, &next, number).await?;
    }
    let statuses = eventually("every turn is said to be done", || async {
        let said = chat.said(CHANNEL, &root).await?;
        let done = said
            .iter()
            .filter(|message| message.to_string().contains(":white_check_mark:"));
        Ok((done.count() == 3).then_some(said))
    })
    .await?;
    let of = |words: &str| {
        let has = |message: &&Value| message.to_string().contains(words);
        statuses.iter().filter(has).count()
    };
    assert_eq!(
        of("\"action_id\":\"open\""),
        3,
        "one status for each turn: {statuses:#?}"
    );
    assert_eq!(chat.thread(CHANNEL, &two).await?.len(), 1);

    check_pace(chat);

    // What was not signed for us is nothing, and neither is what a bot says.
    let unsigned = reqwest::Client::new()
        .post(format!("{}/slack/events", scene.played.stack.url()))
        .body("{}")
        .send()
        .await?;
    assert_eq!(unsigned.status(), StatusCode::UNAUTHORIZED);
    let other = scene.chat.write("bob", CHANNEL, None, &words).await?;
    let mut event = scene.chat.message("bob", CHANNEL, None, &words, &other)?;
    event["bot_id"] = "B7".into();
    assert_eq!(scene.chat.deliver(&event, "EvBot").await?, 200);
    only_session(&scene.alice).await?;
    scene.alice.archive(&session.id).await?;
    Ok(())
}

/// Waits until a call of a method has all of these words in it.
async fn until_called(chat: &Chat, method: &str, words: &[&str]) -> Result<Value, Failure> {
    eventually(method, || async {
        let calls = chat.calls().into_iter();
        let mut bodies = calls
            .filter(|call| call.method == method)
            .map(|call| call.body);
        Ok(bodies.find(|body| {
            let text = body.to_string();
            words.iter().all(|word| text.contains(word))
        }))
    })
    .await
}

fn step(prompt: &SendPrompt, part: u64, title: &str) -> Report {
    Report::PartStarted {
        part: PartId(part),
        prompt: prompt.prompt.clone(),
        body: PartBody::Tool {
            tool: "bash".to_owned(),
            title: title.to_owned(),
            input: "{}".to_owned(),
        },
    }
}

async fn a_turn_grows_where_the_workspace_has_that_and_is_edited_where_it_loses_it(
    _: &World,
) -> Outcome {
    let scene = Scene::start("e2e-slack-streams").await?;
    scene.link().await?;
    let (chat, puppet) = (&scene.chat, &scene.played.puppet);
    chat.set_agents(true);
    let root = chat
        .say("alice", CHANNEL, None, &mention(chat, "fix it"))
        .await?;
    let session = only_session(&scene.alice).await?;
    let start = scene.ready(&session.id).await?;
    let first = puppet.prompt_command(&start).await?;
    let alice = chat.person("alice")?;

    // It grows, and the thread's session works.
    let begun = until_called(chat, "chat.startStream", &[&root, alice]).await?;
    assert_eq!(begun["recipient_team_id"], chat.team());
    until_called(
        chat,
        "agents.sessions.setStatus",
        &["processing", &root, alice],
    )
    .await?;
    puppet
        .report(&start, 2, vec![step(&first, 1, "Run the tests")])
        .await?;
    until_called(chat, "chat.appendStream", &["Run the tests", "in_progress"]).await?;
    let ended = Report::PartFinished {
        part: PartId(1),
        prompt: first.prompt.clone(),
        length: 0,
        text: None,
        outcome: PartOutcome::Completed { title: None },
    };
    puppet.report(&start, 3, vec![ended]).await?;
    scene.finish(&start, &first, 4).await?;
    let over = until_called(chat, "chat.stopStream", &["Run the tests", "complete"]).await?;
    let whole = until_called(chat, "chat.update", &["\"plan\"", "Done", "Run the tests"]).await?;
    assert_eq!(over["ts"], whole["ts"]);
    until_called(chat, "agents.sessions.setStatus", &["active"]).await?;

    // Slack's own button stops what runs.
    let place = Some(root.as_str());
    chat.say("alice", CHANNEL, place, "again").await?;
    let second = puppet.prompt_command(&start).await?;
    let stop = json!({
        "type": "agent_session_stopped", "channel": chat.channel(CHANNEL)?, "thread_ts": root,
        "user": alice, "event_ts": "1.2", "streaming_message_ts": [],
    });
    assert_eq!(chat.deliver(&stop, "EvNativeStop").await?, 200);
    assert_eq!(puppet.stop_command(&start).await?, second.prompt);
    let stopped = Report::PromptFinished {
        prompt: second.prompt.clone(),
        result: PromptResult::Stopped,
    };
    puppet.report(&start, 5, vec![stopped]).await?;
    until_said(chat, &root, &["Stopped by alice"]).await?;

    // In the middle of a turn the workspace loses it: the same message is edited from then on.
    chat.say("alice", CHANNEL, place, "once more").await?;
    let third = puppet.prompt_command(&start).await?;
    let begun = eventually("the third stream", || async {
        let calls = chat.calls();
        let begun = calls
            .iter()
            .filter(|call| call.method == "chat.startStream");
        Ok((begun.count() == 3).then_some(()))
    });
    begun.await?;
    chat.set_agents(false);
    puppet
        .report(&start, 6, vec![step(&third, 2, "Look again")])
        .await?;
    until_said(chat, &root, &["Working", "Look again"]).await?;
    scene.finish(&start, &third, 7).await?;
    eventually("every turn has ended", || async {
        let said = chat.said(CHANNEL, &root).await?;
        let done = said
            .iter()
            .filter(|message| message.to_string().contains("*:white_check_mark: Done*"));
        Ok((done.count() == 2).then_some(()))
    })
    .await?;

    // It is remembered: the next turn is not tried to stream, and is told as well.
    let begun = |chat: &Chat| {
        let calls = chat.calls().into_iter();
        calls
            .filter(|call| call.method == "chat.startStream")
            .count()
    };
    assert_eq!(begun(chat), 3);
    chat.say("alice", CHANNEL, place, "at last").await?;
    let fourth = puppet.prompt_command(&start).await?;
    scene.finish(&start, &fourth, 8).await?;
    eventually("the last turn has ended", || async {
        let said = chat.said(CHANNEL, &root).await?;
        let done = said
            .iter()
            .filter(|message| message.to_string().contains("*:white_check_mark: Done*"));
        Ok((done.count() == 3).then_some(()))
    })
    .await?;
    assert_eq!(begun(chat), 3);
    check_pace(chat);
    check_calls(chat).await?;
    scene.alice.archive(&session.id).await?;
    Ok(())
}

async fn who_is_unknown_is_asked_in_private_and_then_chooses_the_repository(_: &World) -> Outcome {
    let scene = Scene::start("e2e-slack-choice").await?;
    let forge = &scene.played.stack.forge;
    let source = scene.played.stack.directory().join("second");
    write_source(&source);
    forge
        .create_repository(ORGANIZATION, "website", &source)
        .await?;
    let (chat, stack) = (&scene.chat, &scene.played.stack);

    let root = chat
        .say("alice", CHANNEL, None, &mention(chat, "fix it"))
        .await?;
    let url = invitation(chat, "alice", 0).await?;
    let said = chat.said(CHANNEL, &root).await?;
    assert_eq!(said, Vec::<Value>::new(), "nothing of it is said in public");
    // From elsewhere nobody is linked.
    let sealed = url.split_once("invitation=").ok_or("no invitation")?.1;
    let forged = scene
        .alice
        .request(Method::POST, "/slack/link")
        .header(header::ORIGIN, "https://evil.example")
        .body(format!("invitation={sealed}"))
        .send()
        .await?;
    assert_eq!(forged.status(), StatusCode::FORBIDDEN);
    assert_eq!(accept(stack, &scene.alice, &url).await?, StatusCode::OK);

    // Two repositories and nothing that decides: a question, with a menu over all.
    until_said(chat, &root, &["Which repository", "choose_any"]).await?;
    let suggestion = json!({
        "type": "block_suggestion", "action_id": "choose_any", "value": "WEB",
        "user": { "id": chat.person("alice")? }, "team": { "id": chat.team() },
    });
    let options: Value = chat.interact(&suggestion).await?.json().await?;
    let website = format!("{ORGANIZATION}/website");
    assert_eq!(options["options"][0]["value"], website);
    assert_eq!(options["options"].as_array().map(Vec::len), Some(1));
    let action = json!({
        "action_id": "choose_any", "action_ts": "1", "selected_option": { "value": website },
    });
    assert_eq!(chat.press("alice", CHANNEL, &root, &action).await?, 200);
    let session = only_session(&scene.alice).await?;
    assert_eq!(session.repository.name(), "website");
    until_said(chat, &root, &["it is, says alice"]).await?;

    // It was the other one after all: the work begins there, and ends here.
    until_said(chat, &root, &["Wrong repository"]).await?;
    let doubt = json!({ "action_id": "correct", "action_ts": "2", "value": session.id });
    assert_eq!(chat.press("alice", CHANNEL, &root, &doubt).await?, 200);
    until_said(chat, &root, &["Then which one is it?"]).await?;
    let tool = format!("{ORGANIZATION}/{REPOSITORY}");
    let action = json!({ "action_id": "choose:0", "action_ts": "3", "value": tool });
    assert_eq!(chat.press("alice", CHANNEL, &root, &action).await?, 200);
    let second = eventually("another session", || async {
        let sessions = scene.alice.sessions().await?.sessions;
        Ok(sessions
            .into_iter()
            .find(|found| found.repository.name() == REPOSITORY))
    })
    .await?;
    let start = scene.ready(&second.id).await?;
    let sent = scene.played.puppet.prompt_command(&start).await?;
    assert_eq!(sent.text, "fix it");

    // A reaction stops it.
    let stop = json!({
        "type": "reaction_added", "user": chat.person("alice")?, "reaction": "octagonal_sign",
        "item": { "type": "message", "channel": chat.channel(CHANNEL)?, "ts": root },
    });
    assert_eq!(chat.deliver(&stop, "EvStop").await?, 200);
    assert_eq!(scene.played.puppet.stop_command(&start).await?, sent.prompt);
    check_calls(chat).await?;
    scene.alice.archive(&second.id).await?;
    Ok(())
}
