//! What the machine wants, done: calls to the agent in their order, everything else as a task that
//! comes back with what became of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use protocol::SnapshotId;

use super::{Actor, Outcome};
use crate::agent::{Agent, ConversationId};
use crate::cause;
use crate::gateway::Serving;
use crate::session::driver::Call;
use crate::session::machine::{Action, Input};
use crate::session::upkeep::clear;
use crate::session::{Machinery, keeping, publication, survey};

/// How long an agent whose process lives may leave its event stream closed.
const STREAM_PATIENCE: Duration = Duration::from_secs(60);
const STREAM_WAIT: Duration = Duration::from_millis(100);

impl Actor {
    pub(super) fn perform(&mut self, action: Action) {
        let (machinery, start) = (Arc::clone(&self.machinery), self.start.clone());
        let (progress, place) = (Arc::clone(&self.progress), self.place.clone());
        match action {
            Action::Deliver(prompt) => self.call(Call::Deliver(prompt)),
            Action::Abort => self.call(Call::Abort),
            Action::Listen => self.listen(),
            Action::Synchronise => self.synchronise(),
            Action::Clear => {
                self.spawn(async move {
                    clear(&machinery, &place).await;
                    Outcome::Input(Input::Cleared)
                });
            }
            Action::Publish(work) => {
                let gate = self.serving.as_ref().map(Serving::gate);
                let written = gate.map_or(0, |gate| gate.writes().count());
                self.spawn(async move {
                    let published = publication::publish(&machinery, &start, &place, &work).await;
                    let is_pushed = |input: &Input| {
                        matches!(input, Input::Published { outcome, .. } if outcome.as_ref().is_ok_and(|pushed| !pushed.is_empty()))
                    };
                    if is_pushed(&published) {
                        progress.pushed(written).await;
                    }
                    Outcome::Input(published)
                });
            }
            Action::Keep {
                prompt,
                scene,
                survey,
            } => {
                self.spawn(async move {
                    let still = progress.still().await;
                    let kept =
                        keeping::keep(&machinery, &start, &place, *scene, prompt, &survey).await;
                    if let Input::Kept {
                        snapshot: Some(snapshot),
                        ..
                    } = &kept
                    {
                        progress.preserved(snapshot, still).await;
                    }
                    Outcome::Input(kept)
                });
            }
            Action::Survey(turn) => {
                self.spawn(async move {
                    // Git would hold files open that are to be kept.
                    let still = progress.still().await;
                    let kept = survey::survey(&machinery, &start, &place, &turn).await;
                    drop(still);
                    for parcel in kept {
                        survey::deliver(&machinery, &parcel).await;
                    }
                    Outcome::Input(Input::Surveyed)
                });
            }
            Action::Sleep(scene) => {
                // The agent's end is wanted, and nothing that it still says is of any use.
                (self.link, self.events, self.keeping) = (None, None, false);
                self.tasks.abort_all();
                let retires = self.retires.clone();
                self.spawn(async move {
                    let slept = keeping::sleep(&machinery, &start, &place, *scene).await;
                    if let Input::Slept { snapshot } = &slept {
                        if let Some(unkept) = retires {
                            leave(&machinery, Some(snapshot), &unkept).await;
                        }
                        progress.preserved(snapshot, progress.still().await).await;
                    }
                    Outcome::Input(slept)
                });
            }
            Action::Salvage(scene) => {
                (self.link, self.events, self.keeping) = (None, None, false);
                self.tasks.abort_all();
                let retires = self.retires.clone();
                self.spawn(async move {
                    let snapshot = keeping::salvage(&machinery, &start, &place, *scene).await;
                    if let Some(unkept) = retires {
                        leave(&machinery, snapshot.as_ref(), &unkept).await;
                    }
                    Outcome::Input(Input::Salvaged { snapshot })
                });
            }
            Action::WarmUp => {
                let Some(agent) = self.link.as_ref().map(|link| link.agent.clone()) else {
                    return;
                };
                self.spawn(async move {
                    if let Err(error) = agent.warm_up().await {
                        tracing::warn!(error = cause::chain(&error), "the agent stays cold");
                    }
                    Outcome::Nothing
                });
            }
        }
    }

    pub(super) fn listen(&mut self) {
        self.events = None;
        let Some(link) = self.link.as_ref().filter(|_| !self.listening) else {
            return;
        };
        self.listening = true;
        let (agent, conversation) = (link.agent.clone(), link.conversation.clone());
        self.spawn(async move { open_stream(&agent, &conversation).await });
    }

    fn call(&self, call: Call) {
        let Some(link) = &self.link else { return };
        if let Err(error) = link.calls.try_send(call) {
            tracing::error!(sandbox = %self.start.sandbox, %error, "a call to the agent was dropped");
        }
    }
}

/// Puts what a sandbox became into the depot, since its machine goes away; counts where there is
/// nothing of it then.
async fn leave(machinery: &Machinery, snapshot: Option<&SnapshotId>, unkept: &AtomicUsize) {
    let is_kept = match snapshot {
        Some(snapshot) => machinery.courier.bring_for_good(snapshot).await,
        None => false,
    };
    if !is_kept {
        tracing::error!("nothing could be kept of a sandbox");
        unkept.fetch_add(1, Ordering::Relaxed);
    }
}

async fn open_stream(agent: &Agent, conversation: &ConversationId) -> Outcome {
    let deadline = Instant::now() + STREAM_PATIENCE;
    loop {
        match agent.events(conversation).await {
            Ok(events) => return Outcome::Events(events),
            Err(error) if Instant::now() >= deadline => {
                let reason = format!(
                    "the agent does not answer any more: {}",
                    cause::chain(&error)
                );
                return Outcome::Input(Input::Lost { reason });
            }
            Err(error) => {
                tracing::debug!(error = cause::chain(&error), "no event stream yet");
                tokio::time::sleep(STREAM_WAIT).await;
            }
        }
    }
}
