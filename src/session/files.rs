//! Where a session's files are: in its sandbox while it is up, else in its newest snapshot.

use protocol::SandboxId;
use serde::{Deserialize, Serialize};
use worker::Response;

use super::Core;
use super::machine::Kept;
use crate::error::Error;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Whereabouts {
    /// The sandbox, and where its runner is.
    pub sandbox: Option<(SandboxId, String)>,
    pub snapshot: Option<Kept>,
}

impl Core {
    pub(super) fn whereabouts(&self) -> Result<Response, Error> {
        let state = self.session()?;
        let sandbox = state
            .sandbox
            .filter(|sandbox| sandbox.ready && !sandbox.sleeping)
            .and_then(|sandbox| Some((sandbox.id, sandbox.runner_url?)));
        let snapshot = state.snapshot;
        Ok(Response::from_json(&Whereabouts { sandbox, snapshot })?)
    }
}
