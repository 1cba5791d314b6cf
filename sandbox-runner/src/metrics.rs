//! What the runner counts, as Prometheus reads it: `GET /metrics`.
//!
//! Counts and durations only, of the whole runner: no name of a repository, host or session. What
//! is counted lives as long as the process, so a restart begins at zero. All names begin with
//! `hosted_agents_runner_`.
//!
//! | metric | labels | |
//! | --- | --- | --- |
//! | `sandboxes` | `state`: `session`, `warm` | held now |
//! | `capacity` | | of sandboxes |
//! | `pool_claims_total` | `result`: `hit`, `miss` | starts that named a warm sandbox |
//! | `image_builds_total` | `result`: `built`, `failed` | |
//! | `reports_waiting` | | not yet taken by their sessions |
//! | `gateway_requests_total` | `kind`, `verdict` | see `protocol::ledger` |
//! | `gateway_bytes_total` | `direction`: `up`, `down` | |
//! | `start_seconds` | | histogram: a sandbox until it can be reached |
//! | `snapshot_seconds` | | histogram: a layer from a sandbox that runs on |
//! | `limit_hits_total` | `limit` | told to sessions |
//! | `memory_bytes` | | resident memory of the runner |

use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use protocol::event::Limit;
use protocol::ledger::{ContactKind, Verdict};

/// Counted everywhere, and read in one place: handing it around would be a field of every part.
pub static METRICS: Metrics = Metrics::new();

const PREFIX: &str = "hosted_agents_runner_";

/// Upper bounds in milliseconds: a start takes tens of them, and seconds on a busy machine.
const BOUNDS: [u64; 10] = [10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000];

#[derive(Debug)]
pub struct Metrics {
    pub claims_hit: Counter,
    pub claims_missed: Counter,
    pub images_built: Counter,
    pub images_failed: Counter,
    pub gateway: ByKindAndVerdict,
    pub bytes_up: Counter,
    pub bytes_down: Counter,
    pub starts: Histogram,
    pub snapshots: Histogram,
    pub limit_hits: ByLimit,
}

/// What is known when it is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gauges {
    pub sessions: usize,
    pub warm: usize,
    pub capacity: u32,
    pub reports_waiting: i64,
}

#[derive(Debug)]
pub struct Counter(AtomicU64);

#[derive(Debug)]
pub struct Histogram {
    /// Not cumulative; the last is for what is above all bounds.
    buckets: [Counter; BOUNDS.len() + 1],
    micros: Counter,
}

#[derive(Debug)]
pub struct ByKindAndVerdict([[Counter; VERDICTS.len()]; KINDS.len()]);

#[derive(Debug)]
pub struct ByLimit([Counter; LIMITS.len()]);

const KINDS: [(ContactKind, &str); 5] = [
    (ContactKind::Model, "model"),
    (ContactKind::Git, "git"),
    (ContactKind::Https, "https"),
    (ContactKind::Http, "http"),
    (ContactKind::Name, "name"),
];
const VERDICTS: [(Verdict, &str); 3] = [
    (Verdict::Allowed, "allowed"),
    (Verdict::Denied, "denied"),
    (Verdict::Failed, "failed"),
];
const LIMITS: [(Limit, &str); 5] = [
    (Limit::Memory, "memory"),
    (Limit::Processes, "processes"),
    (Limit::Disk, "disk"),
    (Limit::Time, "time"),
    (Limit::Money, "money"),
];

impl Counter {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Histogram {
    const fn new() -> Self {
        Self {
            buckets: [const { Counter::new() }; BOUNDS.len() + 1],
            micros: Counter::new(),
        }
    }

    pub fn observe(&self, duration: Duration) {
        let above = BOUNDS
            .iter()
            .take_while(|bound| duration > Duration::from_millis(**bound));
        if let Some(bucket) = self.buckets.get(above.count()) {
            bucket.add(1);
        }
        self.micros
            .add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }
}

impl ByKindAndVerdict {
    pub fn count(&self, kind: ContactKind, verdict: Verdict) {
        for ((known, _), verdicts) in KINDS.iter().zip(&self.0) {
            for ((ruled, _), counter) in VERDICTS.iter().zip(verdicts) {
                if (*known, *ruled) == (kind, verdict) {
                    counter.add(1);
                }
            }
        }
    }
}

impl ByLimit {
    pub fn count(&self, limit: Limit) {
        for ((known, _), counter) in LIMITS.iter().zip(&self.0) {
            if *known == limit {
                counter.add(1);
            }
        }
    }
}

impl Metrics {
    const fn new() -> Self {
        Self {
            claims_hit: Counter::new(),
            claims_missed: Counter::new(),
            images_built: Counter::new(),
            images_failed: Counter::new(),
            gateway: ByKindAndVerdict(
                [const { [const { Counter::new() }; VERDICTS.len()] }; KINDS.len()],
            ),
            bytes_up: Counter::new(),
            bytes_down: Counter::new(),
            starts: Histogram::new(),
            snapshots: Histogram::new(),
            limit_hits: ByLimit([const { Counter::new() }; LIMITS.len()]),
        }
    }

    /// Everything in the text format of Prometheus.
    pub fn text(&self, gauges: Gauges) -> String {
        let mut text = Text::default();
        text.family("sandboxes", "gauge", "Sandboxes that are held now.");
        text.value("sandboxes", "{state=\"session\"}", gauges.sessions);
        text.value("sandboxes", "{state=\"warm\"}", gauges.warm);
        text.family("capacity", "gauge", "Sandboxes that may be held at once.");
        text.value("capacity", "", gauges.capacity);
        text.family(
            "reports_waiting",
            "gauge",
            "Reports that were not delivered yet.",
        );
        text.value("reports_waiting", "", gauges.reports_waiting);

        let name = "pool_claims_total";
        text.family(name, "counter", "Starts that named a warm sandbox.");
        text.value(name, "{result=\"hit\"}", self.claims_hit.get());
        text.value(name, "{result=\"miss\"}", self.claims_missed.get());
        let name = "image_builds_total";
        text.family(name, "counter", "Images that were asked for.");
        text.value(name, "{result=\"built\"}", self.images_built.get());
        text.value(name, "{result=\"failed\"}", self.images_failed.get());

        let name = "gateway_requests_total";
        text.family(name, "counter", "Requests and connections of sandboxes.");
        for ((_, kind), verdicts) in KINDS.iter().zip(&self.gateway.0) {
            for ((_, verdict), counter) in VERDICTS.iter().zip(verdicts) {
                let labels = format!("{{kind=\"{kind}\",verdict=\"{verdict}\"}}");
                text.value(name, &labels, counter.get());
            }
        }
        let name = "gateway_bytes_total";
        text.family(name, "counter", "Bytes between sandboxes and the outside.");
        text.value(name, "{direction=\"up\"}", self.bytes_up.get());
        text.value(name, "{direction=\"down\"}", self.bytes_down.get());

        let help = "Time until a new sandbox could be reached.";
        text.histogram("start_seconds", help, &self.starts);
        let help = "Time to make a layer from a sandbox that runs on.";
        text.histogram("snapshot_seconds", help, &self.snapshots);

        let name = "limit_hits_total";
        text.family(name, "counter", "Limits that sandboxes met.");
        for ((_, limit), counter) in LIMITS.iter().zip(&self.limit_hits.0) {
            text.value(name, &format!("{{limit=\"{limit}\"}}"), counter.get());
        }
        if let Some(bytes) = resident() {
            text.family("memory_bytes", "gauge", "Resident memory of the runner.");
            text.value("memory_bytes", "", bytes);
        }
        text.0
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {PREFIX}{name} {help}"));
        self.line(format_args!("# TYPE {PREFIX}{name} {kind}"));
    }

    fn value(&mut self, name: &str, labels: &str, value: impl Display) {
        self.line(format_args!("{PREFIX}{name}{labels} {value}"));
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, "histogram", help);
        let bounds = BOUNDS
            .iter()
            .map(|bound| seconds(Duration::from_millis(*bound)));
        let mut count = 0;
        for (bucket, bound) in histogram
            .buckets
            .iter()
            .zip(bounds.chain(["+Inf".to_owned()]))
        {
            count += bucket.get();
            let labels = format!("_bucket{{le=\"{bound}\"}}");
            self.value(name, &labels, count);
        }
        let sum = Duration::from_micros(histogram.micros.get());
        self.value(name, "_sum", seconds(sum));
        self.value(name, "_count", count);
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // A string takes everything.
        let _ = writeln!(self.0, "{line}");
    }
}

fn seconds(duration: Duration) -> String {
    duration.as_secs_f64().to_string()
}

fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn value(text: &str, line: &str) -> String {
        let line = format!("{PREFIX}{line} ");
        let found = text.lines().find_map(|one| one.strip_prefix(&line));
        found.unwrap().to_owned()
    }

    #[test]
    fn a_histogram_is_cumulative() {
        let metrics = Metrics::new();
        for millis in [10, 11, 400, 60_000] {
            metrics.starts.observe(Duration::from_millis(millis));
        }
        let text = metrics.text(Gauges::default());
        for (line, count) in [
            ("start_seconds_bucket{le=\"0.01\"}", "1"),
            ("start_seconds_bucket{le=\"0.025\"}", "2"),
            ("start_seconds_bucket{le=\"0.5\"}", "3"),
            ("start_seconds_bucket{le=\"10\"}", "3"),
            ("start_seconds_bucket{le=\"+Inf\"}", "4"),
            ("start_seconds_count", "4"),
            ("start_seconds_sum", "60.421"),
        ] {
            assert_eq!(value(&text, line), count, "{line}");
        }
    }

    #[test]
    fn what_is_counted_by_labels_is_kept_apart() {
        let metrics = Metrics::new();
        metrics.gateway.count(ContactKind::Git, Verdict::Denied);
        metrics.limit_hits.count(Limit::Disk);
        let text = metrics.text(Gauges::default());
        let line = "gateway_requests_total{kind=\"git\",verdict=\"denied\"}";
        assert_eq!(value(&text, line), "1");
        let line = "gateway_requests_total{kind=\"git\",verdict=\"allowed\"}";
        assert_eq!(value(&text, line), "0");
        assert_eq!(value(&text, "limit_hits_total{limit=\"disk\"}"), "1");
    }
}
