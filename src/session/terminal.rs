//! Terminals: the session gives out tickets for its sandbox and knows where that is. What is typed
//! and shown passes by it.

use std::rc::Rc;
use std::time::Duration;

use protocol::api::TerminalExpulsion;
use protocol::event::Person;
use protocol::{Epoch, SandboxId};
use serde::{Deserialize, Serialize};
use worker::Response;

use super::Core;
use super::machine::Input;
use crate::config;
use crate::error::Error;
use crate::platform::{clock, http, random};
use crate::tickets::TicketHolder;

const DEADLINE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TerminalRequest {
    /// Answers a ticket that is good for this origin's pages.
    Issue { person: Person, origin: String },
    /// Answers an [`Admitted`], once for each ticket.
    Redeem { ticket: String, origin: String },
    /// Somebody types in this sandbox's.
    Used { sandbox: SandboxId, epoch: Epoch },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Admitted {
    pub person: Person,
    /// The sandbox, and where its runner is; none if it is not up.
    pub place: Option<(SandboxId, String)>,
}

impl Core {
    pub(super) fn terminal(self: &Rc<Self>, request: TerminalRequest) -> Result<Response, Error> {
        let state = self.session()?;
        let store = self.store()?;
        match request {
            TerminalRequest::Issue { person, origin } => {
                let ticket = random::token()?;
                let holder = TicketHolder::page(person, purpose(&origin));
                store.issue_ticket(&ticket, &holder, clock::now())?;
                Ok(Response::from_json(&protocol::api::Ticket { ticket })?)
            }
            TerminalRequest::Redeem { ticket, origin } => {
                let person = store
                    .redeem_ticket(&ticket, &purpose(&origin), clock::now())?
                    .ok_or(Error::BadTicket)?
                    .person;
                let sandbox = state
                    .sandbox
                    .filter(|sandbox| sandbox.ready && !sandbox.sleeping);
                let place = sandbox.and_then(|sandbox| Some((sandbox.id, sandbox.runner_url?)));
                if place.is_some() {
                    // From here on their access is looked at like that of everybody who is there.
                    store.note_onlooker(&person, clock::now())?;
                    self.watch_access()?;
                }
                Ok(Response::from_json(&Admitted { person, place })?)
            }
            TerminalRequest::Used { sandbox, epoch } => {
                state.believes(&sandbox, epoch)?;
                self.apply(Input::TerminalUsed, None)?;
                Ok(Response::empty()?.with_status(204))
            }
        }
    }
}

impl Core {
    /// Has the runner close somebody's terminal, if they may have one open. Whoever cannot be closed
    /// out now is tried again.
    pub(super) async fn close_terminal(&self, person: &Person) -> Result<(), Error> {
        let store = self.store()?;
        let mut onlookers = store.onlookers(clock::now())?.into_iter();
        if !onlookers.any(|onlooker| onlooker.id == person.id) {
            return Ok(());
        }
        if let Some(sandbox) = self.session()?.sandbox
            && let Some(runner) = &sandbox.runner_url
        {
            let path = format!("/terminal/{}/expel", sandbox.id);
            let expulsion = TerminalExpulsion { user: person.id };
            let keys = config::runner_keys(&self.env)?;
            let answer = http::post_signed(&keys, runner, &path, &expulsion, DEADLINE).await;
            match answer {
                Ok(answer) if matches!(answer.status, 200..=299 | 404) => {}
                Ok(_) => return Err(Error::SessionAway),
                Err(error) => {
                    worker::console_warn!("a terminal could not be closed: {error}");
                    return Err(Error::SessionAway);
                }
            }
        }
        Ok(store.forget_onlooker(person.id)?)
    }
}

/// A ticket for a terminal opens nothing else, and no other ticket a terminal.
fn purpose(origin: &str) -> String {
    format!("terminal {origin}")
}
