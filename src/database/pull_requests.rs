//! Pull requests, everybody's in connected repositories, and their reviews: what figures are made
//! from, and which session a pull request belongs to.
//!
//! Deliveries come in any order and more than once. What has an order is decided by GitHub's own
//! times, and what is counted is counted from rows that are written once.

use protocol::event::{PullRequestState, Repository, Source};
use protocol::{Millis, SessionId, UserId};
use serde::Deserialize;

use super::Parameter::{Number, Text};
use super::{Database, DatabaseError, Parameter, name};
use crate::github::event::{PullRequest, Review};

/// A pull request that a session has opened.
#[derive(Debug, Clone, Copy)]
pub struct Opened<'a> {
    pub repository: &'a Repository,
    pub number: u64,
    pub session: &'a SessionId,
    pub branch: &'a str,
    /// Whose prompt it comes from.
    pub by: UserId,
    pub source: Source,
    pub at: Millis,
}

/// Whose a pull request is, and how it stands by the newest that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub number: u64,
    pub session: SessionId,
    pub state: PullRequestState,
    pub head: Option<String>,
}

/// Notes that a pull request is a session's. Harmless when it is noted already; who prompted for it
/// first stays.
pub async fn opened(database: &Database, opened: Opened<'_>) -> Result<(), DatabaseError> {
    database
        .run(
            // Whatever GitHub tells of it is newer.
            "INSERT INTO pull_requests
                (repository, number, session, branch, opened_by, source, state, opened_at, updated_at)
             VALUES (?, ?, ?, ?, ?, ?, 'open', ?, 0)
             ON CONFLICT (repository, number) DO UPDATE SET session = excluded.session,
                opened_by = coalesce(opened_by, excluded.opened_by),
                source = coalesce(source, excluded.source)",
            &[
                Text(&opened.repository.to_string()),
                number(opened.number),
                Text(opened.session.as_str()),
                Text(opened.branch),
                Number(opened.by.0),
                Text(&name(opened.source)?),
                Number(opened.at.0),
            ],
        )
        .await
}

/// Writes down what GitHub tells of a pull request, unless something newer is there.
pub async fn write(
    database: &Database,
    repository: &Repository,
    pull: &PullRequest,
) -> Result<(), DatabaseError> {
    let time = |time: Option<Millis>| Number(time.map_or(0, |time| time.0));
    let lines = |lines: Option<u64>| {
        Number(lines.map_or(-1, |lines| i64::try_from(lines).unwrap_or(i64::MAX)))
    };
    let repository = repository.to_string();
    let row = database.prepare(
        // What comes with a review has no lines, which -1 stands for.
        "INSERT INTO pull_requests (repository, number, branch, head, state, author, opened_at,
            updated_at, merged_at, closed_at, additions, deletions)
         VALUES (?, ?, ?, ?, ?, nullif(?, 0), ?, ?, nullif(?, 0), nullif(?, 0),
            max(?, 0), max(?, 0))
         ON CONFLICT (repository, number) DO UPDATE SET branch = excluded.branch,
            head = excluded.head, state = excluded.state, author = excluded.author,
            opened_at = excluded.opened_at, updated_at = excluded.updated_at,
            merged_at = excluded.merged_at, closed_at = excluded.closed_at
         WHERE excluded.updated_at >= pull_requests.updated_at",
        &[
            Text(&repository),
            number(pull.number),
            Text(&pull.head.branch),
            Text(&pull.head.sha),
            Text(&name(pull.state())?),
            Number(pull.user.as_ref().map_or(0, |user| user.id.0)),
            Number(pull.created_at.0),
            Number(pull.updated_at.0),
            time(pull.merged_at),
            time(pull.closed_at),
            lines(pull.additions),
            lines(pull.deletions),
        ],
    )?;
    let counted = database.prepare(
        "UPDATE pull_requests SET additions = ?1, deletions = ?2
         WHERE repository = ?3 AND number = ?4 AND updated_at = ?5 AND ?1 >= 0",
        &[
            lines(pull.additions),
            lines(pull.deletions),
            Text(&repository),
            number(pull.number),
            Number(pull.updated_at.0),
        ],
    )?;
    database.d1.batch(vec![row, counted]).await?;
    Ok(())
}

/// Notes that a pull request has a new head.
pub async fn pushed(
    database: &Database,
    repository: &Repository,
    pull: &PullRequest,
    head: &str,
) -> Result<(), DatabaseError> {
    let push = database.prepare(
        "INSERT INTO pull_request_heads (repository, number, head, pushed_at) VALUES (?, ?, ?, ?)
         ON CONFLICT (repository, number, head) DO NOTHING",
        &[
            Text(&repository.to_string()),
            number(pull.number),
            Text(head),
            Number(pull.updated_at.0),
        ],
    )?;
    let counted = count(database, repository, pull.number)?;
    database.d1.batch(vec![push, counted]).await?;
    Ok(())
}

/// Writes down a review, as it is now.
pub async fn reviewed(
    database: &Database,
    repository: &Repository,
    pull: u64,
    review: &Review,
    submitted_at: Millis,
) -> Result<(), DatabaseError> {
    let Some(reviewer) = &review.user else {
        return Ok(());
    };
    let written = database.prepare(
        "INSERT INTO reviews (repository, number, review, reviewer, login, state, submitted_at)
         VALUES (?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (repository, number, review) DO UPDATE SET state = excluded.state
         -- A dismissal is final, whichever comes last.
         WHERE reviews.state <> 'dismissed'",
        &[
            Text(&repository.to_string()),
            number(pull),
            Number(review.id),
            Number(reviewer.id.0),
            Text(&reviewer.login),
            Text(&name(review.state)?),
            Number(submitted_at.0),
        ],
    )?;
    let counted = count(database, repository, pull)?;
    database.d1.batch(vec![written, counted]).await?;
    Ok(())
}

/// Counts anew what follows from a pull request's reviews and pushes.
fn count(
    database: &Database,
    repository: &Repository,
    pull: u64,
) -> Result<worker::D1PreparedStatement, DatabaseError> {
    database.prepare(
        "UPDATE pull_requests SET
            approvals = (SELECT count(*) FROM reviews WHERE repository = ?1 AND number = ?2
                AND state = 'approved'),
            changes_requested = (SELECT count(*) FROM reviews WHERE repository = ?1
                AND number = ?2 AND state = 'changes_requested'),
            approved = (SELECT state = 'approved' FROM reviews WHERE repository = ?1
                AND number = ?2 AND state IN ('approved', 'changes_requested')
                ORDER BY submitted_at DESC, review DESC LIMIT 1),
            revisions = (SELECT count(*) FROM pull_request_heads WHERE repository = ?1
                AND number = ?2 AND pushed_at > (SELECT min(submitted_at) FROM reviews
                    WHERE repository = ?1 AND number = ?2))
         WHERE repository = ?1 AND number = ?2",
        &[Text(&repository.to_string()), number(pull)],
    )
}

/// Notes that somebody did something about a pull request: the earliest is what counts.
pub async fn responded(
    database: &Database,
    repository: &Repository,
    pull: u64,
    by: UserId,
    at: Millis,
) -> Result<(), DatabaseError> {
    database
        .run(
            "UPDATE pull_requests SET first_response_at = min(coalesce(first_response_at, ?1), ?1)
             WHERE repository = ?2 AND number = ?3 AND coalesce(author, 0) <> ?4
               AND opened_at <= ?1",
            &[
                Number(at.0),
                Text(&repository.to_string()),
                number(pull),
                Number(by.0),
            ],
        )
        .await
}

/// A repository has another name.
pub async fn moved(
    database: &Database,
    before: &Repository,
    now: &Repository,
) -> Result<(), DatabaseError> {
    let statements = ["pull_requests", "reviews", "pull_request_heads", "prompts"]
        .into_iter()
        .map(|table| {
            // What is there under the new name came after the change.
            let statement =
                format!("UPDATE OR IGNORE {table} SET repository = ? WHERE repository = ?");
            let names = [now.to_string(), before.to_string()];
            database.prepare(&statement, &names.each_ref().map(|name| Text(name)))
        })
        .collect::<Result<Vec<_>, _>>()?;
    database.d1.batch(statements).await?;
    Ok(())
}

/// The session that opened a pull request, and how that stands.
pub async fn find(
    database: &Database,
    repository: &Repository,
    pull: u64,
) -> Result<Option<Known>, DatabaseError> {
    let row: Option<Row> = database
        .first(
            "SELECT number, session, state, head FROM pull_requests
             WHERE repository = ? AND number = ? AND session IS NOT NULL",
            &[Text(&repository.to_string()), number(pull)],
        )
        .await?;
    row.map(Row::read).transpose()
}

/// Pull requests of sessions that have a commit as their head.
pub async fn at_head(
    database: &Database,
    repository: &Repository,
    head: &str,
) -> Result<Vec<Known>, DatabaseError> {
    let rows: Vec<Row> = database
        .all(
            "SELECT number, session, state, head FROM pull_requests
             WHERE repository = ? AND head = ? AND session IS NOT NULL LIMIT 20",
            &[Text(&repository.to_string()), Text(head)],
        )
        .await?;
    rows.into_iter().map(Row::read).collect()
}

#[derive(Deserialize)]
struct Row {
    number: u64,
    session: SessionId,
    state: String,
    head: Option<String>,
}

impl Row {
    fn read(self) -> Result<Known, DatabaseError> {
        Ok(Known {
            number: self.number,
            session: self.session,
            state: serde_json::from_value(self.state.into())?,
            head: self.head,
        })
    }
}

fn number(number: u64) -> Parameter<'static> {
    Number(i64::try_from(number).unwrap_or(i64::MAX))
}
