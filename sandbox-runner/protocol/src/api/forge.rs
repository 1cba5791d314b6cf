//! A session's work at the forge: pull requests, and who asked for a line.

use serde::{Deserialize, Serialize};

use crate::id::{PromptId, SessionId};

/// `POST /api/sessions/{id}/pull-requests`: opens the pull request of a branch, or makes the open
/// one as it is wanted. One is opened by itself for every branch with commits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct WishPullRequest {
    /// The session's work branch when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub branch: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub draft: Option<bool>,
}

/// `PATCH /api/sessions/{id}/pull-requests/{number}`: what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ChangePullRequest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub title: Option<String>,
    /// The branch that it asks to be merged into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub base: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub draft: Option<bool>,
}

/// `GET /api/repositories/{owner}/{name}/blame?path=&line=&ref=`: who asked for a line, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Blame {
    pub commit: String,
    /// As git has it: `Name <address>`.
    pub author: String,
    /// The session that the commit comes from; absent when a person made it.
    pub session: Option<SessionId>,
    pub prompt: Option<PromptId>,
    /// What was asked for.
    pub prompt_text: Option<String>,
    /// `provider/name`.
    pub model: Option<String>,
    /// As git has them.
    pub co_authors: Vec<String>,
    /// The pull request by which it came.
    pub pull_request: Option<u64>,
}

/// `PUT /api/me`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SetMe {
    /// The address that one's commits have, of those that GitHub has verified; GitHub's own for
    /// the account when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub commit_email: Option<String>,
}
