//! The task of one sandbox: feeds the machine, records what follows, then does it.

mod workspace;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use protocol::ImageId;
use protocol::callback::Report;
use protocol::command::{Command, Start};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::driver::{self, Call};
use super::machine::{Action, Effects, Input, Machine, Moment, Ready, State};
use super::progress::Progress;
use super::provision::{self, Begun, Opened};
use super::upkeep::{agent_ended, clear, destroy};
use super::{Machinery, Origin, publication};
use crate::agent::{Agent, AgentError, ConversationId, Events};
use crate::callback::outbox::{Change, Outbox};
use crate::callback::sender::{Finished, Sender};
use crate::gateway::Serving;
use crate::store::{CommandId, Store, StoreError, StoredSandbox};
use crate::{cause, clock};

/// Steps and outcomes of calls that wait to be taken: a few at a time.
const MOST_INPUTS: usize = 32;
/// How long an agent whose process lives may leave its event stream closed.
const STREAM_PATIENCE: Duration = Duration::from_secs(60);
const STREAM_WAIT: Duration = Duration::from_millis(100);

/// Why a sandbox is no longer served.
enum Ending {
    /// It was told to end, or is lost: its last reports are still to be delivered.
    Closed,
    /// Nobody wants its reports.
    Void,
}

/// What a task of the session comes back with.
enum Outcome {
    Input(Input),
    Opened(Result<Box<Opened>, String>),
    Begun(Result<Box<Begun>, String>),
    Events(Events),
    Nothing,
}

pub(super) struct Actor {
    machinery: Arc<Machinery>,
    start: Start,
    machine: Machine,
    outbox: Outbox,
    waker: Arc<Notify>,
    /// The newest command that the machine has taken.
    taken: CommandId,
    tasks: JoinSet<Outcome>,
    told: mpsc::Sender<Input>,
    inputs: mpsc::Receiver<Input>,
    progress: Arc<Progress>,
    /// Requests of the sandbox are served while this lives.
    serving: Option<Serving>,
    image: Option<ImageId>,
    /// The commit that the sandbox started from.
    base: Option<String>,
    keeping: bool,
    /// Present while the agent is reached.
    link: Option<Link>,
    events: Option<Events>,
    listening: bool,
}

struct Link {
    agent: Agent,
    conversation: ConversationId,
    calls: mpsc::Sender<Call>,
}

impl Actor {
    pub(super) fn new(
        machinery: &Arc<Machinery>,
        stored: &StoredSandbox,
        waker: Arc<Notify>,
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
            machine: Machine::new(start.clone(), state),
            progress: Arc::new(Progress::new(Arc::clone(machinery), start.clone())),
            outbox: Outbox::new(Arc::clone(&machinery.store), start.sandbox.clone()),
            start,
            waker,
            taken: CommandId::default(),
            tasks: JoinSet::new(),
            told,
            inputs,
            serving: None,
            image: None,
            base: None,
            keeping: false,
            link: None,
            events: None,
            listening: false,
        })
    }

    /// Serves the sandbox to its end. After an error, the recorded state is the truth.
    pub(super) async fn run(mut self, origin: Origin) -> Result<(), StoreError> {
        let (close, closing) = watch::channel(false);
        let sender = Sender::new(
            self.outbox.clone(),
            self.machinery.worker.clone(),
            &self.start,
            closing,
        );
        let mut sender = AbortOnDrop(tokio::spawn(sender.run()));
        let ending = self.serve(origin, &mut sender.0).await?;
        self.tasks.shutdown().await;
        self.settle_progress(&ending).await;
        (self.link, self.events, self.serving) = (None, None, None);
        destroy(self.machinery.backend.as_ref(), &self.start.sandbox).await;
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
        if self.take_commands()? || self.machine.is_lost() {
            return Ok(Ending::Closed);
        }
        self.begin(origin).await?;
        loop {
            if self.machine.is_lost() {
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
                    Err(error) => {
                        let reason = format!("the runner failed ({error}); send the prompt again");
                        self.apply(Input::Lost { reason }, &[])?;
                    }
                },
                () = until(due) => self.apply(Input::Time, &[])?,
                _ = &mut *sender => return Ok(Ending::Void),
            }
        }
    }

    /// Makes the sandbox, or takes it over where an earlier process made it.
    async fn begin(&mut self, origin: Origin) -> Result<(), StoreError> {
        let Some(conversation) = self.machine.conversation().cloned() else {
            if origin == Origin::Recorded {
                destroy(self.machinery.backend.as_ref(), &self.start.sandbox).await;
            }
            let (machinery, start) = (Arc::clone(&self.machinery), self.start.clone());
            let told = self.told.clone();
            self.tasks.spawn(async move {
                let opened = provision::open(&machinery, &start, &told).await;
                Outcome::Opened(opened.map(Box::new).map_err(|error| cause::chain(&error)))
            });
            return Ok(());
        };
        let reason = match provision::adopt(&self.machinery, &self.start).await {
            Ok(Some((agent, serving))) => {
                tracing::info!(sandbox = %self.start.sandbox, "sandbox taken over");
                if self.machine.is_up_to_date() {
                    serving.gate().up_to_date();
                }
                self.serve_requests(serving);
                self.reach(agent, conversation);
                self.base = self.machine.image_commit().map(str::to_owned);
                self.keep_progress();
                let effects = self.machine.resume(now());
                return self.carry_out(effects, &[]);
            }
            Ok(None) => "the sandbox ended while the runner was away".to_owned(),
            Err(error) => cause::chain(&error),
        };
        let reason = format!("{reason}; the next prompt starts another from what was pushed");
        self.apply(Input::Lost { reason }, &[])
    }

    fn reach(&mut self, agent: Agent, conversation: ConversationId) {
        let (model, told) = (self.start.model.clone(), self.told.clone());
        let calls = driver::start(agent.clone(), conversation.clone(), model, told);
        self.link = Some(Link {
            agent,
            conversation,
            calls,
        });
        let (backend, sandbox) = (
            Arc::clone(&self.machinery.backend),
            self.start.sandbox.clone(),
        );
        self.tasks
            .spawn(async move { Outcome::Input(agent_ended(backend.as_ref(), &sandbox).await) });
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
                Command::Start(_) | Command::Sleep { .. } | Command::BuildImage(_) => continue,
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
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "an event was passed over"
                );
                Ok(())
            }
            Some(Err(error)) => {
                tracing::info!(
                    error = &error as &dyn std::error::Error,
                    "the event stream broke"
                );
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
                self.apply(input, &[])?;
                // Not before: it might take the place of what is to be restored.
                if synchronised {
                    self.keep_progress();
                }
                Ok(())
            }
            Outcome::Opened(Ok(opened)) => {
                let Opened { image, serving } = *opened;
                self.serve_requests(serving);
                self.apply(Input::Opened, &[])?;
                self.synchronise(image.commit.clone());
                let commit = image.commit.clone();
                (self.image, self.base) = (Some(image.id), Some(image.commit));
                let (machinery, start) = (Arc::clone(&self.machinery), self.start.clone());
                let told = self.told.clone();
                self.tasks.spawn(async move {
                    let begun = provision::start_agent(&machinery, &start, &commit, &told).await;
                    Outcome::Begun(begun.map(Box::new).map_err(|error| cause::chain(&error)))
                });
                Ok(())
            }
            Outcome::Begun(Ok(begun)) => {
                let Begun {
                    agent,
                    conversation,
                    events,
                } = *begun;
                self.reach(agent, conversation.clone());
                self.events = Some(events);
                // Steps were told before this; they belong before it.
                while let Ok(input) = self.inputs.try_recv() {
                    self.apply(input, &[])?;
                }
                let ready = Ready {
                    image: self.image.clone(),
                    conversation,
                    directory: provision::WORKSPACE.to_owned(),
                    commit: self.base.clone().unwrap_or_default(),
                };
                self.apply(Input::Ready(Box::new(ready)), &[])
            }
            Outcome::Opened(Err(reason)) | Outcome::Begun(Err(reason)) => {
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
        self.carry_out(effects, done)
    }

    /// Records first. What has no report and no action changes nothing that a fresh look at the
    /// agent would not change again, and is recorded with the next that has.
    fn carry_out(&mut self, effects: Effects, done: &[CommandId]) -> Result<(), StoreError> {
        let Effects { reports, actions } = effects;
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

    fn perform(&mut self, action: Action) {
        let sandbox = &self.start.sandbox;
        match action {
            Action::Deliver(prompt) => self.call(Call::Deliver(prompt)),
            Action::Abort => self.call(Call::Abort),
            Action::Listen => self.listen(),
            Action::Clear => {
                let machinery = Arc::clone(&self.machinery);
                let sandbox = sandbox.clone();
                self.tasks.spawn(async move {
                    clear(&machinery, &sandbox).await;
                    Outcome::Input(Input::Cleared)
                });
            }
            Action::Publish(work) => {
                let (machinery, start) = (Arc::clone(&self.machinery), self.start.clone());
                let progress = Arc::clone(&self.progress);
                self.tasks.spawn(async move {
                    let published = publication::publish(&machinery, &start, &work).await;
                    if matches!(
                        published,
                        Input::Published {
                            outcome: Ok(Some(_)),
                            ..
                        }
                    ) {
                        progress.forget().await;
                    }
                    Outcome::Input(published)
                });
            }
            Action::Synchronise(commit) => self.synchronise(commit),
            Action::WarmUp => {
                let Some(agent) = self.link.as_ref().map(|link| link.agent.clone()) else {
                    return;
                };
                self.tasks.spawn(async move {
                    if let Err(error) = agent.warm_up().await {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "the agent stays cold"
                        );
                    }
                    Outcome::Nothing
                });
            }
        }
    }

    fn call(&self, call: Call) {
        let Some(link) = &self.link else { return };
        if let Err(error) = link.calls.try_send(call) {
            tracing::error!(sandbox = %self.start.sandbox, %error, "a call to the agent was dropped");
        }
    }

    fn listen(&mut self) {
        self.events = None;
        let Some(link) = self.link.as_ref().filter(|_| !self.listening) else {
            return;
        };
        self.listening = true;
        let (agent, conversation) = (link.agent.clone(), link.conversation.clone());
        self.tasks
            .spawn(async move { open_stream(&agent, &conversation).await });
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

async fn open_stream(agent: &Agent, conversation: &ConversationId) -> Outcome {
    let deadline = Instant::now() + STREAM_PATIENCE;
    loop {
        match agent.events(conversation).await {
            Ok(events) => return Outcome::Events(events),
            Err(error) if Instant::now() >= deadline => {
                let reason = format!(
                    "the agent does not answer any more; the next prompt starts another sandbox: {}",
                    cause::chain(&error)
                );
                return Outcome::Input(Input::Lost { reason });
            }
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "no event stream yet"
                );
                tokio::time::sleep(STREAM_WAIT).await;
            }
        }
    }
}
