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
use super::limits::Limits;
use crate::layer::LayerId;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxRecord {
    pub id: SandboxId,
    /// Lowest first.
    pub layers: Vec<LayerId>,
    /// Which of the host's users it runs as, counted from the first that is meant for sandboxes.
    pub slot: u32,
    /// What its control group is called, if not as the sandbox is.
    #[serde(default)]
    pub group: Option<String>,
    /// How many layers its changes have become so far.
    pub ordinal: u32,
    pub workshop: bool,
    #[serde(default)]
    pub limits: Limits,
    /// How far a snapshot has come that is not finished.
    pub snapshot: Option<Snapshot>,
    pub state: SandboxState,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxState {
    Starting,
    Running(ProcessIdentity),
    Stopped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Snapshot {
    /// The processes are stopped, or are about to be.
    Begun,
    /// The upper directory is the highest layer, and a fresh one is above it.
    Swapped,
    /// A copy of the upper directory is being made, which goes on to be written in.
    Copying,
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

    /// Not synchronised: power that is lost before the file system writes by itself, which is
    /// seconds, takes what the sandbox wrote in them as well. The order of renames holds, so there
    /// is an old record or a new one.
    pub(super) fn write(&self, directory: &Path) -> io::Result<()> {
        durable::write_json_for_this_boot(&directory.join(FILE), self)
    }
}
