//! Where a branch is, and who has an account.

use protocol::UserId;
use protocol::event::Repository;
use reqwest::Method;
use serde::Deserialize;

use super::{Github, GithubError};

#[derive(Deserialize)]
struct ReferenceAnswer {
    object: ObjectAnswer,
}

#[derive(Deserialize)]
struct ObjectAnswer {
    sha: String,
}

#[derive(Deserialize)]
struct AccountAnswer {
    id: i64,
    login: String,
}

impl Github {
    /// The commit at a branch's head; `None` if there is no such branch.
    pub async fn head(
        &self,
        token: &str,
        repository: &Repository,
        branch: &str,
    ) -> Result<Option<String>, GithubError> {
        let path = format!("/repos/{repository}/git/ref/heads/{branch}");
        let answer: Result<ReferenceAnswer, _> =
            self.call(Method::GET, &path, token, None::<&()>).await;
        match answer {
            Ok(answer) => Ok(Some(answer.object.sha)),
            // 409 is a repository without any commit.
            Err(error) if matches!(error.status(), Some(404 | 409)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Id and login of an account, as GitHub writes it; `None` if there is none.
    pub async fn account(
        &self,
        token: &str,
        login: &str,
    ) -> Result<Option<(UserId, String)>, GithubError> {
        let path = format!("/users/{login}");
        let answer: Result<AccountAnswer, _> =
            self.call(Method::GET, &path, token, None::<&()>).await;
        match answer {
            Ok(answer) => Ok(Some((UserId(answer.id), answer.login))),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
