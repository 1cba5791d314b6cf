//! Who, where and when, as every payload has them.

use protocol::event::Repository;
use protocol::{Millis, UserId};
use serde::{Deserialize, Deserializer, Serialize};

/// GitHub's number of a repository; names change, this does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RepositoryId(pub i64);

/// GitHub's number of an installation of the App.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstallationId(pub i64);

/// A repository: its number and the name it has now.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Place {
    pub id: RepositoryId,
    #[serde(rename = "full_name")]
    pub name: Repository,
    #[serde(default)]
    pub default_branch: Option<String>,
    #[serde(default)]
    pub private: bool,
    #[serde(default)]
    pub fork: bool,
}

/// An account: a person, an organization or a bot.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Account {
    pub id: UserId,
    pub login: String,
    /// `User`, `Bot`, `Organization`…
    #[serde(default, rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub avatar_url: String,
}

impl Account {
    pub fn is_bot(&self) -> bool {
        self.kind == "Bot" || self.login.ends_with("[bot]")
    }
}

/// What somebody is to the repository, by GitHub's word at the time of the event. It tells members
/// whose membership is private as `None`: ask for the permission before refusing anybody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Association {
    Owner,
    Member,
    Collaborator,
    Contributor,
    FirstTimeContributor,
    FirstTimer,
    Mannequin,
    #[default]
    #[serde(other)]
    None,
}

/// `2019-05-15T15:20:33Z` as milliseconds.
pub(in crate::github) fn time<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Millis, D::Error> {
    let text = String::deserialize(deserializer)?;
    chrono::DateTime::parse_from_rfc3339(&text)
        .map(|time| Millis(time.timestamp_millis()))
        .map_err(serde::de::Error::custom)
}

/// The same where it may be `null`.
pub(super) fn some_time<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Millis>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| {
        chrono::DateTime::parse_from_rfc3339(&text)
            .map(|time| Millis(time.timestamp_millis()))
            .map_err(serde::de::Error::custom)
    })
    .transpose()
}

/// Text that GitHub gives as `null` when it is empty.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.unwrap_or_default())
}
