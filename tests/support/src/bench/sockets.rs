//! Three hundred sessions at once, each with a live socket: how late what their runner reports reaches
//! whoever watches. The test plays the runner, so nothing but the Worker takes time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use protocol::Seq;
use protocol::api::CreateSession;
use protocol::callback::Report;
use protocol::command::Start;
use protocol::event::{Fact, Repository};
use protocol::frame::ServerFrame;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::memory::kilobytes;
use super::{Bar, BenchError, LIMIT, Measure, io, milliseconds, unexpected};
use crate::client::{Client, Viewer};
use crate::demo::LOGIN;
use crate::forge::ORGANIZATION;
use crate::puppet::Puppet;
use crate::stack::{ModelChoice, Stack};

const REPOSITORY: &str = "sockets";
const SESSIONS: usize = 300;
/// All sessions together.
const EVENTS_PER_SECOND: usize = 100;
const SECONDS: usize = 30;
/// What came of opening three hundred sessions within seconds (their rows in lists, their notices) is
/// still being done at first; events of that time are told and not counted.
const LEAD_IN: Duration = Duration::from_secs(10);
/// Sessions that are being made at once.
const MAKING: usize = 8;

/// The p99 from the callback to the socket, and what the Worker's processes hold meanwhile.
pub async fn measure() -> Result<[Measure; 2], BenchError> {
    let stack = Stack::start_without_runner("bench-sockets", ModelChoice::Scripted).await?;
    let source = stack.directory().join("source");
    std::fs::create_dir_all(&source).map_err(io("make a repository"))?;
    std::fs::write(source.join("README.md"), "# sockets\n").map_err(io("make a repository"))?;
    let forge = &stack.forge;
    forge
        .create_repository(ORGANIZATION, REPOSITORY, &source)
        .await?;
    let puppet = Arc::new(Puppet::start(&stack.url(), stack.runner_keys()).await?);
    let client = Client::sign_in(&stack.url(), forge, LOGIN).await?;
    let opened: Vec<(Start, Viewer)> = stream::iter(0..SESSIONS)
        .map(|_| open(&client, &puppet))
        .buffer_unordered(MAKING)
        .try_collect()
        .await?;
    let (starts, viewers): (Vec<_>, Vec<_>) = opened.into_iter().unzip();
    let mut delays = tell(&puppet, &starts, viewers).await?;
    delays.sort_unstable();
    let place = (delays.len() * 99).div_ceil(100).saturating_sub(1);
    let late = delays.get(place).copied().unwrap_or_default();
    let memory = resident(stack.worker_process_id())?;
    stack.stop().await;
    let measure = |name, value, unit, bar| Measure {
        name,
        value,
        unit,
        baseline: None,
        bar,
        runs: 1,
    };
    Ok([
        measure(
            "sockets_300_p99",
            milliseconds(late),
            "ms",
            Bar::Value(250.0),
        ),
        measure("sockets_300_memory", memory, "MB", Bar::None),
    ])
}

/// A session that is at work, and somebody who watches it.
async fn open(client: &Client, puppet: &Puppet) -> Result<(Start, Viewer), BenchError> {
    let wanted = CreateSession {
        repository: Repository::new(ORGANIZATION, REPOSITORY).map_err(unexpected)?,
        branch: None,
        prompt: Some("Work".to_owned()),
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
    puppet.prompt_command(&start).await?;
    let mut viewer = client.watch(&session, Seq(0)).await?;
    viewer
        .wait_for_fact("the prompt's start", LIMIT, |fact| {
            matches!(fact, Fact::PromptStarted { .. }).then_some(())
        })
        .await?;
    Ok((start, viewer))
}

/// Reports one event after the other, each for the next session; returns how late each was seen.
async fn tell(
    puppet: &Arc<Puppet>,
    starts: &[Start],
    viewers: Vec<Viewer>,
) -> Result<Vec<Duration>, BenchError> {
    const EVENTS: usize = EVENTS_PER_SECOND * SECONDS;
    let began = Instant::now();
    let mut watching = JoinSet::new();
    for (session, viewer) in viewers.into_iter().enumerate() {
        let expected = (session..EVENTS).step_by(SESSIONS).count();
        watching.spawn(watch(viewer, expected, began));
    }
    let mut posting = JoinSet::new();
    let interval = Duration::from_secs(1) / u32::try_from(EVENTS_PER_SECOND).unwrap_or(1);
    let mut ticks = tokio::time::interval(interval);
    // What was held up is made up for: the rate is the same whatever the Worker does.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let order = starts.iter().enumerate().cycle().take(EVENTS);
    for (number, (session, start)) in order.enumerate() {
        ticks.tick().await;
        let report = 2 + u64::try_from((number - session) / SESSIONS).unwrap_or(0);
        let (puppet, start) = (Arc::clone(puppet), start.clone());
        posting.spawn(async move {
            let message = began.elapsed().as_micros().to_string();
            puppet
                .report(&start, report, vec![Report::Notice { message }])
                .await
        });
    }
    while let Some(posted) = posting.join_next().await {
        posted.map_err(unexpected)??;
    }
    let mut delays = Vec::with_capacity(EVENTS);
    while let Some(seen) = watching.join_next().await {
        let counted = seen.map_err(unexpected)??.into_iter();
        delays.extend(counted.filter_map(|(posted, late)| (posted >= LEAD_IN).then_some(late)));
    }
    Ok(delays)
}

/// Each notice says when it was posted. Answers that, and how late it was seen.
async fn watch(
    mut viewer: Viewer,
    expected: usize,
    began: Instant,
) -> Result<Vec<(Duration, Duration)>, BenchError> {
    let mut delays = Vec::with_capacity(expected);
    while delays.len() < expected {
        let frame = tokio::time::timeout(LIMIT, viewer.next())
            .await
            .map_err(unexpected)??;
        let ServerFrame::Events { events } = frame else {
            continue;
        };
        let seen = began.elapsed();
        for event in events {
            if let Fact::Notice { message } = event.fact {
                let posted = Duration::from_micros(message.parse().map_err(unexpected)?);
                delays.push((posted, seen.saturating_sub(posted)));
            }
        }
    }
    Ok(delays)
}

/// Megabytes of a process and all that it started.
fn resident(root: Option<i32>) -> Result<f64, BenchError> {
    let mut family: Vec<i32> = root.into_iter().collect();
    let mut kilo = 0.0;
    while let Some(process) = family.pop() {
        // One that has ended meanwhile holds nothing.
        let status = std::fs::read_to_string(format!("/proc/{process}/status"));
        kilo += kilobytes(&status.unwrap_or_default(), "VmRSS:");
        let tasks = std::fs::read_dir(format!("/proc/{process}/task"));
        for task in tasks.map_err(io("read the Worker's processes"))?.flatten() {
            let children = std::fs::read_to_string(task.path().join("children"));
            let children = children.unwrap_or_default();
            family.extend(
                children
                    .split_whitespace()
                    .filter_map(|id| id.parse::<i32>().ok()),
            );
        }
    }
    Ok(kilo / 1024.0)
}
