//! The Durable Object of one session: a thin shell that turns requests, frames and alarms into
//! inputs of the machine, commits what follows, and then performs it.
//!
//! Nothing is kept in memory that is not in SQLite, so the object can be evicted at any statement.

mod access;
pub mod artifacts;
mod attribution;
pub mod changes;
pub mod effects;
pub mod figures;
pub mod files;
pub mod forge;
pub mod hub;
pub mod machine;
pub mod request;
pub mod schema;
pub mod socket;
pub mod store;
mod tail;
pub mod terminal;
pub mod test_runs;

use std::cell::Cell;
use std::rc::Rc;

use protocol::PromptId;
use protocol::callback::{Acknowledgement, Batch};
use protocol::event::{Person, Prompt};
use worker::{
    DurableObject, Env, Request as HttpRequest, Response, State, WebSocket,
    WebSocketIncomingMessage, WebSocketRequestResponsePair, durable_object,
};

use self::hub::Hub;
use self::machine::{Act, Context, Input};
use self::request::{NewPrompt, REQUEST_PATH, Request, SOCKET_PATH};
use self::store::{Admission, Lease, Store};
use self::tail::Tail;
use crate::config;
use crate::error::Error;
use crate::limits::{self, Bucket};
use crate::platform::alarm::Alarm;
use crate::platform::sql::DurableSql;
use crate::platform::{clock, random};
use crate::tickets::TicketHolder;

#[durable_object]
pub struct Session {
    core: Rc<Core>,
}

// A panic is answered with 500 and leaves nothing half done: what is in memory is rebuilt from
// SQLite, and transactions roll back.
impl std::panic::UnwindSafe for Session {}
impl std::panic::RefUnwindSafe for Session {}

/// What handlers and background work share.
pub(crate) struct Core {
    state: State,
    env: Env,
    store: Option<Store<DurableSql>>,
    idle_ms: i64,
    tail: Tail,
    prompts: Cell<Bucket>,
    alarm: Alarm,
    /// Another one whenever the object was made anew.
    #[cfg(feature = "fault-drill")]
    life: Option<String>,
}

impl DurableObject for Session {
    fn new(state: State, env: Env) -> Self {
        let store = match Store::open(DurableSql::new(&state)) {
            Ok(store) => Some(store),
            Err(error) => {
                Error::from(error).log();
                None
            }
        };
        // Answered by the runtime without waking the object.
        match WebSocketRequestResponsePair::new(r#"{"type":"ping"}"#, r#"{"type":"pong"}"#) {
            Ok(pair) => state.set_websocket_auto_response(&pair),
            Err(error) => worker::console_error!("no automatic pong: {error:?}"),
        }
        let idle_minutes = config::idle_minutes(&env).unwrap_or_else(|error| {
            Error::from(error).log();
            config::IDLE_MINUTES
        });
        Self {
            core: Rc::new(Core {
                state,
                env,
                store,
                idle_ms: idle_minutes * 60_000,
                tail: Tail::default(),
                prompts: Cell::default(),
                alarm: Alarm::default(),
                #[cfg(feature = "fault-drill")]
                life: random::token().ok(),
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
        self.core.receive(&socket, message);
        Ok(())
    }

    async fn websocket_close(
        &self,
        socket: WebSocket,
        _code: usize,
        _reason: String,
        _was_clean: bool,
    ) -> worker::Result<()> {
        Hub::new(&self.core.state).broadcast_presence(Some(&socket));
        Ok(())
    }

    async fn websocket_error(
        &self,
        socket: WebSocket,
        _error: worker::Error,
    ) -> worker::Result<()> {
        Hub::new(&self.core.state).broadcast_presence(Some(&socket));
        Ok(())
    }
}

impl Core {
    fn store(&self) -> Result<&Store<DurableSql>, Error> {
        self.store.as_ref().ok_or(Error::NotFound("usable storage"))
    }

    fn hub(&self) -> Hub<'_> {
        Hub::new(&self.state)
    }

    /// The stored state; a session that was never created is not there.
    fn session(&self) -> Result<machine::State, Error> {
        self.store()?.state()?.ok_or(Error::NotFound("session"))
    }

    fn answer(self: &Rc<Self>, request: Request) -> Result<Response, Error> {
        let store = self.store()?;
        match request {
            Request::Create { create } => {
                if store.state()?.is_none() {
                    let context = self.context()?;
                    let (state, transition) = machine::create(create, context);
                    store.commit(&state, transition, None, context.now)?;
                    self.perform_soon();
                }
                Ok(Response::from_json(&self.summary()?)?)
            }
            Request::Warm => {
                self.apply(Input::Typing, None)?;
                Ok(Response::from_json(&self.summary()?)?)
            }
            Request::Prompt(prompt) => {
                let id = self.prompt(prompt)?;
                Ok(Response::from_json(&protocol::api::CreatedPrompt { id })?.with_status(201))
            }
            Request::Act { act, by } => {
                let status = if matches!(act, Act::Stop) { 202 } else { 204 };
                self.act(act, by)?;
                Ok(Response::empty()?.with_status(status))
            }
            Request::Fork {
                prompt,
                session,
                by,
            } => {
                let state = self.session()?;
                if store.prompt(&prompt)?.is_none() {
                    return Err(Error::NotFound("prompt"));
                }
                let kept = store.kept(&prompt)?;
                Ok(Response::from_json(
                    &state.fork(prompt, kept, session, by)?,
                )?)
            }
            Request::Forked { session, by } => {
                self.apply(Input::Forked { session, by }, None)?;
                Ok(Response::empty()?.with_status(204))
            }
            Request::Rename { title } => {
                self.apply(Input::Rename { title }, None)?;
                Ok(Response::empty()?.with_status(204))
            }
            Request::Summary => Ok(Response::from_json(&self.summary()?)?),
            Request::Events { since, limit } => {
                self.session()?;
                Ok(Response::from_json(&store.events(since, limit)?)?)
            }
            Request::EventsBefore { before, limit } => {
                self.session()?;
                Ok(Response::from_json(&store.events_before(before, limit)?)?)
            }
            Request::Stream { since, person } => self.stream(since, person),
            Request::Waterfall => {
                self.session()?;
                Ok(Response::from_json(&protocol::api::Waterfall {
                    steps: store.steps()?,
                })?)
            }
            Request::Contacts => {
                self.session()?;
                Ok(Response::from_json(&protocol::api::ContactList {
                    contacts: store.contacts()?,
                })?)
            }
            Request::PullRequest { news } => {
                self.apply(Input::PullRequest(news), None)?;
                Ok(Response::empty()?.with_status(204))
            }
            Request::FollowedBy { follower } => {
                self.apply(Input::FollowedBy(follower), None)?;
                Ok(Response::empty()?.with_status(204))
            }
            Request::IssueTicket { bearer, origin } => {
                self.session()?;
                let ticket = random::token()?;
                store.issue_ticket(&ticket, &TicketHolder { bearer, origin }, clock::now())?;
                Ok(Response::from_json(&protocol::api::Ticket { ticket })?.with_status(201))
            }
            Request::Forge(request) => self.forge(request),
            Request::Recheck { user } => {
                self.session()?;
                self.recheck(user)?;
                Ok(Response::empty()?.with_status(202))
            }
            Request::Callbacks { webhook_id, body } => self.callbacks(&webhook_id, &body),
            Request::Artifact(request) => self.artifacts(request),
            Request::Changes(request) => self.changes(request),
            Request::Terminal(request) => self.terminal(request),
            Request::Whereabouts => self.whereabouts(),
            #[cfg(feature = "fault-drill")]
            Request::Panic => {
                store.drill()?;
                Ok(Response::empty()?)
            }
            #[cfg(feature = "fault-drill")]
            Request::Life => Ok(Response::from_json(&self.life)?),
        }
    }

    fn callbacks(self: &Rc<Self>, webhook_id: &str, body: &str) -> Result<Response, Error> {
        let batch: Batch = serde_json::from_str(body)
            .map_err(|error| Error::invalid("malformed", format!("not a batch: {error}")))?;
        // What does not exist here keeps no identifiers either.
        let state = self.session()?;
        if !self.store()?.first_sight(webhook_id, clock::now())? {
            return Err(Error::Replayed);
        }
        let epoch = batch.epoch;
        let last = batch
            .first
            .saturating_add(batch.reports.len() as u64)
            .saturating_sub(1);
        let state = self.step(state, Input::Batch(batch), None)?;
        let sandbox = state.sandbox.filter(|sandbox| sandbox.epoch == epoch);
        // A report that ended the sandbox was taken, and nothing after it counts.
        let received = sandbox.map_or(last, |sandbox| sandbox.received);
        Ok(Response::from_json(&Acknowledgement { received })?)
    }

    /// Takes a prompt, once for every `client_request_id`.
    fn prompt(self: &Rc<Self>, prompt: NewPrompt) -> Result<PromptId, Error> {
        let store = self.store()?;
        let text = checked_prompt(&prompt.text)?;
        let attachments = self.attachments(&prompt.attachments)?;
        let body =
            serde_json::to_string(&(prompt.author.id, prompt.mode, &prompt.attachments, &text))?;
        if let Some(id) = &prompt.client_request_id {
            if id.is_empty() || id.len() > 100 {
                let message = "client_request_id is 1 to 100 characters";
                return Err(Error::invalid("malformed", message));
            }
            match store.admit(id, &body)? {
                Admission::New => {}
                Admission::Repeated(prompt) => return Ok(prompt),
                Admission::Conflicting => return Err(Error::ConflictingRequest),
            }
        }
        self.take_turn()?;
        let id = PromptId::from_random(random::bytes()?);
        let NewPrompt {
            author,
            source,
            mode,
            client_request_id,
            ..
        } = prompt;
        let input = Input::Prompt(Prompt {
            id: id.clone(),
            author,
            text,
            source,
            mode,
            attachments,
            client_request_id: client_request_id.clone(),
        });
        self.apply(input, None)?;
        if let Some(request) = client_request_id {
            // No await since the commit: the runtime makes both durable together.
            store.remember(&request, &body, &id)?;
        }
        Ok(id)
    }

    /// Prompts come at most so fast. While the object is away its bucket fills anyway.
    fn take_turn(&self) -> Result<(), Error> {
        let mut bucket = self.prompts.get();
        let taken = bucket.take(limits::PROMPTS, clock::now());
        self.prompts.set(bucket);
        taken.map_err(Error::RateLimited)
    }

    fn act(self: &Rc<Self>, act: Act, by: Person) -> Result<(), Error> {
        let act = match act {
            Act::Edit { prompt, text } => Act::Edit {
                text: checked_prompt(&text)?,
                prompt,
            },
            act => act,
        };
        self.apply(act.by(by), None)
    }

    fn apply(self: &Rc<Self>, input: Input, done: Option<&Lease>) -> Result<(), Error> {
        self.step(self.session()?, input, done).map(|_| ())
    }

    /// One step from the stored state: decide, commit, tell viewers, and see to what has to be done.
    fn step(
        self: &Rc<Self>,
        before: machine::State,
        input: Input,
        done: Option<&Lease>,
    ) -> Result<machine::State, Error> {
        let mut state = before.clone();
        let context = self.context()?;
        let transition = state.step(input, context)?;
        // A keystroke mostly changes nothing, and then nothing is written.
        if done.is_none() && transition.is_empty() && state == before {
            return Ok(state);
        }
        let committed = self
            .store()?
            .commit(&state, transition, done, context.now)?;
        self.hub().broadcast(committed);
        self.tail.wake();
        self.perform_soon();
        Ok(state)
    }

    fn context(&self) -> Result<Context, Error> {
        Ok(Context {
            now: clock::now(),
            random: random::bytes()?,
            idle_ms: self.idle_ms,
        })
    }

    /// Performs what is due without making the caller wait for it.
    fn perform_soon(self: &Rc<Self>) {
        let due = self.store().and_then(|store| Ok(store.next_due()?));
        match due {
            Ok(Some(due)) if due <= clock::now() => {
                let core = self.clone();
                self.state
                    .wait_until(async move { core.perform_due().await });
            }
            Ok(Some(due)) => self.alarm.ring_by(&self.state, due),
            Ok(None) => {}
            Err(error) => error.log(),
        }
    }

    fn summary(&self) -> Result<protocol::api::SessionSummary, Error> {
        Ok(summary_of(&self.session()?))
    }
}

fn summary_of(state: &machine::State) -> protocol::api::SessionSummary {
    protocol::api::SessionSummary {
        id: state.session.clone(),
        repository: state.repository.clone(),
        branch: state.branch.clone(),
        title: state.title.clone(),
        state: state.activity(),
        created_by: state.created_by.clone(),
        created_at: state.created_at,
        updated_at: state.updated_at,
        pull_requests: state.pull_requests.clone(),
        paused: state.paused,
        parent: state.parent.clone(),
        unread: false,
    }
}

/// A prompt as it is kept, or why it cannot be.
pub fn checked_prompt(text: &str) -> Result<String, Error> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Error::invalid(
            "prompt_empty",
            "write what the agent is to do",
        ));
    }
    let length = text.encode_utf16().count();
    if length > protocol::api::MAX_PROMPT {
        let message = format!(
            "a prompt has at most {} characters, this one has {length}: put long text into a file \
             of the repository",
            protocol::api::MAX_PROMPT
        );
        return Err(Error::invalid("prompt_too_long", message));
    }
    Ok(text.to_owned())
}
