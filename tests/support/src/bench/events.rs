//! How many events one session takes: signed batches, each acknowledged, all seen by a viewer.

use std::time::Instant;

use protocol::Seq;
use protocol::api::CreateSession;
use protocol::callback::Report;
use protocol::event::Repository;

use super::{Bar, BenchError, LIMIT, Measure, io};
use crate::client::Client;
use crate::demo::LOGIN;
use crate::forge::ORGANIZATION;
use crate::puppet::Puppet;
use crate::stack::{ModelChoice, Stack};

const REPOSITORY: &str = "events";
/// What a busy runner sends at once: its batches grow while one is on its way.
const BATCH: u64 = 100;
const BATCHES: u64 = 50;

/// Plays the runner itself, on a stack that has none.
pub async fn measure() -> Result<Measure, BenchError> {
    let stack = Stack::start_without_runner("bench-events", ModelChoice::Scripted).await?;
    let source = stack.directory().join("source");
    std::fs::create_dir_all(&source).map_err(io("make a repository"))?;
    std::fs::write(source.join("README.md"), "# events\n").map_err(io("make a repository"))?;
    stack
        .forge
        .create_repository(ORGANIZATION, REPOSITORY, &source)
        .await?;
    let puppet = Puppet::start(&stack.url(), stack.runner_keys()).await?;
    let client = Client::sign_in(&stack.url(), &stack.forge, LOGIN).await?;
    let repository = Repository::new(ORGANIZATION, REPOSITORY)
        .map_err(|error| BenchError::Unexpected(error.to_string()))?;
    let wanted = CreateSession {
        repository,
        branch: None,
        prompt: None,
        model: None,
        environment: None,
        client_request_id: None,
        attachments: Vec::new(),
    };
    let session = client.create_session(&wanted).await?.id;
    let start = puppet.start_command(&session).await?;
    let ready = Report::Ready {
        image: None,
        commit: "c0ffee".to_owned(),
    };
    puppet.report(&start, 1, vec![ready]).await?;

    let mut viewer = client.watch(&session, Seq(0)).await?;
    crate::demo::ready(&mut viewer).await?;
    let last = Seq(viewer.seq.0 + BATCH * BATCHES);
    let began = Instant::now();
    let reported = async {
        for batch in 0..BATCHES {
            let first = 2 + batch * BATCH;
            let reports = (first..first + BATCH)
                .map(|number| Report::Notice {
                    message: format!("notice {number}"),
                })
                .collect();
            puppet.report(&start, first, reports).await?;
        }
        Ok::<_, BenchError>(())
    };
    let seen = async {
        viewer
            .wait_for("every event", LIMIT, |viewer, _| {
                (viewer.seq >= last).then_some(())
            })
            .await?;
        Ok(())
    };
    tokio::try_join!(reported, seen)?;
    let seconds = began.elapsed().as_secs_f64();
    stack.stop().await;
    Ok(Measure {
        name: "events_per_second",
        value: (BATCH * BATCHES) as f64 / seconds,
        unit: "1/s",
        baseline: None,
        bar: Bar::None,
        runs: 1,
    })
}
