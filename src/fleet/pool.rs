//! Warm sandboxes: which there are, which are leased, how many there should be, and what they did.
//!
//! A lease is a mark on the entry's row that is never taken off again: the row goes when its runner
//! has not listed the entry in two registrations, which outlives one that was on its way when the
//! entry was leased. A runner's own list can therefore never bring a leased entry back. A lease
//! lapses when its runner still lists the entry after a minute: whoever it was for is not coming, and
//! the runner is told to end the entry, which would be in the way of a new one.

mod target;

use protocol::api::{MissReason, PoolFigures, PoolMiss};
use protocol::callback::{PoolTarget, Register};
use protocol::command::Model;
use protocol::image::Base;
use protocol::{ImageId, Millis, RunnerId, SandboxId};

use self::target::{Demand, Host};
use super::budget::Budget;
use super::placement::Kind;
use super::runners;
use crate::platform::sql::{Row, Sql, SqlError, Value};
use crate::session::store::StoreError;

/// Demand is what was asked for in this time.
const DEMAND_MS: i64 = 3_600_000;

/// How long a session may take to come for what it leased; it starts from the image afterwards.
const LEASE_MS: i64 = 60_000;

/// How far back the figures go. Placements are kept as long.
pub const FIGURES_DAYS: i64 = 7;

const DAY_MS: i64 = 24 * 3_600_000;

/// Most placements of one kind that a median is taken of, the newest ones.
const SAMPLE: i64 = 1000;

/// A warm sandbox as it is stored.
pub struct Entry {
    sandbox: SandboxId,
    base: String,
    model: String,
    image: ImageId,
}

/// What a runner lists.
pub fn entries(register: &Register) -> Result<Vec<Entry>, serde_json::Error> {
    let entries = register.warm.iter().map(|warm| {
        Ok(Entry {
            sandbox: warm.sandbox.clone(),
            base: serde_json::to_string(&warm.base)?,
            model: serde_json::to_string(&warm.model)?,
            image: warm.image.clone(),
        })
    });
    entries.collect()
}

/// Brings the entries of a runner to what it lists, `elapsed` after it last did.
pub fn note(
    sql: &impl Sql,
    runner: &RunnerId,
    entries: &[Entry],
    elapsed: i64,
    now: Millis,
) -> Result<(), SqlError> {
    sql.run(
        "UPDATE warm SET missed = missed + 1 WHERE runner = ?",
        &[runner.as_str().into()],
    )?;
    for entry in entries {
        sql.run(
            "INSERT INTO warm (sandbox, runner, base, model, image, missed) VALUES (?, ?, ?, ?, ?, 0)
             ON CONFLICT (sandbox) DO UPDATE SET missed = 0",
            &[
                entry.sandbox.as_str().into(),
                runner.as_str().into(),
                entry.base.as_str().into(),
                entry.model.as_str().into(),
                entry.image.as_str().into(),
            ],
        )?;
    }
    // One that nobody has is gone when it is not listed; a leased one when it is not listed again.
    sql.run(
        "DELETE FROM warm WHERE (runner = ? AND missed > (leased_to IS NOT NULL))
            OR runner NOT IN (SELECT id FROM runners)",
        &[runner.as_str().into()],
    )?;
    // A leased one costs as much as any until somebody has come for it.
    let waiting = sql.run(
        "SELECT COUNT(*) FROM warm WHERE runner = ? AND missed = 0",
        &[runner.as_str().into()],
    )?;
    let waiting = waiting.first().map_or(Ok(0), |row| row.integer(0))?;
    sql.run(
        "INSERT INTO warm_time (day, ms) VALUES (?, ?)
         ON CONFLICT (day) DO UPDATE SET ms = ms + excluded.ms",
        &[(now.0 / DAY_MS).into(), (waiting * elapsed).into()],
    )?;
    sql.run(
        "DELETE FROM warm_time WHERE day < ?",
        &[(now.0 / DAY_MS - FIGURES_DAYS).into()],
    )?;
    Ok(())
}

/// An entry that could be leased.
pub struct Free {
    pub sandbox: SandboxId,
    pub runner: RunnerId,
    pub model: String,
    pub image: String,
}

/// The entries of `base` that nobody has and that their runner lists.
pub fn free(sql: &impl Sql, base: &Base) -> Result<Vec<Free>, StoreError> {
    let rows = sql.run(
        "SELECT sandbox, runner, model, image FROM warm
         WHERE base = ? AND leased_to IS NULL AND missed = 0 ORDER BY sandbox",
        &[serde_json::to_string(base)?.into()],
    )?;
    let parse = |row: &Row| {
        Ok(Some(Free {
            sandbox: match SandboxId::parse(row.text(0)?) {
                Ok(sandbox) => sandbox,
                Err(_) => return Ok(None),
            },
            runner: match RunnerId::parse(row.text(1)?) {
                Ok(runner) => runner,
                Err(_) => return Ok(None),
            },
            model: row.text(2)?.to_owned(),
            image: row.text(3)?.to_owned(),
        }))
    };
    rows.iter()
        .filter_map(|row| parse(row).transpose())
        .collect()
}

/// Gives an entry to a session's sandbox. An error when somebody has it: the caller looked for a
/// free one without waiting in between, so nobody can.
pub fn lease(sql: &impl Sql, entry: &SandboxId, to: &SandboxId) -> Result<(), SqlError> {
    let rows = sql.run(
        "UPDATE warm SET leased_to = ? WHERE sandbox = ? AND leased_to IS NULL RETURNING sandbox",
        &[to.as_str().into(), entry.as_str().into()],
    )?;
    match rows.as_slice() {
        [] => Err(SqlError {
            message: format!("the entry {entry} is leased already"),
        }),
        _ => Ok(()),
    }
}

/// The entries that `runner` still lists although they were leased more than [`LEASE_MS`] ago.
pub fn lapsed(
    sql: &impl Sql,
    runner: &RunnerId,
    now: Millis,
) -> Result<Vec<SandboxId>, StoreError> {
    // A placement that is forgotten by now is older than any lease.
    let rows = sql.run(
        "SELECT warm.sandbox FROM warm LEFT JOIN placements ON placements.sandbox = warm.leased_to
         WHERE warm.runner = ? AND leased_to IS NOT NULL AND missed = 0
             AND COALESCE(placed_at, 0) < ?
         ORDER BY warm.sandbox",
        &[runner.as_str().into(), now.plus(-LEASE_MS).0.into()],
    )?;
    let parse = |row: &Row| Ok(SandboxId::parse(row.text(0)?).ok());
    rows.iter()
        .filter_map(|row| parse(row).transpose())
        .collect()
}

/// What the pool of `runner` should hold.
pub fn targets(
    sql: &impl Sql,
    runner: &RunnerId,
    budget: &Budget,
    now: Millis,
) -> Result<Vec<PoolTarget>, StoreError> {
    let mut hosts = Vec::new();
    for register in runners::present(sql, now)? {
        let room = runners::room(sql, &register, now)?;
        hosts.push(Host::new(register, room));
    }
    let demands = demands(sql, now)?;
    let most = budget.entries(waited_today(sql, now)?);
    Ok(target::spread(&demands, hosts, most, now)
        .remove(runner)
        .unwrap_or_default())
}

/// Whether there may be no warm sandbox any more today.
pub fn is_spent(sql: &impl Sql, budget: &Budget, now: Millis) -> Result<bool, SqlError> {
    Ok(budget.entries(waited_today(sql, now)?) == Some(0))
}

/// How long sandboxes waited today, all together, in milliseconds.
fn waited_today(sql: &impl Sql, now: Millis) -> Result<u64, SqlError> {
    let query = "SELECT COALESCE(SUM(ms), 0) FROM warm_time WHERE day = ?";
    waited(&sql.run(query, &[(now.0 / DAY_MS).into()])?)
}

fn waited(rows: &[Row]) -> Result<u64, SqlError> {
    let waited = rows.first().map_or(Ok(0), |row| row.integer(0))?;
    Ok(u64::try_from(waited).unwrap_or(0))
}

fn demands(sql: &impl Sql, now: Millis) -> Result<Vec<Demand>, StoreError> {
    let rows = sql.run(
        "SELECT base, model, COUNT(*), MAX(placed_at) FROM placements
         WHERE placed_at >= ? AND base <> '' AND kind NOT IN (?, ?)
         GROUP BY base, model ORDER BY 3 DESC, 4 DESC, 1, 2",
        &[
            now.plus(-DEMAND_MS).0.into(),
            Kind::Woken.as_str().into(),
            Kind::SnapshotAway.as_str().into(),
        ],
    )?;
    rows.iter()
        .map(|row| {
            Ok(Demand {
                base: serde_json::from_str::<Base>(row.text(0)?)?,
                model: serde_json::from_str::<Model>(row.text(1)?)?,
                claims: u64::try_from(row.integer(2)?).unwrap_or(0),
                last: Millis(row.integer(3)?),
            })
        })
        .collect()
}

/// Notes how long a placed sandbox took until it was ready.
pub fn note_ready(sql: &impl Sql, sandbox: &SandboxId, ms: u64) -> Result<(), SqlError> {
    sql.run(
        "UPDATE placements SET ready_ms = ? WHERE sandbox = ? AND ready_ms IS NULL",
        &[
            i64::try_from(ms).unwrap_or(i64::MAX >> 11).into(),
            sandbox.as_str().into(),
        ],
    )?;
    Ok(())
}

pub fn figures(sql: &impl Sql, budget: &Budget, now: Millis) -> Result<PoolFigures, StoreError> {
    let since = now.plus(-FIGURES_DAYS * DAY_MS);
    let rows = sql.run(
        "SELECT kind, COUNT(*) FROM placements WHERE placed_at >= ? GROUP BY kind",
        &[since.0.into()],
    )?;
    let mut hits = 0;
    let mut misses = Vec::new();
    for row in &rows {
        let count = u64::try_from(row.integer(1)?).unwrap_or(0);
        match Kind::parse(row.text(0)?) {
            Some(Kind::Warm) => hits = count,
            Some(Kind::Miss(reason)) => misses.push(PoolMiss { reason, count }),
            Some(Kind::Woken | Kind::SnapshotAway) | None => {}
        }
    }
    misses.sort_by_key(|miss| miss.reason);
    let median_warm_ms = median(sql, &[Kind::Warm], since)?;
    let cold = [
        MissReason::PoolEmpty,
        MissReason::BudgetSpent,
        MissReason::OlderImage,
        MissReason::OtherModel,
        MissReason::NoImage,
    ];
    let median_cold_ms = median(sql, &cold.map(Kind::Miss), since)?;
    let saved = |warm: u64, cold: u64| hits * cold.saturating_sub(warm) / 1000;
    let waited = waited(&sql.run("SELECT COALESCE(SUM(ms), 0) FROM warm_time", &[])?)?;
    let missed: u64 = misses.iter().map(|miss| miss.count).sum();
    let percent = (hits * 100).checked_div(hits + missed);
    Ok(PoolFigures {
        days: FIGURES_DAYS.unsigned_abs() as u32,
        hits,
        hit_percent: percent.and_then(|percent| u32::try_from(percent).ok()),
        misses,
        median_warm_ms,
        median_cold_ms,
        seconds_saved: median_warm_ms.zip(median_cold_ms).map(|(w, c)| saved(w, c)),
        warm_sandbox_seconds: waited / 1000,
        cost_microdollars: budget.cost(waited),
        cost_today_microdollars: budget.cost(waited_today(sql, now)?),
        budget_microdollars: budget.day(),
    })
}

fn median(sql: &impl Sql, kinds: &[Kind], since: Millis) -> Result<Option<u64>, StoreError> {
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    let rows = sql.run(
        "SELECT ready_ms FROM (
            SELECT ready_ms FROM placements
            WHERE kind IN (SELECT value FROM json_each(?)) AND placed_at >= ?
                AND ready_ms IS NOT NULL
            ORDER BY placed_at DESC LIMIT ?
         ) ORDER BY ready_ms",
        &[
            Value::Text(serde_json::to_string(&kinds)?),
            since.0.into(),
            SAMPLE.into(),
        ],
    )?;
    let middle = rows.get(rows.len() / 2);
    let middle = middle.map(|row| row.integer(0)).transpose()?;
    Ok(middle.and_then(|ms| u64::try_from(ms).ok()))
}
