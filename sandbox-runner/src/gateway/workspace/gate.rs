//! One sandbox's workspace between the sync that brings it up to date and the plugin that holds writes
//! until then; and what programs in the sandbox have told of it, until the session takes it.
//!
//! All of it is bounded in number and size: whoever tells may mean ill.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use protocol::callback::PullRequestWish;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::writes::Writes;
use crate::clock;
use crate::gateway::share::Offers;

/// How long a request is held. Shorter than what clients wait for an answer.
const HOLD: Duration = Duration::from_secs(55);
/// Most waits of one prompt that are told.
const MOST_WAITS: usize = 256;
/// Longest wait that is believed.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
const LONGEST_TOOL: usize = 64;
const LONGEST_PATH: usize = 256;
/// Most wishes of one sandbox: a pull request of a branch has one, which may change a few times.
const MOST_WISHES: usize = 64;
/// GitHub's own limit.
const LONGEST_TITLE: usize = 256;
/// Most updates of one prompt.
const MOST_UPDATES: usize = 10;
/// More paths than this are not named: all writes wait then.
const MOST_PATHS: usize = 10_000;

/// A write that has waited.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Wait {
    pub ms: u64,
    pub tool: String,
    /// What was to be written, if that is known.
    #[serde(default)]
    pub path: String,
    #[serde(default)]
    pub cause: WaitCause,
}

/// What a write has waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitCause {
    #[default]
    Sync,
    /// What was written before it was kept meanwhile.
    Keeping,
    /// What was written before it was not kept in time.
    Late,
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
    writes: Writes,
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
pub(super) struct Standing {
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
    /// What else the agent has to know.
    note: Option<String>,
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
            writes: Writes::default(),
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

    /// The agent is to know this of its workspace besides, whatever becomes of the sync.
    pub fn note(&self, message: &str) {
        self.set(|sync| sync.note = Some(message.to_owned()));
    }

    /// Answers whoever is held, so that it asks again.
    pub(in crate::gateway) fn close(&self) {
        self.sync.send_modify(|sync| sync.closed = true);
        self.writes.close();
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

    /// Another prompt has begun, of which there can be updates and waits again.
    pub fn begin_prompt(&self) {
        self.updates().count = 0;
        self.waits().count = 0;
    }

    /// What the agent has written, and what became of it.
    pub fn writes(&self) -> &Writes {
        &self.writes
    }

    /// Files that the agent wants to share.
    pub fn offers(&self) -> &Offers {
        &self.offers
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
    pub(super) fn update(&self, text: String) -> bool {
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
    pub(super) fn wish(&self, mut wish: Wish) -> bool {
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
    pub(super) fn put(&self, mut wait: Wait) -> bool {
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

    pub(super) async fn told(&self, seen: &str) -> Standing {
        let mut sync = self.sync.subscribe();
        let is_new =
            |sync: &Standing| sync.closed || (sync.state != State::Unknown && sync.tag != seen);
        // The state as it is, if nothing comes in time: the client asks again.
        let _ = timeout(HOLD, sync.wait_for(is_new)).await;
        self.sync.borrow().clone()
    }
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
            cause: WaitCause::Sync,
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
    async fn what_the_agent_has_to_know_is_told_with_whatever_becomes_of_the_sync() {
        let gate = Gate::default();
        gate.note("work is missing");
        assert!(gate.told("").now_or_never().is_none());
        gate.changing(None);
        gate.up_to_date();
        let told = gate.told("").await;
        assert_eq!(told.note.as_deref(), Some("work is missing"));
        assert!(told.done);
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
        gate.begin_prompt();
        assert!(gate.put(wait(1, "bash", "")));
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
}
