//! What changes who reaches what: installations, members, links of users, repositories.

use protocol::event::Repository;
use serde::{Deserialize, Deserializer};

use super::common::{Account, InstallationId, Place, RepositoryId};

/// `installation` and `installation_repositories`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    pub action: InstallationAction,
    pub id: InstallationId,
    /// Where the App is installed. Its login is the owner of every repository that it reaches.
    pub account: Account,
    /// Those that it reaches from now on; GitHub names none when it is all.
    pub added: Vec<(RepositoryId, Repository)>,
    pub removed: Vec<(RepositoryId, Repository)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstallationAction {
    Created,
    Deleted,
    Suspend,
    Unsuspend,
    NewPermissionsAccepted,
    /// Repositories were added.
    Added,
    /// Repositories were removed.
    Removed,
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for Installation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let payload = InstallationPayload::deserialize(deserializer)?;
        let names = |listed: Vec<Listed>| {
            let names = listed.into_iter();
            names.map(|listed| (listed.id, listed.full_name)).collect()
        };
        let (added, removed) = match payload.action {
            InstallationAction::Deleted | InstallationAction::Suspend => {
                (Vec::new(), names(payload.repositories))
            }
            InstallationAction::Added | InstallationAction::Removed => (
                names(payload.repositories_added),
                names(payload.repositories_removed),
            ),
            _ => (names(payload.repositories), Vec::new()),
        };
        Ok(Self {
            action: payload.action,
            id: payload.installation.id,
            account: payload.installation.account,
            added,
            removed,
        })
    }
}

#[derive(Deserialize)]
struct InstallationPayload {
    action: InstallationAction,
    installation: Installed,
    #[serde(default)]
    repositories: Vec<Listed>,
    #[serde(default)]
    repositories_added: Vec<Listed>,
    #[serde(default)]
    repositories_removed: Vec<Listed>,
}

#[derive(Deserialize)]
struct Installed {
    id: InstallationId,
    account: Account,
}

#[derive(Deserialize)]
struct Listed {
    id: RepositoryId,
    full_name: Repository,
}

/// Somebody was given or lost access: as a collaborator of a repository, as a member of an
/// organization, or by a team.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Member {
    pub action: MemberAction,
    /// `member` and `membership`.
    #[serde(default)]
    member: Option<Account>,
    /// `organization`.
    #[serde(default)]
    membership: Option<Membership>,
    /// Absent for a collaborator of a person's repository.
    #[serde(default)]
    pub organization: Option<Organization>,
    /// `member`, and `team` when it is about one repository.
    #[serde(default)]
    pub repository: Option<Place>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Organization {
    pub login: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Membership {
    #[serde(default)]
    user: Option<Account>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberAction {
    Added,
    MemberAdded,
    Edited,
    Removed,
    MemberRemoved,
    #[serde(other)]
    Other,
}

impl Member {
    /// Whom it is about; nobody in particular when a whole team is.
    pub fn person(&self) -> Option<&Account> {
        let of_organization = self.membership.as_ref();
        self.member
            .as_ref()
            .or_else(|| of_organization?.user.as_ref())
    }
}

/// Somebody took back what they had allowed this App; they are the event's sender.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Authorization {
    pub action: AuthorizationAction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthorizationAction {
    Revoked,
    #[serde(other)]
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryEvent {
    pub action: RepositoryAction,
    /// What it was called before, if that changed.
    pub moved: Option<Moved>,
}

/// Under which owner or name a repository was known until now. What did not change is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moved {
    pub owner: Option<String>,
    pub name: Option<String>,
}

impl Moved {
    /// The whole name that a repository had which is now `repository`.
    pub fn from(&self, repository: &Repository) -> Option<Repository> {
        Repository::new(
            self.owner.as_deref().unwrap_or(repository.owner()),
            self.name.as_deref().unwrap_or(repository.name()),
        )
        .ok()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RepositoryAction {
    Created,
    Deleted,
    Archived,
    Unarchived,
    Edited,
    Renamed,
    Transferred,
    Publicized,
    Privatized,
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for RepositoryEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let payload = RepositoryPayload::deserialize(deserializer)?;
        let changes = payload.changes;
        let owner = changes.owner.and_then(|owner| {
            let from = owner.from?;
            Some(from.organization.or(from.user)?.login)
        });
        let name = changes.repository.map(|repository| repository.name.from);
        let moved = Moved { owner, name };
        Ok(Self {
            action: payload.action,
            moved: Some(moved).filter(|moved| *moved != Moved::default()),
        })
    }
}

#[derive(Deserialize)]
struct RepositoryPayload {
    action: RepositoryAction,
    #[serde(default)]
    changes: Changes,
}

#[derive(Default, Deserialize)]
struct Changes {
    #[serde(default)]
    owner: Option<OwnerChange>,
    #[serde(default)]
    repository: Option<NameChange>,
}

#[derive(Deserialize)]
struct OwnerChange {
    #[serde(default)]
    from: Option<FormerOwner>,
}

#[derive(Deserialize)]
struct FormerOwner {
    #[serde(default)]
    organization: Option<Login>,
    #[serde(default)]
    user: Option<Login>,
}

#[derive(Deserialize)]
struct Login {
    login: String,
}

#[derive(Deserialize)]
struct NameChange {
    name: Former,
}

#[derive(Deserialize)]
struct Former {
    from: String,
}
