//! A session's log over HTTP: pages forwards and backwards, and as a stream.

use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use protocol::Seq;
use serde::Deserialize;
use worker::Env;

use super::sessions::asked;
use crate::error::Error;
use crate::session::request::Request as Ask;
use crate::session::store::MAX_PAGE;

#[derive(Deserialize)]
pub struct EventsQuery {
    since: Option<u64>,
    before: Option<u64>,
    #[serde(default = "whole_page")]
    limit: i64,
}

fn whole_page() -> i64 {
    MAX_PAGE
}

/// `GET /api/sessions/{id}/events?since=&before=&limit=`, with `Accept: text/event-stream` a
/// stream of what follows `since` or `Last-Event-ID`.
#[worker::send]
pub async fn events(
    State(env): State<Env>,
    Path(id): Path<String>,
    Query(query): Query<EventsQuery>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    let since = last_event_id(&parts.headers)?.or(query.since);
    let limit = query.limit;
    let wants_stream = accepts_stream(&parts.headers);
    if query.before.is_some() && (query.since.is_some() || wants_stream) {
        let message = "`before` pages backwards: ask without `since`, and not for a stream";
        return Err(Error::invalid("malformed", message));
    }
    asked(env, &id, &parts, |caller| match query.before {
        Some(before) => Ask::EventsBefore {
            before: Seq(before),
            limit,
        },
        None if wants_stream => Ask::Stream {
            since: Seq(since.unwrap_or(0)),
            person: caller.person.clone(),
        },
        None => Ask::Events {
            since: Seq(query.since.unwrap_or(0)),
            limit,
        },
    })
    .await
}

fn accepts_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT);
    accepted
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("text/event-stream"))
}

/// Where a client that comes back goes on from.
fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    let Some(value) = headers.get("last-event-id") else {
        return Ok(None);
    };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    let message = "`Last-Event-ID` is the number of an event";
    number
        .map(Some)
        .ok_or_else(|| Error::invalid("malformed", message))
}
