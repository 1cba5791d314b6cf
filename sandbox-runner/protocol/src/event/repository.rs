//! A repository by the name that the forge gives it, checked: what is parsed is no path and no option.

use serde::{Deserialize, Serialize};

/// A repository as people name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(test, derive(ts_rs::TS), ts(as = "String"))]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(with = "String", extend("pattern" = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,38}/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$"))
)]
pub struct Repository {
    owner: String,
    name: String,
}

/// A repository name that the forge could not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a repository is named owner/name")]
pub struct InvalidRepository;

impl Repository {
    pub fn new(owner: &str, name: &str) -> Result<Self, InvalidRepository> {
        // GitHub's own limits: 39 characters for an owner, 100 for a name. A leading dot or dash
        // would be read as a path or an option by git.
        let fits = |part: &str, longest: usize| {
            (1..=longest).contains(&part.len())
                && !part.starts_with(['.', '-'])
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        };
        if fits(owner, 39) && fits(name, 100) {
            Ok(Self {
                owner: owner.to_owned(),
                name: name.to_owned(),
            })
        } else {
            Err(InvalidRepository)
        }
    }

    pub fn parse(text: &str) -> Result<Self, InvalidRepository> {
        let (owner, name) = text.split_once('/').ok_or(InvalidRepository)?;
        Self::new(owner, name)
    }

    pub fn owner(&self) -> &str {
        &self.owner
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

impl TryFrom<String> for Repository {
    type Error = InvalidRepository;

    fn try_from(text: String) -> Result<Self, InvalidRepository> {
        Self::parse(&text)
    }
}

impl From<Repository> for String {
    fn from(repository: Repository) -> String {
        repository.to_string()
    }
}

impl std::fmt::Display for Repository {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.owner, self.name)
    }
}
