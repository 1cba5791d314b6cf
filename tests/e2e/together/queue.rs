//! The queue, put in order, paused, resumed and cleared.

use support::client::ClientError;

use super::*;

pub fn group(group: &mut Group<'_>) {
    tests!(group;
        a_stopped_queue_waits_until_it_is_resumed,
        a_stopped_queue_can_be_cleared,
        prompts_run_in_the_order_that_somebody_gave_them,
        a_waiting_prompt_joins_the_running_one,
    );
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
