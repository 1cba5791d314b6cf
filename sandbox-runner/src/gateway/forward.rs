//! What all ways out have in common: which headers go on, streamed answers, refusals.

use std::sync::Arc;

use axum::body::{Body, BodyDataStream};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use hyper::StatusCode;
use hyper::header::{
    self, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE,
    WWW_AUTHENTICATE,
};
use serde_json::{Value, json};

use super::contact::{Contacts, Verdict};

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

/// Hands an answer on as it comes.
pub(super) fn stream(contacts: Arc<Contacts>, host: String, answer: reqwest::Response) -> Response {
    let status = answer.status();
    let mut headers = answer.headers().clone();
    DROPPED.iter().for_each(|name| drop(headers.remove(name)));
    let counted = answer.bytes_stream().inspect(move |bytes| {
        if let Ok(bytes) = bytes {
            contacts.bytes(&host, bytes.len() as u64);
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

pub(super) fn refuse_contact(contacts: &Contacts, host: &str) {
    contacts.request(host, Verdict::Refused);
    tracing::info!(host, verdict = "refused", "a sandbox was refused a contact");
}

pub(super) fn fail_contact(contacts: &Contacts, host: &str, error: &dyn std::error::Error) {
    contacts.request(host, Verdict::Failed);
    let error = chain(error);
    tracing::warn!(
        host,
        verdict = "failed",
        error,
        "a sandbox's contact failed"
    );
}

pub(super) fn allow_contact(contacts: &Contacts, host: &str, path: &str, status: StatusCode) {
    contacts.request(host, Verdict::Allowed);
    let status = status.as_u16();
    tracing::info!(
        host,
        path,
        status,
        verdict = "allowed",
        "a sandbox made a contact"
    );
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

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
