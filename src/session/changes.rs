//! What prompts have changed: the session says whether it takes it and which is the newest. The
//! changes themselves are in R2 before they are noted here, so what is noted can be had.

use std::rc::Rc;

use protocol::{Epoch, PromptId, SandboxId};
use serde::{Deserialize, Serialize};
use worker::Response;

use super::Core;
use super::machine::Input;
use super::machine::changes::KeptChanges;
use crate::error::Error;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ChangesRequest {
    /// Whether changes of this prompt are taken from this sandbox.
    Check {
        sandbox: SandboxId,
        epoch: Epoch,
        prompt: PromptId,
    },
    /// They are in R2.
    Kept(KeptChanges),
    /// Answers a [`Newest`].
    Newest,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Newest {
    pub prompt: Option<PromptId>,
}

impl Core {
    pub(super) fn changes(self: &Rc<Self>, request: ChangesRequest) -> Result<Response, Error> {
        match request {
            ChangesRequest::Check {
                sandbox,
                epoch,
                prompt,
            } => {
                self.session()?.believes(&sandbox, epoch)?;
                if self.store()?.prompt(&prompt)?.is_none() {
                    return Err(Error::NotFound("prompt"));
                }
                Ok(Response::empty()?.with_status(204))
            }
            ChangesRequest::Kept(kept) => {
                self.apply(Input::ChangesKept(kept), None)?;
                Ok(Response::empty()?.with_status(204))
            }
            ChangesRequest::Newest => {
                let prompt = self.session()?.changes.newest;
                Ok(Response::from_json(&Newest { prompt })?)
            }
        }
    }
}
