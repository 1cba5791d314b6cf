//! Performing what transitions ask for, after they are committed.
//!
//! Work is taken from the schedule under a lease and taken off it when it is done. If this life of
//! the object ends in between, the alarm finds it again; every receiver takes a repetition of the
//! same key as the same piece of work.

use std::rc::Rc;
use std::time::Duration;

use protocol::command::{Command, SendPrompt, Start};
use protocol::event::{Mode, Step, StepName};
use protocol::{Epoch, SandboxId};

use super::machine::{Effect, Input, State};
use super::store::Due;
use super::{Core, summary_of};
use crate::config;
use crate::database::{self, Database};
use crate::error::Error;
use crate::fleet::{self, Wish};
use crate::images;
use crate::lobby;
use crate::platform::clock;
use crate::platform::http::{self, HttpError};
use crate::slack;

/// Longest that one piece of work takes: the sum of its deadlines, and some.
const LEASE_MS: i64 = 60_000;

const COMMAND_DEADLINE: Duration = Duration::from_secs(10);

/// With [`backoff`] these are about fifty seconds: longer than a runner takes to restart.
const MAX_ATTEMPTS: i64 = 10;

/// Why a piece of work is not done.
pub(super) enum Failure {
    /// Another try may succeed; the sentence is for people, should none.
    Passing(String),
    /// No try will.
    Final(String),
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        Self::Passing(error.to_string())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        error.log();
        Self::Passing(error.to_string())
    }
}

impl Core {
    /// Performs everything that is due, then sees to the alarm.
    pub(super) async fn perform_due(self: Rc<Self>) {
        loop {
            let now = clock::now();
            let lease = now.plus(LEASE_MS);
            let due = match self
                .store()
                .and_then(|store| Ok(store.take_due(now, lease)?))
            {
                Ok(due) => due,
                Err(error) => {
                    error.log();
                    break;
                }
            };
            if due.is_empty() {
                break;
            }
            // Rings if this life ends before the work does.
            self.alarm.ring_by(&self.state, lease);
            for work in due {
                if let Err(error) = self.clone().perform_one(work).await {
                    error.log();
                }
            }
        }
        match self.store().and_then(|store| Ok(store.next_due()?)) {
            Ok(Some(due)) => self.alarm.ring_by(&self.state, due),
            Ok(None) => {}
            Err(error) => error.log(),
        }
    }

    async fn perform_one(self: Rc<Self>, work: Due) -> Result<(), Error> {
        let lease = &work.lease;
        let outcome = self.perform(&work.effect).await;
        if outcome.is_err() && !self.store()?.holds(lease)? {
            // Nobody wants it any more, or wants it anew.
            return Ok(());
        }
        match outcome {
            Ok(Some(input)) => self.apply(input, Some(lease))?,
            Ok(None) => self.store()?.finish(lease)?,
            Err(Failure::Passing(reason)) if work.attempts + 1 < MAX_ATTEMPTS => {
                worker::console_warn!(
                    "will try again: key={} attempts={} reason={reason}",
                    lease.key,
                    work.attempts + 1
                );
                let due = clock::now().plus(backoff(work.attempts));
                return Ok(self.store()?.retry(lease, due)?);
            }
            Err(Failure::Passing(reason) | Failure::Final(reason)) => {
                match after_failure(&work.effect, reason) {
                    Some(input) => self.apply(input, Some(lease))?,
                    None => self.store()?.finish(lease)?,
                }
            }
        }
        match work.effect {
            Effect::CheckAccess { .. } => self.watch_access(),
            _ => Ok(()),
        }
    }

    async fn perform(&self, effect: &Effect) -> Result<Option<Input>, Failure> {
        let state = self.session()?;
        match effect {
            Effect::StartSandbox { sandbox, epoch } => {
                self.start_sandbox(&state, sandbox, *epoch).await
            }
            Effect::SendPrompt {
                prompt,
                epoch,
                author,
                co_authors,
                sent_at,
                insert,
                resumed,
            } => {
                // A stop may have overtaken it.
                if !state.wants_sent(prompt) {
                    return Ok(None);
                }
                let Some(known) = self.store().and_then(|store| Ok(store.prompt(prompt)?))? else {
                    return Err(Failure::Final("the prompt is not stored".to_owned()));
                };
                let public_url = config::public_url(&self.env).map_err(Error::from)?;
                let attachments = self.attached(&state.session, &known, &public_url)?;
                let (author, co_authors) = self.identities(author, co_authors).await?;
                self.command(&state, *epoch, |sandbox| {
                    Command::Prompt(SendPrompt {
                        sandbox,
                        prompt: prompt.clone(),
                        text: known.text.clone(),
                        mode: if *insert { Mode::Insert } else { Mode::Queue },
                        sent_at: *sent_at,
                        author,
                        co_authors,
                        attachments,
                        resumed: *resumed,
                    })
                })
                .await
            }
            Effect::StopPrompt { prompt, epoch } => {
                self.command(&state, *epoch, |sandbox| Command::Stop {
                    sandbox,
                    prompt: prompt.clone(),
                })
                .await
            }
            Effect::SleepSandbox { epoch } => {
                self.command(&state, *epoch, |sandbox| Command::Sleep { sandbox })
                    .await
            }
            Effect::NoteReady { sandbox, ms } => {
                fleet::note_ready(&self.env, sandbox, *ms).await?;
                Ok(None)
            }
            Effect::EndSandbox {
                sandbox,
                runner_url,
            } => {
                let runner_url = match runner_url {
                    Some(known) => Some(known.clone()),
                    None => fleet::find(&self.env, sandbox).await?,
                };
                let Some(runner_url) = runner_url else {
                    return Ok(None);
                };
                self.post(
                    &runner_url,
                    &Command::End {
                        sandbox: sandbox.clone(),
                    },
                )
                .await?;
                Ok(None)
            }
            Effect::OpenPullRequest { .. }
            | Effect::AdjustPullRequest { .. }
            | Effect::CheckReviews { .. }
            | Effect::TellThread { .. } => self.perform_at_forge(effect).await,
            Effect::TellFollower { follower } => {
                slack::channel::news(&self.env, follower).await?;
                Ok(None)
            }
            Effect::CountPrompt { prompt, figure } => {
                self.count_prompt(&state, prompt, figure).await?;
                Ok(None)
            }
            Effect::UpdateIndex => {
                let database = Database::new(&self.env).map_err(Error::from)?;
                let summary = summary_of(&state);
                database::sessions::update(&database, &summary)
                    .await
                    .map_err(Error::from)?;
                let env = self.env.clone();
                self.state
                    .wait_until(async move { lobby::session_changed(&env, summary).await });
                Ok(None)
            }
            Effect::CheckAccess { user } => {
                self.check_access(*user).await?;
                Ok(None)
            }
            Effect::Expire(deadline) => Ok(Some(Input::Expired(deadline.clone()))),
        }
    }

    async fn start_sandbox(
        &self,
        state: &State,
        sandbox: &SandboxId,
        epoch: Epoch,
    ) -> Result<Option<Input>, Failure> {
        if state
            .sandbox
            .as_ref()
            .is_none_or(|current| current.epoch != epoch)
        {
            return Ok(None);
        }
        let started_at = clock::now();
        let wish = Wish {
            base: state.base(),
            model: state.model.clone(),
            snapshot: state.snapshot.clone(),
        };
        let placed = fleet::place(&self.env, sandbox, wish).await?;
        let placement = placed.ok_or_else(|| {
            let message = "no runner with room has registered: start one with `sandbox-runner` \
                           (see README)";
            Failure::Passing(message.to_owned())
        })?;
        let public_url = config::public_url(&self.env).map_err(Error::from)?;
        let database = Database::new(&self.env).map_err(Error::from)?;
        let settings = database::repositories::settings(&database, &state.repository)
            .await
            .map_err(Error::from)?;
        let start = Command::Start(Start {
            session: state.session.clone(),
            sandbox: sandbox.clone(),
            epoch,
            repository: state.repository.clone(),
            branch: state.branch.clone(),
            work_branch: state.work_branch.clone(),
            model: state.model.clone(),
            first_part: state.next_part,
            callback_url: format!("{public_url}/runner/callbacks/{}", state.session),
            environment: state.environment.clone(),
            warm: placement.warm,
            snapshot: state.snapshot.as_ref().map(|kept| kept.id.clone()),
            egress: Some(settings.egress),
            specification: images::specification_of(&database, &state.base())
                .await
                .map_err(Error::from)?
                .flatten(),
            spent_microdollars: self.store().and_then(|store| Ok(store.spent()?))?,
        });
        self.post(&placement.url, &start).await?;
        let claim = Step {
            name: StepName::Claim,
            started_at,
            ms: clock::now().since(started_at),
            detail: Some(placement.reason),
        };
        Ok(Some(Input::Placed {
            epoch,
            runner: placement.runner,
            runner_url: placement.url,
            claim,
        }))
    }

    /// Sends a command to the sandbox of `epoch`, if it is still the session's.
    async fn command(
        &self,
        state: &State,
        epoch: Epoch,
        command: impl FnOnce(SandboxId) -> Command,
    ) -> Result<Option<Input>, Failure> {
        let Some(sandbox) = state
            .sandbox
            .as_ref()
            .filter(|current| current.epoch == epoch)
        else {
            return Ok(None);
        };
        let Some(runner_url) = &sandbox.runner_url else {
            return Err(Failure::Passing("the sandbox is not placed yet".to_owned()));
        };
        self.post(runner_url, &command(sandbox.id.clone())).await?;
        Ok(None)
    }

    async fn post(&self, runner_url: &str, command: &Command) -> Result<(), Failure> {
        let keys = config::runner_keys(&self.env).map_err(Error::from)?;
        let answer =
            http::post_signed(&keys, runner_url, "/commands", command, COMMAND_DEADLINE).await?;
        match answer.status {
            200..=299 => Ok(()),
            404 | 410 => Err(Failure::Final(
                "the runner does not have this sandbox".to_owned(),
            )),
            status => {
                let said = String::from_utf8_lossy(&answer.body).into_owned();
                Err(Failure::Passing(format!(
                    "the runner answered {status}: {said}"
                )))
            }
        }
    }
}

/// What the session has to know when a piece of work is given up.
fn after_failure(effect: &Effect, reason: String) -> Option<Input> {
    match effect {
        Effect::StartSandbox { epoch, .. }
        | Effect::SendPrompt { epoch, .. }
        | Effect::StopPrompt { epoch, .. }
        | Effect::SleepSandbox { epoch } => Some(Input::Unreachable {
            epoch: *epoch,
            reason,
        }),
        Effect::OpenPullRequest { push, .. } => Some(Input::PullRequestFailed {
            message: format!(
                "the pull request for {} could not be opened: {reason}",
                push.branch
            ),
        }),
        Effect::AdjustPullRequest { branch, .. } => Some(Input::PullRequestFailed {
            message: format!("the pull request for {branch} could not be changed: {reason}"),
        }),
        Effect::CheckReviews { number } => Some(Input::PullRequestFailed {
            message: format!("it could not be said on #{number} who approved it: {reason}"),
        }),
        // A runner that is gone took the sandbox with it, and the index is rewritten at the next
        // change.
        Effect::EndSandbox { .. }
        | Effect::NoteReady { .. }
        | Effect::TellThread { .. }
        | Effect::TellFollower { .. }
        | Effect::CountPrompt { .. }
        | Effect::UpdateIndex
        | Effect::CheckAccess { .. }
        | Effect::Expire(_) => {
            worker::console_error!("given up: key={} reason={reason}", effect.key());
            None
        }
    }
}

/// 0.25 s, doubled each time, at most 10 s.
fn backoff(attempts: i64) -> i64 {
    let doublings = u32::try_from(attempts.clamp(0, 6)).unwrap_or(0);
    (250_i64 << doublings).min(10_000)
}
