//! The runners that are present, how much room each has, and which images they hold.

use protocol::callback::{HeldImage, REGISTRATION_MS, Register};
use protocol::image::Base;
use protocol::{Millis, SandboxId};

use super::pool;
use crate::platform::sql::{Sql, SqlError};
use crate::session::store::StoreError;

/// How long a placement counts against a runner that has not yet said that it holds the sandbox.
const UNSEEN_PLACEMENT_MS: i64 = 2 * REGISTRATION_MS;

/// How long a runner that went away is remembered.
const FORGOTTEN_AFTER_MS: i64 = 24 * 3_600_000;

/// Notes what a runner says of itself.
pub fn register(sql: &impl Sql, register: &Register, now: Millis) -> Result<(), StoreError> {
    let json = serde_json::to_string(register)?;
    let entries = pool::entries(register)?;
    let before = sql.run(
        "SELECT seen_at FROM runners WHERE id = ?",
        &[register.runner.as_str().into()],
    )?;
    let seen_at = before.first().map(|row| row.integer(0)).transpose()?;
    // What happened while nothing was heard is not known, so no more than one interval counts.
    let elapsed = seen_at.map_or(0, |seen_at| (now.0 - seen_at).clamp(0, REGISTRATION_MS));
    sql.transaction(&mut || {
        sql.run(
            "DELETE FROM runners WHERE seen_at < ?",
            &[now.plus(-FORGOTTEN_AFTER_MS).0.into()],
        )?;
        sql.run(
            "INSERT INTO runners (id, json, seen_at) VALUES (?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET json = excluded.json, seen_at = excluded.seen_at",
            &[
                register.runner.as_str().into(),
                json.as_str().into(),
                now.0.into(),
            ],
        )?;
        pool::note(sql, &register.runner, &entries, elapsed, now)
    })?;
    Ok(())
}

pub fn present(sql: &impl Sql, now: Millis) -> Result<Vec<Register>, StoreError> {
    let rows = sql.run(
        "SELECT json FROM runners WHERE seen_at >= ? ORDER BY id",
        &[now.plus(-REGISTRATION_MS).0.into()],
    )?;
    rows.iter()
        .map(|row| Ok(serde_json::from_str(row.text(0)?)?))
        .collect()
}

/// Sandboxes of sessions that a runner could take. Those of its pool make room when asked to, so
/// they count as free; those on their way to it do not.
pub fn room(sql: &impl Sql, runner: &Register, now: Millis) -> Result<i64, SqlError> {
    let rows = sql.run(
        "SELECT sandbox FROM placements WHERE runner = ? AND placed_at >= ?",
        &[
            runner.runner.as_str().into(),
            now.plus(-UNSEEN_PLACEMENT_MS).0.into(),
        ],
    )?;
    let held: Vec<&SandboxId> = runner
        .sandboxes
        .iter()
        .filter(|held| runner.warm.iter().all(|warm| warm.sandbox != **held))
        .collect();
    let mut load = i64::try_from(held.len()).unwrap_or(i64::MAX);
    for row in &rows {
        let sandbox = row.text(0)?;
        if !held.iter().any(|held| held.as_str() == sandbox) {
            load += 1;
        }
    }
    Ok(i64::from(runner.capacity) - load)
}

/// Whether the newest image of `base` is stale at a runner: sessions that start from it there begin
/// with what was made on another system.
pub fn is_stale(runners: &[Register], base: &Base) -> bool {
    let Some(newest) = newest_image(runners, base) else {
        return false;
    };
    let mut held = runners.iter().flat_map(|runner| &runner.images);
    held.any(|held| held.image == newest.image && held.stale)
}

/// The newest image of `base` that any of these runners holds.
pub fn newest_image<'r>(
    runners: impl IntoIterator<Item = &'r Register>,
    base: &Base,
) -> Option<&'r HeldImage> {
    runners
        .into_iter()
        .flat_map(|runner| &runner.images)
        .filter(|held| held.base == *base)
        .max_by_key(|held| held.built_at)
}
