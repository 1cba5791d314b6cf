//! A turn that grows in its thread, where the workspace has that.

use protocol::PartId;
use protocol::callback::{PromptResult, Report};
use protocol::command::SendPrompt;
use protocol::event::{PartBody, PartOutcome};
use serde_json::{Value, json};
use support::chat::Chat;

use super::peers::check_calls;
use super::{CHANNEL, Scene, check_pace, mention, only_session, until_said};
use crate::stage::{Failure, Outcome, eventually};
use crate::tests;
use crate::world::{Group, World};

pub fn group(group: &mut Group<'_>) {
    tests!(group; a_turn_grows_where_the_workspace_has_that_and_is_edited_where_it_loses_it);
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
