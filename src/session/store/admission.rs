//! What is let in once: client requests, socket tickets, signed messages.

use protocol::{Millis, PromptId};
use sha2::{Digest as _, Sha256};

use super::{Store, StoreError};
use crate::platform::random::hex;
use crate::platform::sql::Sql;
use crate::tickets::{self, Bearer, TicketHolder};

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

    pub fn issue_ticket(
        &self,
        ticket: &str,
        holder: &TicketHolder,
        now: Millis,
    ) -> Result<(), StoreError> {
        tickets::issue(&self.sql, ticket, holder, now)
    }

    /// Uses a ticket up, whether it is good or not.
    pub fn redeem_ticket(
        &self,
        ticket: &str,
        origin: &str,
        now: Millis,
    ) -> Result<Option<Bearer>, StoreError> {
        tickets::redeem(&self.sql, ticket, origin, now)
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
