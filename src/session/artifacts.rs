//! The session's files: which there are. Their bytes are in R2 before they are noted here, so what is
//! noted can be had.

use std::rc::Rc;

use protocol::api::{ArtifactList, MAX_ARTIFACTS, MAX_ATTACHMENTS};
use protocol::command::Attachment;
use protocol::event::{Artifact, Prompt};
use protocol::{ArtifactId, PromptId, SessionId};
use serde::{Deserialize, Serialize};
use worker::Response;

use super::Core;
use super::machine::{Input, Refusal};
use crate::artifacts::upload::Uploaded;
use crate::error::Error;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ArtifactRequest {
    /// Whether there is room, before the bytes are taken.
    Room {
        bytes: u64,
    },
    /// Notes a file that is in R2; answers the one that counts, which may be an earlier one.
    Add {
        id: ArtifactId,
        uploaded: Uploaded,
        maker: Maker,
    },
    List,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Maker {
    /// For a prompt to come. The same file of the same name is there once.
    Person,
    /// Uploaded before there was a session, under the identifier that its first prompt names.
    Upload,
    /// The agent. Each has an identifier of its own, so a repetition is known.
    Agent {
        prompt: Option<PromptId>,
        caption: Option<String>,
    },
}

/// What is kept of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub artifact: Artifact,
    pub sha256: String,
}

impl Core {
    pub(super) fn artifacts(self: &Rc<Self>, request: ArtifactRequest) -> Result<Response, Error> {
        match request {
            ArtifactRequest::Room { bytes } => {
                if self.session()?.archived {
                    return Err(Refusal::Archived.into());
                }
                self.check_room(bytes)?;
                Ok(Response::empty()?.with_status(204))
            }
            ArtifactRequest::Add {
                id,
                uploaded,
                maker,
            } => {
                let artifact = self.add_artifact(id, &uploaded, maker)?;
                Ok(Response::from_json(&artifact)?.with_status(201))
            }
            ArtifactRequest::List => {
                self.session()?;
                let artifacts = self.store()?.artifacts()?;
                Ok(Response::from_json(&ArtifactList { artifacts })?)
            }
        }
    }

    fn add_artifact(
        self: &Rc<Self>,
        id: ArtifactId,
        uploaded: &Uploaded,
        maker: Maker,
    ) -> Result<Artifact, Error> {
        self.session()?;
        let store = self.store()?;
        if let Some(known) = store.artifact(&id)? {
            return Ok(known.artifact);
        }
        let caption = match &maker {
            Maker::Person => match store.same_artifact(uploaded)? {
                Some(known) => return Ok(known.artifact),
                None => None,
            },
            Maker::Upload => None,
            Maker::Agent { caption, .. } => caption.clone(),
        };
        self.check_room(uploaded.bytes)?;
        let artifact = uploaded.artifact(id, caption);
        if let Maker::Agent { prompt, .. } = maker {
            let artifact = artifact.clone();
            self.apply(Input::ArtifactAdded { artifact, prompt }, None)?;
        }
        // No await since the commit: the runtime makes both durable together.
        store.write_artifact(&Record {
            artifact: artifact.clone(),
            sha256: uploaded.sha256.clone(),
        })?;
        Ok(artifact)
    }

    fn check_room(&self, bytes: u64) -> Result<(), Error> {
        let held = self.store()?.artifact_bytes()?;
        if held.saturating_add(bytes) > MAX_ARTIFACTS {
            let most = MAX_ARTIFACTS / (1024 * 1024);
            let message = format!("the files of one session have at most {most} MiB together");
            return Err(Error::invalid("artifacts_full", message));
        }
        Ok(())
    }

    /// What a prompt comes with: files that this session has.
    pub(super) fn attachments(&self, ids: &[ArtifactId]) -> Result<Vec<Artifact>, Error> {
        checked_attachments(ids)?;
        let store = self.store()?;
        ids.iter()
            .map(|id| {
                let known = store.artifact(id)?;
                known
                    .map(|record| record.artifact)
                    .ok_or_else(|| unknown_attachment(id))
            })
            .collect()
    }

    /// The same for the runner, with where it finds them.
    pub(super) fn attached(
        &self,
        session: &SessionId,
        prompt: &Prompt,
        public_url: &str,
    ) -> Result<Vec<Attachment>, Error> {
        let store = self.store()?;
        prompt
            .attachments
            .iter()
            .map(|artifact| {
                let id = &artifact.id;
                Ok(Attachment {
                    artifact: artifact.clone(),
                    url: format!("{public_url}/runner/artifacts/{session}/{id}"),
                    sha256: store.artifact(id)?.map(|record| record.sha256),
                })
            })
            .collect()
    }
}

/// Refuses what can be no prompt's attachments, whatever the session has.
pub fn checked_attachments(ids: &[ArtifactId]) -> Result<(), Error> {
    if ids.len() > MAX_ATTACHMENTS {
        let message = format!("a prompt has at most {MAX_ATTACHMENTS} attachments");
        return Err(Error::invalid("too_many_attachments", message));
    }
    let mut seen = std::collections::BTreeSet::new();
    if let Some(twice) = ids.iter().find(|id| !seen.insert(*id)) {
        let message = format!("{twice} is attached twice");
        return Err(Error::invalid("malformed", message));
    }
    Ok(())
}

pub fn unknown_attachment(id: &ArtifactId) -> Error {
    let message = format!("there is no file {id} to attach: upload it first");
    Error::invalid("unknown_attachment", message)
}
