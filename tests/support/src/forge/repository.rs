//! The repositories of the forge: a bare git repository each, and who may do what with it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{Mutex, watch};

use super::ForgeError;
use super::git::{Git, GitError};
use super::mirror::Mirrored;
use super::people::{self, ORGANIZATION, PEOPLE};
use super::pull::Merge;
use super::token::Holder;

/// What somebody may do with a repository, in rising order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    Read,
    Write,
    Admin,
}

impl Permission {
    /// The word for it in the API's collaborator calls.
    pub(super) fn wire(self) -> &'static str {
        match self {
            Self::Read => "pull",
            Self::Write => "push",
            Self::Admin => "admin",
        }
    }
}

#[derive(Debug)]
pub(super) struct Repository {
    pub(super) owner: String,
    pub(super) name: String,
    pub(super) private: bool,
    pub(super) default_branch: String,
    pub(super) git: Git,
    pub(super) collaborators: RwLock<BTreeMap<String, Permission>>,
    /// Held by whoever changes the repository or its pull requests.
    pub(super) changes: Mutex<Mirrored>,
    pub(super) merges: RwLock<HashMap<u64, Merge>>,
    /// Pull requests that are told as if their branches were in somebody's fork.
    pub(super) forks: RwLock<HashMap<u64, String>>,
    /// Whoever fetches waits while set.
    pub(super) holds_fetches: watch::Sender<bool>,
}

impl Repository {
    pub(super) fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    pub(super) fn api_path(&self) -> String {
        format!("/repos/{}/{}", self.owner, self.name)
    }

    /// Somebody who may do anything here, for the forge's own calls.
    pub(super) fn administrator(&self) -> &str {
        administrator_of(&self.owner)
    }

    /// What a user may do, whatever token they use.
    pub(super) fn permission_of(&self, login: &str) -> Option<Permission> {
        let granted = self
            .collaborators
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(login)
            .copied();
        granted.or((!self.private).then_some(Permission::Read))
    }

    /// What the holder of a token may do with the contents.
    ///
    /// A user's token is one of the App's: it reaches what the user and the App both reach.
    pub(super) fn access(&self, holder: &Holder) -> Option<Permission> {
        let public = (!self.private).then_some(Permission::Read);
        match holder {
            Holder::User { login } if people::has_app(&self.owner) => self.permission_of(login),
            Holder::User { .. } => public,
            Holder::Installation {
                account,
                repositories,
                permissions,
            } => {
                let selected = *account == self.owner
                    && repositories
                        .as_ref()
                        .is_none_or(|names| names.contains(&self.full_name()));
                if !selected {
                    return public;
                }
                match permissions.get("contents").map(String::as_str) {
                    Some("write") => Some(Permission::Write),
                    Some("read") => Some(Permission::Read),
                    _ => public,
                }
            }
        }
    }

    /// Whether the holder may know that the repository exists.
    pub(super) fn visible_to(&self, holder: &Holder) -> bool {
        match holder {
            Holder::Installation {
                account,
                repositories,
                ..
            } => {
                !self.private
                    || *account == self.owner
                        && repositories
                            .as_ref()
                            .is_none_or(|names| names.contains(&self.full_name()))
            }
            Holder::User { .. } => self.access(holder).is_some(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Repositories {
    by_name: RwLock<BTreeMap<String, Arc<Repository>>>,
}

impl Repositories {
    pub(super) fn find(&self, owner: &str, name: &str) -> Option<Arc<Repository>> {
        self.by_name
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&format!("{owner}/{name}"))
            .cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Repository>> {
        self.by_name
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    pub(super) fn add(&self, repository: Arc<Repository>) {
        self.by_name
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(repository.full_name(), repository);
    }
}

/// Makes the bare repository: a copy of the history of `source`, or one commit of its files.
pub(super) async fn create(
    root: &Path,
    owner: &str,
    name: &str,
    source: &Path,
    private: bool,
) -> Result<Repository, ForgeError> {
    let directory = root.join(owner).join(format!("{name}.git"));
    tokio::fs::create_dir_all(&directory)
        .await
        .map_err(|source| ForgeError::Write {
            path: directory.clone(),
            source,
        })?;
    let git = Git::at(directory);
    let default_branch = fill(&git, source).await.map_err(ForgeError::Git)?;
    Ok(Repository {
        owner: owner.to_owned(),
        name: name.to_owned(),
        private,
        default_branch,
        git,
        collaborators: RwLock::new(first_collaborators(owner)),
        changes: Mutex::default(),
        merges: RwLock::default(),
        forks: RwLock::default(),
        holds_fetches: watch::Sender::new(false),
    })
}

/// The person who acts for an account.
pub(super) fn administrator_of(account: &str) -> &str {
    if account == ORGANIZATION {
        return PEOPLE.first().map_or(account, |person| person.login);
    }
    account
}

fn first_collaborators(owner: &str) -> BTreeMap<String, Permission> {
    if owner != ORGANIZATION {
        return BTreeMap::from([(owner.to_owned(), Permission::Admin)]);
    }
    PEOPLE
        .iter()
        .filter(|person| person.member)
        .map(|person| {
            let permission = if person.login == administrator_of(owner) {
                Permission::Admin
            } else {
                Permission::Write
            };
            (person.login.to_owned(), permission)
        })
        .collect()
}

async fn fill(git: &Git, source: &Path) -> Result<String, GitError> {
    git.bytes(&["init", "--bare", "--quiet", "--initial-branch=main"])
        .await?;
    for (key, value) in [
        ("http.receivepack", "true"),
        ("uploadpack.allowFilter", "true"),
        ("uploadpack.allowReachableSHA1InWant", "true"),
        ("gc.auto", "0"),
    ] {
        git.bytes(&["config", key, value]).await?;
    }
    if source.join(".git").exists() {
        copy_history(git, source).await
    } else {
        commit_files(git, source).await
    }
}

async fn copy_history(git: &Git, source: &Path) -> Result<String, GitError> {
    let from = source.to_string_lossy();
    git.bytes(&[
        "fetch",
        "--quiet",
        "--no-write-fetch-head",
        &from,
        "+refs/heads/*:refs/heads/*",
        "+refs/tags/*:refs/tags/*",
    ])
    .await?;
    let branch = Git::at(PathBuf::from(from.as_ref()).join(".git"))
        .text(&["symbolic-ref", "--short", "HEAD"])
        .await?;
    git.bytes(&["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")])
        .await?;
    Ok(branch)
}

async fn commit_files(git: &Git, source: &Path) -> Result<String, GitError> {
    git.text(&["--work-tree", &source.to_string_lossy(), "add", "--all"])
        .await?;
    let tree = git.text(&["write-tree"]).await?;
    let identity = [
        ("GIT_AUTHOR_NAME", "Upstream"),
        ("GIT_AUTHOR_EMAIL", "upstream@example.com"),
        ("GIT_COMMITTER_NAME", "Upstream"),
        ("GIT_COMMITTER_EMAIL", "upstream@example.com"),
    ];
    let commit = git
        .bytes_from(
            &["commit-tree", &tree, "-m", "Initial commit"],
            &identity,
            b"",
        )
        .await?;
    let commit = String::from_utf8_lossy(&commit).trim().to_owned();
    git.bytes(&["update-ref", "refs/heads/main", &commit])
        .await?;
    Ok("main".to_owned())
}

/// Ends a path that `git http-backend` may serve inside the root.
pub(super) fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name != "."
        && name != ".."
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}
