//! The Durable Object that knows the runners, what they keep warm, and which of them holds which
//! sandbox.
//!
//! A runner is present for [`REGISTRATION_MS`](protocol::callback::REGISTRATION_MS) after it
//! registered. A sandbox stays where it was placed, so that asking twice never starts it twice.

mod budget;
mod placement;
mod pool;
mod refresh;
mod runners;
#[cfg(test)]
mod tests;

pub use self::budget::Budget;
pub use self::placement::{Placement, Wish};
pub use self::refresh::refresh;
pub use self::runners::is_stale;

use std::collections::BTreeMap;

use protocol::api::PoolFigures;
use protocol::callback::{PoolTarget, Register};
use protocol::image::Base;
use protocol::{Millis, RunnerId, SandboxId};
use serde::{Deserialize, Serialize};
use worker::{DurableObject, Env, Request as HttpRequest, Response, State, durable_object};

use crate::config;
use crate::error::Error;
use crate::images::BUILDS_PER_RUNNER;
use crate::platform::migration::migrate;
use crate::platform::sql::{DurableSql, Sql};
use crate::platform::{clock, object};
use crate::session::store::StoreError;

const STEPS: &[&str] = &[
    // Objects from before the tables were numbered have these.
    "
    CREATE TABLE IF NOT EXISTS runners (
        id TEXT PRIMARY KEY, json TEXT NOT NULL, seen_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS placements (
        sandbox TEXT PRIMARY KEY, runner TEXT NOT NULL, placed_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS seen_by_time ON seen (at)
    ",
    "
    ALTER TABLE placements ADD COLUMN warm TEXT;
    ALTER TABLE placements ADD COLUMN kind TEXT NOT NULL DEFAULT '';
    ALTER TABLE placements ADD COLUMN reason TEXT NOT NULL DEFAULT '';
    ALTER TABLE placements ADD COLUMN base TEXT NOT NULL DEFAULT '';
    ALTER TABLE placements ADD COLUMN model TEXT NOT NULL DEFAULT '';
    ALTER TABLE placements ADD COLUMN ready_ms INTEGER;
    CREATE INDEX placements_by_time ON placements (placed_at);
    CREATE TABLE warm (
        sandbox TEXT PRIMARY KEY, runner TEXT NOT NULL, base TEXT NOT NULL, model TEXT NOT NULL,
        image TEXT NOT NULL, leased_to TEXT, missed INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE warm_time (day INTEGER PRIMARY KEY, ms INTEGER NOT NULL)
    ",
];

/// Longer than a signature is good for, whichever way the clocks differ.
const SEEN_MS: i64 = 11 * 60_000;

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Request {
    Register {
        register: Register,
    },
    Place {
        sandbox: SandboxId,
        wish: Wish,
    },
    /// Where a sandbox was placed.
    Find {
        sandbox: SandboxId,
    },
    /// A placed sandbox was ready `ms` after it had been asked for.
    Ready {
        sandbox: SandboxId,
        ms: u64,
    },
    PoolFigures,
    /// Whether a signed message's identifier is here for the first time.
    FirstSight {
        id: String,
    },
    Present,
    /// Chooses a runner for a build, given how many each has.
    PlaceBuild {
        base: Base,
        running: BTreeMap<RunnerId, u32>,
    },
}

/// What a runner's pool is to become.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stock {
    pub pool: Vec<PoolTarget>,
    /// Entries that are to end.
    pub lapsed: Vec<SandboxId>,
}

#[durable_object]
pub struct Fleet {
    sql: DurableSql,
    env: Env,
}

// SQLite is all that an object holds, besides what it is configured with.
impl std::panic::UnwindSafe for Fleet {}
impl std::panic::RefUnwindSafe for Fleet {}

impl DurableObject for Fleet {
    fn new(state: State, env: Env) -> Self {
        let sql = DurableSql::new(&state);
        if let Err(error) = migrate(&sql, STEPS) {
            Error::from(StoreError::from(error)).log();
        }
        Self { sql, env }
    }

    async fn fetch(&self, request: HttpRequest) -> worker::Result<Response> {
        let take = async |request| {
            let budget = config::pool_budget(&self.env)?;
            Ok(answer(&self.sql, request, &budget, clock::now())?)
        };
        object::answer(request, take, Error::into_worker_response).await
    }
}

fn answer(
    sql: &impl Sql,
    request: Request,
    budget: &Budget,
    now: Millis,
) -> Result<serde_json::Value, StoreError> {
    Ok(match request {
        Request::Register { register } => {
            runners::register(sql, &register, now)?;
            let runner = &register.runner;
            serde_json::to_value(Stock {
                pool: pool::targets(sql, runner, budget, now)?,
                lapsed: pool::lapsed(sql, runner, now)?,
            })?
        }
        Request::Place { sandbox, wish } => {
            serde_json::to_value(placement::place(sql, &sandbox, &wish, budget, now)?)?
        }
        Request::Find { sandbox } => serde_json::to_value(placement::find(sql, &sandbox)?)?,
        Request::Ready { sandbox, ms } => {
            pool::note_ready(sql, &sandbox, ms)?;
            serde_json::Value::Null
        }
        Request::PoolFigures => serde_json::to_value(pool::figures(sql, budget, now)?)?,
        Request::FirstSight { id } => {
            sql.run(
                "DELETE FROM seen WHERE at < ?",
                &[now.plus(-SEEN_MS).0.into()],
            )?;
            let rows = sql.run(
                "INSERT INTO seen (id, at) VALUES (?, ?) ON CONFLICT (id) DO NOTHING RETURNING id",
                &[id.into(), now.0.into()],
            )?;
            (!rows.is_empty()).into()
        }
        Request::Present => serde_json::to_value(runners::present(sql, now)?)?,
        Request::PlaceBuild { base, running } => {
            serde_json::to_value(place_build_in(runners::present(sql, now)?, &base, &running))?
        }
    })
}

/// Notes that a runner is there; answers what its pool is to become.
pub async fn register(env: &Env, register: Register) -> Result<Stock, Error> {
    ask(env, &Request::Register { register }).await
}

/// Chooses a runner for a sandbox, and leases a warm one there; the same whenever asked again.
pub async fn place(env: &Env, sandbox: &SandboxId, wish: Wish) -> Result<Option<Placement>, Error> {
    let sandbox = sandbox.clone();
    ask(env, &Request::Place { sandbox, wish }).await
}

/// The address of the runner that a sandbox was placed on, whether or not it was started there.
pub async fn find(env: &Env, sandbox: &SandboxId) -> Result<Option<String>, Error> {
    let sandbox = sandbox.clone();
    ask(env, &Request::Find { sandbox }).await
}

/// Notes how long a sandbox took until it was ready.
pub async fn note_ready(env: &Env, sandbox: &SandboxId, ms: u64) -> Result<(), Error> {
    let sandbox = sandbox.clone();
    ask(env, &Request::Ready { sandbox, ms }).await
}

/// What the pools did and cost lately.
pub async fn pool_figures(env: &Env) -> Result<PoolFigures, Error> {
    ask(env, &Request::PoolFigures).await
}

/// False when a message of this identifier was taken before.
pub async fn first_sight(env: &Env, id: &str) -> Result<bool, Error> {
    ask(env, &Request::FirstSight { id: id.to_owned() }).await
}

/// Runners that are present.
pub async fn present_runners(env: &Env) -> Result<Vec<Register>, Error> {
    ask(env, &Request::Present).await
}

/// Chooses a runner for a build; `running` says how many builds each has.
pub async fn place_build(
    env: &Env,
    base: &Base,
    running: BTreeMap<RunnerId, u32>,
) -> Result<Option<Register>, Error> {
    let base = base.clone();
    ask(env, &Request::PlaceBuild { base, running }).await
}

/// Of the runners with room one whose image of the base is stale although it is the newest, so that
/// another one does not find it unchanged; else one that holds an image of the base, which it can
/// begin with or find unchanged; else the one with the fewest builds.
fn place_build_in(
    runners: Vec<Register>,
    base: &Base,
    running: &BTreeMap<RunnerId, u32>,
) -> Option<Register> {
    let builds = |runner: &Register| running.get(&runner.runner).copied().unwrap_or(0);
    let newest = runners::newest_image(&runners, base).map(|held| held.image.clone());
    runners
        .into_iter()
        // One without capacity goes away.
        .filter(|runner| runner.capacity > 0 && builds(runner) < BUILDS_PER_RUNNER)
        .min_by_key(|runner| {
            let held = runner.images.iter().find(|held| held.base == *base);
            let is_behind =
                held.is_some_and(|held| held.stale && newest.as_ref() == Some(&held.image));
            let is_of_use = held.is_some_and(|held| !held.stale);
            (!is_behind, !is_of_use, builds(runner))
        })
}

async fn ask<T: serde::de::DeserializeOwned>(env: &Env, request: &Request) -> Result<T, Error> {
    Ok(object::ask(env, "FLEET", "fleet", request).await?)
}
