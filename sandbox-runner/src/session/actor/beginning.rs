//! Where a sandbox comes from and where it goes: made or taken over, reached, and removed in the end.

use std::sync::Arc;

use super::{Actor, Link, Outcome, now};
use crate::agent::{Agent, ConversationId};
use crate::cause;
use crate::session::driver::{self, AgentLine};
use crate::session::machine::{Ground, Input};
use crate::session::provision::{self, Adopted, Sources};
use crate::session::retirement::REASON;
use crate::session::upkeep::destroy;
use crate::session::{Origin, limits};
use crate::store::StoreError;

impl Actor {
    /// Makes the sandbox, or takes it over where an earlier process made it.
    pub(super) async fn begin(&mut self, origin: Origin) -> Result<(), StoreError> {
        let Some(conversation) = self.machine.conversation().cloned() else {
            if origin != Origin::New {
                self.vacate().await?;
            }
            if origin == Origin::Retired {
                return self.give_up();
            }
            let (machinery, pool) = (Arc::clone(&self.machinery), Arc::clone(&self.pool));
            let (start, told) = (self.start.clone(), self.told.clone());
            let line = self.line.clone();
            self.spawn(async move {
                // What an earlier sandbox of the session leaves is what this one goes on from.
                line.reached().await;
                let sources = Sources {
                    machinery: &machinery,
                    pool: &pool,
                };
                let opened = provision::open(sources, &start, &told).await;
                Outcome::Opened(opened.map(Box::new).map_err(|error| cause::chain(&error)))
            });
            return Ok(());
        };
        if self.machine.is_falling_asleep() || self.machine.is_losing() {
            let effects = self.machine.resume(now());
            return self.carry_out(effects, &[]);
        }
        if origin == Origin::Retired && !self.machine.is_at_rest() {
            return self.give_up();
        }
        let reason = match provision::adopt(&self.machinery, &self.start, &self.place).await {
            Ok(Adopted::Alive(agent, serving)) => {
                tracing::info!(sandbox = %self.start.sandbox, "sandbox taken over");
                if self.machine.is_up_to_date() {
                    serving.gate().up_to_date();
                }
                self.stand_on(self.machine.ground().cloned());
                self.serve_requests(serving);
                self.reach(agent, conversation);
                // Else it might take the place of what is to be restored still.
                if !self.machine.is_untouched() {
                    self.keep_progress();
                }
                let effects = self.machine.resume(now());
                self.carry_out(effects, &[])?;
                if origin == Origin::Retired {
                    self.apply(Input::Sleep, &[])?;
                }
                return Ok(());
            }
            Ok(Adopted::Ended) if self.machine.may_sleep() => {
                let effects = self.machine.sleep_ended(now());
                return self.carry_out(effects, &[]);
            }
            Ok(Adopted::Ended | Adopted::Stale) => {
                "the sandbox ended while the runner was away".to_owned()
            }
            Err(error) => cause::chain(&error),
        };
        self.apply(Input::Lost { reason }, &[])
    }

    /// What runs in it goes on elsewhere.
    fn give_up(&mut self) -> Result<(), StoreError> {
        let reason = REASON.to_owned();
        self.apply(Input::Lost { reason }, &[])
    }

    /// What the sandbox was made of, and has become.
    pub(super) fn stand_on(&mut self, ground: Option<Ground>) {
        if let Some(ground) = &ground {
            self.progress.lies_upon(ground.lineage.clone());
        }
        self.ground = ground;
    }

    pub(super) fn reach(&mut self, agent: Agent, conversation: ConversationId) {
        let line = AgentLine {
            agent: agent.clone(),
            conversation: conversation.clone(),
            model: self.start.model.clone(),
            machinery: Arc::clone(&self.machinery),
            place: self.place.clone(),
        };
        let calls = driver::start(line, self.told.clone());
        self.link = Some(Link {
            agent,
            conversation,
            calls,
        });
        let backend = Arc::clone(&self.machinery.backend);
        let (place, told) = (self.place.clone(), self.told.clone());
        self.spawn(async move {
            limits::watch(backend.as_ref(), &place, &told).await;
            Outcome::Nothing
        });
    }

    /// Removes the sandbox, if there is one, wherever it is.
    pub(super) async fn vacate(&mut self) -> Result<(), StoreError> {
        // It may have been claimed without a word of it having come back.
        self.place = self.store().place_of(&self.start.sandbox)?;
        destroy(self.machinery.backend.as_ref(), &self.place).await;
        if self.place != self.start.sandbox {
            self.store().warm_ended(&self.place)?;
            self.place = self.start.sandbox.clone();
        }
        Ok(())
    }
}
