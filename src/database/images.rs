//! Images and the attempts to make them.
//!
//! A row goes from `requested` over `building` to `ready`, `unchanged` or `failed`, and stays
//! there. Each step is one statement that names the state it starts from, so that of several
//! Workers that try at once one succeeds. An index keeps a base to one build at a time, and to one
//! that waits behind it.

use std::collections::BTreeMap;

use protocol::api::{Image, ImageState};
use protocol::event::Repository;
use protocol::image::{Base, EnvironmentName, ImageOutcome};
use protocol::{ImageId, Millis, RunnerId};
use serde::Deserialize;

use super::Parameter::{Number, Optional, Text};
use super::{Database, DatabaseError, Parameter};

/// Images in one list.
const PAGE: i64 = 50;

/// Rows that one tick takes away, so that a tick stays short.
const EXPIRED_AT_ONCE: i64 = 200;

/// A column list and what makes an image the one that sandboxes of its base start from.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, repository, branch, environment, state, reason, forced, commit_hash,
                runner, requested_by, requested_at, attempts, started_at, reported_at, finished_at,
                message, runtime, steps, bytes, log_bytes,
                state = 'ready' AND NOT EXISTS (SELECT 1 FROM images AS newer
                    WHERE newer.repository = images.repository AND newer.branch = images.branch
                      AND newer.environment = images.environment AND newer.state = 'ready'
                      AND newer.requested_at > images.requested_at) AS current
             FROM images ",
            $rest
        )
    };
}

/// A row as it is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Row {
    pub id: ImageId,
    pub repository: Repository,
    pub branch: String,
    pub environment: String,
    pub state: ImageState,
    pub reason: String,
    pub forced: i64,
    pub commit_hash: Option<String>,
    pub runner: Option<RunnerId>,
    pub requested_by: Option<String>,
    pub requested_at: i64,
    pub attempts: i64,
    pub started_at: Option<i64>,
    pub reported_at: Option<i64>,
    pub finished_at: Option<i64>,
    pub message: Option<String>,
    pub runtime: String,
    pub steps: String,
    pub bytes: i64,
    pub log_bytes: i64,
    pub current: i64,
}

impl Row {
    pub fn base(&self) -> Base {
        Base {
            repository: self.repository.clone(),
            branch: self.branch.clone(),
            environment: EnvironmentName::parse(&self.environment).ok(),
        }
    }

    pub fn is_finished(&self) -> bool {
        !matches!(self.state, ImageState::Requested | ImageState::Building)
    }

    /// As clients see it.
    pub fn image(&self) -> Result<Image, DatabaseError> {
        Ok(Image {
            id: self.id.clone(),
            base: self.base(),
            state: self.state,
            current: self.current != 0,
            reason: self.reason.clone(),
            requested_by: self.requested_by.clone(),
            requested_at: Millis(self.requested_at),
            started_at: self.started_at.map(Millis),
            finished_at: self.finished_at.map(Millis),
            commit: self.commit_hash.clone(),
            message: self.message.clone(),
            runtime: serde_json::from_str(&self.runtime)?,
            steps: serde_json::from_str(&self.steps)?,
            bytes: u64::try_from(self.bytes).unwrap_or(0),
            log_bytes: u64::try_from(self.log_bytes).unwrap_or(0),
        })
    }
}

/// `''` is the default environment's name in every table.
pub fn environment_column(base: &Base) -> &str {
    base.environment.as_ref().map_or("", |name| name.as_str())
}

/// A wish for an image.
pub struct Wish<'a> {
    pub base: &'a Base,
    pub reason: &'a str,
    pub forced: bool,
    /// The branch's head, if it is known.
    pub head: Option<&'a str>,
    pub requested_by: Option<&'a str>,
    pub not_before: Millis,
    /// Whether a build that is under way is no answer: it may have begun before what changed.
    pub behind: bool,
}

const REQUEST: &str = "
    INSERT INTO images (id, repository, branch, environment, state, reason, forced, commit_hash,
        requested_by, requested_at, not_before)
    SELECT ?1, ?2, ?3, ?4, 'requested', ?5, ?6, ?7, ?8, ?9, ?10
    WHERE ?11 = 1 OR NOT EXISTS (SELECT 1 FROM images
        WHERE repository = ?2 AND branch = ?3 AND environment = ?4 AND state = 'building')
    ON CONFLICT DO NOTHING";

/// What one more wish changes in the request that waits.
const JOIN: &str = "
    UPDATE images SET forced = MAX(forced, ?4), not_before = MIN(not_before, ?5)
    WHERE repository = ?1 AND branch = ?2 AND environment = ?3 AND state = 'requested'";

const UNDER_WAY: &str = "
    SELECT id FROM images
    WHERE repository = ?1 AND branch = ?2 AND environment = ?3
      AND state IN ('requested', 'building')
    ORDER BY state = 'requested' DESC LIMIT 1";

/// Notes a wish, unless there is one like it; answers the row that will fulfil it.
pub async fn request(
    database: &Database,
    fresh: &ImageId,
    wish: &Wish<'_>,
    now: Millis,
) -> Result<ImageId, DatabaseError> {
    let repository = wish.base.repository.to_string();
    let (branch, environment) = (wish.base.branch.as_str(), environment_column(wish.base));
    let base = [Text(&repository), Text(branch), Text(environment)];
    let insert = database.prepare(
        REQUEST,
        &[
            Text(fresh.as_str()),
            Text(&repository),
            Text(branch),
            Text(environment),
            Text(wish.reason),
            Number(i64::from(wish.forced)),
            Optional(wish.head),
            Optional(wish.requested_by),
            Number(now.0),
            Number(wish.not_before.0),
            Number(i64::from(wish.behind)),
        ],
    )?;
    let join = database.prepare(
        JOIN,
        &[
            Text(&repository),
            Text(branch),
            Text(environment),
            Number(i64::from(wish.forced)),
            Number(wish.not_before.0),
        ],
    )?;
    let under_way = database.prepare(UNDER_WAY, &base)?;
    let results = database.d1.batch(vec![insert, join, under_way]).await?;
    let found: Vec<Key> = match results.last() {
        Some(result) => result.results()?,
        None => Vec::new(),
    };
    Ok(found
        .into_iter()
        .next()
        .map_or_else(|| fresh.clone(), |key| key.id))
}

#[derive(Deserialize)]
struct Key {
    id: ImageId,
}

/// Rows that a runner may be given, the oldest first.
const DUE: &str = select!(
    "WHERE state = 'requested' AND not_before <= ?1
       AND NOT EXISTS (SELECT 1 FROM images AS other
            WHERE other.repository = images.repository AND other.branch = images.branch
              AND other.environment = images.environment AND other.state = 'building')
     ORDER BY requested_at, id LIMIT ?2"
);

pub async fn due(database: &Database, now: Millis, limit: i64) -> Result<Vec<Row>, DatabaseError> {
    database.all(DUE, &[Number(now.0), Number(limit)]).await
}

/// How many builds each runner has.
pub async fn running(database: &Database) -> Result<BTreeMap<RunnerId, u32>, DatabaseError> {
    #[derive(Deserialize)]
    struct Count {
        runner: RunnerId,
        count: u32,
    }
    let rows: Vec<Count> = database
        .all(
            "SELECT runner, COUNT(*) AS count FROM images
             WHERE state = 'building' AND runner IS NOT NULL GROUP BY runner",
            &[],
        )
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.runner, row.count))
        .collect())
}

pub async fn building(database: &Database) -> Result<Vec<Row>, DatabaseError> {
    database
        .all(select!("WHERE state = 'building' LIMIT 1000"), &[])
        .await
}

const CLAIM: &str = "
    UPDATE images SET state = 'building', runner = ?2, started_at = ?3, reported_at = ?3,
        attempts = attempts + 1
    WHERE id = ?1 AND state = 'requested'
      AND (SELECT COUNT(*) FROM images AS other
            WHERE other.state = 'building' AND other.runner = ?2) < ?4
      AND NOT EXISTS (SELECT 1 FROM images AS other
            WHERE other.repository = images.repository AND other.branch = images.branch
              AND other.environment = images.environment AND other.state = 'building')
    RETURNING id";

/// Gives a request to a runner that has fewer than `most` builds; false when it cannot be had.
pub async fn claim(
    database: &Database,
    image: &ImageId,
    runner: &RunnerId,
    most: u32,
    now: Millis,
) -> Result<bool, DatabaseError> {
    let parameters = [
        Text(image.as_str()),
        Text(runner.as_str()),
        Number(now.0),
        Number(i64::from(most)),
    ];
    Ok(database.first::<Key>(CLAIM, &parameters).await?.is_some())
}

const ADMIT: &str = "
    INSERT INTO images (id, repository, branch, environment, state, reason, runner, requested_at,
        not_before, attempts, started_at, reported_at)
    VALUES (?1, ?2, ?3, ?4, 'building', ?5, ?6, ?7, ?7, 1, ?7, ?7)
    ON CONFLICT DO NOTHING";

/// Why a runner makes an image that nobody asked for.
const NEEDED: &str = "no image yet: a session needed it";

/// Notes a build that a runner began without an order, unless one of its base is under way.
pub async fn admit(
    database: &Database,
    image: &ImageId,
    base: &Base,
    runner: &RunnerId,
    now: Millis,
) -> Result<(), DatabaseError> {
    let repository = base.repository.to_string();
    let parameters = [
        Text(image.as_str()),
        Text(&repository),
        Text(&base.branch),
        Text(environment_column(base)),
        Text(NEEDED),
        Text(runner.as_str()),
        Number(now.0),
    ];
    database.run(ADMIT, &parameters).await
}

const RELEASE: &str = "
    UPDATE OR IGNORE images SET state = 'requested', runner = NULL, started_at = NULL,
        reported_at = NULL, not_before = ?2
    WHERE id = ?1 AND state = 'building' AND log_bytes = 0 RETURNING id";

/// Takes a build back that its runner did not accept. False when another request of its base waits
/// already, or when the runner reported after all.
pub async fn release(
    database: &Database,
    image: &ImageId,
    not_before: Millis,
) -> Result<bool, DatabaseError> {
    let parameters = [Text(image.as_str()), Number(not_before.0)];
    Ok(database.first::<Key>(RELEASE, &parameters).await?.is_some())
}

/// Notes that the runner is at it.
pub async fn touch(database: &Database, image: &ImageId, now: Millis) -> Result<(), DatabaseError> {
    database
        .run(
            "UPDATE images SET reported_at = ? WHERE id = ? AND state = 'building'",
            &[Number(now.0), Text(image.as_str())],
        )
        .await
}

/// Writes down how a build ended, unless it has ended already.
pub async fn finish(
    database: &Database,
    image: &ImageId,
    outcome: &ImageOutcome,
    now: Millis,
) -> Result<(), DatabaseError> {
    let id = Text(image.as_str());
    let at = Number(now.0);
    match outcome {
        ImageOutcome::Ready(built) => {
            let runtime = serde_json::to_string(&built.runtime)?;
            let steps = serde_json::to_string(&built.steps)?;
            let parameters = [
                id,
                at,
                Text(&built.commit),
                Text(&built.fingerprint),
                Text(&built.reason),
                Text(&runtime),
                Text(&steps),
                Number(i64::try_from(built.bytes).unwrap_or(i64::MAX)),
            ];
            database
                .run(
                    "UPDATE images SET state = 'ready', finished_at = ?2, commit_hash = ?3,
                        fingerprint = ?4, reason = ?5, runtime = ?6, steps = ?7, bytes = ?8
                     WHERE id = ?1 AND state IN ('requested', 'building')",
                    &parameters,
                )
                .await
        }
        ImageOutcome::Unchanged { commit } => {
            database
                .run(
                    "UPDATE images SET state = 'unchanged', finished_at = ?2, commit_hash = ?3
                     WHERE id = ?1 AND state IN ('requested', 'building')",
                    &[id, at, Text(commit)],
                )
                .await
        }
        ImageOutcome::Failed { message } => {
            database
                .run(
                    "UPDATE images SET state = 'failed', finished_at = ?2, message = ?3
                     WHERE id = ?1 AND state IN ('requested', 'building')",
                    &[id, at, Text(message)],
                )
                .await
        }
    }
}

pub async fn find(database: &Database, image: &ImageId) -> Result<Option<Row>, DatabaseError> {
    database
        .first(select!("WHERE id = ?1"), &[Text(image.as_str())])
        .await
}

/// Newest first, of all branches and environments of a repository.
pub async fn list(database: &Database, repository: &Repository) -> Result<Vec<Row>, DatabaseError> {
    database
        .all(
            select!("WHERE repository = ?1 ORDER BY requested_at DESC, id LIMIT ?2"),
            &[Text(&repository.to_string()), Number(PAGE)],
        )
        .await
}

/// Newest first, of one base.
pub async fn of_base(database: &Database, base: &Base) -> Result<Vec<Row>, DatabaseError> {
    database
        .all(
            select!(
                "WHERE repository = ?1 AND branch = ?2 AND environment = ?3
                 ORDER BY requested_at DESC, id LIMIT ?4"
            ),
            &[
                Text(&base.repository.to_string()),
                Text(&base.branch),
                Text(environment_column(base)),
                Number(PAGE),
            ],
        )
        .await
}

/// Forgets all of an environment that is no more, with logs.
pub async fn forget_environment(
    database: &Database,
    repository: &Repository,
    environment: &EnvironmentName,
) -> Result<(), DatabaseError> {
    database
        .run(
            "DELETE FROM images WHERE repository = ? AND environment = ?",
            &[Text(&repository.to_string()), Text(environment.as_str())],
        )
        .await
}

const EXPIRE: &str = "
    DELETE FROM images WHERE id IN (
        SELECT id FROM images WHERE finished_at < ?1
          AND NOT (state = 'ready' AND NOT EXISTS (SELECT 1 FROM images AS newer
            WHERE newer.repository = images.repository AND newer.branch = images.branch
              AND newer.environment = images.environment AND newer.state = 'ready'
              AND newer.requested_at > images.requested_at)
            AND (EXISTS (SELECT 1 FROM bases
            WHERE bases.repository = images.repository AND bases.branch = images.branch
              AND bases.environment = images.environment)
            OR EXISTS (SELECT 1 FROM environments
            WHERE environments.repository = images.repository
              AND environments.branch = images.branch
              AND environments.name = images.environment)))
        LIMIT ?2)";

/// Takes away what ended before `before`, with logs, but not the current image of a base that is in
/// use, nor of an environment, whose status it is.
pub async fn expire(database: &Database, before: Millis) -> Result<(), DatabaseError> {
    let parameters: [Parameter<'_>; 2] = [Number(before.0), Number(EXPIRED_AT_ONCE)];
    database.run(EXPIRE, &parameters).await
}

#[cfg(test)]
pub mod tests;
