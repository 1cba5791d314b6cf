//! What wakes a session from the forge: a word of a person on its pull request, changes that a
//! review asks for, a check that fails; and a call for work where there is no session yet.
//!
//! Who speaks must be able to write to the repository, by GitHub's own word. Bots are not listened
//! to, and nothing is done on the branch of a fork. A prompt is named after what was said, so that
//! a delivery that is seen to twice is one prompt.

mod calls;
mod checks;
mod said;
pub mod thread;

use protocol::SessionId;
use protocol::event::{Person, Repository};
use worker::Env;

use self::said::Said;
use crate::api::ask_session;
use crate::database::{self, Database};
use crate::deliveries::Delivery;
use crate::error::Error;
use crate::github::Github;
use crate::github::event::{
    Account, CommentAction, IssueAction, PullRequestAction, ReviewAction, Subject,
};
use crate::github::pull_request::session_of;
use crate::session::forge::ForgeRequest;
use crate::session::request::Request;

/// Where something happened.
struct Scene<'a> {
    env: &'a Env,
    database: &'a Database,
    github: Github,
    repository: Repository,
}

/// Acts on a delivery; one that is nothing of ours is passed over.
pub async fn see_to(env: &Env, database: &Database, delivery: &Delivery) -> Result<(), Error> {
    let Some(place) = &delivery.event.repository else {
        return Ok(());
    };
    let scene = Scene {
        env,
        database,
        github: Github::new(env)?,
        repository: place.name.clone(),
    };
    match &delivery.event.subject {
        Subject::PullRequest(event) => {
            let concerns_reviews = matches!(
                event.action,
                PullRequestAction::Opened
                    | PullRequestAction::Synchronize
                    | PullRequestAction::Reopened
                    | PullRequestAction::ReadyForReview
            );
            let pull = &event.pull_request;
            if concerns_reviews && !pull.is_from_fork() {
                scene
                    .reviews_changed(&pull.head.branch, pull.number)
                    .await?;
            }
        }
        Subject::Review(event) => {
            let pull = &event.pull_request;
            if !pull.is_from_fork() {
                scene
                    .reviews_changed(&pull.head.branch, pull.number)
                    .await?;
            }
            if event.action == ReviewAction::Submitted {
                let said = Said::review(&scene, event).await?;
                scene.heard(said).await?;
            }
        }
        Subject::IssueComment(event) if event.action == CommentAction::Created => {
            scene.heard(Said::comment(&scene, event).await?).await?;
        }
        Subject::ReviewComment(event) if event.action == CommentAction::Created => {
            scene
                .heard(Said::line_comment(&scene, event).await?)
                .await?;
        }
        Subject::Issue(event) if event.action == IssueAction::Opened => {
            scene.heard(Said::issue(&scene, event).await?).await?;
        }
        Subject::Check(event) => scene.check(event).await?,
        _ => {}
    }
    Ok(())
}

impl Scene<'_> {
    /// The session of this repository that owns a branch.
    async fn session_of(&self, branch: &str) -> Result<Option<SessionId>, Error> {
        let Some(session) = session_of(branch) else {
            return Ok(None);
        };
        // The name alone proves nothing: anybody can push a branch that is called so.
        let repository = database::sessions::repository_of(self.database, &session).await?;
        Ok(Some(session).filter(|_| repository.as_ref() == Some(&self.repository)))
    }

    async fn reviews_changed(&self, branch: &str, number: u64) -> Result<(), Error> {
        if let Some(session) = self.session_of(branch).await? {
            let ask = ForgeRequest::ReviewsChanged { number };
            self.ask(&session, ask).await?;
        }
        Ok(())
    }

    /// Asks a session's object; answers the status and, if it refused, its words.
    async fn ask(&self, session: &SessionId, ask: ForgeRequest) -> Result<Answer, Error> {
        self.request(session, &Request::Forge(ask)).await
    }

    async fn request(&self, session: &SessionId, request: &Request) -> Result<Answer, Error> {
        let answer = ask_session(self.env, session, request).await?;
        let status = answer.status();
        if status.is_success() {
            return Ok(Answer::Taken);
        }
        let body = axum::body::to_bytes(answer.into_body(), MAX_ANSWER).await;
        let body = body.unwrap_or_default();
        let refusal = serde_json::from_slice::<protocol::api::ErrorBody>(&body).ok();
        match refusal {
            Some(refusal) if status.is_client_error() => Ok(Answer::Refused {
                code: refusal.error.code,
                message: refusal.error.message,
            }),
            // What failed on our side may work the next time.
            _ => Err(Error::Busy),
        }
    }
}

const MAX_ANSWER: usize = 64 * 1024;

/// What a session says to a request.
enum Answer {
    Taken,
    Refused { code: String, message: String },
}

/// An account at the forge as a session knows people.
fn person(account: &Account) -> Person {
    Person {
        id: account.id,
        login: account.login.clone(),
        name: account.login.clone(),
        avatar: account.avatar_url.clone(),
    }
}
