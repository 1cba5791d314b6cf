//! What the plugin in a sandbox asks about its workspace, and what it tells.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /workspace/sync?seen=<tag>` | how far the sync is; held while that is unknown or has the tag |
//! | `POST /workspace/waits` `{ms, tool, path}` | a write has waited |
//! | `POST /workspace/wrote` | a tool has written |
//! | `POST /workspace/pull-request` `{branch?, title?, body?, draft?}` | how the agent wants it to be |
//! | `POST /workspace/update` `{text}` | how the work goes, for people |
//! | `POST /workspace/share` `{path, caption}` | a file for the session; answered when it is taken |
//! | `GET /workspace/variables` | secrets that the repository wants in its sandboxes, by name |
//!
//! Any program in the sandbox can ask and tell this. So nothing of it is more than a hint, and a
//! flood of it costs nothing: a request is short, waits are counted, writes are one flag.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use hyper::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use protocol::branch::is_branch_name;
use protocol::callback::PullRequestWish;

use super::forward::{json_answer, refuse};
use super::secrets::Vault;
use super::share::Offers;
use crate::{cause, clock};

/// How long a request is held. Shorter than what clients wait for an answer.
const HOLD: Duration = Duration::from_secs(55);
/// Longest body that is read.
const LONGEST_BODY: usize = 16 << 10;
/// A body of a pull request is text for people.
const LONGEST_WISH: usize = 64 << 10;
/// Most waits of one sandbox that are told: its writes wait only once, at its start.
const MOST_WAITS: usize = 256;
/// Longest wait that is believed.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
const LONGEST_TOOL: usize = 64;
const LONGEST_PATH: usize = 256;
/// Most wishes of one sandbox: a pull request of a branch has one, which may change a few times.
const MOST_WISHES: usize = 64;
/// GitHub's own limit.
const LONGEST_TITLE: usize = 256;
/// Most updates of one prompt, and characters of each.
const MOST_UPDATES: usize = 10;
const LONGEST_UPDATE: usize = 2000;
/// More paths than this are not named: all writes wait then.
const MOST_PATHS: usize = 10_000;

/// A write that has waited for the sync.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Wait {
    pub ms: u64,
    pub tool: String,
    /// What was to be written, if that is known.
    #[serde(default)]
    pub path: String,
}

/// How the agent wants a pull request to be; without a branch, that of the work branch.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Wish {
    #[serde(default)]
    pub branch: Option<String>,
    #[serde(flatten)]
    pub wish: PullRequestWish,
}

/// One sandbox's workspace, between the sync that brings it up to date and the plugin that holds
/// writes until then.
#[derive(Debug)]
pub struct Gate {
    sync: watch::Sender<Standing>,
    waits: Mutex<Waits>,
    waited: Notify,
    wishes: Mutex<Bounded<Wish>>,
    wished: Notify,
    updates: Mutex<Bounded<String>>,
    updated: Notify,
    wrote: Notify,
    offers: Offers,
}

type Waits = Bounded<Wait>;

/// What was told and not yet taken, and how often anything was.
#[derive(Debug)]
struct Bounded<T> {
    queue: VecDeque<T>,
    count: usize,
}

impl<T> Default for Bounded<T> {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            count: 0,
        }
    }
}

/// How far the sync is. `paths` and `conflict` are from the root of the workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
struct Standing {
    /// Differs from any other state's, also of another process of the runner.
    tag: String,
    state: State,
    /// Absent when they are too many.
    paths: Option<Vec<String>>,
    done: bool,
    conflict: Option<Vec<String>>,
    problem: Option<String>,
    /// The newest commit, where the workspace did not come to it.
    commit: Option<String>,
    /// Nothing more is told here: what is asked next may be answered by another gate.
    #[serde(skip)]
    closed: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    #[default]
    Unknown,
    Changed,
}

impl Default for Gate {
    fn default() -> Self {
        let sync = Standing {
            tag: tag(),
            ..Standing::default()
        };
        Self {
            sync: watch::Sender::new(sync),
            waits: Mutex::default(),
            waited: Notify::new(),
            wishes: Mutex::default(),
            wished: Notify::new(),
            updates: Mutex::default(),
            updated: Notify::new(),
            wrote: Notify::new(),
            offers: Offers::default(),
        }
    }
}

impl Gate {
    /// These paths are going to change, from the root of the workspace; `None` stands for any.
    pub fn changing(&self, paths: Option<&[String]>) {
        let paths = paths.filter(|paths| paths.len() <= MOST_PATHS);
        self.set(|sync| {
            (sync.state, sync.done) = (State::Changed, false);
            sync.paths = paths.map(<[String]>::to_vec);
            (sync.conflict, sync.problem, sync.commit) = (None, None, None);
        });
    }

    /// The workspace is as it should be.
    pub fn up_to_date(&self) {
        self.set(|sync| {
            if sync.state == State::Unknown {
                sync.paths = Some(Vec::new());
            }
            (sync.state, sync.done) = (State::Changed, true);
            (sync.conflict, sync.problem, sync.commit) = (None, None, None);
        });
    }

    /// The workspace stays where it is: these paths were written in it and are changed in `commit`.
    pub fn conflict(&self, paths: &[String], commit: &str) {
        self.set(|sync| {
            (sync.state, sync.done) = (State::Changed, true);
            sync.conflict = Some(paths.iter().take(MOST_PATHS).cloned().collect());
            sync.commit = Some(commit.to_owned());
            sync.problem = None;
        });
    }

    /// The workspace stays where it is, for now.
    pub fn problem(&self, message: &str) {
        self.set(|sync| {
            (sync.state, sync.done) = (State::Changed, true);
            sync.problem = Some(message.to_owned());
        });
    }

    /// Answers whoever is held, so that it asks again.
    pub(super) fn close(&self) {
        self.sync.send_modify(|sync| sync.closed = true);
    }

    /// The next write that has waited.
    pub async fn waited(&self) -> Wait {
        loop {
            if let Some(wait) = self.waits().queue.pop_front() {
                return wait;
            }
            self.waited.notified().await;
        }
    }

    /// The next wish for a pull request.
    pub async fn wished(&self) -> Wish {
        loop {
            if let Some(wish) = self.wishes().queue.pop_front() {
                return wish;
            }
            self.wished.notified().await;
        }
    }

    /// The next update for people.
    pub async fn updated(&self) -> String {
        loop {
            if let Some(text) = self.updates().queue.pop_front() {
                return text;
            }
            self.updated.notified().await;
        }
    }

    /// Another prompt has begun, of which there can be updates again.
    pub fn begin_prompt(&self) {
        self.updates().count = 0;
    }

    /// Returns when a tool has written since this was last called.
    pub async fn wrote(&self) {
        self.wrote.notified().await;
    }

    /// Files that the agent wants to share.
    pub fn offers(&self) -> &Offers {
        &self.offers
    }

    fn write(&self) {
        self.wrote.notify_one();
    }

    fn set(&self, change: impl FnOnce(&mut Standing)) {
        self.sync.send_modify(|sync| {
            change(sync);
            sync.tag = tag();
        });
    }

    fn waits(&self) -> std::sync::MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wishes(&self) -> std::sync::MutexGuard<'_, Bounded<Wish>> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn updates(&self) -> std::sync::MutexGuard<'_, Bounded<String>> {
        self.updates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there was room for it.
    fn update(&self, text: String) -> bool {
        let mut updates = self.updates();
        if updates.count >= MOST_UPDATES {
            return false;
        }
        updates.count += 1;
        updates.queue.push_back(text);
        drop(updates);
        self.updated.notify_one();
        true
    }

    /// Whether there was room for it.
    fn wish(&self, mut wish: Wish) -> bool {
        let mut wishes = self.wishes();
        if wishes.count >= MOST_WISHES {
            return false;
        }
        let title = wish.wish.title.take();
        wish.wish.title = title
            .map(|title| plain(&title, LONGEST_TITLE).trim().to_owned())
            .filter(|title| !title.is_empty());
        wishes.count += 1;
        wishes.queue.push_back(wish);
        drop(wishes);
        self.wished.notify_one();
        true
    }

    /// Whether there was room for it.
    fn put(&self, mut wait: Wait) -> bool {
        let mut waits = self.waits();
        if waits.count >= MOST_WAITS {
            return false;
        }
        let longest = u64::try_from(LONGEST_WAIT.as_millis()).unwrap_or(u64::MAX);
        wait.ms = wait.ms.min(longest);
        wait.tool = plain(&wait.tool, LONGEST_TOOL);
        wait.path = plain(&wait.path, LONGEST_PATH);
        waits.count += 1;
        waits.queue.push_back(wait);
        drop(waits);
        self.waited.notify_one();
        true
    }

    async fn told(&self, seen: &str) -> Standing {
        let mut sync = self.sync.subscribe();
        let is_new =
            |sync: &Standing| sync.closed || (sync.state != State::Unknown && sync.tag != seen);
        // The state as it is, if nothing comes in time: the client asks again.
        let _ = timeout(HOLD, sync.wait_for(is_new)).await;
        self.sync.borrow().clone()
    }
}

/// `path` is what follows `/workspace/`.
pub(super) async fn answer(gate: &Gate, path: &str, request: Request) -> Response {
    match (request.method(), path) {
        (&Method::GET, "sync") => {
            let query = request.uri().query().unwrap_or_default();
            let seen = query.strip_prefix("seen=").unwrap_or_default();
            match serde_json::to_value(gate.told(seen).await) {
                Ok(told) => json_answer(StatusCode::OK, &told),
                Err(error) => refuse(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    &error.to_string(),
                ),
            }
        }
        (&Method::POST, "waits") => {
            let body = to_bytes(request.into_body(), LONGEST_BODY).await;
            let wait = body
                .ok()
                .and_then(|body| serde_json::from_slice(&body).ok());
            match wait.map(|wait| gate.put(wait)) {
                Some(true) => StatusCode::NO_CONTENT.into_response(),
                Some(false) => json_answer(StatusCode::TOO_MANY_REQUESTS, &json!({})),
                None => refuse(
                    StatusCode::BAD_REQUEST,
                    "malformed",
                    "A wait is {ms, tool, path}.",
                ),
            }
        }
        (&Method::POST, "pull-request") => {
            let body = to_bytes(request.into_body(), LONGEST_WISH).await;
            let wish: Option<Wish> = body
                .ok()
                .and_then(|body| serde_json::from_slice(&body).ok())
                .filter(|wish: &Wish| wish.branch.as_deref().is_none_or(is_branch_name));
            match wish.map(|wish| gate.wish(wish)) {
                Some(true) => StatusCode::ACCEPTED.into_response(),
                Some(false) => json_answer(StatusCode::TOO_MANY_REQUESTS, &json!({})),
                None => refuse(
                    StatusCode::BAD_REQUEST,
                    "malformed",
                    "A wish is {branch?, title?, body?, draft?}.",
                ),
            }
        }
        (&Method::POST, "update") => {
            let body = to_bytes(request.into_body(), LONGEST_BODY).await;
            let text = body.ok().and_then(|body| update_of(&body));
            match text.map(|text| gate.update(text)) {
                Some(true) => StatusCode::ACCEPTED.into_response(),
                Some(false) => json_answer(StatusCode::TOO_MANY_REQUESTS, &json!({})),
                None => refuse(
                    StatusCode::BAD_REQUEST,
                    "malformed",
                    "An update is {text}, of at most 2000 characters.",
                ),
            }
        }
        (&Method::POST, "share") => gate.offers.answer(request).await,
        (&Method::POST, "wrote") => {
            gate.write();
            StatusCode::NO_CONTENT.into_response()
        }
        _ => refuse(
            StatusCode::NOT_FOUND,
            "not_found",
            "The gateway has nothing at this path.",
        ),
    }
}

/// An update, without what cannot be shown.
fn update_of(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Update {
        text: String,
    }
    let Update { text } = serde_json::from_slice(body).ok()?;
    let is_shown = |character: &char| *character == '\n' || !character.is_control();
    let text: String = text.chars().filter(is_shown).collect();
    let text = text.trim();
    (!text.is_empty() && text.chars().count() <= LONGEST_UPDATE).then(|| text.to_owned())
}

/// Text that can be shown in a line.
fn plain(text: &str, longest: usize) -> String {
    let shown = text.chars().filter(|character| !character.is_control());
    shown.take(longest).collect()
}

fn tag() -> String {
    let bytes: [u8; 16] = clock::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whoever asks is a program in the sandbox, for which these are.
pub(super) async fn variables(vault: &Vault) -> Response {
    match vault.variables().await {
        Ok(variables) => json_answer(StatusCode::OK, &json!(variables)),
        Err(error) => {
            let error = cause::chain(&*error);
            tracing::warn!(error, "a repository's secrets cannot be had");
            let message = "The secrets of this repository cannot be had at the moment.";
            refuse(StatusCode::BAD_GATEWAY, "secrets_unavailable", message)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn wait(ms: u64, tool: &str, path: &str) -> Wait {
        Wait {
            ms,
            tool: tool.to_owned(),
            path: path.to_owned(),
        }
    }

    #[tokio::test]
    async fn nothing_is_told_while_nothing_is_known() {
        let gate = Gate::default();
        assert!(gate.told("").now_or_never().is_none());
        gate.changing(Some(&["a".to_owned()]));
        let told = gate.told("").now_or_never().unwrap();
        assert_eq!(told.paths, Some(vec!["a".to_owned()]));
        assert!(!told.done);
    }

    #[tokio::test]
    async fn what_was_seen_is_not_told_again_and_the_end_keeps_the_paths() {
        let gate = Gate::default();
        gate.changing(Some(&["a".to_owned()]));
        let seen = gate.told("").await.tag;
        assert!(gate.told(&seen).now_or_never().is_none());
        gate.up_to_date();
        let told = gate.told(&seen).now_or_never().unwrap();
        assert!(told.done);
        assert_eq!(told.paths, Some(vec!["a".to_owned()]));
    }

    #[tokio::test]
    async fn whoever_is_held_is_answered_when_the_gate_closes() {
        let gate = Gate::default();
        gate.close();
        let told = gate.told("").now_or_never().unwrap();
        assert_eq!((told.state, told.done), (State::Unknown, false));
    }

    #[tokio::test]
    async fn too_many_paths_are_any_path() {
        let gate = Gate::default();
        gate.changing(Some(&vec!["a".to_owned(); MOST_PATHS + 1]));
        assert_eq!(gate.told("").await.paths, None);
    }

    #[tokio::test]
    async fn waits_are_bounded_in_number_and_size() {
        let gate = Gate::default();
        assert!(gate.put(wait(u64::MAX, &"t".repeat(9999), "a\n\u{7}b")));
        let told = gate.waited().await;
        assert_eq!((told.ms, told.tool.len()), (600_000, LONGEST_TOOL));
        assert_eq!(told.path, "ab");
        let taken = (0..MOST_WAITS * 2)
            .filter(|_| gate.put(wait(1, "bash", "")))
            .count();
        assert_eq!(taken, MOST_WAITS - 1);
    }

    #[tokio::test]
    async fn a_wish_is_one_line_of_title_and_wishes_are_bounded() {
        let gate = Gate::default();
        let wish = |title: &str| Wish {
            branch: None,
            wish: PullRequestWish {
                title: Some(title.to_owned()),
                ..PullRequestWish::default()
            },
        };
        assert!(gate.wish(wish("Fix\n it")));
        assert!(gate.wish(wish(" \n")));
        assert_eq!(gate.wished().await.wish.title.as_deref(), Some("Fix it"));
        assert_eq!(gate.wished().await.wish.title, None);
        let taken = (0..MOST_WISHES * 2)
            .filter(|_| gate.wish(wish("again")))
            .count();
        assert_eq!(taken, MOST_WISHES - 2);
    }

    #[tokio::test]
    async fn updates_are_bounded_for_each_prompt() {
        let gate = Gate::default();
        let taken = |gate: &Gate| {
            let tries = 0..MOST_UPDATES * 2;
            tries.filter(|_| gate.update("so".to_owned())).count()
        };
        assert_eq!(taken(&gate), MOST_UPDATES);
        gate.begin_prompt();
        assert_eq!(taken(&gate), MOST_UPDATES);
        assert_eq!(gate.updated().await, "so");
    }

    #[test]
    fn an_update_is_text_of_bounded_length() {
        let of = |text: &str| update_of(json!({ "text": text }).to_string().as_bytes());
        assert_eq!(of(" a\u{7}\nb ").as_deref(), Some("a\nb"));
        assert!(of(&"é".repeat(LONGEST_UPDATE)).is_some());
        assert_eq!(of(&"é".repeat(LONGEST_UPDATE + 1)), None);
        assert_eq!(of(" \u{1b} "), None);
        assert_eq!(update_of(b"{}"), None);
    }

    #[tokio::test]
    async fn any_number_of_writes_is_told_once() {
        let gate = Gate::default();
        gate.write();
        gate.write();
        gate.wrote().await;
        assert!(gate.wrote().now_or_never().is_none());
    }
}
