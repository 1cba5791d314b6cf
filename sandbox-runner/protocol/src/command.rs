//! What the Worker tells a runner: `POST /commands`, signed (see [`crate::signature`]).
//!
//! A command is accepted (202) once it will be carried out even if the runner dies; its result
//! comes back as callbacks. Each is idempotent by the identifiers that it names.

use serde::{Deserialize, Serialize};

use crate::egress::EgressPolicy;
use crate::event::{Artifact, Mode, Repository};
use crate::id::{Epoch, ImageId, Millis, PartId, PromptId, SandboxId, SessionId, SnapshotId};
use crate::image::{Base, EnvironmentName, Specification};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Command {
    Start(Start),
    Prompt(SendPrompt),
    /// Ends the running prompt, with everything that it started.
    Stop {
        sandbox: SandboxId,
        prompt: PromptId,
    },
    /// Keeps an idle sandbox's files as a snapshot and ends it; the last report says which.
    Sleep {
        sandbox: SandboxId,
    },
    /// Ends the sandbox.
    End {
        sandbox: SandboxId,
    },
    /// Makes an image unless nothing changed since the newest one of its base.
    BuildImage(BuildImage),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildImage {
    pub image: ImageId,
    pub base: Base,
    /// What the environment is to hold; without one, the repository's own files decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub specification: Option<Specification>,
    /// What the repository's sandboxes may reach; the default set when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<EgressPolicy>,
    /// Builds even if nothing changed.
    #[serde(default)]
    pub force: bool,
    /// Absolute URL that reports of this build are sent to.
    pub callback_url: String,
}

/// Starts a sandbox: from the pool if `warm` names an entry that is still there, else from
/// `snapshot`, else from the newest image, which is built first when there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    pub session: SessionId,
    pub sandbox: SandboxId,
    pub epoch: Epoch,
    pub repository: Repository,
    /// Where the work starts from.
    #[serde(deserialize_with = "crate::branch::deserialize")]
    pub branch: String,
    /// Where the work goes; the gateway lets this sandbox push nowhere else.
    #[serde(deserialize_with = "crate::branch::deserialize")]
    pub work_branch: String,
    pub model: Model,
    /// The first part number that is free in this session.
    pub first_part: PartId,
    /// Absolute URL that callbacks of this sandbox are sent to.
    pub callback_url: String,
    /// Which of the repository's environments; without one, the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
    /// The sandbox of the runner's pool that the Fleet leased to this session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm: Option<SandboxId>,
    /// What this session's files were last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotId>,
    /// What the repository's sandboxes may reach; the default set when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<EgressPolicy>,
    /// What an image is to hold that is made for this sandbox because there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub specification: Option<Specification>,
    /// What earlier sandboxes of this session spent on models: the budget is the session's.
    #[serde(default)]
    pub spent_microdollars: u64,
}

/// A model by the provider that serves it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Model {
    pub provider: Provider,
    pub name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Provider {
    Anthropic,
    Openai,
}

impl Provider {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Openai => "openai",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SendPrompt {
    pub sandbox: SandboxId,
    pub prompt: PromptId,
    pub text: String,
    pub mode: Mode,
    /// When the person sent it: the waterfall's zero.
    pub sent_at: Millis,
    /// Who the commit belongs to.
    pub author: GitIdentity,
    /// Who else prompted since the last commit.
    pub co_authors: Vec<GitIdentity>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// It was running in a sandbox that was lost: the agent is told to go on with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resumed: bool,
}

/// A file that comes with a prompt; the runner gets it with a signed `GET` of `url`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    pub artifact: Artifact,
    /// Absolute.
    pub url: String,
    /// Of the bytes, as hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// A name and address as git writes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitIdentity {
    pub name: String,
    pub email: String,
}

/// `POST /refresh`, signed: a repository's settings or secrets have changed. A hint: the runner asks
/// for them anew, as it does by itself with its next registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refresh {
    pub repository: Repository,
}

/// The answer to an accepted command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    pub accepted: bool,
}
