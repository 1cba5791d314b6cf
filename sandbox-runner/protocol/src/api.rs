//! Bodies of the HTTP surface that clients use.

mod artifact;
mod audit;
mod change;
mod file;
mod forge;
mod integration;
mod lobby;
mod registry;
mod secret;
mod statistics;
mod terminal;
mod token;

pub use artifact::*;
pub use audit::*;
pub use change::*;
pub use file::*;
pub use forge::*;
pub use integration::*;
pub use lobby::*;
pub use registry::*;
pub use secret::*;
pub use statistics::*;
pub use terminal::*;
pub use token::*;

use serde::{Deserialize, Serialize};

use crate::command::Model;
use crate::event::{
    Event, Mode, Parent, Person, PullRequestState, Repository, ReviewVerdict, Step,
};
use crate::id::{ArtifactId, Millis, PromptId, Seq, SessionId};
use crate::image::EnvironmentName;
use crate::ledger::Contact;

/// Most UTF-16 code units of a prompt.
pub const MAX_PROMPT: usize = 32 * 1024;

/// Most UTF-16 code units of a title that somebody gives.
pub const MAX_TITLE: usize = 200;

/// Most prompts that wait in one session.
pub const MAX_QUEUE: usize = 20;

/// `GET /api/me`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Me {
    pub person: Person,
    #[serde(default)]
    #[cfg_attr(test, ts(optional, as = "Option<Role>"))]
    pub role: Role,
}

/// What somebody is in this deployment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Role {
    #[default]
    Member,
    Administrator,
}

/// `POST /api/sessions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreateSession {
    pub repository: Repository,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub branch: Option<String>,
    /// Without one, the session only warms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 32768)))]
    pub prompt: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub model: Option<Model>,
    /// One of the repository's environments; without it, the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub environment: Option<EnvironmentName>,
    /// Of the prompt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, ts(optional, as = "Option<Vec<ArtifactId>>"))]
    pub attachments: Vec<ArtifactId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 100)))]
    pub client_request_id: Option<String>,
}

/// `POST /api/sessions/{id}/fork`: a session that goes on from the end of `prompt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ForkSession {
    pub prompt: PromptId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 100)))]
    pub client_request_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreatedSession {
    pub id: SessionId,
    pub url: String,
}

/// A session as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionSummary {
    pub id: SessionId,
    pub repository: Repository,
    pub branch: String,
    pub title: String,
    pub state: SessionState,
    pub created_by: Person,
    pub created_at: Millis,
    pub updated_at: Millis,
    /// The newest one first opened is the last.
    pub pull_requests: Vec<PullRequest>,
    /// Nothing starts until somebody resumes or clears the queue.
    #[serde(default)]
    pub paused: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub parent: Option<Parent>,
    /// Something happened since the caller looked at it. Only in lists.
    #[serde(default)]
    #[cfg_attr(test, ts(optional, as = "Option<bool>"))]
    pub unread: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum SessionState {
    /// A sandbox is being made ready; no prompt has been given.
    Warming,
    /// A prompt is running or waits.
    Working,
    /// Nothing to do.
    Idle,
    /// The last prompt failed.
    Failed,
    Archived,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PullRequest {
    pub number: u64,
    pub url: String,
    pub title: String,
    /// Of this session, that it asks to merge.
    pub branch: String,
    pub state: PullRequestState,
    /// The newest verdict that is more than a comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub review: Option<ReviewVerdict>,
    /// How the checks of its head ended; absent while they run, and if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub checks: Option<ChecksVerdict>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ChecksVerdict {
    Passed,
    Failed,
}

/// `GET /api/sessions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionList {
    pub sessions: Vec<SessionSummary>,
    /// Ask with `?cursor=` for what is older; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub cursor: Option<String>,
}

/// `POST /api/sessions/{id}/prompts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreatePrompt {
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 32768)))]
    pub text: String,
    #[serde(default)]
    #[cfg_attr(test, ts(optional, as = "Option<Mode>"))]
    pub mode: Mode,
    /// Of artifacts that were put into this session before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, ts(optional, as = "Option<Vec<ArtifactId>>"))]
    pub attachments: Vec<ArtifactId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 100)))]
    pub client_request_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreatedPrompt {
    pub id: PromptId,
}

/// `PUT /api/sessions/{id}/queue`: all prompts that wait, in the order in which they are to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReorderQueue {
    pub order: Vec<PromptId>,
}

/// `PATCH /api/sessions/{id}/prompts/{prompt}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EditPrompt {
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 32768)))]
    pub text: String,
}

/// `PATCH /api/sessions/{id}`: another title than its first prompt's, in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RenameSession {
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 200)))]
    pub title: String,
}

/// `GET /api/sessions/{id}/events?since=&limit=`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventPage {
    pub events: Vec<Event>,
    pub head_seq: Seq,
}

/// `POST /api/sessions/{id}/ws-ticket`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ticket {
    pub ticket: String,
}

/// `GET /api/sessions/{id}/waterfall`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Waterfall {
    pub steps: Vec<Step>,
}

/// `GET /api/sessions/{id}/contacts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ContactList {
    pub contacts: Vec<Contact>,
}

/// `GET /api/repositories`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RepositoryList {
    pub repositories: Vec<RepositorySummary>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RepositorySummary {
    pub repository: Repository,
    pub default_branch: String,
    pub private: bool,
    /// Whether the user may push, and so change its settings and secrets.
    #[serde(default)]
    #[cfg_attr(test, ts(optional, as = "Option<bool>"))]
    pub may_write: bool,
    /// Newest of the default branch that sandboxes can start from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub image: Option<ImageAge>,
}

/// How ready a repository is, as pickers show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ImageAge {
    /// Of the newest build, which may have come after the image that is used.
    pub state: ImageState,
    /// When what sandboxes start from was built; absent if there is nothing yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub built_at: Option<Millis>,
}

/// `GET /api/repositories/{owner}/{name}/branches?query=`: those whose name contains `query`, the
/// default branch first, at most 100.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BranchList {
    pub branches: Vec<String>,
}

/// `GET /api/models`: what a session can be started with, the default first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModelList {
    pub models: Vec<ModelChoice>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModelChoice {
    pub model: Model,
    /// As people read it.
    pub label: String,
}

/// `GET /api/statistics/pool`: what warm sandboxes did and cost, in the last `days`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PoolFigures {
    pub days: u32,
    /// Sandboxes that were taken from a pool.
    pub hits: u64,
    /// Of hits and misses; absent until there was one.
    #[serde(default)]
    pub hit_percent: Option<u32>,
    /// Those that could not be. Sandboxes that went on from a snapshot are neither.
    pub misses: Vec<PoolMiss>,
    /// From asking for a sandbox to its being ready; absent until there was one.
    pub median_warm_ms: Option<u64>,
    pub median_cold_ms: Option<u64>,
    /// `hits` times the difference of the medians.
    pub seconds_saved: Option<u64>,
    /// How long sandboxes waited in pools, all together.
    pub warm_sandbox_seconds: u64,
    /// What that cost; absent where nobody said what a sandbox costs.
    #[serde(default)]
    pub cost_microdollars: Option<u64>,
    /// What it cost today, in UTC.
    #[serde(default)]
    pub cost_today_microdollars: Option<u64>,
    /// What it may cost in a day.
    #[serde(default)]
    pub budget_microdollars: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PoolMiss {
    pub reason: MissReason,
    pub count: u64,
}

/// Why a sandbox was not taken from a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum MissReason {
    /// Every entry was given away, or there was no demand before.
    PoolEmpty,
    /// There are none left, and what they may cost today is spent.
    BudgetSpent,
    /// The entries left were made from an image that is not the newest any more.
    OlderImage,
    /// The entries left are for another model.
    OtherModel,
    /// There is no image of this base.
    NoImage,
}

/// Every answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErrorBody {
    pub error: ErrorDetail,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErrorDetail {
    pub code: String,
    /// What happened and what to do.
    pub message: String,
}
