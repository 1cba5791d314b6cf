//! The Durable Object of one channel of a workspace, named `team/channel`: what is heard in it, which
//! thread is which session, and what is said.
//!
//! It hears and speaks each in order, one at a time, the two beside each other: that somebody is
//! thought about does not keep others from being answered. Everything is in SQLite first.

pub mod association;
mod beginning;
mod choosing;
mod features;
mod gestures;
mod hearing;
mod outage;
mod pictures;
mod revising;
mod sessions;
mod speakers;
mod speaking;
mod standing;
pub mod store;
mod streaming;

use std::cell::Cell;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;

use futures_util::lock::Mutex;
use protocol::Millis;
use protocol::event::Repository;
use serde::{Deserialize, Serialize};
use worker::{
    DurableObject, Env, Request as HttpRequest, Response, ScheduledTime, State, durable_object,
};

use self::association::{Reply, Wish};
use self::store::{Store, Utterance};
use super::event::{Bot, Heard, Revised};
use crate::config;
use crate::database::Database;
use crate::database::slack_waits::{self, Wait};
use crate::error::Error;
use crate::platform::sql::DurableSql;
use crate::platform::{clock, http};
use crate::session::machine::following::Follower;

/// Most waits that one run of the cron ends.
const MAX_SWEPT: i64 = 200;

/// What somebody did in the channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Item {
    Heard(Heard),
    /// Edited or deleted what they had said.
    Revised(Revised),
    Reacted {
        user: String,
        ts: String,
        name: String,
    },
    /// Said for which repository a thread is.
    Chose {
        root: String,
        user: String,
        repository: Repository,
    },
    /// Said that the whole channel is for a repository.
    Associated {
        root: String,
        user: String,
        repository: Repository,
    },
    /// Took back that it is for this one.
    Dissociated {
        root: String,
        user: String,
        repository: Repository,
    },
    Stopped {
        root: String,
        user: String,
    },
    /// Said that it is another repository.
    Doubted {
        root: String,
        user: String,
    },
    /// Showed links to sessions of ours.
    Linked {
        user: String,
        ts: String,
        sessions: Vec<(String, protocol::SessionId)>,
    },
}

impl Item {
    /// The thread in which it is acted on in order.
    pub fn root(&self) -> &str {
        match self {
            Self::Heard(heard) | Self::Revised(Revised { heard, .. }) => &heard.root,
            Self::Chose { root, .. }
            | Self::Associated { root, .. }
            | Self::Dissociated { root, .. }
            | Self::Stopped { root, .. }
            | Self::Doubted { root, .. } => root,
            Self::Reacted { ts, .. } | Self::Linked { ts, .. } => ts,
        }
    }

    pub fn user(&self) -> &str {
        match self {
            Self::Heard(heard) | Self::Revised(Revised { heard, .. }) => &heard.user,
            Self::Reacted { user, .. }
            | Self::Chose { user, .. }
            | Self::Associated { user, .. }
            | Self::Dissociated { user, .. }
            | Self::Stopped { user, .. }
            | Self::Doubted { user, .. }
            | Self::Linked { user, .. } => user,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
#[allow(
    clippy::large_enum_variant,
    reason = "it is moved once, from its JSON to whoever acts on it"
)]
enum Request {
    /// Something happened; `id` is the same when it is told again.
    Take { id: String, item: Item, bot: Bot },
    /// There is more in the log of a thread's session.
    News { root: String },
    /// Somebody said who they are.
    Known { user: String },
    /// Somebody asks by the slash command for which repository the channel is, or says it.
    Wish { user: String, wish: Wish, bot: Bot },
}

#[durable_object]
pub struct Channel {
    core: Rc<Core>,
}

// SQLite is all that an object holds; a turn that ends in a panic is given back.
impl UnwindSafe for Channel {}
impl RefUnwindSafe for Channel {}

pub(super) struct Core {
    team: String,
    channel: String,
    state: State,
    env: Env,
    store: Option<Store<DurableSql>>,
    hearing: Mutex<()>,
    speaking: Mutex<()>,
    /// Held while it is looked whether Slack takes our token again.
    looking: Mutex<()>,
    /// Before this nothing is posted: Slack takes one message a second in a channel.
    quiet_until: Cell<Millis>,
}

/// After so long the alarm sees whether whoever is at it still is.
const LEASE_MS: i64 = 5000;

/// The alarm is never set nearer than this.
const NEAREST_MS: i64 = 250;

impl DurableObject for Channel {
    fn new(state: State, env: Env) -> Self {
        let store = match Store::open(DurableSql::new(&state)) {
            Ok(store) => Some(store),
            Err(error) => {
                Error::from(error).log();
                None
            }
        };
        let name = state.id().name().unwrap_or_default();
        let (team, channel) = name.split_once('/').unwrap_or_default();
        Self {
            core: Rc::new(Core {
                team: team.to_owned(),
                channel: channel.to_owned(),
                state,
                env,
                store,
                hearing: Mutex::new(()),
                speaking: Mutex::new(()),
                looking: Mutex::new(()),
                quiet_until: Cell::new(Millis(0)),
            }),
        }
    }

    async fn fetch(&self, mut request: HttpRequest) -> worker::Result<Response> {
        let outcome = match request.json::<Request>().await {
            Ok(Request::Wish { user, wish, bot }) => {
                match self.core.wished(&user, wish, &bot).await {
                    Ok(reply) => return Response::from_json(&reply),
                    Err(error) => Err(error),
                }
            }
            Ok(request) => self.core.answer(request),
            Err(error) => Err(error.into()),
        };
        match outcome {
            Ok(()) => Ok(Response::empty()?.with_status(204)),
            Err(error) => error.into_worker_response(),
        }
    }

    async fn alarm(&self) -> worker::Result<Response> {
        self.core.clone().work().await;
        Response::empty()
    }

    async fn websocket_message(
        &self,
        _socket: worker::WebSocket,
        _message: worker::WebSocketIncomingMessage,
    ) -> worker::Result<()> {
        Ok(())
    }

    async fn websocket_close(
        &self,
        _socket: worker::WebSocket,
        _code: usize,
        _reason: String,
        _was_clean: bool,
    ) -> worker::Result<()> {
        Ok(())
    }

    async fn websocket_error(
        &self,
        _socket: worker::WebSocket,
        _error: worker::Error,
    ) -> worker::Result<()> {
        Ok(())
    }
}

impl Core {
    fn store(&self) -> Result<&Store<DurableSql>, Error> {
        self.store.as_ref().ok_or(Error::NotFound("usable storage"))
    }

    /// Records what is asked, answers, and works on it then.
    fn answer(self: &Rc<Self>, request: Request) -> Result<(), Error> {
        let (store, now) = (self.store()?, clock::now());
        match request {
            Request::Take { id, item, bot } => {
                self.note_bot(&bot)?;
                store.take(&id, &item, now)?;
            }
            Request::News { root } => store.fall_behind(&root, now)?,
            Request::Known { user } => store.wake(&user, now)?,
            // It is answered by itself.
            Request::Wish { .. } => return Ok(()),
        }
        let core = self.clone();
        self.state.wait_until(async move { core.work().await });
        Ok(())
    }

    /// Does all that is due.
    async fn work(self: Rc<Self>) {
        self.arm().await;
        futures_util::join!(self.hear_all(), self.speak_all());
    }

    async fn hear_all(self: &Rc<Self>) {
        // Whoever is at it takes what has come meanwhile as well.
        let Some(turn) = self.hearing.try_lock() else {
            return;
        };
        loop {
            match self.hear_next().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    error.log();
                    break;
                }
            }
        }
        drop(turn);
        self.arm().await;
    }

    async fn speak_all(self: &Rc<Self>) {
        let Some(turn) = self.speaking.try_lock() else {
            return;
        };
        loop {
            match self.speak_next().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    error.log();
                    break;
                }
            }
        }
        drop(turn);
        self.arm().await;
    }

    /// Has something said in a thread; in the channel itself if `root` is empty.
    fn say(self: &Rc<Self>, root: &str, name: &str, utterance: &Utterance) -> Result<(), Error> {
        self.store()?.say(root, name, utterance, clock::now())?;
        let core = self.clone();
        self.state.wait_until(async move { core.speak_all().await });
        Ok(())
    }

    /// Sees to it that the alarm rings when something is due. What is due already is done by whoever
    /// is at it, unless this life of the object ends first.
    async fn arm(&self) {
        let due = match self.store().and_then(|store| Ok(store.next_due()?)) {
            Ok(Some(due)) => due,
            Ok(None) => return,
            Err(error) => return error.log(),
        };
        let is_busy = self.hearing.try_lock().is_none() || self.speaking.try_lock().is_none();
        let nearest = if is_busy { LEASE_MS } else { NEAREST_MS };
        let wait = due.0.saturating_sub(clock::now().0).max(nearest);
        let at = ScheduledTime::from(wait);
        if let Err(error) = self.state.storage().set_alarm(at).await {
            worker::console_error!("no alarm could be set: {error:?}");
        }
    }

    fn settings(&self) -> Result<config::slack::Slack, Error> {
        config::slack::Slack::from_env(&self.env)?.ok_or(Error::NotFound("Slack"))
    }

    fn note_bot(&self, bot: &Bot) -> Result<(), Error> {
        Ok(self
            .store()?
            .set_note("bot", &serde_json::to_string(bot)?)?)
    }

    /// Who we are here.
    fn bot(&self) -> Result<Bot, Error> {
        let known = self.store()?.note("bot")?;
        let known = known.ok_or(Error::NotFound("bot"))?;
        Ok(serde_json::from_str(&known)?)
    }

    fn follower(&self, root: &str) -> Follower {
        Follower {
            team: self.team.clone(),
            channel: self.channel.clone(),
            root: root.to_owned(),
        }
    }
}

/// Tells a channel that something happened in it.
pub async fn take(env: &Env, bot: &Bot, channel: &str, id: &str, item: Item) -> Result<(), Error> {
    let request = Request::Take {
        id: id.to_owned(),
        item,
        bot: bot.clone(),
    };
    ask(env, &bot.team, channel, &request).await.map(drop)
}

/// Tells a thread that there is more in the log of its session.
pub async fn news(env: &Env, follower: &Follower) -> Result<(), Error> {
    let root = follower.root.clone();
    ask(
        env,
        &follower.team,
        &follower.channel,
        &Request::News { root },
    )
    .await
    .map(drop)
}

/// Tells a channel that somebody said who they are.
pub async fn known(env: &Env, wait: &Wait) -> Result<(), Error> {
    let user = wait.user.clone();
    let request = Request::Known { user };
    ask(env, &wait.team, &wait.channel, &request)
        .await
        .map(drop)
}

/// Tells channels once more that people said who they are: what is heard while somebody does may have
/// begun to wait after the channel was told.
pub async fn sweep(env: &Env) -> Result<(), Error> {
    let database = Database::new(env)?;
    for wait in slack_waits::over(&database, MAX_SWEPT).await? {
        known(env, &wait).await?;
        slack_waits::forget(&database, &wait).await?;
    }
    Ok(())
}

/// Tells what the slash command wants of a channel.
pub async fn wish(
    env: &Env,
    bot: &Bot,
    channel: &str,
    user: &str,
    wish: Wish,
) -> Result<Reply, Error> {
    let request = Request::Wish {
        user: user.to_owned(),
        wish,
        bot: bot.clone(),
    };
    let mut answer = ask(env, &bot.team, channel, &request).await?;
    Ok(answer.json().await?)
}

async fn ask(env: &Env, team: &str, channel: &str, request: &Request) -> Result<Response, Error> {
    let name = format!("{team}/{channel}");
    let stub = env.durable_object("CHANNEL")?.get_by_name(&name)?;
    let answer = stub
        .fetch_with_request(http::to_object("/", request)?)
        .await?;
    match answer.status_code() {
        200..=299 => Ok(answer),
        // The object has written down why.
        _ => Err(worker::Error::RustError("the object of a channel failed".to_owned()).into()),
    }
}
