//! Tells a session which limits its sandbox meets.

use std::time::Duration;

use protocol::SandboxId;
use protocol::event::Limit;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::machine::Input;
use super::upkeep::agent_ended;
use crate::metrics::METRICS;
use crate::sandbox::SandboxBackend;
use crate::sandbox::cgroup::Stats;

/// How soon it is told: a few files are read for it.
const PERIOD: Duration = Duration::from_secs(2);

/// Tells of limits until the agent or the whole sandbox has ended, and then of that: in this order,
/// since nothing is told of a sandbox that is gone.
pub(super) async fn watch(
    backend: &dyn SandboxBackend,
    sandbox: &SandboxId,
    told: &mpsc::Sender<Input>,
) {
    // What happened before is known, or was somebody else's.
    let mut known = backend.stats(sandbox).await.unwrap_or_default();
    let ended = agent_ended(backend, sandbox);
    tokio::pin!(ended);
    let mut period = interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let ended = tokio::select! {
            ended = &mut ended => Some(ended),
            _ = period.tick() => None,
        };
        if let Ok(stats) = backend.stats(sandbox).await {
            for (limit, message) in reached(&known, &stats) {
                METRICS.limit_hits.count(limit);
                tracing::info!(%sandbox, ?limit, "a limit was reached");
                if told
                    .send(Input::LimitReached { limit, message })
                    .await
                    .is_err()
                {
                    return;
                }
            }
            known = stats;
        }
        if let Some(ended) = ended {
            // A session that is gone needs no end.
            let _ = told.send(ended).await;
            return;
        }
    }
}

fn reached(known: &Stats, now: &Stats) -> Vec<(Limit, String)> {
    let grew = |known: Option<u64>, now: Option<u64>| now > known;
    let mut reached = Vec::new();
    if grew(known.out_of_memory_kills, now.out_of_memory_kills) {
        let message = "A program was ended: all programs of the sandbox together wanted more \
                       memory than they may have.";
        reached.push((Limit::Memory, message.to_owned()));
    }
    if grew(known.process_limit_hits, now.process_limit_hits) {
        let message = "A program could not start another: the sandbox has as many processes and \
                       threads as it may have.";
        reached.push((Limit::Processes, message.to_owned()));
    }
    if let (None, Some(excess)) = (known.disk_excess, now.disk_excess) {
        let message = format!("The sandbox was ended: {excess}.");
        reached.push((Limit::Disk, message));
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::disk::{Excess, Usage};

    fn limits(known: &Stats, now: &Stats) -> Vec<Limit> {
        let reached = reached(known, now);
        reached.into_iter().map(|(limit, _)| limit).collect()
    }

    #[test]
    fn a_limit_is_told_of_when_its_count_grew() {
        let known = Stats {
            out_of_memory_kills: Some(1),
            process_limit_hits: Some(1),
            ..Stats::default()
        };
        assert_eq!(limits(&known, &known), []);
        let killed = Stats {
            out_of_memory_kills: Some(2),
            ..known
        };
        assert_eq!(limits(&known, &killed), [Limit::Memory]);
        let refused = Stats {
            process_limit_hits: Some(9),
            ..known
        };
        assert_eq!(limits(&known, &refused), [Limit::Processes]);
    }

    #[test]
    fn a_group_that_is_gone_reached_nothing() {
        let known = Stats {
            out_of_memory_kills: Some(1),
            ..Stats::default()
        };
        assert_eq!(limits(&known, &Stats::default()), []);
    }

    #[test]
    fn a_disk_limit_is_told_of_once() {
        let full = Stats {
            disk_excess: Some(Excess {
                usage: Usage { bytes: 2, files: 1 },
                limits: Usage { bytes: 1, files: 1 },
            }),
            ..Stats::default()
        };
        assert_eq!(limits(&Stats::default(), &full), [Limit::Disk]);
        assert_eq!(limits(&full, &full), []);
    }
}
