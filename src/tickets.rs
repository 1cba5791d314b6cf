//! Tickets of sockets: whoever is known by a request gets one, and a page opens a socket with it,
//! once, within half a minute, from the place that it was given to. Kept by their digests only: a
//! copy of the table lets nobody in.

use protocol::Millis;
use protocol::event::{Person, Source};
use protocol::frame::TICKET_PREFIX;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::platform::random::hex;
use crate::platform::sql::Sql;
use crate::session::store::StoreError;

/// How long a ticket waits to be used.
const TICKET_MS: i64 = 30_000;

/// Who a ticket lets in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TicketHolder {
    pub bearer: Bearer,
    pub origin: String,
}

impl TicketHolder {
    /// A page of somebody, where it makes no difference what opened it.
    pub fn page(person: Person, origin: String) -> Self {
        let bearer = Bearer {
            person,
            source: web(),
        };
        Self { bearer, origin }
    }
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

/// Keeps a ticket in the table `tickets` of an object.
pub fn issue(
    sql: &impl Sql,
    ticket: &str,
    holder: &TicketHolder,
    now: Millis,
) -> Result<(), StoreError> {
    sql.run("DELETE FROM tickets WHERE expires_at < ?", &[now.0.into()])?;
    sql.run(
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
pub fn redeem(
    sql: &impl Sql,
    ticket: &str,
    origin: &str,
    now: Millis,
) -> Result<Option<Bearer>, StoreError> {
    let rows = sql.run(
        "DELETE FROM tickets WHERE hash = ? RETURNING person, origin, expires_at",
        &[digest(ticket).into()],
    )?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    if row.text(1)? != origin || row.integer(2)? < now.0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_str(row.text(0)?)?))
}

/// What a page offers to open a socket with.
pub struct Offer {
    pub ticket: String,
    pub origin: String,
}

impl Offer {
    /// Reads an upgrade whose page speaks `subprotocol`.
    pub fn of(request: &worker::Request, subprotocol: &str) -> Result<Self, Error> {
        let headers = request.headers();
        let offered = headers.get("sec-websocket-protocol")?.unwrap_or_default();
        let origin = headers.get("origin")?.unwrap_or_default();
        let ticket = ticket_among(&offered, subprotocol)?;
        Ok(Self { ticket, origin })
    }
}

fn ticket_among(offered: &str, subprotocol: &str) -> Result<String, Error> {
    let mut protocols = offered.split(',').map(str::trim);
    let ticket = protocols
        .clone()
        .find_map(|one| one.strip_prefix(TICKET_PREFIX));
    if !protocols.any(|one| one == subprotocol) {
        let message = format!("offer the subprotocol {subprotocol}");
        return Err(Error::invalid("wrong_subprotocol", message));
    }
    Ok(ticket.ok_or(Error::BadTicket)?.to_owned())
}

fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::ticket_among;

    #[test]
    fn a_ticket_comes_beside_the_subprotocol() {
        let code = |offered| ticket_among(offered, "v1.lobby").map_err(|error| error.code());
        assert_eq!(code("v1.lobby, ticket.abc"), Ok("abc".to_owned()));
        assert_eq!(code("ticket.abc,v1.lobby"), Ok("abc".to_owned()));
        assert_eq!(code("v1.lobby"), Err("bad_ticket"));
        assert_eq!(code("v1.agent, ticket.abc"), Err("wrong_subprotocol"));
        assert_eq!(code(""), Err("wrong_subprotocol"));
    }
}
