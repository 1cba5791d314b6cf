//! Terminals: the session gives out tickets for its sandbox and knows where that is. What is typed
//! and shown passes by it.

use std::rc::Rc;

use protocol::event::Person;
use protocol::{Epoch, SandboxId};
use serde::{Deserialize, Serialize};
use worker::Response;

use super::Core;
use super::machine::Input;
use crate::error::Error;
use crate::platform::{clock, random};
use crate::tickets::TicketHolder;

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

/// A ticket for a terminal opens nothing else, and no other ticket a terminal.
fn purpose(origin: &str) -> String {
    format!("terminal {origin}")
}
