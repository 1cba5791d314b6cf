//! The task of one sandbox: feeds the machine, records what follows, then does it.

mod action;
mod beginning;
mod workspace;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use protocol::callback::Report;
use protocol::command::{Command, Start};
use protocol::{PromptId, SandboxId};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tracing::Instrument as _;

use super::driver::Call;
use super::machine::{Effects, Ground, Input, Machine, Moment, Ready, State};
use super::progress::Progress;
use super::provision::{self, Opened, Reached};
use super::{Line, Machinery, Origin};
use crate::agent::{Agent, AgentError, ConversationId, Events};
use crate::callback::outbox::{Change, Outbox};
use crate::callback::sender::{Finished, Sender};
use crate::gateway::Serving;
use crate::pool::Pool;
use crate::store::{CommandId, Store, StoreError, StoredSandbox};
use crate::{cause, clock};

/// Steps and outcomes of calls that wait to be taken: a few at a time.
const MOST_INPUTS: usize = 32;
/// How long changes of the ledger are gathered.
const CONTACTS_WINDOW: Duration = Duration::from_secs(2);

/// Why a sandbox is no longer served.
enum Ending {
    /// It was told to end, or is lost: its last reports are still to be delivered.
    Closed,
    /// Nobody wants its reports: the session is over, or has another sandbox.
    Void,
}

/// What a task of the session comes back with.
enum Outcome {
    Input(Input),
    Opened(Result<Box<Opened>, String>),
    Reached(Result<Box<Reached>, String>),
    Events(Events),
    Nothing,
}

pub(super) struct Actor {
    machinery: Arc<Machinery>,
    pool: Arc<Pool>,
    start: Start,
    /// What the backend knows the sandbox by: that of the pool's entry if it was claimed.
    place: SandboxId,
    machine: Machine,
    outbox: Outbox,
    waker: Arc<Notify>,
    line: Line,
    /// The newest command that the machine has taken.
    taken: CommandId,
    tasks: JoinSet<Outcome>,
    told: mpsc::Sender<Input>,
    inputs: mpsc::Receiver<Input>,
    progress: Arc<Progress>,
    /// Requests of the sandbox are served while this lives.
    serving: Option<Serving>,
    /// What the sandbox was made of. Present while it is served.
    ground: Option<Ground>,
    /// Whether work in progress is kept.
    keeping: bool,
    /// Present while the agent is reached.
    link: Option<Link>,
    events: Option<Events>,
    listening: bool,
    contacts_reported: Instant,
    /// The prompt that the agent is at, for whoever shares a file of it.
    prompt: watch::Sender<Option<PromptId>>,
    /// Present where what is kept of it has to be in the depot before anybody is told; counts where
    /// there is nothing to keep.
    retires: Option<Arc<AtomicUsize>>,
}

struct Link {
    agent: Agent,
    conversation: ConversationId,
    calls: mpsc::Sender<Call>,
}

impl Actor {
    pub(super) fn new(
        machinery: &Arc<Machinery>,
        pool: &Arc<Pool>,
        stored: &StoredSandbox,
        waker: Arc<Notify>,
        line: Line,
    ) -> Result<Self, StoreError> {
        let state = match &stored.state {
            Some(json) => serde_json::from_str(json).map_err(|source| StoreError::Content {
                what: "session",
                source,
            })?,
            None => State::default(),
        };
        let start = stored.start.clone();
        let (told, inputs) = mpsc::channel(MOST_INPUTS);
        Ok(Self {
            machinery: Arc::clone(machinery),
            pool: Arc::clone(pool),
            place: machinery.store.place_of(&start.sandbox)?,
            machine: Machine::new(start.clone(), state, machinery.turn_limit),
            progress: Arc::new(Progress::new(Arc::clone(machinery), start.clone())),
            outbox: Outbox::new(Arc::clone(&machinery.store), start.sandbox.clone()),
            start,
            waker,
            line,
            taken: CommandId::default(),
            tasks: JoinSet::new(),
            told,
            inputs,
            serving: None,
            ground: None,
            keeping: false,
            link: None,
            events: None,
            listening: false,
            contacts_reported: Instant::now(),
            prompt: watch::Sender::default(),
            retires: None,
        })
    }

    /// Serves the sandbox to its end. After an error, the recorded state is the truth.
    pub(super) async fn run(
        mut self,
        origin: Origin,
        unkept: &Arc<AtomicUsize>,
    ) -> Result<(), StoreError> {
        self.retires = (origin == Origin::Retired).then(|| Arc::clone(unkept));
        let (close, closing) = watch::channel(false);
        let sender = Sender::new(
            self.outbox.clone(),
            self.machinery.worker.clone(),
            &self.start,
            closing,
        );
        let mut sender = AbortOnDrop(tokio::spawn(sender.run().in_current_span()));
        let ending = self.serve(origin, &mut sender.0).await?;
        self.tasks.shutdown().await;
        if matches!(ending, Ending::Closed) {
            self.report_contacts()?;
        }
        self.settle().await;
        (self.link, self.events, self.serving) = (None, None, None);
        self.vacate().await?;
        self.line.leave();
        if matches!(ending, Ending::Closed) {
            close.send_replace(true);
            match (&mut sender.0).await {
                Ok(Finished::Drained | Finished::Gone) => {}
                Ok(Finished::GaveUp) => {
                    tracing::error!(sandbox = %self.start.sandbox, "the last reports were not delivered");
                }
                Err(error) => tracing::error!(%error, "a sender failed"),
            }
        }
        self.store().end(&self.start.sandbox, clock::now())?;
        tracing::info!(sandbox = %self.start.sandbox, "sandbox ended");
        Ok(())
    }

    async fn serve(
        &mut self,
        origin: Origin,
        sender: &mut JoinHandle<Finished>,
    ) -> Result<Ending, StoreError> {
        // Before anything is started: it may be to end.
        if self.take_commands()? || self.machine.is_gone() {
            return Ok(Ending::Closed);
        }
        self.begin(origin).await?;
        loop {
            if self.machine.is_gone() {
                return Ok(Ending::Closed);
            }
            let due = self.machine.due(Instant::now());
            tokio::select! {
                () = self.waker.notified() => {
                    if self.take_commands()? {
                        return Ok(Ending::Closed);
                    }
                }
                Some(input) = self.inputs.recv() => self.apply(input, &[])?,
                event = next(&mut self.events) => self.heard(event)?,
                Some(outcome) = self.tasks.join_next() => match outcome {
                    Ok(outcome) => self.came_back(outcome)?,
                    Err(error) if error.is_cancelled() => {}
                    Err(error) => {
                        let reason = format!("the runner failed ({error}); send the prompt again");
                        self.apply(Input::Lost { reason }, &[])?;
                    }
                },
                () = until(due) => self.apply(Input::Time, &[])?,
                () = self.line.passed() => return Ok(Ending::Void),
                () = contacts_due(self.serving.as_ref(), self.contacts_reported) => {
                    self.report_contacts()?;
                }
                _ = &mut *sender => return Ok(Ending::Void),
            }
        }
    }

    /// Takes what was recorded since; `true` when the sandbox is to end.
    fn take_commands(&mut self) -> Result<bool, StoreError> {
        for pending in self.store().pending(&self.start.sandbox, self.taken)? {
            self.taken = pending.id;
            let input = match pending.command {
                // The command stays until the end is recorded.
                Command::End { .. } => return Ok(true),
                Command::Prompt(prompt) => Input::Prompt(prompt),
                Command::Stop { prompt, .. } => Input::Stop(prompt),
                Command::Sleep { .. } => Input::Sleep,
                Command::Start(_) | Command::BuildImage(_) => continue,
            };
            self.apply(input, &[pending.id])?;
        }
        Ok(false)
    }

    fn heard(
        &mut self,
        event: Option<Result<crate::agent::AgentEvent, AgentError>>,
    ) -> Result<(), StoreError> {
        match event {
            Some(Ok(event)) => self.apply(Input::Agent(event), &[]),
            Some(Err(error @ AgentError::Event(_))) => {
                tracing::warn!(error = cause::chain(&error), "an event was passed over");
                Ok(())
            }
            Some(Err(error)) => {
                tracing::info!(error = cause::chain(&error), "the event stream broke");
                self.listen();
                Ok(())
            }
            None => {
                self.listen();
                Ok(())
            }
        }
    }

    fn came_back(&mut self, outcome: Outcome) -> Result<(), StoreError> {
        match outcome {
            Outcome::Input(input) => {
                let synchronised =
                    matches!(input, Input::Synchronised(_) | Input::Unsynchronised { .. });
                let kept = matches!(input, Input::Kept { .. });
                self.apply(input, &[])?;
                if kept {
                    self.stand_on(self.machine.ground().cloned());
                }
                // Not before: it might take the place of what is to be restored.
                if synchronised {
                    self.keep_progress();
                }
                Ok(())
            }
            Outcome::Opened(Ok(opened)) => {
                let Opened {
                    place,
                    serving,
                    ground,
                    beginning,
                } = *opened;
                self.place = place.clone();
                self.stand_on(Some(ground.clone()));
                self.serve_requests(serving);
                self.apply(Input::Opened, &[])?;
                self.synchronise();
                let (machinery, start) = (Arc::clone(&self.machinery), self.start.clone());
                let told = self.told.clone();
                self.spawn(async move {
                    let commit = &ground.commit;
                    let reached =
                        provision::reach(&machinery, &start, &place, commit, beginning, &told);
                    let reached = reached.await.map(Box::new);
                    Outcome::Reached(reached.map_err(|error| cause::chain(&error)))
                });
                Ok(())
            }
            Outcome::Reached(Ok(reached)) => {
                let Some(ground) = self.ground.clone() else {
                    return Ok(());
                };
                let Reached {
                    agent,
                    events,
                    transcript,
                } = *reached;
                self.reach(agent, transcript.conversation().clone());
                self.events = Some(events);
                // Steps were told before this; they belong before it.
                while let Ok(input) = self.inputs.try_recv() {
                    self.apply(input, &[])?;
                }
                let ready = Ready { ground, transcript };
                self.apply(Input::Ready(Box::new(ready)), &[])
            }
            Outcome::Opened(Err(reason)) | Outcome::Reached(Err(reason)) => {
                self.apply(Input::Lost { reason }, &[])
            }
            Outcome::Events(events) => {
                self.events = Some(events);
                self.listening = false;
                Ok(())
            }
            Outcome::Nothing => Ok(()),
        }
    }

    fn apply(&mut self, input: Input, done: &[CommandId]) -> Result<(), StoreError> {
        let effects = self.machine.apply(input, now());
        let current = self.machine.current_prompt();
        let before = self.prompt.send_replace(current.clone());
        if let Some(serving) = self.serving.as_ref().filter(|_| current != before) {
            serving.gate().begin_prompt();
        }
        self.carry_out(effects, done)
    }

    /// Records first. What has no report and no action changes nothing that a fresh look at the
    /// agent would not change again, and is recorded with the next that has.
    fn carry_out(&mut self, effects: Effects, done: &[CommandId]) -> Result<(), StoreError> {
        let Effects {
            mut reports,
            actions,
        } = effects;
        let ends = |report: &Report| {
            matches!(
                report,
                Report::PromptFinished { .. } | Report::Slept { .. } | Report::Lost { .. }
            )
        };
        if reports.iter().any(ends) {
            // Whoever sees that a prompt has ended also sees what it has cost.
            reports.splice(0..0, self.changed_contacts());
        }
        if reports.is_empty() && actions.is_empty() && done.is_empty() {
            return Ok(());
        }
        let state =
            serde_json::to_string(self.machine.state()).map_err(|source| StoreError::Content {
                what: "session",
                source,
            })?;
        self.outbox.append(&Change {
            reports: &reports,
            state: &state,
            done,
        })?;
        for report in &reports {
            self.log(report);
        }
        for action in actions {
            self.perform(action);
        }
        Ok(())
    }

    fn report_contacts(&mut self) -> Result<(), StoreError> {
        let effects = Effects {
            reports: self.changed_contacts(),
            ..Effects::default()
        };
        self.carry_out(effects, &[])
    }

    fn changed_contacts(&mut self) -> Vec<Report> {
        self.contacts_reported = Instant::now();
        let changed = self
            .serving
            .as_ref()
            .map(|serving| serving.ledger().take_changes());
        self.machine.report_contacts(changed.unwrap_or_default())
    }

    /// What the log of a runner is read for: where the time went, and why something ended.
    fn log(&self, report: &Report) {
        let sandbox = &self.start.sandbox;
        match report {
            Report::Step { step } => {
                tracing::info!(%sandbox, step = ?step.name, duration_ms = step.ms, "step ended");
            }
            Report::PromptFinished { prompt, result } => {
                tracing::info!(%sandbox, %prompt, ?result, "prompt ended");
            }
            Report::Lost { reason } => tracing::warn!(%sandbox, reason, "sandbox lost"),
            _ => {}
        }
    }

    /// What it logs is the session's.
    fn spawn(&mut self, task: impl Future<Output = Outcome> + Send + 'static) {
        self.tasks.spawn(task.in_current_span());
    }

    fn store(&self) -> &Store {
        &self.machinery.store
    }
}

/// A session that ends early must not leave its sender behind.
struct AbortOnDrop(JoinHandle<Finished>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn next(events: &mut Option<Events>) -> Option<Result<crate::agent::AgentEvent, AgentError>> {
    match events {
        Some(events) => events.next().await,
        None => std::future::pending().await,
    }
}

async fn contacts_due(serving: Option<&Serving>, reported: Instant) {
    match serving {
        Some(serving) => {
            serving.ledger().changed().await;
            tokio::time::sleep_until((reported + CONTACTS_WINDOW).into()).await;
        }
        None => std::future::pending().await,
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

fn now() -> Moment {
    Moment {
        at: clock::now(),
        instant: Instant::now(),
    }
}
