//! From a snapshot on: the same session in its next sandbox, or a fork.

use protocol::SnapshotId;
use protocol::api::{CreatedSession, SessionList};
use protocol::event::Outcome as PromptOutcome;
use support::client::ClientError;

use super::*;

pub fn group(group: &mut Group<'_>) {
    tests!(group;
        a_prompt_goes_on_when_its_sandbox_is_lost,
        a_fork_goes_on_from_the_end_of_a_prompt,
    );
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
