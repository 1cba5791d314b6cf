//! The rows that figures are made from, of repositories that a user was found to reach.

use std::collections::BTreeMap;

use protocol::event::{Repository, Source};
use protocol::{Millis, UserId};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Parameter::{Number, Text};
use super::users::ACCESS_MS;
use super::{Database, DatabaseError};
use crate::statistics::{Facts, MergedTotal, PromptTotal, Pull};

/// Most pull requests that figures are made from, the newest.
const MAX_PULLS: i64 = 20_000;

/// Who prompted so long ago is prompting now.
const PROMPTING_MS: i64 = 5 * 60_000;

/// What the user reaches, or the one repository if one is named: ?1 user, ?2 since when access is
/// believed, ?3 repository or '', ?4 when the window begins.
const REACH: &str = "WITH reach AS (SELECT repository FROM access
    WHERE user = ?1 AND checked_at >= ?2 AND (?3 = '' OR repository = ?3)) ";

pub async fn facts(
    database: &Database,
    user: UserId,
    repository: Option<&Repository>,
    since: Millis,
    now: Millis,
) -> Result<Facts, DatabaseError> {
    let name = repository.map(ToString::to_string).unwrap_or_default();
    let ask = |query: &str, fourth: i64| {
        database.prepare(
            &format!("{REACH}{query}"),
            &[
                Number(user.0),
                Number(now.plus(-ACCESS_MS).0),
                Text(&name),
                Number(fourth),
            ],
        )
    };
    let statements = vec![
        ask(
            &format!(
                "SELECT repository, opened_by, source, opened_at, merged_at, first_response_at,
                    approved, revisions, additions,
                    EXISTS (SELECT 1 FROM reviews WHERE reviews.repository = pull.repository
                        AND reviews.number = pull.number) AS reviewed
                 FROM pull_requests AS pull JOIN reach USING (repository)
                 WHERE session IS NOT NULL AND (opened_at >= ?4 OR merged_at >= ?4)
                 ORDER BY opened_at DESC LIMIT {MAX_PULLS}"
            ),
            since.0,
        )?,
        ask(
            "SELECT repository, count(*) AS count, sum(additions) AS additions
             FROM pull_requests JOIN reach USING (repository)
             WHERE merged_at >= ?4 GROUP BY repository",
            since.0,
        )?,
        ask(
            "SELECT author, source, count(*) AS count, sum(cost_microdollars) AS microdollars
             FROM prompts JOIN reach USING (repository)
             WHERE prompted_at >= ?4 GROUP BY author, source",
            since.0,
        )?,
        ask(
            "SELECT max(CASE WHEN place = (total * 50 + 99) / 100 THEN first_token_ms END) AS p50,
                max(CASE WHEN place = (total * 95 + 99) / 100 THEN first_token_ms END) AS p95
             FROM (SELECT first_token_ms, row_number() OVER (ORDER BY first_token_ms) AS place,
                    count(*) OVER () AS total
                 FROM prompts JOIN reach USING (repository)
                 WHERE prompted_at >= ?4 AND first_token_ms IS NOT NULL)",
            since.0,
        )?,
        ask(
            "SELECT count(DISTINCT author) AS people FROM prompts JOIN reach USING (repository)
             WHERE prompted_at >= ?4",
            now.plus(-PROMPTING_MS).0,
        )?,
        ask(
            "SELECT id, login FROM users WHERE id IN (
                SELECT author FROM prompts JOIN reach USING (repository) WHERE prompted_at >= ?4
                UNION SELECT opened_by FROM pull_requests JOIN reach USING (repository)
                WHERE session IS NOT NULL AND (opened_at >= ?4 OR merged_at >= ?4))",
            since.0,
        )?,
    ];
    let mut answers = database.d1.batch(statements).await?.into_iter();
    let pulls: Vec<PullRow> = rows(&mut answers)?;
    let merged: Vec<MergedRow> = rows(&mut answers)?;
    let prompts: Vec<PromptRow> = rows(&mut answers)?;
    let first_tokens: Vec<FirstTokens> = rows(&mut answers)?;
    let people: Vec<People> = rows(&mut answers)?;
    let logins: Vec<Login> = rows(&mut answers)?;
    let first_token = first_tokens.into_iter().next().unwrap_or_default();
    Ok(Facts {
        pulls: pulls.into_iter().map(Into::into).collect(),
        merged: merged.into_iter().map(Into::into).collect(),
        prompts: prompts.into_iter().map(Into::into).collect(),
        logins: logins
            .into_iter()
            .map(|row| (row.id, row.login))
            .collect::<BTreeMap<_, _>>(),
        people_prompting: people.first().map_or(0, |row| row.people),
        first_token_p50_ms: first_token.p50,
        first_token_p95_ms: first_token.p95,
    })
}

fn rows<T: DeserializeOwned>(
    answers: &mut impl Iterator<Item = worker::D1Result>,
) -> Result<Vec<T>, DatabaseError> {
    let Some(answer) = answers.next() else {
        return Ok(Vec::new());
    };
    Ok(answer.results()?)
}

#[derive(Deserialize)]
struct PullRow {
    repository: Repository,
    opened_by: Option<UserId>,
    source: Option<Source>,
    opened_at: Millis,
    merged_at: Option<Millis>,
    first_response_at: Option<Millis>,
    approved: Option<u8>,
    reviewed: u8,
    revisions: u64,
    additions: u64,
}

impl From<PullRow> for Pull {
    fn from(row: PullRow) -> Self {
        Self {
            repository: row.repository,
            by: row.opened_by,
            source: row.source,
            opened_at: row.opened_at,
            merged_at: row.merged_at,
            first_response_at: row.first_response_at,
            approved: row.approved.map(|approved| approved != 0),
            is_reviewed: row.reviewed != 0,
            revisions: row.revisions,
            additions: row.additions,
        }
    }
}

#[derive(Deserialize)]
struct MergedRow {
    repository: Repository,
    count: u64,
    additions: u64,
}

impl From<MergedRow> for MergedTotal {
    fn from(row: MergedRow) -> Self {
        Self {
            repository: row.repository,
            count: row.count,
            additions: row.additions,
        }
    }
}

#[derive(Deserialize)]
struct PromptRow {
    author: UserId,
    source: Source,
    count: u64,
    microdollars: u64,
}

impl From<PromptRow> for PromptTotal {
    fn from(row: PromptRow) -> Self {
        Self {
            by: row.author,
            source: row.source,
            count: row.count,
            microdollars: row.microdollars,
        }
    }
}

#[derive(Default, Deserialize)]
struct FirstTokens {
    p50: Option<u64>,
    p95: Option<u64>,
}

#[derive(Deserialize)]
struct People {
    people: u64,
}

#[derive(Deserialize)]
struct Login {
    id: UserId,
    login: String,
}
