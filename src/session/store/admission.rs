//! What is let in once: client requests, socket tickets, signed messages.

use protocol::event::{Person, Source};
use protocol::{Millis, PromptId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Store, StoreError, first_json};
use crate::platform::random::hex;
use crate::platform::sql::Sql;

/// How long a ticket waits to be used.
const TICKET_MS: i64 = 30_000;

/// How long the identifiers of signed messages are kept: longer than a signature is good for,
/// counting a clock that is five minutes ahead.
const SEEN_MS: i64 = 11 * 60_000;

/// What a request with a `client_request_id` means to this session.
#[derive(Debug, Clone, PartialEq)]
pub enum Admission {
    New,
    /// The same request came before and made this prompt.
    Repeated(PromptId),
    /// The identifier was used for something else.
    Conflicting,
}

/// Who a ticket lets in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TicketHolder {
    pub bearer: Bearer,
    pub origin: String,
}

/// Whoever comes in by a ticket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bearer {
    #[serde(flatten)]
    pub person: Person,
    /// Where their prompts come from: a browser, or a program that has a token.
    #[serde(default = "web")]
    pub source: Source,
}

/// What was given out before there was another.
pub fn web() -> Source {
    Source::Web
}

impl<S: Sql> Store<S> {
    pub fn admit(&self, client_request_id: &str, body: &str) -> Result<Admission, StoreError> {
        let rows = self.sql.run(
            "SELECT body, prompt FROM requests WHERE id = ?",
            &[client_request_id.into()],
        )?;
        let Some(row) = rows.first() else {
            return Ok(Admission::New);
        };
        if row.text(0)? != digest(body) {
            return Ok(Admission::Conflicting);
        }
        Ok(PromptId::parse(row.text(1)?).map_or(Admission::Conflicting, Admission::Repeated))
    }

    pub fn remember(
        &self,
        client_request_id: &str,
        body: &str,
        prompt: &PromptId,
    ) -> Result<(), StoreError> {
        self.sql.run(
            "INSERT INTO requests (id, body, prompt) VALUES (?, ?, ?)",
            &[
                client_request_id.into(),
                digest(body).into(),
                prompt.as_str().into(),
            ],
        )?;
        Ok(())
    }

    /// Keeps a ticket, by its digest only: a copy of these tables lets nobody in.
    pub fn issue_ticket(
        &self,
        ticket: &str,
        holder: &TicketHolder,
        now: Millis,
    ) -> Result<(), StoreError> {
        self.sql
            .run("DELETE FROM tickets WHERE expires_at < ?", &[now.0.into()])?;
        self.sql.run(
            "INSERT INTO tickets (hash, person, origin, expires_at) VALUES (?, ?, ?, ?)",
            &[
                digest(ticket).into(),
                serde_json::to_string(&holder.bearer)?.into(),
                holder.origin.as_str().into(),
                now.plus(TICKET_MS).0.into(),
            ],
        )?;
        Ok(())
    }

    /// Uses a ticket up, whether it is good or not.
    pub fn redeem_ticket(
        &self,
        ticket: &str,
        origin: &str,
        now: Millis,
    ) -> Result<Option<Bearer>, StoreError> {
        let rows = self.sql.run(
            "DELETE FROM tickets WHERE hash = ? RETURNING person, origin, expires_at",
            &[digest(ticket).into()],
        )?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        if row.text(1)? != origin || row.integer(2)? < now.0 {
            return Ok(None);
        }
        first_json(&rows)
    }

    /// Notes the identifier of a signed message; false when it has been here before.
    pub fn first_sight(&self, id: &str, now: Millis) -> Result<bool, StoreError> {
        self.sql.run(
            "DELETE FROM seen WHERE at < ?",
            &[now.plus(-SEEN_MS).0.into()],
        )?;
        let rows = self.sql.run(
            "INSERT INTO seen (id, at) VALUES (?, ?) ON CONFLICT (id) DO NOTHING RETURNING id",
            &[id.into(), now.0.into()],
        )?;
        Ok(!rows.is_empty())
    }
}

fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}
