//! The Durable Object that knows the runners and which of them holds which sandbox.
//!
//! A runner is present for [`REGISTRATION_MS`] after it registered. A sandbox stays where it was
//! placed, so that asking twice never starts it twice.

use protocol::callback::{REGISTRATION_MS, Register};
use protocol::{Millis, SandboxId};
use serde::{Deserialize, Serialize};
use worker::{DurableObject, Env, Request as HttpRequest, Response, State, durable_object};

use crate::error::Error;
use crate::platform::clock;
use crate::platform::sql::{DurableSql, Sql, SqlError};
use crate::session::store::StoreError;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS runners (
        id TEXT PRIMARY KEY, json TEXT NOT NULL, seen_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS placements (
        sandbox TEXT PRIMARY KEY, runner TEXT NOT NULL, placed_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS seen_by_time ON seen (at)
";

/// How long a placement counts against a runner that has not yet said that it holds the sandbox.
const UNSEEN_PLACEMENT_MS: i64 = 2 * REGISTRATION_MS;

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
    },
    /// Whether a signed message's identifier is here for the first time.
    FirstSight {
        id: String,
    },
    Any,
}

#[durable_object]
pub struct Fleet {
    sql: DurableSql,
}

// SQLite is all that an object holds.
impl std::panic::UnwindSafe for Fleet {}
impl std::panic::RefUnwindSafe for Fleet {}

impl DurableObject for Fleet {
    fn new(state: State, _env: Env) -> Self {
        let sql = DurableSql::new(&state);
        if let Err(error) = sql.run(SCHEMA, &[]) {
            Error::from(StoreError::from(error)).log();
        }
        Self { sql }
    }

    async fn fetch(&self, mut request: HttpRequest) -> worker::Result<Response> {
        let outcome = match request.json::<Request>().await {
            Ok(request) => answer(&self.sql, request, clock::now()).map_err(Error::from),
            Err(error) => Err(error.into()),
        };
        match outcome {
            Ok(value) => Response::from_json(&value),
            Err(error) => error.into_worker_response(),
        }
    }

    async fn alarm(&self) -> worker::Result<Response> {
        Response::empty()
    }

    async fn websocket_message(
        &self,
        _socket: worker::WebSocket,
        _message: worker::WebSocketIncomingMessage,
    ) -> worker::Result<()> {
        Ok(())
    }

    async fn websocket_close(
        &self,
        _socket: worker::WebSocket,
        _code: usize,
        _reason: String,
        _was_clean: bool,
    ) -> worker::Result<()> {
        Ok(())
    }

    async fn websocket_error(
        &self,
        _socket: worker::WebSocket,
        _error: worker::Error,
    ) -> worker::Result<()> {
        Ok(())
    }
}

fn answer(sql: &impl Sql, request: Request, now: Millis) -> Result<serde_json::Value, StoreError> {
    Ok(match request {
        Request::Register { register } => {
            let json = serde_json::to_string(&register)?;
            sql.run(
                "INSERT INTO runners (id, json, seen_at) VALUES (?, ?, ?)
                 ON CONFLICT (id) DO UPDATE SET json = excluded.json, seen_at = excluded.seen_at",
                &[register.runner.as_str().into(), json.into(), now.0.into()],
            )?;
            serde_json::json!({ "registered": true })
        }
        Request::Place { sandbox } => serde_json::to_value(place_in(sql, &sandbox, now)?)?,
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
        Request::Any => serde_json::to_value(present(sql, now)?.into_iter().next())?,
    })
}

fn present(sql: &impl Sql, now: Millis) -> Result<Vec<Register>, StoreError> {
    let rows = sql.run(
        "SELECT json FROM runners WHERE seen_at >= ? ORDER BY id",
        &[now.plus(-REGISTRATION_MS).0.into()],
    )?;
    rows.iter()
        .map(|row| Ok(serde_json::from_str(row.text(0)?)?))
        .collect()
}

/// The runner that holds `sandbox`, else the one with the most room.
fn place_in(
    sql: &impl Sql,
    sandbox: &SandboxId,
    now: Millis,
) -> Result<Option<Register>, StoreError> {
    let runners = present(sql, now)?;
    let placed = sql.run(
        "SELECT runner FROM placements WHERE sandbox = ?",
        &[sandbox.as_str().into()],
    )?;
    if let Some(row) = placed.first() {
        let runner = row.text(0)?;
        return Ok(runners
            .into_iter()
            .find(|known| known.runner.as_str() == runner));
    }
    let mut best: Option<(i64, Register)> = None;
    for runner in runners {
        let room = i64::from(runner.capacity) - load(sql, &runner, now)?;
        if room > 0 && best.as_ref().is_none_or(|(most, _)| room > *most) {
            best = Some((room, runner));
        }
    }
    let Some((_, runner)) = best else {
        return Ok(None);
    };
    sql.run(
        "DELETE FROM placements WHERE placed_at < ?",
        &[now.plus(-86_400_000).0.into()],
    )?;
    sql.run(
        "INSERT INTO placements (sandbox, runner, placed_at) VALUES (?, ?, ?)",
        &[
            sandbox.as_str().into(),
            runner.runner.as_str().into(),
            now.0.into(),
        ],
    )?;
    Ok(Some(runner))
}

/// Sandboxes that a runner says it holds, and those on their way to it.
fn load(sql: &impl Sql, runner: &Register, now: Millis) -> Result<i64, SqlError> {
    let rows = sql.run(
        "SELECT sandbox FROM placements WHERE runner = ? AND placed_at >= ?",
        &[
            runner.runner.as_str().into(),
            now.plus(-UNSEEN_PLACEMENT_MS).0.into(),
        ],
    )?;
    let mut load = runner.sandboxes.len() as i64;
    for row in &rows {
        let sandbox = row.text(0)?;
        if !runner.sandboxes.iter().any(|held| held.as_str() == sandbox) {
            load += 1;
        }
    }
    Ok(load)
}

/// Notes that a runner is there.
pub async fn register(env: &Env, register: Register) -> Result<(), Error> {
    ask::<serde_json::Value>(env, &Request::Register { register })
        .await
        .map(|_| ())
}

/// Chooses a runner for a sandbox; the same one whenever asked again.
pub async fn place(env: &Env, sandbox: &SandboxId) -> Result<Option<Register>, Error> {
    ask(
        env,
        &Request::Place {
            sandbox: sandbox.clone(),
        },
    )
    .await
}

/// Any runner that is present, for work that belongs to no sandbox.
pub async fn any(env: &Env) -> Result<Option<Register>, Error> {
    ask(env, &Request::Any).await
}

/// False when a message of this identifier was taken before.
pub async fn first_sight(env: &Env, id: &str) -> Result<bool, Error> {
    ask(env, &Request::FirstSight { id: id.to_owned() }).await
}

async fn ask<T: serde::de::DeserializeOwned>(env: &Env, request: &Request) -> Result<T, Error> {
    let stub = env.durable_object("FLEET")?.get_by_name("fleet")?;
    let mut response = stub
        .fetch_with_request(crate::platform::http::to_object("/", request)?)
        .await?;
    Ok(response.json().await?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use protocol::RunnerId;

    use super::*;
    use crate::platform::sql::native::NativeSql;

    fn fleet(runners: &[(u8, u32)]) -> NativeSql {
        let sql = NativeSql::in_memory();
        sql.run(SCHEMA, &[]).unwrap();
        for (number, capacity) in runners {
            let register = Register {
                runner: RunnerId::from_random([*number; 16]),
                url: format!("http://runner-{number}"),
                capacity: *capacity,
                sandboxes: Vec::new(),
                version: "1.0".to_owned(),
                images: Vec::new(),
                warm: Vec::new(),
            };
            answer(&sql, Request::Register { register }, Millis(0)).unwrap();
        }
        sql
    }

    fn sandbox(number: u8) -> SandboxId {
        SandboxId::from_random([number; 16])
    }

    #[test]
    fn a_sandbox_is_placed_once_however_often_it_is_asked_for() {
        let sql = fleet(&[(1, 4), (2, 4)]);
        let first = place_in(&sql, &sandbox(1), Millis(1)).unwrap().unwrap();
        place_in(&sql, &sandbox(2), Millis(1)).unwrap().unwrap();
        let again = place_in(&sql, &sandbox(1), Millis(2)).unwrap().unwrap();
        assert_eq!(first, again);
    }

    #[test]
    fn sandboxes_spread_until_nobody_has_room() {
        let sql = fleet(&[(1, 1), (2, 1)]);
        let one = place_in(&sql, &sandbox(1), Millis(1)).unwrap().unwrap();
        let two = place_in(&sql, &sandbox(2), Millis(1)).unwrap().unwrap();
        assert_ne!(one.runner, two.runner);
        assert_eq!(place_in(&sql, &sandbox(3), Millis(1)).unwrap(), None);
    }

    #[test]
    fn a_runner_that_stopped_registering_gets_nothing() {
        let sql = fleet(&[(1, 4)]);
        let late = Millis(REGISTRATION_MS + 1);
        assert_eq!(place_in(&sql, &sandbox(1), late).unwrap(), None);
    }
}
