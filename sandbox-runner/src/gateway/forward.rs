//! What models and git have in common: which headers go on, streamed answers, refusals.

use axum::body::{Body, BodyDataStream};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use hyper::StatusCode;
use hyper::header::{
    self, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE,
    WWW_AUTHENTICATE,
};
use serde_json::{Value, json};

use super::ledger::{ContactKind, Ledger};
use crate::cause;

/// Headers of an answer that concern one connection only, or that would tell about credentials.
const DROPPED: [HeaderName; 11] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    SET_COOKIE,
    WWW_AUTHENTICATE,
    header::LOCATION,
];

/// What is read of a refused body, so that the client has sent it all and reads the answer.
const LONGEST_REFUSED: u64 = 256 * 1024 * 1024;

/// Those of a request's headers that are named.
pub(super) fn named(headers: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for name in names {
        for value in headers.get_all(name) {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}

/// Hands an answer on as it comes, and shows what has passed.
pub(super) fn stream(
    answer: reqwest::Response,
    mut passed: impl FnMut(&[u8]) + Send + 'static,
) -> Response {
    let status = answer.status();
    let mut headers = answer.headers().clone();
    DROPPED.iter().for_each(|name| drop(headers.remove(name)));
    let counted = answer.bytes_stream().inspect(move |bytes| {
        if let Ok(bytes) = bytes {
            passed(bytes);
        }
    });
    let mut response = Response::new(Body::from_stream(counted));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

pub(super) async fn discard(body: &mut BodyDataStream) {
    let mut read = 0;
    while let Some(Ok(bytes)) = body.next().await {
        read += bytes.len() as u64;
        if read > LONGEST_REFUSED {
            return;
        }
    }
}

/// People are told that it failed; how is for the log, since it may tell of the network outside.
pub(super) fn fail_contact(
    ledger: &Ledger,
    kind: ContactKind,
    host: &str,
    error: &dyn std::error::Error,
) {
    let error = cause::chain(error);
    let log = || tracing::warn!(host, error, "a place outside was not reached");
    ledger.log(log);
    ledger.failed(kind, host, "it could not be reached");
}

pub(super) fn allow_contact(
    ledger: &Ledger,
    kind: ContactKind,
    host: &str,
    path: &str,
    status: StatusCode,
) {
    ledger.allowed(kind, host);
    let status = status.as_u16();
    ledger.log(|| tracing::info!(host, path, status, "a sandbox made a contact"));
}

pub(super) fn refuse(status: StatusCode, code: &str, message: &str) -> Response {
    json_answer(
        status,
        &json!({ "error": { "code": code, "message": message } }),
    )
}

pub(super) fn json_answer(status: StatusCode, body: &Value) -> Response {
    let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (status, headers, body.to_string()).into_response()
}

/// Length of the body, if it is announced.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
