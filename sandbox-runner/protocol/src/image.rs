//! Images: what sandboxes start from, and what goes into them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::Repository;

/// What an image is of: a branch of a repository, in one of the repository's environments.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Base {
    pub repository: Repository,
    #[serde(deserialize_with = "crate::branch::deserialize")]
    pub branch: String,
    /// Absent for the environment that the repository's own files describe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub environment: Option<EnvironmentName>,
}

/// 1 to 40 lower-case letters, digits and dashes, beginning with a letter: safe in a path and a URL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(test, derive(ts_rs::TS), ts(as = "String"))]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(with = "String", extend("pattern" = "^[a-z][a-z0-9-]{0,39}$"))
)]
pub struct EnvironmentName(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an environment is named with 1 to 40 lower-case letters, digits and dashes")]
pub struct InvalidEnvironmentName;

impl EnvironmentName {
    pub fn parse(text: &str) -> Result<Self, InvalidEnvironmentName> {
        let fits = (1..=40).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        fits.then(|| Self(text.to_owned()))
            .ok_or(InvalidEnvironmentName)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for EnvironmentName {
    type Error = InvalidEnvironmentName;

    fn try_from(text: String) -> Result<Self, InvalidEnvironmentName> {
        Self::parse(&text)
    }
}

impl From<EnvironmentName> for String {
    fn from(name: EnvironmentName) -> String {
        name.0
    }
}

impl std::fmt::Display for EnvironmentName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What an environment is to hold besides the repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Specification {
    /// Languages by name and version: `{"python": "3.11"}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub runtime: BTreeMap<String, String>,
    /// Packages of the system's own package manager.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// A shell script that is run in the workspace instead of the repository's own set-up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub setup: Option<String>,
}

/// How the making of an image ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ImageOutcome {
    Ready(BuiltImage),
    /// The newest image was made from the same inputs.
    Unchanged {
        commit: String,
    },
    /// The last good image stays.
    Failed {
        message: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BuiltImage {
    pub commit: String,
    /// Digest of all inputs: commit, specification, set-up, tools.
    pub fingerprint: String,
    /// Why it was built: "no image yet", "main moved from 1a2b3c4 to 5d6e7f8".
    pub reason: String,
    /// Actual versions of what the environment holds.
    pub runtime: BTreeMap<String, String>,
    pub steps: Vec<BuildStep>,
    /// On disk.
    pub bytes: u64,
}

/// Something that was run for an image. A failed one does not fail the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BuildStep {
    pub name: String,
    pub success: bool,
    pub ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environments_name_is_no_path() {
        for name in ["", ".", "..", "a/b", "A", "-a", "1a", "a b", "a\0"] {
            assert_eq!(EnvironmentName::parse(name), Err(InvalidEnvironmentName));
        }
        assert!(EnvironmentName::parse("python-3").is_ok());
    }
}
