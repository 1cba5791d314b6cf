//! Lists of sessions, narrowed to what somebody looks for.

use protocol::api::SessionSummary;
use protocol::{Millis, SessionId, UserId};
use serde::{Deserialize, Serialize};

use super::Parameter::{Number, Text};
use super::sessions::PAGE;
use super::users::ACCESS_MS;
use super::{Database, DatabaseError, LARGEST};

/// In which state a session is, by the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Warming,
    Working,
    Idle,
    Failed,
    Archived,
    /// It failed, is paused, or is idle and waits for an answer: without any pull request, or with
    /// an open one of which changes are asked or whose checks failed.
    NeedsYou,
    /// It is idle, with an open pull request that asks nothing of it.
    ReadyForReview,
}

/// What a list is narrowed to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    pub only_mine: bool,
    /// Any of these; without one, all but archived sessions.
    pub standings: Vec<Standing>,
    /// All of these are in the title, the repository's name or the login of who began it. In lower
    /// case.
    pub words: Vec<String>,
    /// What was updated before that.
    pub cursor: Option<Millis>,
}

/// Something happened since the user ?1 looked at it. What somebody never looked at nor prompted in
/// is unread if it changed since they were first here, as far as is known: since the earliest of
/// their looks and of their last sign-in. What is older was over before they came.
macro_rules! unread {
    () => {
        "updated_at > coalesce(
            (SELECT seen_at FROM seen WHERE seen.user = ?1 AND seen.session = sessions.id),
            (SELECT min(users.seen_at, coalesce((SELECT min(seen_at) FROM seen WHERE seen.user = ?1),
                users.seen_at)) FROM users WHERE users.id = ?1),
            updated_at) AS unread"
    };
}

/// An open pull request of which more is true.
macro_rules! open_pull {
    ($more:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM json_each(summary, '$.pull_requests') AS pull
                WHERE json_extract(pull.value, '$.state') IN ('draft', 'open') ",
            $more,
            ")"
        )
    };
}

macro_rules! needs_you {
    () => {
        concat!(
            "(json_extract(summary, '$.paused') = 1 OR json_extract(summary, '$.state') = 'failed'
              OR json_extract(summary, '$.state') = 'idle'
                AND (json_array_length(summary, '$.pull_requests') = 0 OR ",
            open_pull!(
                "AND (json_extract(pull.value, '$.review') = 'changes_requested'
                      OR json_extract(pull.value, '$.checks') = 'failed')"
            ),
            "))"
        )
    };
}

/// Sessions that never had a prompt have no title, and are of interest to nobody but who began to
/// type. Words are looked for by `instr`: a pattern would be short, and would know of `%`.
macro_rules! list {
    ($archived:literal) => {
        concat!(
            "SELECT summary, ",
            unread!(),
            " FROM sessions
             WHERE ",
            $archived,
            " AND json_extract(summary, '$.title') <> '' AND updated_at < ?3
               AND (?4 = 0 OR created_by = ?1)
               AND EXISTS (SELECT 1 FROM access WHERE access.user = ?1
                    AND access.repository = sessions.repository AND access.checked_at >= ?2)
               AND NOT EXISTS (SELECT 1 FROM json_each(?6) AS word
                    WHERE instr(sessions.search, word.value) = 0)
               AND (json_array_length(?5) = 0 OR EXISTS (SELECT 1 FROM json_each(?5) AS wanted
                    WHERE wanted.value = json_extract(summary, '$.state')
                       OR wanted.value = 'needs_you' AND archived = 0 AND ",
            needs_you!(),
            "          OR wanted.value = 'ready_for_review'
                        AND json_extract(summary, '$.state') = 'idle'
                        AND ",
            open_pull!(""),
            " AND NOT ",
            needs_you!(),
            "))
             ORDER BY updated_at DESC, id LIMIT ?7"
        )
    };
}

const LIST: &str = list!("archived = 0");
const LIST_WITH_ARCHIVED: &str = list!("archived IN (0, 1)");

const CHILDREN: &str = concat!(
    "SELECT summary, ",
    unread!(),
    " FROM sessions WHERE parent = ?2 AND updated_at < ?3 ORDER BY updated_at DESC, id LIMIT ?4"
);

#[derive(Deserialize)]
struct Row {
    summary: String,
    unread: i64,
}

fn summaries(rows: &[Row]) -> Result<Vec<SessionSummary>, DatabaseError> {
    rows.iter()
        .map(|row| {
            let summary: SessionSummary = serde_json::from_str(&row.summary)?;
            let unread = row.unread != 0;
            Ok(SessionSummary { unread, ..summary })
        })
        .collect()
}

fn before(cursor: Option<Millis>) -> i64 {
    cursor.map_or(LARGEST, |cursor| cursor.0)
}

/// Sessions of repositories that the user was found to reach, newest first.
pub async fn list(
    database: &Database,
    user: UserId,
    filter: &Filter,
    now: Millis,
) -> Result<Vec<SessionSummary>, DatabaseError> {
    let statement = match filter.standings.contains(&Standing::Archived) {
        true => LIST_WITH_ARCHIVED,
        false => LIST,
    };
    let rows: Vec<Row> = database
        .all(
            statement,
            &[
                Number(user.0),
                Number(now.plus(-ACCESS_MS).0),
                Number(before(filter.cursor)),
                Number(i64::from(filter.only_mine)),
                Text(&serde_json::to_string(&filter.standings)?),
                Text(&serde_json::to_string(&filter.words)?),
                Number(PAGE),
            ],
        )
        .await?;
    summaries(&rows)
}

/// Forks of a session, archived ones too, newest first, before `cursor`.
pub async fn children(
    database: &Database,
    user: UserId,
    session: &SessionId,
    cursor: Option<Millis>,
) -> Result<Vec<SessionSummary>, DatabaseError> {
    let rows: Vec<Row> = database
        .all(
            CHILDREN,
            &[
                Number(user.0),
                Text(session.as_str()),
                Number(before(cursor)),
                Number(PAGE),
            ],
        )
        .await?;
    summaries(&rows)
}

#[cfg(test)]
mod tests;
