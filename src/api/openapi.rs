//! The description of the HTTP surface, in OpenAPI 3.1.
//!
//! It is written by a test from the routes, the protocol's types and what `document/operations.rs`
//! says of each, and kept as a file, so that nothing of that is in what is deployed:
//! `UPDATE_GOLDEN=1 cargo test -p hosted-agents openapi`.

#[cfg(test)]
mod document;

use axum::http::header;
use axum::response::{IntoResponse, Response};

const DOCUMENT: &str = include_str!("openapi/openapi.json");

/// `GET /api/openapi.json`
pub async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}
