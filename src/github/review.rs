//! Reviews of a pull request, its commits, and who may do what: what an independent review is
//! decided from.

use protocol::UserId;
use protocol::event::Repository;
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use super::{Github, GithubError};

const PAGE: usize = 100;
/// GitHub has no more commits of a pull request than 250, and reviews beyond this are a flood.
const MOST_PAGES: usize = 5;

#[derive(Debug, Clone, Deserialize)]
pub struct Review {
    #[serde(default)]
    pub user: Option<Reviewer>,
    pub state: State,
    /// The head that was looked at.
    #[serde(default)]
    pub commit_id: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    Approved,
    ChangesRequested,
    Dismissed,
    #[serde(other)]
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Reviewer {
    pub id: UserId,
    pub login: String,
    #[serde(default, rename = "type")]
    pub kind: String,
}

impl Reviewer {
    pub fn is_bot(&self) -> bool {
        self.kind == "Bot" || self.login.ends_with("[bot]")
    }
}

/// A commit of a pull request: whose it is by GitHub's word, and by its own.
#[derive(Debug, Clone, Deserialize)]
pub struct Commit {
    pub commit: CommitText,
    /// Absent when no account has the address.
    #[serde(default)]
    pub author: Option<Reviewer>,
    #[serde(default)]
    pub committer: Option<Reviewer>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct CommitText {
    pub message: String,
    pub author: Signature,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Signature {
    #[serde(default)]
    pub email: String,
}

/// What somebody wrote beside a line.
#[derive(Debug, Clone, Deserialize)]
pub struct LineComment {
    #[serde(default)]
    pub body: String,
    #[serde(default)]
    pub path: String,
    #[serde(default)]
    pub line: Option<u64>,
    #[serde(default)]
    pub diff_hunk: Option<String>,
}

impl Github {
    /// Oldest first.
    pub async fn reviews(
        &self,
        token: &str,
        repository: &Repository,
        number: u64,
    ) -> Result<Vec<Review>, GithubError> {
        let path = format!("/repos/{repository}/pulls/{number}/reviews");
        self.pages(token, &path).await
    }

    pub async fn review(
        &self,
        token: &str,
        repository: &Repository,
        number: u64,
        review: i64,
    ) -> Result<Review, GithubError> {
        let path = format!("/repos/{repository}/pulls/{number}/reviews/{review}");
        self.call(Method::GET, &path, token, None::<&()>).await
    }

    pub async fn review_comments(
        &self,
        token: &str,
        repository: &Repository,
        number: u64,
        review: i64,
    ) -> Result<Vec<LineComment>, GithubError> {
        let path = format!("/repos/{repository}/pulls/{number}/reviews/{review}/comments");
        self.pages(token, &path).await
    }

    pub async fn commits_of_pull_request(
        &self,
        token: &str,
        repository: &Repository,
        number: u64,
    ) -> Result<Vec<Commit>, GithubError> {
        let path = format!("/repos/{repository}/pulls/{number}/commits");
        self.pages(token, &path).await
    }

    /// Whether somebody may push to the repository. GitHub's word in an event is not enough: it
    /// does not tell of members whose membership is private.
    pub async fn may_write(
        &self,
        token: &str,
        repository: &Repository,
        login: &str,
    ) -> Result<bool, GithubError> {
        #[derive(Deserialize)]
        struct Answer {
            permission: String,
            #[serde(default)]
            role_name: String,
        }
        let login = super::oauth::encode_component(login);
        let path = format!("/repos/{repository}/collaborators/{login}/permission");
        let answer = self
            .call::<Answer>(Method::GET, &path, token, None::<&()>)
            .await;
        match answer {
            // `permission` has no more than the old levels, `role_name` may be one of the owner's.
            Ok(answer) => Ok(["admin", "maintain", "write", "push"]
                .iter()
                .any(|level| answer.permission == *level || answer.role_name == *level)),
            Err(error) if matches!(error.status(), Some(403 | 404)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn pages<T: serde::de::DeserializeOwned>(
        &self,
        token: &str,
        path: &str,
    ) -> Result<Vec<T>, GithubError> {
        let mut all = Vec::new();
        for page in 1..=MOST_PAGES {
            let path = format!("{path}?per_page={PAGE}&page={page}");
            let some: Vec<Value> = self.call(Method::GET, &path, token, None::<&()>).await?;
            let is_last = some.len() < PAGE;
            for one in some {
                let read = serde_json::from_value(one).map_err(|source| GithubError::Form {
                    what: path.clone(),
                    source,
                })?;
                all.push(read);
            }
            if is_last {
                break;
            }
        }
        Ok(all)
    }
}
