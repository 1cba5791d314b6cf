//! What a session does at the forge: its pull requests, whose approval counts, what threads are
//! told; and what the Worker asks of it about these.

mod pull_requests;
mod reviews;
mod threads;

use std::rc::Rc;

use protocol::api::CreatedPrompt;
use protocol::callback::PullRequestWish;
use protocol::event::{Mode, Person, Prompt, Source};
use protocol::{PromptId, SessionId};
use serde::{Deserialize, Serialize};
use worker::Response;

use super::effects::Failure;
use super::machine::{Effect, Input};
use super::store::Admission;
use super::{Core, checked_prompt};
use crate::error::Error;
use crate::github::GithubError;
use crate::platform::random;

/// What the Worker asks of a session's object, see [`Request`](super::request::Request).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum ForgeRequest {
    /// Somebody says how a branch's pull request is to be; without a branch, the work branch's.
    Wish {
        branch: Option<String>,
        wish: PullRequestWish,
        by: Person,
    },
    /// Reviews of a pull request are not as they were.
    ReviewsChanged { number: u64 },
    /// Checks failed on a commit.
    Repair {
        branch: String,
        commit: String,
        text: String,
        client_request_id: String,
    },
    /// Somebody called the session on an issue or a pull request.
    Called { number: u64 },
    /// What somebody asked for.
    Prompt { prompt: PromptId },
}

impl Core {
    pub(super) fn forge(self: &Rc<Self>, request: ForgeRequest) -> Result<Response, Error> {
        match request {
            ForgeRequest::Wish { branch, wish, by } => {
                let branch = branch.unwrap_or(self.session()?.work_branch);
                self.apply(Input::PullRequestWished { branch, wish, by }, None)?;
                Ok(Response::empty()?.with_status(202))
            }
            ForgeRequest::ReviewsChanged { number } => {
                self.apply(Input::ReviewsChanged { number }, None)?;
                Ok(Response::empty()?.with_status(202))
            }
            ForgeRequest::Repair {
                branch,
                commit,
                text,
                client_request_id,
            } => {
                let id = self.repair(branch, commit, &text, client_request_id)?;
                Ok(Response::from_json(&CreatedPrompt { id })?.with_status(201))
            }
            ForgeRequest::Called { number } => {
                self.apply(Input::Called { number }, None)?;
                Ok(Response::empty()?.with_status(202))
            }
            ForgeRequest::Prompt { prompt } => {
                let known = self.store()?.prompt(&prompt)?;
                let known = known.ok_or(Error::NotFound("prompt"))?;
                Ok(Response::from_json(&known)?)
            }
        }
    }

    /// Takes a failed check as a prompt of whoever prompted last, once.
    fn repair(
        self: &Rc<Self>,
        branch: String,
        commit: String,
        text: &str,
        client_request_id: String,
    ) -> Result<PromptId, Error> {
        let (store, state) = (self.store()?, self.session()?);
        let text = checked_prompt(text)?;
        // Logs are never read the same twice: it is the commit that makes it the same request.
        let body = format!("repair:{branch}:{commit}");
        match store.admit(&client_request_id, &body)? {
            Admission::New => {}
            Admission::Repeated(prompt) => return Ok(prompt),
            Admission::Conflicting => return Err(Error::ConflictingRequest),
        }
        let id = PromptId::from_random(random::bytes()?);
        let prompt = Prompt {
            id: id.clone(),
            author: state.forge.last_prompter.unwrap_or(state.created_by),
            text,
            source: Source::Github,
            mode: Mode::Queue,
            attachments: Vec::new(),
            client_request_id: Some(client_request_id.clone()),
        };
        let input = Input::Repair {
            prompt,
            branch,
            commit,
        };
        self.apply(input, None)?;
        store.remember(&client_request_id, &body, &id)?;
        Ok(id)
    }

    /// Performs what [`Effect`]s of the forge ask for.
    pub(super) async fn perform_at_forge(&self, effect: &Effect) -> Result<Option<Input>, Failure> {
        match effect {
            Effect::OpenPullRequest { author, push } => self.open_pull_request(author, push).await,
            Effect::AdjustPullRequest { author, branch } => {
                self.adjust_pull_request(author, branch).await
            }
            Effect::CheckReviews { number } => self.check_reviews(*number).await,
            Effect::TellThread { number } => self.tell_thread(*number).await,
            _ => Ok(None),
        }
    }

    fn session_url(&self, session: &SessionId) -> Result<String, Error> {
        let public_url = crate::config::public_url(&self.env)?;
        Ok(format!("{public_url}/sessions/{session}"))
    }
}

impl From<GithubError> for Failure {
    fn from(error: GithubError) -> Self {
        match error.is_passing() {
            true => Self::Passing(error.to_string()),
            false => Self::Final(error.to_string()),
        }
    }
}
