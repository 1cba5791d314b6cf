//! Pull requests: found by their branch, opened, changed, made drafts or ready.

pub mod body;
pub mod pictures;

use protocol::api::PullRequest;
use protocol::event::{PullRequestState, Repository};
use protocol::{SessionId, UserId};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::oauth::encode_component;
use super::{Github, GithubError};

/// A pull request as GitHub has it.
#[derive(Debug, Clone, Deserialize)]
pub struct Found {
    pub number: u64,
    pub html_url: String,
    pub title: String,
    #[serde(default)]
    pub body: Option<String>,
    /// `open` or `closed`.
    pub state: String,
    #[serde(default)]
    pub draft: bool,
    #[serde(default)]
    pub merged_at: Option<String>,
    #[serde(default)]
    pub node_id: String,
    pub head: End,
    pub base: End,
    #[serde(default)]
    pub user: Option<Author>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct End {
    #[serde(rename = "ref")]
    pub branch: String,
    pub sha: String,
    #[serde(default)]
    pub repo: Option<Place>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Place {
    pub full_name: Repository,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Author {
    pub id: UserId,
    pub login: String,
}

impl Found {
    pub fn is_open(&self) -> bool {
        self.state == "open"
    }

    /// Whether its branch is in the repository itself. Of a fork that is gone it is not.
    pub fn is_within(&self, repository: &Repository) -> bool {
        let head = self.head.repo.as_ref();
        head.is_some_and(|head| head.full_name == *repository)
    }

    pub fn summary(&self) -> PullRequest {
        PullRequest {
            number: self.number,
            url: self.html_url.clone(),
            title: self.title.clone(),
            branch: self.head.branch.clone(),
            state: match (self.is_open(), self.draft, &self.merged_at) {
                (true, true, _) => PullRequestState::Draft,
                (true, false, _) => PullRequestState::Open,
                (false, _, Some(_)) => PullRequestState::Merged,
                (false, _, None) => PullRequestState::Closed,
            },
            review: None,
            checks: None,
        }
    }
}

/// The session that owns a branch, by its name.
pub fn session_of(branch: &str) -> Option<SessionId> {
    let rest = branch.strip_prefix("agent/")?;
    let id = rest.split_once('-').map_or(rest, |(id, _)| id);
    SessionId::parse(id).ok()
}

/// What a new pull request is.
pub struct New<'a> {
    pub title: &'a str,
    pub head: &'a str,
    pub base: &'a str,
    pub body: &'a str,
    pub draft: bool,
}

impl Github {
    pub async fn pull_request(
        &self,
        token: &str,
        repository: &Repository,
        number: u64,
    ) -> Result<Found, GithubError> {
        let path = format!("/repos/{repository}/pulls/{number}");
        self.call(Method::GET, &path, token, None::<&()>).await
    }

    /// The open pull request of a branch.
    pub async fn pull_request_of(
        &self,
        token: &str,
        repository: &Repository,
        branch: &str,
    ) -> Result<Option<Found>, GithubError> {
        let filter = encode_component(&format!("{}:{branch}", repository.owner()));
        let path = format!("/repos/{repository}/pulls?state=open&head={filter}");
        let open: Vec<Found> = self.call(Method::GET, &path, token, None::<&()>).await?;
        // An API that does not know the filter must not make us change somebody else's.
        let is_it = |pull: &Found| pull.head.branch == branch && pull.is_within(repository);
        Ok(open.into_iter().find(is_it))
    }

    /// The newest hundred that are open.
    pub async fn open_pull_requests(
        &self,
        token: &str,
        repository: &Repository,
    ) -> Result<Vec<Found>, GithubError> {
        let path = format!("/repos/{repository}/pulls?state=open&per_page=100");
        self.call(Method::GET, &path, token, None::<&()>).await
    }

    pub async fn open_pull_request(
        &self,
        token: &str,
        repository: &Repository,
        new: &New<'_>,
    ) -> Result<Found, GithubError> {
        let path = format!("/repos/{repository}/pulls");
        let request = json!({
            "title": new.title, "head": new.head, "base": new.base, "body": new.body,
            "draft": new.draft,
        });
        self.call(Method::POST, &path, token, Some(&request)).await
    }

    /// `change` has the fields of GitHub's "Update a pull request".
    pub async fn change_pull_request(
        &self,
        token: &str,
        repository: &Repository,
        number: u64,
        change: &Value,
    ) -> Result<Found, GithubError> {
        let path = format!("/repos/{repository}/pulls/{number}");
        self.call(Method::PATCH, &path, token, Some(change)).await
    }

    /// Makes it a draft, or ready for review. REST cannot.
    pub async fn set_draft(
        &self,
        token: &str,
        found: &Found,
        draft: bool,
    ) -> Result<(), GithubError> {
        let (what, mutation) = match draft {
            true => ("convert to draft", "convertPullRequestToDraft"),
            false => ("mark ready for review", "markPullRequestReadyForReview"),
        };
        let query = format!(
            "mutation($id: ID!) {{ {mutation}(input: {{ pullRequestId: $id }}) {{ \
             pullRequest {{ isDraft }} }} }}"
        );
        let variables = json!({ "id": found.node_id });
        let _: Value = self.graphql(token, what, &query, variables).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::session_of;

    #[test]
    fn a_branch_names_its_session() {
        let named = |branch| session_of(branch).map(|id| id.to_string());
        assert_eq!(named("agent/ses_1"), Some("ses_1".to_owned()));
        assert_eq!(named("agent/ses_1-docs-more"), Some("ses_1".to_owned()));
        for other in [
            "main",
            "agent/x",
            "agent/ses_",
            "my/agent/ses_1",
            "agent/ses_1/x",
        ] {
            assert_eq!(named(other), None, "{other}");
        }
    }
}
