//! The index of sessions: a copy of each one's summary, for [lists](super::session_list).

use protocol::api::{SessionState, SessionSummary};
use protocol::event::Repository;
use protocol::{Millis, SessionId, UserId};
use serde::Deserialize;

use super::Parameter::{Number, Optional, Text};
use super::{Database, DatabaseError};

/// Sessions on one page of a list.
pub const PAGE: i64 = 50;

/// What a session request with a client's identifier made.
pub enum Reservation {
    /// This session is to be made, now or by an earlier try of the same request.
    Session(SessionId),
    /// The identifier was used for something else.
    Conflicting,
}

pub(super) const UPDATE: &str = "
    INSERT INTO sessions (id, repository, created_by, updated_at, archived, summary, parent, search)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET updated_at = excluded.updated_at,
        archived = excluded.archived, summary = excluded.summary, search = excluded.search
    WHERE excluded.updated_at >= sessions.updated_at";

/// Writes a summary unless a newer one is there.
pub async fn update(database: &Database, summary: &SessionSummary) -> Result<(), DatabaseError> {
    let archived = i64::from(summary.state == SessionState::Archived);
    database
        .run(
            UPDATE,
            &[
                Text(summary.id.as_str()),
                Text(&summary.repository.to_string()),
                Number(summary.created_by.id.0),
                Number(summary.updated_at.0),
                Number(archived),
                Text(&serde_json::to_string(summary)?),
                Optional(
                    summary
                        .parent
                        .as_ref()
                        .map(|parent| parent.session.as_str()),
                ),
                Text(&search_text(summary)),
            ],
        )
        .await
}

/// Where words are looked for. SQLite knows only the lower case of ASCII.
pub(super) fn search_text(summary: &SessionSummary) -> String {
    let login = &summary.created_by.login;
    format!("{}\n{}\n{login}", summary.title, summary.repository).to_lowercase()
}

pub async fn repository_of(
    database: &Database,
    session: &SessionId,
) -> Result<Option<Repository>, DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        repository: Repository,
    }
    let row: Option<Row> = database
        .first(
            "SELECT repository FROM sessions WHERE id = ?",
            &[Text(session.as_str())],
        )
        .await?;
    Ok(row.map(|row| row.repository))
}

/// Ties a client's identifier to a session, so that a repeated request finds the first one's.
pub async fn reserve(
    database: &Database,
    user: UserId,
    client_request_id: &str,
    body: &str,
    fresh: SessionId,
) -> Result<Reservation, DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        body: String,
        session: SessionId,
    }
    database
        .run(
            "INSERT INTO session_requests (user, client_request_id, body, session)
             VALUES (?, ?, ?, ?) ON CONFLICT (user, client_request_id) DO NOTHING",
            &[
                Number(user.0),
                Text(client_request_id),
                Text(body),
                Text(fresh.as_str()),
            ],
        )
        .await?;
    let row: Option<Row> = database
        .first(
            "SELECT body, session FROM session_requests WHERE user = ? AND client_request_id = ?",
            &[Number(user.0), Text(client_request_id)],
        )
        .await?;
    Ok(match row {
        Some(row) if row.body == body => Reservation::Session(row.session),
        _ => Reservation::Conflicting,
    })
}

/// Sessions in which something happened since a time, at most `limit`, the newest first.
pub async fn recent(
    database: &Database,
    since: Millis,
    limit: i64,
) -> Result<Vec<SessionId>, DatabaseError> {
    let rows: Vec<Id> = database
        .all(
            "SELECT id FROM sessions WHERE archived = 0 AND updated_at >= ?
             ORDER BY updated_at DESC LIMIT ?",
            &[Number(since.0), Number(limit)],
        )
        .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// The same of some repositories.
pub async fn recent_of(
    database: &Database,
    repositories: &[Repository],
    since: Millis,
    limit: i64,
) -> Result<Vec<SessionId>, DatabaseError> {
    let rows: Vec<Id> = database
        .all(
            "SELECT id FROM sessions WHERE repository IN (SELECT value FROM json_each(?))
               AND archived = 0 AND updated_at >= ? ORDER BY updated_at DESC LIMIT ?",
            &[
                Text(&serde_json::to_string(repositories)?),
                Number(since.0),
                Number(limit),
            ],
        )
        .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// The same of all repositories of an owner.
pub async fn recent_of_owner(
    database: &Database,
    owner: &str,
    since: Millis,
    limit: i64,
) -> Result<Vec<SessionId>, DatabaseError> {
    let rows: Vec<Id> = database
        .all(
            "SELECT id FROM sessions
             WHERE lower(substr(repository, 1, instr(repository, '/') - 1)) = lower(?)
               AND archived = 0 AND updated_at >= ? ORDER BY updated_at DESC LIMIT ?",
            &[Text(owner), Number(since.0), Number(limit)],
        )
        .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

#[derive(Deserialize)]
struct Id {
    id: SessionId,
}
