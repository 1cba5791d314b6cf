//! Turns: begun with the next prompt, stopped, overdue, ended with all their prompts.

use std::time::Duration;

use protocol::PromptId;
use protocol::callback::{PromptResult, Report};
use protocol::command::SendPrompt;
use protocol::event::{Limit, Mode};

use super::state::{Delivery, Phase, Rest, Turn};
use super::{Action, Effects, Machine, Moment, STOP_PATIENCE};

impl Machine {
    pub(super) fn prompt(&mut self, prompt: SendPrompt, now: Moment, effects: &mut Effects) {
        if !self.state.taken.insert(prompt.prompt.clone()) {
            return;
        }
        self.state.rest = Rest::Awake;
        let turn = self
            .state
            .running
            .as_mut()
            .and_then(|running| running.turn.as_mut());
        match turn {
            Some(turn) if turn.phase == Phase::Running && prompt.mode == Mode::Insert => {
                effects.actions.push(deliver(&prompt));
                turn.prompts.push(prompt);
            }
            _ => {
                self.state.waiting.push_back(prompt);
                self.next(now, effects);
            }
        }
    }

    /// Begins the next turn, if there is one to begin.
    pub(super) fn next(&mut self, now: Moment, effects: &mut Effects) {
        let Some(running) = self
            .state
            .running
            .as_mut()
            .filter(|running| running.turn.is_none() && !self.keeping)
        else {
            return;
        };
        // An agent that is to go on with its work has to see it.
        let is_resumed = self.state.waiting.front().is_some_and(|one| one.resumed);
        if is_resumed && self.synchronising {
            return;
        }
        let Some(prompt) = self.state.waiting.pop_front() else {
            self.doze(effects);
            return;
        };
        self.state.unsaved = true;
        let parts = running.transcript.begin(prompt.prompt.clone());
        effects.actions.push(deliver(&prompt));
        running.turn = Some(Turn {
            prompts: vec![prompt],
            started_at: now.at,
            phase: Phase::Running,
            answered: false,
            delivery: Delivery::InFlight,
            attempts: 1,
            complaint: None,
            is_overdue: false,
        });
        self.expect_end(now);
        self.report_all(parts, now, effects);
        self.synchronise(effects);
    }

    pub(super) fn busy(&mut self) {
        let turn = self
            .state
            .running
            .as_mut()
            .and_then(|running| running.turn.as_mut());
        if let Some(Turn {
            phase: Phase::Publishing { busy, again },
            ..
        }) = turn
        {
            (*busy, *again) = (true, true);
        }
    }

    pub(super) fn retrying(&mut self, message: String, now: Moment, effects: &mut Effects) {
        self.busy();
        let Some(turn) = self.turn_in(Phase::Running) else {
            return;
        };
        if turn.complaint.as_ref() == Some(&message) {
            return;
        }
        turn.complaint = Some(message.clone());
        let message = format!("The model refuses for now, the agent tries again: {message}");
        self.report(Report::Notice { message }, now, effects);
    }

    pub(super) fn stop_prompt(&mut self, prompt: &PromptId, now: Moment, effects: &mut Effects) {
        let waiting = &mut self.state.waiting;
        if let Some(place) = waiting.iter().position(|one| one.prompt == *prompt) {
            waiting.remove(place);
            let finished = Report::PromptFinished {
                prompt: prompt.clone(),
                result: PromptResult::Stopped,
            };
            self.report(finished, now, effects);
            return;
        }
        let Some(turn) = self.turn_in(Phase::Running) else {
            return;
        };
        if turn.prompts.iter().any(|one| one.prompt == *prompt) {
            turn.phase = Phase::Stopping;
            self.stop(now, effects);
        }
    }

    pub(super) fn stop(&mut self, now: Moment, effects: &mut Effects) {
        self.stop_at = Some(now.instant + STOP_PATIENCE);
        effects.actions.push(Action::Abort);
    }

    pub(super) fn cleared(&mut self, now: Moment, effects: &mut Effects) {
        let Some(turn) = self.turn_in(Phase::Stopping) else {
            return;
        };
        let result = if turn.is_overdue {
            PromptResult::Failed {
                message: overdue(self.turn_limit),
            }
        } else {
            PromptResult::Stopped
        };
        self.finish(&result, now, effects);
    }

    /// Sets the clock for the turn that goes on.
    pub(super) fn expect_end(&mut self, now: Moment) {
        let limit = self.turn_limit;
        let turn = self.turn_in(Phase::Running);
        self.overdue_at = turn.map(|turn| {
            let passed = now.at.0.saturating_sub(turn.started_at.0);
            let passed = Duration::from_millis(u64::try_from(passed).unwrap_or(0));
            now.instant + limit.saturating_sub(passed)
        });
    }

    pub(super) fn end_overdue(&mut self, now: Moment, effects: &mut Effects) {
        self.overdue_at = None;
        let Some(turn) = self.turn_in(Phase::Running) else {
            return;
        };
        turn.is_overdue = true;
        turn.phase = Phase::Stopping;
        let told = Report::LimitReached {
            limit: Limit::Time,
            message: overdue(self.turn_limit),
        };
        self.report(told, now, effects);
        self.stop(now, effects);
    }

    /// Ends the turn with all its prompts.
    pub(super) fn finish(&mut self, result: &PromptResult, now: Moment, effects: &mut Effects) {
        let reason = match result {
            PromptResult::Completed => "the agent has ended",
            PromptResult::Stopped => "stopped",
            PromptResult::Failed { message } => message,
        };
        let parts = self.close(reason);
        self.report_all(parts, now, effects);
        let turn = self
            .state
            .running
            .as_mut()
            .and_then(|running| running.turn.take());
        let mut ended = Vec::new();
        for prompt in turn.into_iter().flat_map(|turn| turn.prompts) {
            let finished = Report::PromptFinished {
                prompt: prompt.prompt.clone(),
                result: result.clone(),
            };
            self.report(finished, now, effects);
            ended.push(prompt.prompt);
        }
        self.stop_at = None;
        self.overdue_at = None;
        if let Some(prompt) = ended.last().cloned() {
            self.ended(ended);
            self.keep(prompt, effects);
        }
        self.next(now, effects);
        // While the files are being kept it waits for that.
        if !self.keeping {
            self.survey(effects);
        }
    }

    pub(super) fn close(&mut self, reason: &str) -> Vec<Report> {
        let running = self.state.running.as_mut();
        running
            .map(|running| running.transcript.close(reason))
            .unwrap_or_default()
    }

    pub(super) fn turn_in(&mut self, phase: Phase) -> Option<&mut Turn> {
        let turn = self.state.running.as_mut()?.turn.as_mut()?;
        (turn.phase == phase).then_some(turn)
    }

    pub(super) fn set_phase(&mut self, phase: Phase) {
        if let Some(turn) = self
            .state
            .running
            .as_mut()
            .and_then(|running| running.turn.as_mut())
        {
            turn.phase = phase;
        }
    }
}

pub(super) fn overdue(limit: Duration) -> String {
    format!(
        "The prompt was ended after {} minutes, which is as long as one may run (PROMPT_MINUTES). \
         What was done so far is kept; another prompt goes on from there.",
        limit.as_secs() / 60
    )
}

pub(super) fn deliver(prompt: &SendPrompt) -> Action {
    Action::Deliver(prompt.clone())
}
