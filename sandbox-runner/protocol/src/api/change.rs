//! What the files of a session differ by, kept at the end of each prompt, so that it can be looked
//! at when there is no sandbox any more.

use serde::{Deserialize, Serialize};

use crate::id::{Epoch, PromptId, SandboxId};

/// Most files that are told of by name; a number stands for the others.
pub const MAX_CHANGED_FILES: usize = 1000;

/// Most bytes of one file's patch, and of all patches of one answer.
pub const MAX_PATCH: usize = 256 * 1024;
pub const MAX_PATCHES: usize = 4 * 1024 * 1024;

/// `GET /api/sessions/{id}/diff?prompt=&scope=`: as things were at the end of `prompt`, the newest
/// that ended if absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Changes {
    pub prompt: PromptId,
    pub scope: ChangesScope,
    /// By path.
    pub files: Vec<ChangedFile>,
    /// Files beyond [`MAX_CHANGED_FILES`].
    pub omitted: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ChangesScope {
    /// Since the branch that the session's work starts from: what a pull request would show.
    #[default]
    Session,
    /// Since the prompt started.
    Prompt,
}

/// `POST /changes` of a runner: what the prompt that runs there has changed so far; signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookAtChanges {
    pub sandbox: SandboxId,
    pub scope: ChangesScope,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChangedFile {
    pub path: String,
    /// What it was called, if it was renamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub previous: Option<String>,
    pub change: Change,
    /// Absent for binary files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub additions: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub deletions: Option<u32>,
    pub patch: Patch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Change {
    Added,
    Modified,
    Deleted,
    Renamed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Patch {
    /// Hunks of a unified diff, from the first `@@` on; empty if only the name or mode changed.
    Text {
        hunks: String,
    },
    Binary,
    /// Beyond [`MAX_PATCH`], or past [`MAX_PATCHES`] together with those before it.
    TooLarge,
}

/// `POST /runner/changes/{session}`: both scopes at the end of a prompt; signed. The same prompt
/// again replaces what was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeepChanges {
    pub sandbox: SandboxId,
    pub epoch: Epoch,
    pub prompt: PromptId,
    pub changes: Vec<Changes>,
}
