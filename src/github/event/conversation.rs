//! What people say: issues, and comments on them, on pull requests and on lines of a diff.

use protocol::Millis;
use serde::Deserialize;

use super::common::{Account, Association, some_time, text};
use super::pull_request::PullRequest;

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct IssueEvent {
    pub action: IssueAction,
    pub issue: Issue,
    /// With `assigned` and `unassigned`.
    #[serde(default)]
    pub assignee: Option<Account>,
    /// With `labeled` and `unlabeled`.
    #[serde(default)]
    pub label: Option<Label>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssueAction {
    Opened,
    Edited,
    Closed,
    Reopened,
    Assigned,
    Unassigned,
    Labeled,
    Unlabeled,
    #[serde(other)]
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Label {
    pub name: String,
}

/// An issue; every pull request is one, too.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Issue {
    pub number: u64,
    pub title: String,
    #[serde(default, deserialize_with = "text")]
    pub body: String,
    pub html_url: String,
    /// Absent when the account is no more.
    #[serde(default)]
    pub user: Option<Account>,
    #[serde(default)]
    pub author_association: Association,
    /// `open` or `closed`.
    #[serde(default)]
    pub state: String,
    /// There when the issue is a pull request.
    #[serde(default)]
    pub pull_request: Option<serde::de::IgnoredAny>,
}

impl Issue {
    pub fn is_pull_request(&self) -> bool {
        self.pull_request.is_some()
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct IssueComment {
    pub action: CommentAction,
    pub issue: Issue,
    pub comment: Comment,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ReviewComment {
    pub action: CommentAction,
    pub pull_request: PullRequest,
    pub comment: Comment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommentAction {
    Created,
    Edited,
    Deleted,
    #[serde(other)]
    Other,
}

/// A comment. Where it is in a diff is known of review comments only.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Comment {
    pub id: i64,
    #[serde(default, deserialize_with = "text")]
    pub body: String,
    #[serde(default)]
    pub user: Option<Account>,
    #[serde(default)]
    pub author_association: Association,
    pub html_url: String,
    #[serde(default, deserialize_with = "some_time")]
    pub created_at: Option<Millis>,
    #[serde(default)]
    pub path: Option<String>,
    /// Absent when the line is no longer in the diff.
    #[serde(default)]
    pub line: Option<u64>,
    #[serde(default)]
    pub start_line: Option<u64>,
    /// `LEFT` is the side before the change.
    #[serde(default)]
    pub side: Option<String>,
    #[serde(default)]
    pub diff_hunk: Option<String>,
    #[serde(default)]
    pub commit_id: Option<String>,
    #[serde(default)]
    pub in_reply_to_id: Option<i64>,
    #[serde(default)]
    pub pull_request_review_id: Option<i64>,
}
