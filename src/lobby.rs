//! The Durable Object that tells pages how the list of sessions changes: one for the deployment,
//! with hibernating sockets.
//!
//! What it tells are hints. Whoever tells it something goes on whether it listens or not, and a
//! page that was away asks for the list. But it tells nobody of a session whose repository they
//! were not found to reach in the last ten minutes, by the same rows that lists are made from.

mod access;
mod sockets;
pub mod store;
mod telling;

use std::cell::Cell;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;
use std::time::Duration;

use protocol::api::{LobbyNotice, SessionSummary, Ticket};
use protocol::event::Person;
use protocol::{Millis, SessionId, UserId};
use serde::{Deserialize, Serialize};
use worker::{
    DurableObject, Env, Request as HttpRequest, Response, State, Stub, WebSocket,
    WebSocketIncomingMessage, WebSocketRequestResponsePair, durable_object,
};

use self::store::Store;
use crate::error::Error;
use crate::platform::alarm::Alarm;
use crate::platform::http::{to_object, within};
use crate::platform::sql::DurableSql;
use crate::platform::{clock, random};
use crate::session::request::{REQUEST_PATH, SOCKET_PATH};
use crate::session::store::StoreError;
use crate::tickets::TicketHolder;

/// Between two alarms.
const SHORTEST_WAIT_MS: i64 = 200;

/// Longest that somebody waits for the lobby to listen.
const LISTENING: Duration = Duration::from_secs(5);

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Request {
    IssueTicket {
        holder: TicketHolder,
    },
    Session {
        summary: SessionSummary,
    },
    Seen {
        user: UserId,
        session: SessionId,
    },
    Prompted {
        user: UserId,
        at: Millis,
    },
    /// What one user reaches, or everybody, may have changed.
    LookAgain {
        user: Option<UserId>,
    },
}

#[durable_object]
pub struct Lobby {
    core: Rc<Core>,
}

// What is in memory says only who is at it, and is given back by whoever ends in a panic.
impl UnwindSafe for Lobby {}
impl RefUnwindSafe for Lobby {}

/// What handlers and background work share.
struct Core {
    state: State,
    env: Env,
    store: Option<Store<DurableSql>>,
    /// Notices are told by one at a time, so that none overtakes another.
    telling: Cell<bool>,
    looking: Cell<bool>,
    alarm: Alarm,
}

impl DurableObject for Lobby {
    fn new(state: State, env: Env) -> Self {
        let store = match Store::open(DurableSql::new(&state)) {
            Ok(store) => Some(store),
            Err(error) => {
                Error::from(StoreError::from(error)).log();
                None
            }
        };
        // Answered by the runtime without waking the object.
        match WebSocketRequestResponsePair::new(sockets::PING, sockets::PONG) {
            Ok(pair) => state.set_websocket_auto_response(&pair),
            Err(error) => worker::console_error!("no automatic pong: {error:?}"),
        }
        Self {
            core: Rc::new(Core {
                state,
                env,
                store,
                telling: Cell::default(),
                looking: Cell::default(),
                alarm: Alarm::default(),
            }),
        }
    }

    async fn fetch(&self, mut request: HttpRequest) -> worker::Result<Response> {
        let outcome = match request.path().as_str() {
            SOCKET_PATH => self.core.accept(&request),
            REQUEST_PATH => match request.json::<Request>().await {
                Ok(request) => self.core.answer(request),
                Err(error) => Err(error.into()),
            },
            _ => Err(Error::NotFound("such request")),
        };
        outcome.or_else(Error::into_worker_response)
    }

    async fn alarm(&self) -> worker::Result<Response> {
        self.core.alarm.rang();
        self.core.clone().perform_due().await;
        Response::empty()
    }

    async fn websocket_message(
        &self,
        socket: WebSocket,
        message: WebSocketIncomingMessage,
    ) -> worker::Result<()> {
        sockets::receive(&socket, &message);
        Ok(())
    }

    async fn websocket_close(
        &self,
        _socket: WebSocket,
        _code: usize,
        _reason: String,
        _was_clean: bool,
    ) -> worker::Result<()> {
        Ok(())
    }

    async fn websocket_error(
        &self,
        _socket: WebSocket,
        _error: worker::Error,
    ) -> worker::Result<()> {
        Ok(())
    }
}

impl Core {
    fn store(&self) -> Result<&Store<DurableSql>, Error> {
        self.store.as_ref().ok_or(Error::NotFound("usable storage"))
    }

    fn answer(self: &Rc<Self>, request: Request) -> Result<Response, Error> {
        let (store, now) = (self.store()?, clock::now());
        match request {
            Request::IssueTicket { holder } => {
                let ticket = random::token()?;
                store.issue_ticket(&ticket, &holder, now)?;
                return Ok(Response::from_json(&Ticket { ticket })?.with_status(201));
            }
            Request::Session { summary } => {
                if self.is_empty() {
                    return Ok(Response::empty()?.with_status(204));
                }
                store.note(&summary, now)?;
            }
            Request::Seen { user, session } => {
                self.tell_person(user, &LobbyNotice::Seen { session });
            }
            Request::Prompted { user, at } => {
                if store.prompted(user, at, now)? {
                    self.tell_prompting()?;
                }
            }
            Request::LookAgain { user } => store.look_again(user, now)?,
        }
        self.go_on()?;
        Ok(Response::empty()?.with_status(204))
    }

    /// Sees to all that is due without making anybody wait for it, or else to the alarm.
    fn go_on(self: &Rc<Self>) -> Result<(), Error> {
        let due = self.store()?.next_due()?;
        if due.is_some_and(|due| due <= clock::now()) {
            let core = self.clone();
            self.state
                .wait_until(async move { core.perform_due().await });
            return Ok(());
        }
        self.set_alarm()
    }

    async fn perform_due(self: Rc<Self>) {
        if let Err(error) = self.forget_prompters() {
            error.log();
        }
        futures_util::join!(self.tell_due(), self.look_due());
        if let Err(error) = self.set_alarm() {
            error.log();
        }
    }

    fn forget_prompters(&self) -> Result<(), Error> {
        if self.store()?.forget_prompters(clock::now())? {
            self.tell_prompting()?;
        }
        Ok(())
    }

    fn tell_prompting(&self) -> Result<(), Error> {
        let people = self.store()?.people_prompting()?;
        self.tell_all(&LobbyNotice::Prompting { people });
        Ok(())
    }

    /// Sees to it that the alarm rings when something is due, or before.
    fn set_alarm(&self) -> Result<(), Error> {
        let Some(due) = self.store()?.next_due()? else {
            return Ok(());
        };
        // What is due already is being seen to by somebody.
        let soonest = clock::now().plus(SHORTEST_WAIT_MS);
        self.alarm.ring_by(&self.state, due.max(soonest));
        Ok(())
    }
}

/// The right to do something that one does at a time; given back when it is dropped.
struct Turn<'a>(&'a Cell<bool>);

impl<'a> Turn<'a> {
    fn take(taken: &'a Cell<bool>) -> Option<Self> {
        (!taken.replace(true)).then_some(Self(taken))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// The object, for a page that opens a socket.
pub fn stub(env: &Env) -> Result<Stub, Error> {
    Ok(env.durable_object("LOBBY")?.get_by_name("lobby")?)
}

/// A ticket for one socket.
pub async fn issue_ticket(env: &Env, person: Person, origin: String) -> Result<Response, Error> {
    let holder = TicketHolder::page(person, origin);
    let request = to_object(REQUEST_PATH, &Request::IssueTicket { holder })?;
    Ok(stub(env)?.fetch_with_request(request).await?)
}

/// Tells that a session is new or has changed. Those that never had a prompt are in no list.
pub async fn session_changed(env: &Env, summary: SessionSummary) {
    if !summary.title.is_empty() {
        tell(env, &Request::Session { summary }).await;
    }
}

/// Tells the other pages of somebody that they have looked at a session.
pub async fn seen(env: &Env, user: UserId, session: SessionId) {
    tell(env, &Request::Seen { user, session }).await;
}

/// Tells that somebody prompted.
pub async fn prompted(env: &Env, user: UserId, at: Millis) {
    tell(env, &Request::Prompted { user, at }).await;
}

/// Tells that what one user reaches, or everybody, may have changed.
pub async fn look_again(env: &Env, user: Option<UserId>) {
    tell(env, &Request::LookAgain { user }).await;
}

/// Whoever tells something goes on whether it was heard or not.
async fn tell(env: &Env, request: &Request) {
    let told = async {
        let request = to_object(REQUEST_PATH, request)?;
        let answer = stub(env)?.fetch_with_request(request).await?;
        Ok::<_, Error>(answer.status_code())
    };
    match within(told, LISTENING).await {
        Some(Ok(200..=299)) => {}
        Some(Ok(status)) => worker::console_warn!("the lobby answered {status}"),
        Some(Err(error)) => error.log(),
        None => worker::console_warn!("the lobby did not listen in time"),
    }
}
