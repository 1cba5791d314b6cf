//! Repositories with what they say of themselves, for whoever has to choose among them.

use protocol::api::RepositorySummary;
use reqwest::Method;
use serde::Deserialize;

use super::{Github, GithubError, RepositoryAnswer};

pub struct Described {
    pub summary: RepositorySummary,
    pub description: String,
}

impl Github {
    /// Like [`repositories`](Self::repositories), with descriptions.
    pub async fn described(&self, token: &str) -> Result<Vec<Described>, GithubError> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(flatten)]
            repository: RepositoryAnswer,
            description: Option<String>,
        }
        let path = "/user/repos?per_page=100&sort=pushed";
        let answers: Vec<Answer> = self.call(Method::GET, path, token, None::<&()>).await?;
        let described = answers.into_iter().map(|answer| Described {
            summary: answer.repository.into(),
            description: answer.description.unwrap_or_default(),
        });
        Ok(described.collect())
    }
}
