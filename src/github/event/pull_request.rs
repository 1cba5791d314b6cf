//! Pull requests and their reviews.

use protocol::Millis;
use protocol::event::PullRequestState;
use serde::{Deserialize, Serialize};

use super::common::{Account, Association, Place, some_time, text, time};

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PullRequestEvent {
    pub action: PullRequestAction,
    pub pull_request: PullRequest,
    /// With `synchronize`: the heads before and after.
    #[serde(default)]
    pub before: Option<String>,
    #[serde(default)]
    pub after: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullRequestAction {
    Opened,
    Edited,
    /// Also when it was merged: see [`PullRequest::state`].
    Closed,
    Reopened,
    /// Its branch has a new head.
    Synchronize,
    ReadyForReview,
    ConvertedToDraft,
    #[serde(other)]
    Other,
}

/// A pull request. What comes with reviews and their comments lacks the numbers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PullRequest {
    pub number: u64,
    pub title: String,
    pub html_url: String,
    #[serde(default, deserialize_with = "text")]
    pub body: String,
    /// Absent when the account is no more.
    #[serde(default)]
    pub user: Option<Account>,
    #[serde(default)]
    pub author_association: Association,
    pub head: BranchEnd,
    pub base: BranchEnd,
    /// `open` or `closed`.
    #[serde(rename = "state")]
    pub open_or_closed: String,
    #[serde(default)]
    pub draft: bool,
    #[serde(default)]
    pub merged: Option<bool>,
    #[serde(default)]
    pub merged_by: Option<Account>,
    #[serde(default)]
    pub additions: Option<u64>,
    #[serde(default)]
    pub deletions: Option<u64>,
    #[serde(default)]
    pub changed_files: Option<u64>,
    #[serde(deserialize_with = "time")]
    pub created_at: Millis,
    /// Tells which of two deliveries is the newer one: they come in any order.
    #[serde(deserialize_with = "time")]
    pub updated_at: Millis,
    #[serde(default, deserialize_with = "some_time")]
    pub closed_at: Option<Millis>,
    #[serde(default, deserialize_with = "some_time")]
    pub merged_at: Option<Millis>,
}

/// A branch at a commit in a repository.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BranchEnd {
    #[serde(rename = "ref")]
    pub branch: String,
    pub sha: String,
    /// Absent when the fork was deleted.
    #[serde(default)]
    pub repo: Option<Place>,
}

impl PullRequest {
    pub fn state(&self) -> PullRequestState {
        if self.merged == Some(true) || self.merged_at.is_some() {
            PullRequestState::Merged
        } else if self.open_or_closed == "closed" {
            PullRequestState::Closed
        } else if self.draft {
            PullRequestState::Draft
        } else {
            PullRequestState::Open
        }
    }

    /// Whether the branch is in another repository than the one it asks to be merged into: nothing
    /// of ours may run on it with secrets.
    pub fn is_from_fork(&self) -> bool {
        match (&self.head.repo, &self.base.repo) {
            (Some(head), Some(base)) => head.id != base.id,
            // A fork that was deleted is still not ours.
            _ => true,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ReviewEvent {
    pub action: ReviewAction,
    pub review: Review,
    pub pull_request: PullRequest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewAction {
    Submitted,
    Edited,
    Dismissed,
    #[serde(other)]
    Other,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Review {
    pub id: i64,
    pub state: ReviewState,
    #[serde(default)]
    pub user: Option<Account>,
    #[serde(default, deserialize_with = "text")]
    pub body: String,
    #[serde(default)]
    pub author_association: Association,
    /// The head that was looked at.
    #[serde(default)]
    pub commit_id: Option<String>,
    #[serde(default)]
    pub html_url: String,
    #[serde(default, deserialize_with = "some_time")]
    pub submitted_at: Option<Millis>,
}

/// Lower case in webhooks, upper case in the REST API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewState {
    #[serde(alias = "APPROVED")]
    Approved,
    #[serde(alias = "CHANGES_REQUESTED")]
    ChangesRequested,
    #[serde(alias = "COMMENTED")]
    Commented,
    #[serde(alias = "DISMISSED")]
    Dismissed,
    /// Not submitted yet, or a state that GitHub has added.
    #[serde(other)]
    Pending,
}
