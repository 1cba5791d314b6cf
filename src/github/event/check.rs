//! What machines say of a commit: `check_run`, `check_suite` and `workflow_run` in one form.

use serde::{Deserialize, Deserializer};

use super::common::RepositoryId;

#[derive(Debug, Clone, PartialEq)]
pub struct CheckEvent {
    pub action: CheckAction,
    pub kind: CheckKind,
    pub check: Check,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckAction {
    Created,
    Requested,
    InProgress,
    Rerequested,
    RequestedAction,
    Completed,
    #[serde(other)]
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckKind {
    /// One check.
    Run,
    /// All checks of one App on a commit.
    Suite,
    /// A run of GitHub Actions.
    Workflow,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    pub id: i64,
    /// Of the check, of the suite's App, or of the workflow.
    pub name: String,
    /// `queued`, `in_progress`, `completed`…
    pub status: String,
    /// Absent until it is completed.
    pub conclusion: Option<Conclusion>,
    pub head_sha: String,
    pub head_branch: Option<String>,
    /// Never those from forks.
    pub pull_requests: Vec<LinkedPullRequest>,
    /// For people.
    pub url: String,
    /// Slug and number of the App that made it.
    pub app: Option<(String, i64)>,
    /// With a check run: the suite that it is part of.
    pub suite: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    Success,
    Failure,
    Neutral,
    Cancelled,
    Skipped,
    TimedOut,
    ActionRequired,
    StartupFailure,
    Stale,
    #[serde(other)]
    Other,
}

impl Conclusion {
    /// Whether somebody has to look at it.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failure | Self::TimedOut | Self::StartupFailure)
    }
}

/// A pull request that has the commit as its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedPullRequest {
    pub number: u64,
    pub head_branch: String,
    pub head_sha: String,
    pub base_branch: String,
    pub base_repository: Option<RepositoryId>,
}

impl<'de> Deserialize<'de> for CheckEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let payload = Payload::deserialize(deserializer)?;
        let parts = [
            (CheckKind::Run, payload.check_run),
            (CheckKind::Suite, payload.check_suite),
            // Also names the workflow, which is of no use without its run.
            (CheckKind::Workflow, payload.workflow_run),
        ];
        let found = parts
            .into_iter()
            .find_map(|(kind, part)| Some((kind, part?)));
        let (kind, part) =
            found.ok_or_else(|| serde::de::Error::missing_field("check_run or check_suite"))?;
        Ok(Self {
            action: payload.action,
            kind,
            check: part.into(),
        })
    }
}

#[derive(Deserialize)]
struct Payload {
    action: CheckAction,
    #[serde(default)]
    check_run: Option<Part>,
    #[serde(default)]
    check_suite: Option<Part>,
    #[serde(default)]
    workflow_run: Option<Part>,
}

#[derive(Deserialize)]
struct Part {
    id: i64,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    conclusion: Option<Conclusion>,
    head_sha: String,
    #[serde(default)]
    head_branch: Option<String>,
    #[serde(default)]
    html_url: Option<String>,
    #[serde(default)]
    details_url: Option<String>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    app: Option<App>,
    /// Of a check run.
    #[serde(default)]
    check_suite: Option<Suite>,
    #[serde(default)]
    pull_requests: Vec<Linked>,
}

#[derive(Deserialize)]
struct App {
    id: i64,
    #[serde(default)]
    slug: Option<String>,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Suite {
    #[serde(default)]
    id: Option<i64>,
    #[serde(default)]
    head_branch: Option<String>,
}

#[derive(Deserialize)]
struct Linked {
    number: u64,
    head: End,
    base: End,
}

#[derive(Deserialize)]
struct End {
    #[serde(rename = "ref")]
    branch: String,
    sha: String,
    #[serde(default)]
    repo: Option<Numbered>,
}

#[derive(Deserialize)]
struct Numbered {
    id: RepositoryId,
}

impl From<Part> for Check {
    fn from(part: Part) -> Self {
        let suite = part.check_suite;
        let app = part.app;
        let name = part.name.or_else(|| Some(app.as_ref()?.name.clone()));
        let url = part.html_url.or(part.details_url).or(part.url);
        Self {
            id: part.id,
            name: name.unwrap_or_default(),
            status: part.status.unwrap_or_default(),
            conclusion: part.conclusion,
            head_sha: part.head_sha,
            head_branch: part
                .head_branch
                .or_else(|| suite.as_ref()?.head_branch.clone()),
            pull_requests: part.pull_requests.into_iter().map(Into::into).collect(),
            url: url.unwrap_or_default(),
            app: app.map(|app| (app.slug.unwrap_or_default(), app.id)),
            suite: suite.and_then(|suite| suite.id),
        }
    }
}

impl From<Linked> for LinkedPullRequest {
    fn from(linked: Linked) -> Self {
        Self {
            number: linked.number,
            head_branch: linked.head.branch,
            head_sha: linked.head.sha,
            base_branch: linked.base.branch,
            base_repository: linked.base.repo.map(|numbered| numbered.id),
        }
    }
}
