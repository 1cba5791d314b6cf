//! A session's log over HTTP: pages forwards and backwards, and as a stream.

use axum::http::{HeaderMap, header};
use axum::response::Response;
use protocol::Seq;
use serde::Deserialize;

use super::extract::{Count, Path, Query};
use super::{Caller, ask_session};
use crate::auth::policy::Action;
use crate::error::Error;
use crate::session::request::Request as Ask;
use crate::session::store::MAX_PAGE;

#[derive(Deserialize)]
pub struct EventsQuery {
    since: Option<Count>,
    before: Option<Count>,
    #[serde(default = "whole_page")]
    limit: i64,
}

fn whole_page() -> i64 {
    MAX_PAGE
}

/// `GET /api/sessions/{session}/events?since=&before=&limit=`, with `Accept: text/event-stream` a
/// stream of what follows `since` or `Last-Event-ID`.
#[worker::send]
pub async fn events(
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let session = caller.session(&id, Action::View).await?;
    let asked = query.since.map(u64::from);
    let since = last_event_id(&headers)?.or(asked);
    let limit = query.limit;
    if !(1..=MAX_PAGE).contains(&limit) {
        let message = format!("a page has 1 to {MAX_PAGE} events");
        return Err(Error::invalid("malformed", message));
    }
    let wants_stream = accepts_stream(&headers);
    if query.before.is_some() && (asked.is_some() || wants_stream) {
        let message = "`before` pages backwards: ask without `since`, and not for a stream";
        return Err(Error::invalid("malformed", message));
    }
    let ask = match query.before {
        Some(before) => Ask::EventsBefore {
            before: Seq(before.into()),
            limit,
        },
        None if wants_stream => Ask::Stream {
            since: Seq(since.unwrap_or(0)),
            person: caller.person.clone(),
        },
        None => Ask::Events {
            since: Seq(asked.unwrap_or(0)),
            limit,
        },
    };
    ask_session(&caller.env, &session, &ask).await
}

pub(super) fn accepts_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT);
    accepted
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("text/event-stream"))
}

/// Where a client that comes back goes on from.
pub(super) fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    let Some(value) = headers.get("last-event-id") else {
        return Ok(None);
    };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    let message = "`Last-Event-ID` is the number of an event that came before";
    number
        .map(Some)
        .ok_or_else(|| Error::invalid("malformed", message))
}
