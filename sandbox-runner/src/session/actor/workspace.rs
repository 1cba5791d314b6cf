//! What goes on in a sandbox's workspace beside the agent's prompts: it is brought up to date, work in
//! progress is kept, and writes that waited for either are told.

use std::sync::Arc;
use std::time::Duration;

use protocol::Millis;
use protocol::event::{Limit, Step, StepName};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::{Actor, Outcome};
use crate::clock;
use crate::gateway::{Gate, Serving, Wait, WaitCause, Wish};
use crate::session::keeping;
use crate::session::machine::Input;
use crate::session::progress::Site;
use crate::session::provision::{Footing, synchronise};
use crate::session::sharing::Desk;

/// From something typed to the keeping of what came of it, and of all that was typed meanwhile.
const TYPING: Duration = Duration::from_secs(2);
/// After that long without anything typed, what programs went on to write is kept as well.
const QUIET: Duration = Duration::from_secs(20);

impl Actor {
    /// What the sandbox tells of its workspace is heard from now on.
    pub(super) fn serve_requests(&mut self, serving: Serving) {
        // Here, where nothing was counted yet, an earlier process's figures are counted on from.
        serving.ledger().restore(self.machine.contacts());
        let (ledger, told) = (Arc::clone(serving.ledger()), self.told.clone());
        self.spawn(async move {
            let message = ledger.exhausted().await;
            let limit = Limit::Money;
            // A session that is gone spends nothing.
            let _ = told.send(Input::LimitReached { limit, message }).await;
            Outcome::Nothing
        });
        let (gate, told) = (serving.gate(), self.told.clone());
        self.prompt.send_replace(self.machine.current_prompt());
        let desk = Desk {
            machinery: Arc::clone(&self.machinery),
            start: self.start.clone(),
            place: self.place.clone(),
            prompt: self.prompt.subscribe(),
        };
        let offering = Arc::clone(&gate);
        self.spawn(async move {
            desk.serve(offering.offers()).await;
            Outcome::Nothing
        });
        self.serving = Some(serving);
        // What its repository may reach may have changed since the start was written.
        self.pool.announcements().notify_one();
        self.spawn(async move {
            loop {
                let input = tokio::select! {
                    wait = gate.waited() => {
                        if wait.cause == WaitCause::Late
                            && let Some(message) = gate.writes().lateness()
                        {
                            let _ = told.send(Input::Notice { message }).await;
                        }
                        Input::Step(write_wait(&wait))
                    }
                    Wish { branch, wish } = gate.wished() => Input::PullRequestWished { branch, wish },
                    text = gate.updated() => Input::Update { text },
                };
                if told.send(input).await.is_err() {
                    return Outcome::Nothing;
                }
            }
        });
    }

    /// Brings the workspace up to date beside whatever the agent does, and keeps its work from
    /// then on.
    pub(super) fn synchronise(&mut self) {
        let gate = self.serving.as_ref().map(Serving::gate);
        let (Some(gate), Some(ground)) = (gate, self.ground.clone()) else {
            return;
        };
        let (machinery, start) = (Arc::clone(&self.machinery), self.start.clone());
        let (place, told) = (self.place.clone(), self.told.clone());
        let untouched = self.machine.is_untouched();
        self.spawn(async move {
            let footing = Footing {
                place: &place,
                ground: &ground,
                untouched,
            };
            let told = &told;
            Outcome::Input(synchronise(&machinery, &start, footing, &gate, told).await)
        });
    }

    /// Keeps what the agent writes from now on, and people in the terminal.
    pub(super) fn keep_progress(&mut self) {
        let gate = self.serving.as_ref().map(Serving::gate);
        let (Some(gate), Some(site)) = (gate, self.site()) else {
            return;
        };
        if std::mem::replace(&mut self.keeping, true) {
            return;
        }
        let (progress, served) = (Arc::clone(&self.progress), Arc::clone(&gate));
        self.spawn(async move {
            progress.ship(&served).await;
            Outcome::Nothing
        });
        let typed = self.machinery.terminals.typed(&self.start.sandbox);
        let written = Arc::clone(&gate);
        self.spawn(async move {
            heed(&typed, &written).await;
            Outcome::Nothing
        });
        let (progress, told) = (Arc::clone(&self.progress), self.told.clone());
        self.spawn(async move {
            progress.follow(&site, &gate, &told).await;
            Outcome::Nothing
        });
    }

    /// Keeps what was not kept yet of a sandbox that is ended in the middle of its work. The session
    /// may go on from it in another, or may be over: that is not known here.
    pub(super) async fn settle(&mut self) {
        if let Some(scene) = self.machine.remains() {
            let (machinery, start) = (Arc::clone(&self.machinery), self.start.clone());
            keeping::salvage(&machinery, &start, &self.place.clone(), scene).await;
        }
    }

    fn site(&self) -> Option<Site> {
        Some(Site {
            place: self.place.clone(),
            base: self.ground.as_ref()?.commit.clone(),
        })
    }
}

/// Counts what is typed in a terminal as writes.
async fn heed(typed: &Notify, gate: &Gate) {
    loop {
        typed.notified().await;
        loop {
            sleep(TYPING).await;
            gate.writes().by_hand();
            if timeout(QUIET, typed.notified()).await.is_err() {
                gate.writes().by_hand();
                break;
            }
        }
    }
}

fn write_wait(wait: &Wait) -> Step {
    let what = format!("{} {}", wait.tool, wait.path);
    let what = what.trim_end();
    let detail = match wait.cause {
        WaitCause::Sync => what.to_owned(),
        WaitCause::Keeping => format!("{what}: until what was written before it was kept"),
        WaitCause::Late => format!("{what}: what was written before it is not kept yet"),
    };
    let ended_at = clock::now();
    Step {
        name: StepName::WriteWait,
        started_at: Millis(ended_at.0.saturating_sub_unsigned(wait.ms)),
        ms: wait.ms,
        detail: Some(detail),
    }
}
