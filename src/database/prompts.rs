//! One row for each prompt, for figures. Each figure can be written twice, and in any order.

use protocol::event::{Prompt, Repository};
use protocol::{Millis, SessionId};

use super::Parameter::{Number, Text};
use super::{Database, DatabaseError, name};
use crate::session::machine::figures::Figure;

#[derive(Debug, Clone, Copy)]
pub struct Counted<'a> {
    pub prompt: &'a Prompt,
    pub session: &'a SessionId,
    pub repository: &'a Repository,
    pub now: Millis,
}

/// Writes down a figure of a prompt. `spent` is what its whole session has spent so far: what is
/// not yet another prompt's is this one's when it ends.
pub async fn count(
    database: &Database,
    counted: Counted<'_>,
    figure: &Figure,
    spent: u64,
) -> Result<(), DatabaseError> {
    let prompted_at = match figure {
        Figure::Queued { at } => *at,
        _ => counted.now,
    };
    let id = Text(counted.prompt.id.as_str());
    let row = database.prepare(
        "INSERT INTO prompts (id, session, repository, author, source, prompted_at)
         VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET prompted_at = min(prompted_at, excluded.prompted_at)",
        &[
            id,
            Text(counted.session.as_str()),
            Text(&counted.repository.to_string()),
            Number(counted.prompt.author.id.0),
            Text(&name(counted.prompt.source)?),
            Number(prompted_at.0),
        ],
    )?;
    let mut statements = vec![row];
    match figure {
        Figure::Queued { .. } => {}
        Figure::FirstToken { ms } => statements.push(database.prepare(
            "UPDATE prompts SET first_token_ms = coalesce(first_token_ms, ?) WHERE id = ?",
            &[
                Number(i64::try_from(*ms).unwrap_or(i64::MAX)),
                Text(counted.prompt.id.as_str()),
            ],
        )?),
        Figure::Ended { result } => statements.push(database.prepare(
            "UPDATE prompts SET outcome = ?1, cost_microdollars = max(0, ?2 - (
                SELECT coalesce(sum(cost_microdollars), 0) FROM prompts
                WHERE session = ?3 AND id <> ?4))
             WHERE id = ?4",
            &[
                Text(&name(result)?),
                Number(i64::try_from(spent).unwrap_or(i64::MAX)),
                Text(counted.session.as_str()),
                Text(counted.prompt.id.as_str()),
            ],
        )?),
    }
    database.d1.batch(statements).await?;
    Ok(())
}
