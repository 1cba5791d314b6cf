//! The end of a turn: what the agent did is committed and pushed before the prompt is over.

use protocol::Millis;
use protocol::branch::is_of_session;
use protocol::callback::{PromptResult, PullRequestWish, Report};
use protocol::event::StepName;

use super::exchange::{Action, Effects, Moment, Work};
use super::state::{Phase, Standing, Turn};
use super::{Machine, step};
use crate::git::Published;

impl Machine {
    pub(super) fn idle(&mut self, error: Option<String>, now: Moment, effects: &mut Effects) {
        let turn = self
            .state
            .running
            .as_mut()
            .and_then(|running| running.turn.as_mut());
        let Some(turn) = turn else { return };
        match (&mut turn.phase, error) {
            (Phase::Running, Some(message)) => {
                self.finish(&PromptResult::Failed { message }, now, effects);
            }
            (Phase::Running, None) => {
                let step = step(StepName::Run, turn.started_at, now);
                turn.phase = Phase::Publishing {
                    busy: false,
                    again: false,
                };
                self.report(Report::Step { step }, now, effects);
                self.publish(effects);
            }
            (Phase::Stopping, _) => {
                self.stop_at = None;
                effects.actions.push(Action::Clear);
            }
            (Phase::Publishing { busy, .. }, _) => *busy = false,
        }
    }

    /// Waits for the workspace to be up to date: what to compare the work with is not known before.
    pub(super) fn publish(&mut self, effects: &mut Effects) {
        let Some(standing) = self.state.standing.clone() else {
            return self.synchronise(effects);
        };
        let Some(running) = &self.state.running else {
            return;
        };
        let Some(turn) = &running.turn else { return };
        effects.actions.push(Action::Publish(Box::new(Work {
            prompts: turn.prompts.clone(),
            summary: running.transcript.summary().to_owned(),
            base: standing.base,
            pushed: standing.pushed,
            beside: standing.beside,
            behind: standing.behind,
        })));
    }

    pub(super) fn published(
        &mut self,
        outcome: Result<Vec<Published>, String>,
        started_at: Millis,
        now: Moment,
        effects: &mut Effects,
    ) {
        let work_branch = self.start.work_branch.clone();
        let Some(running) = &mut self.state.running else {
            return;
        };
        let Some(Turn {
            phase: Phase::Publishing { busy, again },
            prompts,
            ..
        }) = &mut running.turn
        else {
            return;
        };
        let (busy, repeat) = (*busy, std::mem::take(again));
        let mut reports = Vec::new();
        match outcome {
            Ok(published) => {
                if !published.is_empty() {
                    reports.push(Report::Step {
                        step: step(StepName::Push, started_at, now),
                    });
                }
                let prompt = prompts.first().map(|prompt| prompt.prompt.clone());
                for one in published {
                    if let Some(standing) = &mut self.state.standing {
                        standing.push(&work_branch, &one);
                    }
                    reports.extend(prompt.clone().map(|prompt| Report::Pushed {
                        prompt,
                        branch: one.branch,
                        commit: one.commit,
                        files: one.files,
                        summary: running.transcript.summary().to_owned(),
                        base: one.base,
                    }));
                }
            }
            Err(message) => {
                let message = format!(
                    "The work could not be pushed, and is kept for the next prompt: {message}"
                );
                reports.push(Report::Notice { message });
            }
        }
        self.report_all(reports, now, effects);
        if busy {
            self.set_phase(Phase::Running);
        } else if repeat {
            self.publish(effects);
        } else {
            self.finish(&PromptResult::Completed, now, effects);
        }
    }

    /// Tells of the agent's wish, if it is for a branch of this session.
    pub(super) fn wished(
        &mut self,
        branch: Option<String>,
        wish: PullRequestWish,
        now: Moment,
        effects: &mut Effects,
    ) {
        let work = &self.start.work_branch;
        let branch = branch.unwrap_or_else(|| work.clone());
        let running = self.state.running.as_ref();
        let prompt = running
            .and_then(|running| running.turn.as_ref())
            .and_then(|turn| turn.prompts.first())
            .map(|prompt| prompt.prompt.clone());
        if let Some(prompt) = prompt.filter(|_| is_of_session(work, &branch)) {
            let report = Report::PullRequestWished {
                prompt,
                branch,
                wish,
            };
            self.report(report, now, effects);
        }
    }
}

impl Standing {
    fn push(&mut self, work_branch: &str, published: &Published) {
        let commit = published.commit.clone();
        if published.branch == work_branch {
            (self.pushed, self.behind) = (Some(commit), false);
        } else {
            self.beside.insert(published.branch.clone(), commit);
        }
    }
}
