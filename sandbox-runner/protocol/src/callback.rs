//! What a runner tells the Worker, signed (see [`crate::signature`]).
//!
//! Reports of one sandbox epoch are numbered 1, 2, 3… and sent in batches. The session takes the
//! next number only: what it has is dropped, what leaves a gap is refused, and the answer says up
//! to where it holds everything. So a report is sent at least once and logged exactly once.

use serde::{Deserialize, Serialize};

use crate::api::SecretScope;
use crate::command::Model;
use crate::egress::EgressPolicy;
use crate::event::{FileChange, Limit, PartBody, PartOutcome, Repository, Step};
use crate::id::{
    Epoch, ImageId, Millis, PartId, PromptId, RunnerId, SandboxId, SessionId, SnapshotId,
};
use crate::image::{Base, ImageOutcome};
use crate::ledger::Contact;

/// Most bytes of one tool's input or output in the log; more is cut in the middle and marked.
pub const MAX_TEXT: usize = 64 * 1024;

/// Most reports in one batch, so that a batch is one short transaction.
pub const MAX_BATCH: usize = 200;

/// Most contacts in one report.
pub const MAX_CONTACTS: usize = 100;

/// `POST /runner/callbacks/{session}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Batch {
    pub sandbox: SandboxId,
    pub epoch: Epoch,
    /// Number of the first report here; the others follow it.
    pub first: u64,
    pub reports: Vec<Report>,
}

/// The answer to a batch, also to one that leaves a gap (409).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Acknowledgement {
    /// Everything up to this number is held for good.
    pub received: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Report {
    Step {
        step: Step,
    },
    /// The agent answers; prompts may come.
    Ready {
        image: Option<ImageId>,
        commit: String,
    },
    PartStarted {
        part: PartId,
        prompt: PromptId,
        body: PartBody,
    },
    /// `offset` counts UTF-16 code units of the part's text before `text`.
    Delta {
        part: PartId,
        offset: u64,
        text: String,
    },
    PartFinished {
        part: PartId,
        prompt: PromptId,
        length: u64,
        /// Present when the final text is not what the deltas add up to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        outcome: PartOutcome,
    },
    Pushed {
        prompt: PromptId,
        branch: String,
        commit: String,
        files: Vec<FileChange>,
        /// The agent's last words on it: what changed and why.
        summary: String,
        /// The other branch of the session that this one is stacked on, if it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base: Option<String>,
    },
    /// How the agent wants the pull request of a branch to be; opened once there are commits on it.
    PullRequestWished {
        prompt: PromptId,
        #[serde(deserialize_with = "crate::branch::deserialize")]
        branch: String,
        wish: PullRequestWish,
    },
    /// The agent says how its work goes, for people.
    Update {
        prompt: PromptId,
        text: String,
    },
    PromptFinished {
        prompt: PromptId,
        result: PromptResult,
    },
    Notice {
        message: String,
    },
    /// The files as they are now can be gone back to; the newest one replaces those before.
    Snapshotted {
        snapshot: SnapshotId,
        /// The prompt whose end this is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prompt: Option<PromptId>,
    },
    /// The sandbox is asleep: gone, but for its snapshot. The last report.
    Slept {
        snapshot: SnapshotId,
    },
    /// Something in the sandbox was ended or refused because it wanted more than it may have.
    LimitReached {
        limit: Limit,
        message: String,
    },
    /// What has changed in the ledger. Each contact has its totals and replaces what was told of
    /// it before. At most [`MAX_CONTACTS`] in one report.
    Contacts {
        contacts: Vec<Contact>,
    },
    /// The sandbox could not be started, or is gone.
    Lost {
        reason: String,
    },
}

/// What is absent is left to the platform.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PullRequestWish {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What changed and why, in place of the agent's last words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum PromptResult {
    Completed,
    Stopped,
    Failed { message: String },
}

/// `POST /runner/register`: a runner offers itself, and again every [`REGISTRATION_MS`] / 3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Register {
    pub runner: RunnerId,
    /// Where commands are sent to.
    pub url: String,
    /// Sandboxes it can hold.
    pub capacity: u32,
    /// Sandboxes it holds.
    pub sandboxes: Vec<SandboxId>,
    /// [`crate::VERSION`] of the runner.
    pub version: String,
    /// Newest image of each base that it holds.
    #[serde(default)]
    pub images: Vec<HeldImage>,
    /// Sandboxes of its pool that can be leased.
    #[serde(default)]
    pub warm: Vec<WarmSandbox>,
    /// Whether it shares snapshots with other runners through a depot.
    #[serde(default)]
    pub depot: bool,
    /// Whose sandboxes it serves.
    #[serde(default)]
    pub repositories: Vec<Repository>,
    /// Most sandboxes that its pool has memory for; as many as it has room for when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_room: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HeldImage {
    pub image: ImageId,
    pub base: Base,
    pub commit: String,
    pub built_at: Millis,
    /// Whether the runner's system, or its way of making images, is not what this one was made with.
    #[serde(default)]
    pub stale: bool,
}

/// A sandbox whose agent answers, that no session has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WarmSandbox {
    pub sandbox: SandboxId,
    pub base: Base,
    pub model: Model,
    pub image: ImageId,
}

/// The answer to a registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Registered {
    pub registered: bool,
    /// What the runner's pool should hold; what is not named here may go.
    #[serde(default)]
    pub pool: Vec<PoolTarget>,
    /// What sandboxes of these repositories may reach from now on: of those that the runner named,
    /// and of those in `pool`.
    #[serde(default)]
    pub egress: Vec<RepositoryEgress>,
    /// Sandboxes of the runner's pool that were leased and not come for in time. They are to end:
    /// nobody else gets them.
    #[serde(default)]
    pub lapsed: Vec<SandboxId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RepositoryEgress {
    pub repository: Repository,
    pub policy: EgressPolicy,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PoolTarget {
    pub base: Base,
    pub model: Model,
    pub size: u32,
}

/// `POST /runner/images/{image}`: how the making of an image goes on. Sent again until it is
/// taken; each repetition is dropped by its offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ImageReport {
    pub runner: RunnerId,
    /// Of an image that nobody asked for: a session needed it, and its runner made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// Bytes of the log before `log`. At 0 the log begins anew: an interrupted build is repeated.
    pub log_offset: u64,
    pub log: String,
    /// Present in the last report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<ImageOutcome>,
}

/// Most bytes of one report's log, and of a whole log.
pub const MAX_LOG_CHUNK: usize = 32 * 1024;
pub const MAX_LOG: usize = 1024 * 1024;

/// `POST /runner/secrets`: what a session's repository keeps secret, for the gateway; signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SecretsRequest {
    pub session: SessionId,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Secrets {
    pub secrets: Vec<Secret>,
}

/// One secret, and the only place where it may be used.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Secret {
    pub name: String,
    pub value: String,
    pub scope: SecretScope,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(&self.secrets).finish()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Secret")
            .field("name", &self.name)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// How long a runner counts as present after it registered.
pub const REGISTRATION_MS: i64 = 60_000;

/// `POST /runner/credentials`: a git token for one repository, for the gateway only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CredentialsRequest {
    pub repository: Repository,
    pub purpose: Purpose,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Purpose {
    /// Cloning for an image: read only.
    Image,
    /// The work of a session, which must be of this repository: read and write.
    Session { session: SessionId },
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Credentials {
    pub username: String,
    pub password: String,
    pub expires_at: Millis,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Credentials")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
