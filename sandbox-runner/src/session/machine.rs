//! What a sandbox's session decides: inputs in; reports, actions and a changed state out.
//!
//! Pure: no I/O and no clock. The caller records state and reports in one transaction and only
//! then performs the actions, so each action may be performed twice: after a restart
//! [`Machine::resume`] names those that the recorded state still waits for.

mod delivery;
mod exchange;
mod keeping;
mod losing;
mod publishing;
mod standing;
mod state;
mod surveying;
mod turns;

use std::time::{Duration, Instant};

use protocol::callback::{MAX_CONTACTS, Report};
use protocol::command::Start;
use protocol::event::{Step, StepName};
use protocol::ledger::Contact;
use protocol::{Millis, PromptId};

use crate::agent::transcript::Turn as AgentTurn;
use crate::agent::{AgentEvent, ConversationId};
pub(super) use exchange::{Action, Effects, Ground, Input, Moment, Ready, Scene, Source, Work};
pub(super) use state::State;
use state::{Delivery, Phase, Rest, Running};
pub(super) use surveying::Survey;

/// How long an agent may take to end a stopped turn. It takes 10 to 70 ms.
pub(super) const STOP_PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Machine {
    start: Start,
    state: State,
    /// When patience with a stopped agent ends. Not recorded: a restart stops it again.
    stop_at: Option<Instant>,
    /// How long a turn may take.
    turn_limit: Duration,
    /// When the turn has taken that long. Not recorded: it follows from when the turn began.
    overdue_at: Option<Instant>,
    /// While the files are being kept no turn begins: they would be those of half a turn. Not
    /// recorded: after a restart nobody is keeping them.
    keeping: bool,
    /// Whether the workspace is being brought up to date. Not recorded: a restart begins again.
    synchronising: bool,
    /// Whether the changes of a turn are being told. Not recorded: a restart begins again.
    surveying: bool,
}

impl Machine {
    pub(super) fn new(start: Start, state: State, turn_limit: Duration) -> Self {
        Self {
            start,
            state,
            stop_at: None,
            turn_limit,
            overdue_at: None,
            keeping: false,
            synchronising: false,
            surveying: false,
        }
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// Whether the sandbox is gone, lost or asleep: only its last reports are left.
    pub(super) fn is_gone(&self) -> bool {
        self.state.gone
    }

    /// Whether a recorded state was on its way to sleep: its agent may have been ended, and the
    /// sandbox have become a snapshot.
    pub(super) fn is_falling_asleep(&self) -> bool {
        self.state.rest == Rest::Asleep && self.state.running.is_some()
    }

    /// Whether the sandbox is lost, and what is left of it is being kept.
    pub(super) fn is_losing(&self) -> bool {
        self.state.losing.is_some()
    }

    pub(super) fn is_up_to_date(&self) -> bool {
        self.state.standing.is_some()
    }

    /// Whether the workspace is as it was when the sandbox was made, until it is brought up to date.
    pub(super) fn is_untouched(&self) -> bool {
        !self.state.tried
    }

    /// What the sandbox was made of, if it was ready.
    pub(super) fn ground(&self) -> Option<&Ground> {
        let running = self.state.running.as_ref()?;
        Some(&running.ground)
    }

    /// What goes on by itself with the agent, if the sandbox was ready.
    pub(super) fn conversation(&self) -> Option<&ConversationId> {
        self.state
            .running
            .as_ref()
            .map(|running| running.transcript.conversation())
    }

    /// The newest prompt of the turn that goes on.
    pub(super) fn current_prompt(&self) -> Option<PromptId> {
        let turn = self.state.running.as_ref()?.turn.as_ref()?;
        turn.prompts.last().map(|prompt| prompt.prompt.clone())
    }

    pub(super) fn contacts(&self) -> &[Contact] {
        &self.state.contacts
    }

    /// Takes changes of the ledger over into the recorded state, and makes reports of them.
    pub(super) fn report_contacts(&mut self, changed: Vec<Contact>) -> Vec<Report> {
        let contacts = &mut self.state.contacts;
        for contact in &changed {
            match contacts.iter_mut().find(|known| contact.replaces(known)) {
                Some(known) => known.clone_from(contact),
                None => contacts.push(contact.clone()),
            }
        }
        changed
            .chunks(MAX_CONTACTS)
            .map(|contacts| Report::Contacts {
                contacts: contacts.to_vec(),
            })
            .collect()
    }

    /// When an [`Input::Time`] is wanted.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        self.stop_at
            .into_iter()
            .chain(self.overdue_at)
            .chain(self.state.coalescer.due(now))
            .min()
    }

    /// Takes up a recorded state. Called once, after a restart.
    pub(super) fn resume(&mut self, now: Moment) -> Effects {
        let mut effects = Effects::default();
        effects
            .reports
            .append(&mut self.state.coalescer.flush(now.instant));
        let Some(running) = &mut self.state.running else {
            return effects;
        };
        if let Some(turn) = running
            .turn
            .as_mut()
            .filter(|turn| turn.delivery == Delivery::InFlight)
        {
            turn.delivery = Delivery::Unknown;
        }
        if self.is_losing() {
            self.salvage(&mut effects);
            return effects;
        }
        if self.is_falling_asleep() {
            self.doze(&mut effects);
            return effects;
        }
        effects.actions.push(Action::Listen);
        self.synchronise(&mut effects);
        self.survey(&mut effects);
        let Some(running) = &self.state.running else {
            return effects;
        };
        match running.turn.as_ref().map(|turn| turn.phase) {
            Some(Phase::Stopping) => self.stop(now, &mut effects),
            Some(Phase::Publishing { .. }) => self.publish(&mut effects),
            Some(Phase::Running) => self.expect_end(now),
            None => self.next(now, &mut effects),
        }
        effects
    }

    pub(super) fn apply(&mut self, input: Input, now: Moment) -> Effects {
        let mut effects = Effects::default();
        if self.is_losing() && !self.concerns_the_lost(&input) {
            return effects;
        }
        match input {
            Input::Prompt(prompt) => self.prompt(prompt, now, &mut effects),
            Input::Stop(prompt) => self.stop_prompt(&prompt, now, &mut effects),
            Input::Sleep => {
                self.state.rest = Rest::Drowsy;
                self.doze(&mut effects);
            }
            Input::Kept {
                snapshot,
                prompt,
                started_at,
                recorded,
            } => {
                self.recorded(&prompt, recorded);
                self.kept(snapshot, prompt, started_at, now, &mut effects);
                self.survey(&mut effects);
            }
            Input::Surveyed => self.surveyed(&mut effects),
            Input::Slept { snapshot } => self.slept(snapshot, now, &mut effects),
            Input::LimitReached { limit, message } => {
                self.report(Report::LimitReached { limit, message }, now, &mut effects);
            }
            Input::PullRequestWished { branch, wish } => {
                self.wished(branch, wish, now, &mut effects);
            }
            Input::Update { text } => {
                if let Some(prompt) = self.current_prompt() {
                    self.report(Report::Update { prompt, text }, now, &mut effects);
                }
            }
            Input::Step(step) => self.report(Report::Step { step }, now, &mut effects),
            Input::Opened => {
                self.synchronising = true;
                self.state.standing = None;
            }
            Input::Ready(ready) => self.ready(*ready, now, &mut effects),
            Input::Synchronised(synchronised) => {
                self.synchronised(*synchronised, now, &mut effects);
            }
            Input::Unsynchronised { message } => self.unsynchronised(&message, now, &mut effects),
            Input::Notice { message } => self.report(Report::Notice { message }, now, &mut effects),
            Input::Agent(event) => self.agent(&event, now, &mut effects),
            Input::Delivered(prompt) => self.delivered(&prompt),
            Input::Undelivered {
                prompt,
                message,
                fatal,
            } => {
                self.undelivered(&prompt, message, fatal, now, &mut effects);
            }
            Input::Cleared => self.cleared(now, &mut effects),
            Input::Published {
                outcome,
                started_at,
            } => {
                self.published(outcome, started_at, now, &mut effects);
            }
            Input::Time => self.time(now, &mut effects),
            Input::Lost { reason } => self.lost(reason, now, &mut effects),
            Input::Salvaged { snapshot } => self.salvaged(snapshot, now, &mut effects),
        }
        effects
    }

    fn ready(&mut self, ready: Ready, now: Moment, effects: &mut Effects) {
        let Ready { ground, transcript } = ready;
        let is_warm = ground.source == Source::Pool;
        let report = Report::Ready {
            image: ground.image.clone(),
            commit: ground.commit.clone(),
        };
        self.state.running = Some(Running {
            ground,
            transcript,
            turn: None,
        });
        self.report(report, now, effects);
        self.next(now, effects);
        let is_wanted = |action: &Action| matches!(action, Action::Deliver(_) | Action::Sleep(_));
        if !is_warm && !effects.actions.iter().any(is_wanted) {
            effects.actions.push(Action::WarmUp);
        }
    }

    fn agent(&mut self, event: &AgentEvent, now: Moment, effects: &mut Effects) {
        let Some(running) = &mut self.state.running else {
            return;
        };
        let progress = running.transcript.event(event);
        let begun = running.transcript.has_begun();
        if let Some(turn) = running.turn.as_mut().filter(|turn| !turn.answered) {
            let token = |report: &Report| matches!(report, Report::PartStarted { .. });
            if progress.reports.iter().any(token) {
                turn.answered = true;
                let first = turn.prompts.first().filter(|prompt| !prompt.resumed);
                let sent_at = first.map_or(turn.started_at, |prompt| prompt.sent_at);
                let step = step(StepName::FirstToken, sent_at.min(now.at), now);
                self.report(Report::Step { step }, now, effects);
            }
        }
        self.report_all(progress.reports, now, effects);
        match progress.turn {
            Some(AgentTurn::Busy) => self.busy(),
            Some(AgentTurn::Retrying { message }) => self.retrying(message, now, effects),
            Some(AgentTurn::Idle) => self.idle(None, now, effects),
            Some(AgentTurn::Error { message }) => self.idle(Some(message), now, effects),
            None => {}
        }
        if matches!(event, AgentEvent::Snapshot(_)) && !begun {
            self.deliver_again(now, effects);
        }
    }

    fn time(&mut self, now: Moment, effects: &mut Effects) {
        if self.stop_at.is_some_and(|at| at <= now.instant) {
            self.stop_at = None;
            effects.actions.push(Action::Clear);
        }
        if self.overdue_at.is_some_and(|at| at <= now.instant) {
            self.end_overdue(now, effects);
        }
        if self
            .state
            .coalescer
            .due(now.instant)
            .is_some_and(|due| due <= now.instant)
        {
            effects
                .reports
                .append(&mut self.state.coalescer.flush(now.instant));
        }
    }

    fn report(&mut self, report: Report, now: Moment, effects: &mut Effects) {
        effects
            .reports
            .append(&mut self.state.coalescer.push(report, now.instant));
    }

    fn report_all(&mut self, reports: Vec<Report>, now: Moment, effects: &mut Effects) {
        for report in reports {
            self.report(report, now, effects);
        }
    }
}

/// A step that ends now.
pub(super) fn step(name: StepName, started_at: Millis, now: Moment) -> Step {
    Step {
        name,
        started_at,
        ms: now.at.since(started_at),
        detail: None,
    }
}

#[cfg(test)]
mod tests;
