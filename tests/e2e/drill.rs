//! What only a Worker with drills in it can show: a panic in one session, on purpose and in the
//! middle of a transaction, and that an object has left the memory.

use std::time::Duration;

use protocol::Seq;
use protocol::callback::Report;
use support::puppet::PuppetError;
use support::stack::{ModelChoice, Stack};

use crate::forge::{DANA, until_there};
use crate::stage::{ALICE, BOB, Failure, LIMIT, Outcome, Played, PlayedStack};
use crate::tests;
use crate::world::{Group, World};

pub fn group(group: &mut Group<'_>) {
    tests!(group;
        a_panic_in_one_session_leaves_it_and_the_others_as_they_were,
        presence_is_right_after_the_session_has_left_the_memory,
    );
}

/// How long the runtime keeps an object in memory that nobody asks anything, and some.
const ASLEEP: Duration = Duration::from_secs(14);

async fn a_panic_in_one_session_leaves_it_and_the_others_as_they_were(_: &World) -> Outcome {
    let stack = Stack::start_drill("e2e-drill", ModelChoice::Scripted).await?;
    let stack = PlayedStack::of(stack).await;
    let panicking = Played::ready_on(&stack).await?;
    let other = Played::ready_on(&stack).await?;
    let mut viewer = other.client.watch(&other.session, Seq(0)).await?;
    viewer
        .wait_for("the log", LIMIT, |viewer, _| {
            (viewer.seq > Seq(0)).then_some(())
        })
        .await?;
    let before = panicking.client.events(&panicking.session, Seq(0)).await?;

    let path = format!("/runner/drill/{}", panicking.session);
    let answer = stack.puppet.post(&path, &serde_json::json!({})).await;
    let Err(PuppetError::Refused { status: 500, .. }) = answer else {
        panic!("the panic was answered with {answer:?}");
    };

    // The other's socket is open and its object goes on from where it was.
    let notice = Report::Notice {
        message: "undisturbed".to_owned(),
    };
    other.puppet.report(&other.start, 2, vec![notice]).await?;
    viewer
        .wait_for_fact("the report", LIMIT, |fact| match fact {
            protocol::Fact::Notice { message } if message == "undisturbed" => Some(()),
            _ => None,
        })
        .await?;
    // What the panicking transaction had deleted is there again, and the session works.
    let after = panicking.client.events(&panicking.session, Seq(0)).await?;
    assert_eq!(before, after);
    let notice = Report::Notice {
        message: "alive".to_owned(),
    };
    assert_eq!(
        panicking
            .puppet
            .report(&panicking.start, 2, vec![notice])
            .await?,
        2
    );
    Ok(())
}

/// Which life of the session's object answers; this wakes it.
async fn life(stack: &PlayedStack, played: &Played<'_>) -> Result<String, Failure> {
    let path = format!("/runner/drill/{}/life", played.session);
    Ok(stack.puppet.post(&path, &serde_json::json!({})).await?)
}

async fn presence_is_right_after_the_session_has_left_the_memory(_: &World) -> Outcome {
    let stack = Stack::start_drill("e2e-asleep", ModelChoice::Scripted).await?;
    let stack = PlayedStack::of(stack).await;
    let played = Played::ready_on(&stack).await?;
    let (bob, dana) = (stack.client(BOB).await?, stack.client(DANA).await?);
    let mut alices = played.client.watch(&played.session, Seq(0)).await?;
    let bobs = bob.watch(&played.session, Seq(0)).await?;
    until_there(&mut alices, &[ALICE, BOB]).await?;
    let first = life(&stack, &played).await?;
    // Time itself is what this is about: nobody says anything, and the object leaves the memory.
    tokio::time::sleep(ASLEEP).await;
    let mut danas = dana.watch(&played.session, Seq(0)).await?;
    until_there(&mut danas, &[ALICE, BOB, DANA]).await?;
    until_there(&mut alices, &[ALICE, BOB, DANA]).await?;
    let second = life(&stack, &played).await?;
    assert_ne!(first, second, "it never slept");
    tokio::time::sleep(ASLEEP).await;
    drop(bobs);
    until_there(&mut danas, &[ALICE, DANA]).await?;
    until_there(&mut alices, &[ALICE, DANA]).await?;
    let third = life(&stack, &played).await?;
    assert_ne!(second, third, "it never slept");
    Ok(())
}
