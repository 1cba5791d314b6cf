//! Secrets of a repository: written by people, never read back.

use serde::{Deserialize, Serialize};

use crate::egress::HostPattern;
use crate::event::Person;
use crate::id::Millis;

/// Most bytes of one secret's value.
pub const MAX_SECRET: usize = 16 * 1024;

/// `PUT /api/repositories/{owner}/{name}/secrets/{secret}`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SetSecret {
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 16384)))]
    pub value: String,
    pub scope: SecretScope,
}

impl std::fmt::Debug for SetSecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SetSecret")
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// Where a secret may be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum SecretScope {
    /// The gateway puts it into a header of requests to these hosts; the sandbox never has it.
    Header {
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 20)))]
        hosts: Vec<HostPattern>,
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 100)))]
        header: String,
        /// Written before the value: `Bearer `.
        #[serde(default)]
        prefix: String,
    },
    /// A variable of the sandbox's programs. Whatever runs there can read it.
    Sandbox,
}

/// `GET /api/repositories/{owner}/{name}/secrets`: everything but the values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SecretList {
    pub secrets: Vec<SecretSummary>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SecretSummary {
    pub name: String,
    pub scope: SecretScope,
    pub set_by: Person,
    pub set_at: Millis,
}
