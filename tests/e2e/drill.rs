//! A panic in one session, on purpose and in the middle of a transaction.

use protocol::Seq;
use protocol::callback::Report;
use support::puppet::PuppetError;
use support::stack::{ModelChoice, Stack};

use crate::stage::{LIMIT, Outcome, Played, PlayedStack};
use crate::tests;
use crate::world::{Group, World};

pub fn group(group: &mut Group<'_>) {
    tests!(group; a_panic_in_one_session_leaves_it_and_the_others_as_they_were);
}

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
