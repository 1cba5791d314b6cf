//! The audit log, for administrators.

use axum::Json;
use axum::response::{IntoResponse, Response};
use protocol::api::Deed;
use serde::Deserialize;

use super::Caller;
use super::extract::{Count, Query};
use crate::auth::policy::{Action, Subject};
use crate::database;
use crate::error::Error;

#[derive(Deserialize)]
pub struct AuditQuery {
    cursor: Option<Count>,
}

/// `GET /api/audit?cursor=`. That it was read is an entry itself, one for each reading from the top.
#[worker::send]
pub async fn list(
    caller: Caller,
    Query(AuditQuery { cursor }): Query<AuditQuery>,
) -> Result<Response, Error> {
    caller
        .may(Action::ReadAudit, Subject::Deployment, "audit")
        .await?;
    if cursor.is_none() {
        caller.note(Deed::AuditRead, "").await?;
    }
    let page = database::audit::page(&caller.database, cursor.map(Into::into)).await?;
    Ok(Json(page).into_response())
}
