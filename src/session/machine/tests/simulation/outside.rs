//! What the session asks of the world outside, over a network that loses things.

use protocol::event::PullRequestState;

use super::super::person;
use super::super::*;
use super::object::Failure;
use super::reading::Reading;
use super::reviewers::News;
use super::runner::Command;
use super::{Message, Simulation};
use protocol::event::StepName;

impl Simulation {
    /// As `Core::perform`.
    pub fn perform(&mut self, effect: &Effect) -> Result<Option<Input>, Failure> {
        let state = &self.object.state;
        match effect {
            Effect::StartSandbox { sandbox, epoch } => {
                if state.sandbox.as_ref().is_none_or(|one| one.epoch != *epoch) {
                    return Ok(None);
                }
                let first_part = state.next_part;
                let newest = state.snapshot.as_ref().map(|kept| &kept.id);
                let reading = Reading::of(&self.object.log);
                assert_eq!(newest, reading.snapshot(), "it goes on from the newest");
                let files = newest.map(|id| self.world.snapshots[id].clone());
                let some = self.dice.below(self.runners.len());
                let placed = self.placements.entry(sandbox.clone()).or_insert(some);
                let runner = *placed;
                let start = Command::Start {
                    epoch: *epoch,
                    first_part,
                    files: files.unwrap_or_default(),
                };
                self.post(runner, sandbox, start)?;
                let claim = Step {
                    name: StepName::Claim,
                    started_at: self.now,
                    ms: 0,
                    detail: None,
                };
                Ok(Some(Input::Placed {
                    epoch: *epoch,
                    runner: RunnerId::from_random([1; 16]),
                    runner_url: runner.to_string(),
                    claim,
                }))
            }
            Effect::SendPrompt {
                prompt,
                epoch,
                insert,
                resumed,
                ..
            } => {
                if !state.wants_sent(prompt) {
                    return Ok(None);
                }
                let command = Command::Prompt {
                    prompt: prompt.clone(),
                    insert: *insert,
                    resumed: *resumed,
                };
                self.command(*epoch, command)
            }
            Effect::StopPrompt { prompt, epoch } => {
                self.command(*epoch, Command::Stop(prompt.clone()))
            }
            Effect::SleepSandbox { epoch } => self.command(*epoch, Command::Sleep),
            Effect::EndSandbox {
                sandbox,
                runner_url,
            } => {
                let known = runner_url.as_ref().map(|url| url.parse().unwrap());
                let placed = known.or(self.placements.get(sandbox).copied());
                if let Some(runner) = placed {
                    self.post(runner, sandbox, Command::End)?;
                }
                Ok(None)
            }
            Effect::OpenPullRequest { push, .. } => self.open_pull(&push.prompt, &push.branch),
            Effect::Expire(deadline) => Ok(Some(Input::Expired(deadline.clone()))),
            Effect::NoteReady { .. }
            | Effect::UpdateIndex
            | Effect::CheckAccess { .. }
            | Effect::AdjustPullRequest { .. }
            | Effect::CheckReviews { .. }
            | Effect::TellThread { .. }
            | Effect::TellFollower { .. }
            | Effect::CountPrompt { .. } => Ok(None),
        }
    }

    fn command(&mut self, epoch: Epoch, command: Command) -> Result<Option<Input>, Failure> {
        let sandbox = self.object.state.sandbox.as_ref();
        let Some(sandbox) = sandbox.filter(|current| current.epoch == epoch) else {
            return Ok(None);
        };
        let Some(runner) = &sandbox.runner_url else {
            return Err(Failure::Passing);
        };
        let (id, runner) = (sandbox.id.clone(), runner.parse().unwrap());
        self.post(runner, &id, command)?;
        Ok(None)
    }

    /// A command may get lost on its way, and so may its answer.
    fn post(
        &mut self,
        runner: usize,
        sandbox: &SandboxId,
        command: Command,
    ) -> Result<(), Failure> {
        if self.trouble && self.dice.once_in(6) {
            return Err(Failure::Passing);
        }
        self.runners[runner].command(sandbox, command)?;
        if self.trouble && self.dice.once_in(6) {
            return Err(Failure::Passing);
        }
        Ok(())
    }

    /// The forge has one pull request for each branch, and its text is about the last push.
    fn open_pull(&mut self, prompt: &PromptId, branch: &str) -> Result<Option<Input>, Failure> {
        if self.trouble && self.dice.once_in(6) {
            return Err(Failure::Passing);
        }
        let pushed = self
            .object
            .log
            .iter()
            .rev()
            .find_map(|entry| match &*entry.fact {
                Fact::Pushed {
                    branch: pushed,
                    commit,
                    ..
                } if pushed == branch => Some(commit.clone()),
                _ => None,
            });
        let commit = pushed.expect("something was pushed");
        let place = self.pulls.iter().position(|(known, _)| known == branch);
        let place = place.unwrap_or(self.pulls.len());
        if place == self.pulls.len() {
            self.pulls.push((branch.to_owned(), String::new()));
        }
        let number = place as u64 + 1;
        let judged = self.judged.entry(number).or_default();
        judged.head.clone_from(&commit);
        self.network.push(Message::News(News::Head(number)));
        self.pulls[place].1 = commit;
        if self.trouble && self.dice.once_in(6) {
            return Err(Failure::Passing);
        }
        let step = Step {
            name: StepName::PullRequest,
            started_at: self.now,
            ms: 0,
            detail: None,
        };
        Ok(Some(Input::PullRequestOpened {
            prompt: prompt.clone(),
            pull_request: PullRequest {
                number,
                url: String::new(),
                title: String::new(),
                branch: branch.to_owned(),
                state: PullRequestState::Open,
                review: None,
                checks: None,
            },
            by: Opener::User { person: person(1) },
            step,
            notice: None,
        }))
    }
}
