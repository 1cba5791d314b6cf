//! Which terminals are in use, told by the runner.

use axum::extract::{Request, State};
use axum::response::Response;
use protocol::SessionId;
use protocol::api::TerminalUsed;
use worker::Env;

use super::message;
use crate::api::ask_session;
use crate::api::extract::Path;
use crate::error::Error;
use crate::session::request::Request as Ask;
use crate::session::terminal::TerminalRequest;

/// `POST /runner/terminals/{session}`
#[worker::send]
pub async fn used(
    State(env): State<Env>,
    Path(session): Path<String>,
    request: Request,
) -> Result<Response, Error> {
    let TerminalUsed { sandbox, epoch } = message(&env, request).await?;
    let session = SessionId::parse(&session).map_err(|_| Error::NotFound("session"))?;
    let used = TerminalRequest::Used { sandbox, epoch };
    ask_session(&env, &session, &Ask::Terminal(used)).await
}
