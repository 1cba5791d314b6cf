//! What is on disk about a sandbox, so that a later process of the runner knows it.
//!
//! Written before the start (the intent) and after it (the process). A record without a process
//! means that the start was not completed: init ends by itself then.

use std::fs;
use std::io;
use std::path::Path;

use protocol::SandboxId;
use serde::{Deserialize, Serialize};

use super::durable;
pub use super::identity::ProcessIdentity;
use crate::layer::LayerId;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxRecord {
    pub id: SandboxId,
    /// Lowest first.
    pub layers: Vec<LayerId>,
    pub state: SandboxState,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxState {
    Starting,
    Running(ProcessIdentity),
    Stopped,
}

pub(super) const FILE: &str = "record.json";

impl SandboxRecord {
    /// Nothing if the sandbox has no record.
    pub(super) fn read(directory: &Path) -> io::Result<Option<Self>> {
        match fs::read(directory.join(FILE)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The intent outlives a loss of power, since the layers are needed to use what was written.
    /// Later states say something about this boot alone.
    pub(super) fn write(&self, directory: &Path) -> io::Result<()> {
        let path = directory.join(FILE);
        match self.state {
            SandboxState::Starting => durable::write_json(&path, self),
            SandboxState::Running(_) | SandboxState::Stopped => {
                durable::write_json_for_this_boot(&path, self)
            }
        }
    }
}
