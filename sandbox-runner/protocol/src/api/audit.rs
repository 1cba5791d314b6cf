//! The audit log: who did what that others may have to know of.

use serde::{Deserialize, Serialize};

use crate::id::{Millis, UserId};

/// `GET /api/audit?cursor=`, newest first; for administrators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditPage {
    pub entries: Vec<AuditEntry>,
    /// Ask with `?cursor=` for what is older; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub cursor: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditEntry {
    pub at: Millis,
    pub user: UserId,
    /// As it was then.
    pub login: String,
    pub means: Means,
    pub deed: Deed,
    /// A session, a repository, a token.
    pub subject: String,
    /// Which of the subject's parts: a secret's name. Never a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub detail: Option<String>,
}

/// How somebody acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Means {
    Browser,
    Token,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Deed {
    SignedIn,
    SignedOutEverywhere,
    TokenCreated,
    TokenRevoked,
    SecretSet,
    SecretRemoved,
    SettingsChanged,
    SessionArchived,
    PromptStopped,
    TerminalOpened,
    AccessRefused,
    AuditRead,
}
