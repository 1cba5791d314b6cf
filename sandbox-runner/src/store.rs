//! What must survive the runner: one SQLite file with accepted commands, sandboxes and reports.
//!
//! The rule is *persist, then act*. A command is recorded before it is answered, and is removed
//! in the transaction that records its effect; a report is recorded in the transaction that
//! records the state it follows from. So whatever moment the process dies at, the next one finds
//! a state from which it can go on.
//!
//! Reports are in [`crate::callback::outbox`], which shares this file and its lock.

pub mod snapshot;
pub mod warm;

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::command::{Command, Start};
use protocol::{Millis, SandboxId};
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

/// How long a webhook id is remembered: a signature is void after five minutes either way, so an
/// id that is older than ten cannot come again.
const DELIVERY_MS: i64 = 10 * 60 * 1000;

/// How long an ended sandbox is remembered, so that a late `Start` does not start it again.
const ENDED_MS: i64 = 24 * 60 * 60 * 1000;

/// The schema's version is `user_version`; a step is added for each later one.
const SCHEMA: &str = "
create table sandboxes (
    sandbox text primary key,
    start text not null,
    -- The session's own; absent until the first report.
    state text,
    -- Number of the next report.
    next integer not null default 1,
    ended_at integer
) strict;
create table commands (
    id integer primary key autoincrement,
    -- Absent for a command that concerns no sandbox.
    sandbox text,
    command text not null
) strict;
create index commands_by_sandbox on commands (sandbox, id);
create table reports (
    sandbox text not null,
    number integer not null,
    report text not null,
    primary key (sandbox, number)
) strict;
create table deliveries (id text primary key, at integer not null) strict, without rowid;
create index deliveries_by_time on deliveries (at);
";

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("failed to create the runner's database")]
    Create(#[source] std::io::Error),
    #[error("failed to open the runner's database")]
    Open(#[source] rusqlite::Error),
    #[error("the runner's database is of a newer version; use the runner that wrote it")]
    Newer,
    #[error("failed to {operation}")]
    Query {
        operation: &'static str,
        #[source]
        source: rusqlite::Error,
    },
    #[error("a stored {what} cannot be read")]
    Content {
        what: &'static str,
        #[source]
        source: serde_json::Error,
    },
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acceptance {
    /// Recorded, or already true: nothing else needs to be done for it.
    Recorded,
    /// This webhook id has been here.
    Replayed,
    /// The command is for a sandbox that is not here.
    UnknownSandbox,
    /// There is no room for another sandbox.
    Full,
}

/// An accepted command that has not been carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    pub id: CommandId,
    pub command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct CommandId(pub i64);

/// A sandbox that has not ended, as it was last recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSandbox {
    pub start: Start,
    /// JSON of the session's state.
    pub state: Option<String>,
}

pub struct Store {
    // Every statement is short and the file is local, so a lock beats a thread of its own.
    connection: Mutex<Connection>,
}

impl Store {
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        // Prompts are in here: nobody else on this machine has to read them.
        std::fs::File::options()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)
            .map_err(StoreError::Create)?;
        let connection = Connection::open(path).map_err(StoreError::Open)?;
        prepare(&connection).map_err(StoreError::Open)?;
        let version: i64 = connection
            .query_row("pragma user_version", [], |row| row.get(0))
            .map_err(StoreError::Open)?;
        let steps: &[&str] = match version {
            0 => &[SCHEMA, warm::SCHEMA, snapshot::SCHEMA, snapshot::DETAILS],
            1 => &[warm::SCHEMA, snapshot::SCHEMA, snapshot::DETAILS],
            2 => &[snapshot::DETAILS],
            3 => &[],
            _ => return Err(StoreError::Newer),
        };
        connection
            .execute_batch(&format!(
                "begin;{}pragma user_version = 3;commit;",
                steps.concat()
            ))
            .map_err(StoreError::Open)?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    /// Records a command for good: when this returns, it survives this process, and the power of the
    /// machine if the command does not concern a sandbox that ends with it.
    pub fn accept(
        &self,
        delivery: &str,
        now: Millis,
        command: &Command,
        capacity: u32,
    ) -> Result<Acceptance, StoreError> {
        let mut connection = self.lock();
        let work = |connection: &mut Connection| {
            // Only here is the disk waited for, and only for what outlives the sandboxes. With the
            // power they are lost, which is reported when it is back: to that, reports of theirs
            // and what waits for them add nothing.
            if !matches!(
                command,
                Command::Prompt(_) | Command::Stop { .. } | Command::Sleep { .. }
            ) {
                connection.pragma_update(None, "synchronous", "full")?;
            }
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let acceptance = accept_in(&transaction, delivery, now, command, capacity)?;
            if acceptance == Acceptance::Recorded {
                transaction.commit()?;
            }
            Ok(acceptance)
        };
        let outcome = work(&mut connection);
        let relaxed = connection.pragma_update(None, "synchronous", "normal");
        outcome
            .and_then(|acceptance| relaxed.map(|()| acceptance))
            .map_err(query("accept a command"))
    }

    /// Notes the identifier of a signed message; false when it was here before.
    pub fn first_sight(&self, delivery: &str, now: Millis) -> Result<bool, StoreError> {
        let noted = self.lock().execute(
            "insert into deliveries (id, at) values (?1, ?2) on conflict do nothing",
            params![delivery, now.0],
        );
        noted
            .map(|rows| rows > 0)
            .map_err(query("note a signed message"))
    }

    /// Commands of one sandbox after `after`, in the order of their acceptance.
    pub fn pending(
        &self,
        sandbox: &SandboxId,
        after: CommandId,
    ) -> Result<Vec<Pending>, StoreError> {
        self.commands(
            "sandbox = ?1 and id > ?2",
            params![sandbox.as_str(), after.0],
        )
    }

    /// Commands that concern no sandbox.
    pub fn pending_for_runner(&self, after: CommandId) -> Result<Vec<Pending>, StoreError> {
        self.commands("sandbox is null and id > ?1", params![after.0])
    }

    pub fn carried_out(&self, id: CommandId) -> Result<(), StoreError> {
        let connection = self.lock();
        connection
            .prepare_cached("delete from commands where id = ?1")
            .and_then(|mut statement| statement.execute([id.0]))
            .map(drop)
            .map_err(query("remove a command"))
    }

    /// Every sandbox that has not ended.
    pub fn sandboxes(&self) -> Result<Vec<StoredSandbox>, StoreError> {
        self.stored("ended_at is null", params![])
    }

    /// One sandbox, unless it has ended.
    pub fn sandbox(&self, sandbox: &SandboxId) -> Result<Option<StoredSandbox>, StoreError> {
        let found = self.stored(
            "ended_at is null and sandbox = ?1",
            params![sandbox.as_str()],
        )?;
        Ok(found.into_iter().next())
    }

    /// How many reports their sessions do not hold yet.
    pub fn reports_waiting(&self) -> Result<i64, StoreError> {
        let counted = self
            .lock()
            .query_row("select count(*) from reports", [], |row| row.get(0));
        counted.map_err(|source| StoreError::Query {
            operation: "count reports",
            source,
        })
    }

    /// Forgets a sandbox with all that is left of it, except that it has been.
    pub fn end(&self, sandbox: &SandboxId, now: Millis) -> Result<(), StoreError> {
        self.transaction("end a sandbox", |transaction| {
            for statement in [
                "delete from reports where sandbox = ?1",
                "delete from commands where sandbox = ?1",
            ] {
                transaction.execute(statement, [sandbox.as_str()])?;
            }
            transaction.execute(
                "update sandboxes set ended_at = ?2, state = null where sandbox = ?1",
                params![sandbox.as_str(), now.0],
            )?;
            Ok(())
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic between two statements leaves an open transaction that rolls back when dropped,
        // so the connection behind a poisoned lock is sound.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn transaction<T>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        let mut connection = self.lock();
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(query(operation))?;
        let value = work(&transaction).map_err(query(operation))?;
        transaction.commit().map_err(query(operation))?;
        Ok(value)
    }

    fn stored(
        &self,
        condition: &str,
        values: &[&dyn rusqlite::ToSql],
    ) -> Result<Vec<StoredSandbox>, StoreError> {
        let connection = self.lock();
        let rows = (|| {
            let mut statement = connection.prepare_cached(&format!(
                "select start, state from sandboxes where {condition}"
            ))?;
            let rows = statement.query_map(values, |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?))
            })?;
            rows.collect::<Result<Vec<_>, _>>()
        })()
        .map_err(query("read the sandboxes"))?;
        rows.into_iter()
            .map(|(start, state)| {
                Ok(StoredSandbox {
                    start: parse("start command", &start)?,
                    state,
                })
            })
            .collect()
    }

    fn commands(
        &self,
        condition: &str,
        values: &[&dyn rusqlite::ToSql],
    ) -> Result<Vec<Pending>, StoreError> {
        let connection = self.lock();
        let rows = (|| {
            let mut statement = connection.prepare_cached(&format!(
                "select id, command from commands where {condition} order by id"
            ))?;
            let rows =
                statement.query_map(values, |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
            rows.collect::<Result<Vec<_>, _>>()
        })()
        .map_err(query("read the commands"))?;
        rows.into_iter()
            .map(|(id, command)| {
                Ok(Pending {
                    id: CommandId(id),
                    command: parse("command", &command)?,
                })
            })
            .collect()
    }
}

pub(crate) fn query(operation: &'static str) -> impl FnOnce(rusqlite::Error) -> StoreError {
    move |source| StoreError::Query { operation, source }
}

fn parse<T: serde::de::DeserializeOwned>(what: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|source| StoreError::Content { what, source })
}

fn prepare(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.query_row("pragma journal_mode = wal", [], |_| Ok(()))?;
    // One megabyte of cache is plenty for rows that are deleted within a second.
    connection.execute_batch("pragma synchronous = normal; pragma cache_size = -1024;")
}

fn accept_in(
    transaction: &Transaction<'_>,
    delivery: &str,
    now: Millis,
    command: &Command,
    capacity: u32,
) -> Result<Acceptance, rusqlite::Error> {
    transaction.execute(
        "delete from deliveries where at < ?1",
        [now.0 - DELIVERY_MS],
    )?;
    transaction.execute(
        "delete from sandboxes where ended_at < ?1",
        [now.0 - ENDED_MS],
    )?;
    let fresh = transaction.execute(
        "insert into deliveries (id, at) values (?1, ?2) on conflict do nothing",
        params![delivery, now.0],
    )?;
    if fresh == 0 {
        return Ok(Acceptance::Replayed);
    }
    let text = |value: serde_json::Result<String>| {
        value.map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
    };
    match command {
        Command::Start(start) => {
            let known = transaction
                .query_row(
                    "select 1 from sandboxes where sandbox = ?1",
                    [start.sandbox.as_str()],
                    |_| Ok(()),
                )
                .optional()?;
            if known.is_some() {
                return Ok(Acceptance::Recorded);
            }
            let held: u32 = transaction.query_row(
                "select count(*) from sandboxes where ended_at is null",
                [],
                |row| row.get(0),
            )?;
            if held >= capacity {
                return Ok(Acceptance::Full);
            }
            transaction.execute(
                "insert into sandboxes (sandbox, start) values (?1, ?2)",
                params![start.sandbox.as_str(), text(serde_json::to_string(start))?],
            )?;
        }
        Command::Prompt(_)
        | Command::Stop { .. }
        | Command::Sleep { .. }
        | Command::End { .. }
        | Command::BuildImage(_) => {
            let sandbox = match command {
                Command::Prompt(prompt) => Some(&prompt.sandbox),
                Command::Stop { sandbox, .. }
                | Command::Sleep { sandbox }
                | Command::End { sandbox } => Some(sandbox),
                Command::Start(_) | Command::BuildImage(_) => None,
            };
            if let Some(sandbox) = sandbox {
                let live = transaction
                    .query_row(
                        "select 1 from sandboxes where sandbox = ?1 and ended_at is null",
                        [sandbox.as_str()],
                        |_| Ok(()),
                    )
                    .optional()?;
                if live.is_none() {
                    // Whoever wants it stopped or ended has what it wants.
                    return Ok(match command {
                        Command::Prompt(_) => Acceptance::UnknownSandbox,
                        _ => Acceptance::Recorded,
                    });
                }
            }
            transaction.execute(
                "insert into commands (sandbox, command) values (?1, ?2)",
                params![
                    sandbox.map(SandboxId::as_str),
                    text(serde_json::to_string(command))?
                ],
            )?;
        }
    }
    Ok(Acceptance::Recorded)
}
