//! Reports arrive late, twice, in the wrong order, and viewers come and go: the log is as if
//! nothing had happened.

use protocol::callback::{PromptResult, Report};
use protocol::event::{Fact, PartBody, PartOutcome};
use protocol::frame::{ClientFrame, ServerFrame};
use protocol::{PartId, PromptId, Seq};
use support::puppet::PuppetError;

use crate::stage::{ALICE, BOB, LIMIT, Outcome, Played};
use crate::tests;
use crate::world::{Group, World};

pub fn group(group: &mut Group<'_>) {
    tests!(group;
        a_duplicate_batch_is_acknowledged_and_logged_once,
        a_batch_that_leaves_a_gap_is_refused_until_the_gap_is_filled,
        reports_of_a_lost_sandbox_are_void,
        a_reconnecting_client_gets_exactly_what_it_missed,
        a_newcomer_gets_text_that_is_still_growing,
        everybody_sees_who_is_there_and_what_they_ask,
        a_stop_reaches_the_runner_and_names_who_stopped,
        a_waiting_prompt_can_be_edited_and_cancelled,
        archiving_ends_the_sandbox,
    );
}

fn started(part: u64, prompt: &PromptId) -> Report {
    Report::PartStarted {
        part: PartId(part),
        prompt: prompt.clone(),
        body: PartBody::Text,
    }
}

fn delta(part: u64, offset: u64, text: &str) -> Report {
    Report::Delta {
        part: PartId(part),
        offset,
        text: text.to_owned(),
    }
}

fn finished(part: u64, prompt: &PromptId, length: u64) -> Report {
    let outcome = PartOutcome::Completed { title: None };
    Report::PartFinished {
        part: PartId(part),
        prompt: prompt.clone(),
        length,
        text: None,
        outcome,
    }
}

fn notice(message: &str) -> Report {
    Report::Notice {
        message: message.to_owned(),
    }
}

async fn a_duplicate_batch_is_acknowledged_and_logged_once(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    for _ in 0..3 {
        assert_eq!(
            played
                .puppet
                .report(&played.start, 2, vec![notice("a"), notice("b")])
                .await?,
            3
        );
    }
    // One that overlaps: only what is new counts.
    assert_eq!(
        played
            .puppet
            .report(&played.start, 3, vec![notice("b"), notice("c")])
            .await?,
        4
    );
    let events = played.client.events(&played.session, Seq(0)).await?.events;
    let notices: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.fact {
            Fact::Notice { message } => Some(message.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(notices, ["a", "b", "c"]);
    Ok(())
}

async fn a_batch_that_leaves_a_gap_is_refused_until_the_gap_is_filled(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let early = played
        .puppet
        .report(&played.start, 3, vec![notice("second")])
        .await;
    let Err(PuppetError::Refused { status: 409, body }) = early else {
        panic!("a gap was taken: {early:?}");
    };
    assert_eq!(body, r#"{"received":1}"#);
    played
        .puppet
        .report(&played.start, 2, vec![notice("first")])
        .await?;
    assert_eq!(
        played
            .puppet
            .report(&played.start, 3, vec![notice("second")])
            .await?,
        3
    );
    Ok(())
}

async fn reports_of_a_lost_sandbox_are_void(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let lost = Report::Lost {
        reason: "the machine went away".to_owned(),
    };
    played.puppet.report(&played.start, 2, vec![lost]).await?;
    let late = played
        .puppet
        .report(&played.start, 3, vec![notice("late")])
        .await;
    assert!(
        matches!(late, Err(PuppetError::Refused { status: 410, .. })),
        "{late:?}"
    );
    Ok(())
}

async fn a_reconnecting_client_gets_exactly_what_it_missed(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let (mut viewer, sent) = played.prompt("write").await?;
    let prompt = &sent.prompt;
    played
        .puppet
        .report(
            &played.start,
            2,
            vec![started(1, prompt), delta(1, 0, "Hello, ")],
        )
        .await?;
    viewer
        .wait_for("the first words", LIMIT, |viewer, _| {
            viewer.texts.contains_key(&PartId(1)).then_some(())
        })
        .await?;
    let seen = viewer.seq;
    drop(viewer);

    let rest = vec![
        delta(1, 7, "world 😀"),
        finished(1, prompt, 15),
        notice("while you were away"),
        started(2, prompt),
        delta(2, 0, "Still "),
    ];
    played.puppet.report(&played.start, 4, rest).await?;
    let mut back = played.client.watch(&played.session, seen).await?;
    back.wait_for("the growing part", LIMIT, |viewer, _| {
        viewer.texts.contains_key(&PartId(2)).then_some(())
    })
    .await?;
    assert_eq!(
        back.finished.get(&PartId(1)).map(String::as_str),
        Some("Hello, world 😀")
    );

    let end = vec![
        delta(2, 6, "here."),
        finished(2, prompt, 11),
        Report::PromptFinished {
            prompt: prompt.clone(),
            result: PromptResult::Completed,
        },
    ];
    played.puppet.report(&played.start, 9, end).await?;
    back.wait_for_fact("the end", LIMIT, |fact| {
        matches!(fact, Fact::PromptFinished { .. }).then_some(())
    })
    .await?;
    assert_eq!(
        back.finished.get(&PartId(2)).map(String::as_str),
        Some("Still here.")
    );
    // What the reconnected viewer saw is what the log says, number by number.
    let log = played.client.events(&played.session, seen).await?.events;
    let seqs =
        |events: &[protocol::Event]| events.iter().map(|event| event.seq).collect::<Vec<_>>();
    assert_eq!(seqs(&back.events), seqs(&log));
    Ok(())
}

async fn a_newcomer_gets_text_that_is_still_growing(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let (_viewer, sent) = played.prompt("write").await?;
    let reports = vec![
        started(1, &sent.prompt),
        delta(1, 0, "ab"),
        delta(1, 2, "cd"),
    ];
    played.puppet.report(&played.start, 2, reports).await?;
    let mut newcomer = played.client.watch(&played.session, Seq(0)).await?;
    newcomer
        .wait_for("the text so far", LIMIT, |viewer, _| {
            (viewer.texts.get(&PartId(1)).map(String::as_str) == Some("abcd")).then_some(())
        })
        .await?;
    played
        .puppet
        .report(&played.start, 5, vec![delta(1, 4, "ef")])
        .await?;
    newcomer
        .wait_for("what follows", LIMIT, |viewer, _| {
            (viewer.texts.get(&PartId(1)).map(String::as_str) == Some("abcdef")).then_some(())
        })
        .await?;
    Ok(())
}

async fn everybody_sees_who_is_there_and_what_they_ask(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let bob = world.played().await.client(BOB).await?;
    let mut alices = played.client.watch(&played.session, Seq(0)).await?;
    let mut bobs = bob.watch(&played.session, Seq(0)).await?;
    alices
        .wait_for("Bob", LIMIT, |viewer, _| {
            let mut logins: Vec<_> = viewer
                .participants
                .iter()
                .map(|one| one.person.login.as_str())
                .collect();
            logins.sort_unstable();
            (logins == [ALICE, BOB]).then_some(())
        })
        .await?;
    bobs.send(&ClientFrame::Typing {}).await?;
    alices
        .wait_for("Bob typing", LIMIT, |_, frame| match frame {
            ServerFrame::Typing { person } if person.login == BOB => Some(()),
            _ => None,
        })
        .await?;
    bobs.send(&ClientFrame::Prompt {
        text: "do it".to_owned(),
        mode: protocol::event::Mode::Queue,
        client_request_id: None,
        attachments: Vec::new(),
    })
    .await?;
    let author = alices
        .wait_for_fact("Bob's prompt", LIMIT, |fact| match fact {
            Fact::PromptQueued { prompt } => Some(prompt.author.login.clone()),
            _ => None,
        })
        .await?;
    assert_eq!(author, BOB);
    let sent = played.puppet.prompt_command(&played.start).await?;
    assert!(
        sent.author.email.ends_with("+bob@users.noreply.github.com"),
        "{:?}",
        sent.author
    );
    drop(bobs);
    alices
        .wait_for("Bob leaving", LIMIT, |viewer, _| {
            (viewer.participants.len() == 1).then_some(())
        })
        .await?;
    Ok(())
}

async fn a_stop_reaches_the_runner_and_names_who_stopped(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let (mut viewer, sent) = played.prompt("take your time").await?;
    let bob = world.played().await.client(BOB).await?;
    bob.stop(&played.session).await?;
    assert_eq!(
        played.puppet.stop_command(&played.start).await?,
        sent.prompt
    );
    let result = PromptResult::Stopped;
    let report = Report::PromptFinished {
        prompt: sent.prompt.clone(),
        result,
    };
    played.puppet.report(&played.start, 2, vec![report]).await?;
    let by = viewer
        .wait_for_fact("the end", LIMIT, |fact| match fact {
            Fact::PromptFinished {
                outcome: protocol::event::Outcome::Stopped { by },
                ..
            } => Some(by.login.clone()),
            _ => None,
        })
        .await?;
    assert_eq!(by, BOB);
    Ok(())
}

async fn a_waiting_prompt_can_be_edited_and_cancelled(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let (mut viewer, first) = played.prompt("first").await?;
    for text in ["second", "third"] {
        let text = text.to_owned();
        let mode = protocol::event::Mode::Queue;
        viewer
            .send(&ClientFrame::Prompt {
                text,
                mode,
                client_request_id: None,
                attachments: Vec::new(),
            })
            .await?;
    }
    let queued = |viewer: &support::client::Viewer| {
        let prompts = viewer.events.iter().filter_map(|event| match &event.fact {
            Fact::PromptQueued { prompt } => Some(prompt.id.clone()),
            _ => None,
        });
        prompts.collect::<Vec<_>>()
    };
    let ids = viewer
        .wait_for("three prompts", LIMIT, |viewer, _| {
            Some(queued(viewer)).filter(|ids| ids.len() == 3)
        })
        .await?;
    let [_, second, third] = ids.as_slice() else {
        panic!("{ids:?}")
    };
    let text = "second, but better".to_owned();
    viewer
        .send(&ClientFrame::EditPrompt {
            prompt: second.clone(),
            text,
        })
        .await?;
    viewer
        .send(&ClientFrame::CancelPrompt {
            prompt: third.clone(),
        })
        .await?;
    viewer
        .wait_for_fact("the cancelling", LIMIT, |fact| {
            matches!(fact, Fact::PromptCancelled { .. }).then_some(())
        })
        .await?;
    let done = Report::PromptFinished {
        prompt: first.prompt,
        result: PromptResult::Completed,
    };
    played.puppet.report(&played.start, 2, vec![done]).await?;
    let sent = played.puppet.prompt_command(&played.start).await?;
    assert_eq!(
        (sent.prompt, sent.text.as_str()),
        (second.clone(), "second, but better")
    );
    // One that has started is not edited any more.
    let text = "too late".to_owned();
    viewer
        .send(&ClientFrame::EditPrompt {
            prompt: second.clone(),
            text,
        })
        .await?;
    let error = viewer.error(LIMIT).await?;
    assert_eq!(error, "not_waiting");
    Ok(())
}

async fn archiving_ends_the_sandbox(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    played.client.archive(&played.session).await?;
    played.puppet.end_command(&played.start).await?;
    let path = format!("/api/sessions/{}/prompts", played.session);
    let body = serde_json::json!({ "text": "more" });
    let answer = played
        .client
        .request(reqwest::Method::POST, &path)
        .json(&body)
        .send()
        .await?;
    assert_eq!(answer.status().as_u16(), 409);
    Ok(())
}
