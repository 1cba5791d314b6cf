//! Sandboxes that are ready before they are asked for: claimed while somebody types, each by one
//! session, put to sleep and woken, and as many as there is demand for.
//!
//! Tests share a runner and a Fleet, so each has a branch, and with it a pool, of its own.

use std::time::Duration;

use protocol::api::CreateSession;
use protocol::callback::{HeldImage, PromptResult, Report, WarmSandbox};
use protocol::command::{Model, Provider, Start};
use protocol::event::{Fact, Step, StepName};
use protocol::frame::ClientFrame;
use protocol::image::Base;
use protocol::{ImageId, SandboxId, Seq, SnapshotId};
use support::client::Viewer;

use crate::stage::{ALICE, Failure, LIMIT, Outcome, Played, PlayedStack, wanted};
use crate::tests;
use crate::world::{Group, World};

pub fn group(group: &mut Group<'_>) {
    tests!(group;
        a_warm_sandbox_goes_to_one_of_two_that_ask_at_once,
        typing_claims_one_sandbox,
        a_sandbox_that_slept_is_woken_from_its_snapshot,
        demand_makes_a_pool,
        a_session_without_a_prompt_is_in_no_list,
    );
}

fn on(branch: &str) -> CreateSession {
    CreateSession {
        branch: Some(branch.to_owned()),
        model: Some(model()),
        ..wanted(None)
    }
}

fn model() -> Model {
    Model {
        provider: Provider::Openai,
        name: "warm".to_owned(),
    }
}

fn base(branch: &str) -> Base {
    Base {
        repository: wanted(None).repository,
        branch: branch.to_owned(),
        environment: None,
    }
}

/// Gives the runner an image of `base` and one warm sandbox made from it.
async fn stock(stack: &PlayedStack, number: u8, base: &Base) -> Result<SandboxId, Failure> {
    let image = ImageId::from_random([number; 16]);
    let sandbox = SandboxId::from_random([number; 16]);
    let held = HeldImage {
        image: image.clone(),
        base: base.clone(),
        commit: "c0ffee".to_owned(),
        built_at: support::puppet::now(),
        stale: false,
    };
    let warm = WarmSandbox {
        sandbox: sandbox.clone(),
        base: base.clone(),
        model: model(),
        image,
    };
    let offered = stack.puppet.offer(|register| {
        register.images.push(held);
        register.warm.push(warm);
    });
    offered.await?;
    Ok(sandbox)
}

async fn step(viewer: &mut Viewer, name: StepName) -> Result<Step, Failure> {
    let wanted = format!("the step {name:?}");
    let step = viewer.wait_for_fact(&wanted, LIMIT, |fact| match fact {
        Fact::Step { step } if step.name == name => Some(step.clone()),
        _ => None,
    });
    Ok(step.await?)
}

async fn a_warm_sandbox_goes_to_one_of_two_that_ask_at_once(world: &World) -> Outcome {
    let stack = world.played().await;
    let client = stack.client(ALICE).await?;
    let entry = stock(stack, 101, &base("warm-lease")).await?;
    let wanted = on("warm-lease");
    let (one, two) = tokio::try_join!(
        client.create_session(&wanted),
        client.create_session(&wanted)
    )?;
    let mut given = Vec::new();
    let mut reasons = Vec::new();
    for created in [one, two] {
        let start = stack.puppet.start_command(&created.id).await?;
        given.extend(start.warm);
        let mut viewer = client.watch(&created.id, Seq(0)).await?;
        let claim = step(&mut viewer, StepName::Claim).await?;
        reasons.push(claim.detail.unwrap_or_default());
    }
    assert_eq!(given, [entry]);
    reasons.sort();
    let [empty, warm] = reasons.as_slice() else {
        panic!("{reasons:?}")
    };
    assert_eq!(warm, "warm");
    assert!(
        empty.starts_with("pool empty: from the image of"),
        "{empty}"
    );
    Ok(())
}

async fn typing_claims_one_sandbox(world: &World) -> Outcome {
    let stack = world.played().await;
    let played = Played::ready_for(stack, &on("warm-typing")).await?;
    let gone = Report::Lost {
        reason: "the machine went away".to_owned(),
    };
    played.puppet.report(&played.start, 2, vec![gone]).await?;
    let entry = stock(stack, 102, &base("warm-typing")).await?;
    let mut viewer = played.client.watch(&played.session, Seq(0)).await?;
    for _ in 0..20 {
        viewer.send(&ClientFrame::Typing {}).await?;
    }
    let start = played.puppet.start_command(&played.session).await?;
    assert_eq!(start.warm, Some(entry));
    viewer
        .send(&ClientFrame::Prompt {
            text: "what was typed".to_owned(),
            mode: protocol::event::Mode::Queue,
            client_request_id: None,
            attachments: Vec::new(),
        })
        .await?;
    step(&mut viewer, StepName::Typing).await?;
    let starts = viewer.events.iter().filter(
        |event| matches!(event.fact, Fact::SandboxStarting { epoch, .. } if epoch == start.epoch),
    );
    assert_eq!((starts.count(), start.epoch.0), (1, 2));
    ready(&played, &start).await?;
    let sent = played.puppet.prompt_command(&start).await?;
    assert_eq!(sent.text, "what was typed");
    Ok(())
}

async fn ready(played: &Played<'_>, start: &Start) -> Outcome {
    let ready = Report::Ready {
        image: None,
        commit: "c0ffee".to_owned(),
    };
    played.puppet.report(start, 1, vec![ready]).await?;
    Ok(())
}

async fn a_sandbox_that_slept_is_woken_from_its_snapshot(world: &World) -> Outcome {
    let stack = world.played().await;
    let played = Played::ready_for(stack, &on("warm-sleep")).await?;
    let (mut viewer, sent) = played.prompt("first").await?;
    let snapshot = |number| SnapshotId::from_random([number; 16]);
    let reports = vec![
        Report::Snapshotted {
            snapshot: snapshot(1),
            prompt: Some(sent.prompt.clone()),
        },
        Report::PromptFinished {
            prompt: sent.prompt,
            result: PromptResult::Completed,
        },
        Report::Slept {
            snapshot: snapshot(2),
        },
    ];
    played.puppet.report(&played.start, 2, reports).await?;
    // A pool entry would be without the session's files.
    stock(stack, 103, &base("warm-sleep")).await?;
    viewer
        .send(&ClientFrame::Prompt {
            text: "second".to_owned(),
            mode: protocol::event::Mode::Queue,
            client_request_id: None,
            attachments: Vec::new(),
        })
        .await?;
    let start = played.puppet.start_command(&played.session).await?;
    assert_eq!((start.snapshot, start.warm), (Some(snapshot(2)), None));
    viewer
        .wait_for_fact("the waking", LIMIT, |fact| match fact {
            Fact::Step { step } if step.name == StepName::Claim => {
                (step.detail.as_deref() == Some("woken from its snapshot")).then_some(())
            }
            _ => None,
        })
        .await?;
    Ok(())
}

async fn demand_makes_a_pool(world: &World) -> Outcome {
    let stack = world.played().await;
    let of = |base: &Base, pool: &[protocol::callback::PoolTarget]| {
        let sizes = pool.iter().filter(|target| target.base == *base);
        sizes.map(|target| target.size).sum::<u32>()
    };
    let base = base("warm-demand");
    assert_eq!(of(&base, &stack.puppet.offer(|_| ()).await?), 0);
    let before = stack.client(ALICE).await?.pool_figures().await?;
    let played = Played::ready_for(stack, &on("warm-demand")).await?;
    assert_eq!(of(&base, &stack.puppet.offer(|_| ()).await?), 1);
    // The sandbox that was missed is in the figures.
    let misses = |figures: protocol::api::PoolFigures| {
        figures.misses.iter().map(|miss| miss.count).sum::<u64>()
    };
    assert!(misses(played.client.pool_figures().await?) > misses(before));
    Ok(())
}

async fn a_session_without_a_prompt_is_in_no_list(world: &World) -> Outcome {
    let stack = world.played().await;
    let played = Played::ready_for(stack, &on("warm-list")).await?;
    let listed = || async {
        let sessions = played.client.sessions().await?.sessions;
        Ok::<_, Failure>(sessions.iter().any(|one| one.id == played.session))
    };
    assert!(!listed().await?);
    let (_viewer, _) = played.prompt("now it is one").await?;
    let appears = async {
        while !listed().await? {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok::<_, Failure>(())
    };
    tokio::time::timeout(LIMIT, appears).await??;
    Ok(())
}
