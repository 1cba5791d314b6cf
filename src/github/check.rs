//! Check runs of a commit.

use protocol::event::Repository;
use reqwest::Method;
use serde::Deserialize;

use super::event::Conclusion;
use super::{Github, GithubError};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckRun {
    pub name: String,
    pub is_completed: bool,
    pub is_failed: bool,
    /// The App that made it.
    pub app_id: Option<i64>,
}

#[derive(Deserialize)]
struct RunsAnswer {
    check_runs: Vec<RunAnswer>,
}

#[derive(Deserialize)]
struct RunAnswer {
    name: String,
    status: String,
    #[serde(default)]
    conclusion: Option<Conclusion>,
    #[serde(default)]
    app: Option<AppAnswer>,
}

#[derive(Deserialize)]
struct AppAnswer {
    id: i64,
}

impl Github {
    /// The newest check runs of a commit, at most 100.
    pub async fn check_runs(
        &self,
        token: &str,
        repository: &Repository,
        commit: &str,
    ) -> Result<Vec<CheckRun>, GithubError> {
        let path =
            format!("/repos/{repository}/commits/{commit}/check-runs?filter=latest&per_page=100");
        let answer: RunsAnswer = self.call(Method::GET, &path, token, None::<&()>).await?;
        let runs = answer.check_runs.into_iter().map(|run| CheckRun {
            name: run.name,
            is_completed: run.status == "completed",
            is_failed: run.conclusion.is_some_and(Conclusion::is_failure),
            app_id: run.app.map(|app| app.id),
        });
        Ok(runs.collect())
    }
}
