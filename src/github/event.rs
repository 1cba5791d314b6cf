//! What GitHub tells us, typed: one [`Event`] for a delivery's name and body.
//!
//! Tolerant on purpose: fields that are not named here are passed over, actions and states that
//! GitHub adds become `Other`, and an event that nothing here acts on is [`Subject::Other`]. What
//! is named has one form, so that handlers need not look at JSON. Source: GitHub's "Webhook events
//! and payloads".

mod access;
mod check;
mod common;
mod conversation;
mod pull_request;
mod push;

pub use self::access::{
    Authorization, AuthorizationAction, Installation, InstallationAction, Member, MemberAction,
    Moved, RepositoryAction, RepositoryEvent,
};
pub use self::check::{Check, CheckAction, CheckEvent, CheckKind, Conclusion, LinkedPullRequest};
pub use self::common::{Account, Association, InstallationId, Place, RepositoryId};
pub use self::conversation::{
    Comment, CommentAction, Issue, IssueAction, IssueComment, IssueEvent, Label, ReviewComment,
};
pub use self::pull_request::{
    BranchEnd, PullRequest, PullRequestAction, PullRequestEvent, Review, ReviewAction, ReviewEvent,
    ReviewState,
};
pub use self::push::Push;

pub(super) use self::common::time;

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// One delivery, as far as anything here acts on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Absent for events of an installation or a person.
    pub repository: Option<Place>,
    /// Absent for events that no installation of ours caused.
    pub installation: Option<InstallationId>,
    /// Who did it.
    pub sender: Option<Account>,
    pub subject: Subject,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Subject {
    PullRequest(Box<PullRequestEvent>),
    Review(Box<ReviewEvent>),
    /// On an issue, or on a pull request outside of its diff.
    IssueComment(Box<IssueComment>),
    /// On a line of a pull request's diff.
    ReviewComment(Box<ReviewComment>),
    Issue(Box<IssueEvent>),
    /// `check_run`, `check_suite` and `workflow_run`, of one form.
    Check(Box<CheckEvent>),
    /// A branch has a new head.
    Push(Push),
    /// `installation` and `installation_repositories`.
    Installation(Installation),
    /// Who may do what may have changed: `member`, `membership`, `organization`, `team`.
    Member(Member),
    Authorization(Authorization),
    Repository(RepositoryEvent),
    /// Nothing here acts on it.
    Other,
}

/// What many payloads have in common.
#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    repository: Option<Place>,
    #[serde(default)]
    installation: Option<Numbered>,
    #[serde(default)]
    sender: Option<Account>,
}

#[derive(Deserialize)]
struct Numbered {
    id: InstallationId,
}

/// Names of the events that are more than [`Subject::Other`].
const ACTED_ON: &[&str] = &[
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "issue_comment",
    "issues",
    "check_run",
    "check_suite",
    "workflow_run",
    "push",
    "installation",
    "installation_repositories",
    "member",
    "membership",
    "organization",
    "team",
    "github_app_authorization",
    "repository",
];

impl Event {
    /// Whether anything here acts on events of this name.
    pub fn is_acted_on(name: &str) -> bool {
        ACTED_ON.contains(&name)
    }

    /// Reads the body of a delivery; `name` is its `X-GitHub-Event`.
    pub fn parse(name: &str, body: &[u8]) -> Result<Self, serde_json::Error> {
        let subject = match name {
            "pull_request" => Subject::PullRequest(read(body)?),
            "pull_request_review" => Subject::Review(read(body)?),
            "pull_request_review_comment" => Subject::ReviewComment(read(body)?),
            "issue_comment" => Subject::IssueComment(read(body)?),
            "issues" => Subject::Issue(read(body)?),
            "check_run" | "check_suite" | "workflow_run" => Subject::Check(read(body)?),
            "push" => push::parse(body)?.map_or(Subject::Other, Subject::Push),
            "installation" | "installation_repositories" => Subject::Installation(*read(body)?),
            "member" | "membership" | "organization" | "team" => Subject::Member(*read(body)?),
            "github_app_authorization" => Subject::Authorization(*read(body)?),
            "repository" => Subject::Repository(*read(body)?),
            // Also what is no object: nothing is asked of it.
            _ => return Ok(Self::other(body)),
        };
        let envelope: Envelope = *read(body)?;
        Ok(Self {
            repository: envelope.repository,
            installation: envelope.installation.map(|numbered| numbered.id),
            sender: envelope.sender,
            subject,
        })
    }

    fn other(body: &[u8]) -> Self {
        let envelope = serde_json::from_slice::<Envelope>(body).ok();
        let envelope = envelope.unwrap_or(Envelope {
            repository: None,
            installation: None,
            sender: None,
        });
        Self {
            repository: envelope.repository,
            installation: envelope.installation.map(|numbered| numbered.id),
            sender: envelope.sender,
            subject: Subject::Other,
        }
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<Box<T>, serde_json::Error> {
    serde_json::from_slice(body).map(Box::new)
}
