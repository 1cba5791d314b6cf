//! Repositories with what they say of themselves, for whoever has to choose among them.

use protocol::api::RepositorySummary;
use serde::Deserialize;

use super::pages::Pages;
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
        let path = "/user/repos?per_page=100&sort=pushed".to_owned();
        let mut pages = Pages::new(self, token, path);
        let mut described = Vec::new();
        while let Some(page) = pages.next::<Answer>().await? {
            described.extend(page.into_iter().map(|answer| Described {
                summary: answer.repository.into(),
                description: answer.description.unwrap_or_default(),
            }));
        }
        Ok(described)
    }
}
