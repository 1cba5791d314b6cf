//! One terminal as those see it who look on: its recent output, who is there, who types.
//!
//! Everybody reads the one scrollback at their own pace, so whoever is slow holds up nobody: when
//! they come back to it, what they missed may be gone from it. Only the shell itself waits a little for
//! the one who types, as any terminal does, and not for one who does not read at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::UserId;
use protocol::api::{MAX_COLUMNS, MAX_ROWS, TerminalNotice};
use protocol::event::Person;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, timeout_at};

use super::scrollback::{KEPT, Scrollback};
use crate::init::wire::Window;

/// How far the shell runs ahead of the one who types.
const AHEAD: u64 = (KEPT / 2) as u64;
/// How long it waits for them.
const PATIENCE: Duration = Duration::from_millis(500);
/// Messages to the shell that may wait. One that reads nothing gets no more.
const WAITING: usize = 64;

pub(super) const FIRST_WINDOW: Window = Window {
    columns: 80,
    rows: 24,
};

/// What the shell is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    Input(Vec<u8>),
    Window(Window),
}

pub(super) struct Screen {
    inner: Mutex<Inner>,
    /// Something is new.
    changed: watch::Sender<()>,
    /// The one who types has read on.
    progress: Notify,
    told: mpsc::Sender<Told>,
}

struct Inner {
    scrollback: Scrollback,
    window: Window,
    viewers: BTreeMap<u64, Person>,
    /// Those of them who are to go.
    expelled: BTreeSet<u64>,
    controller: Option<u64>,
    /// How far they have read.
    read: u64,
    /// They were waited for in vain.
    stalled: bool,
    /// Counts whatever a state tells.
    version: u64,
    next: u64,
    ended: Option<Option<i32>>,
}

/// One who looks on.
pub(super) struct Viewer {
    number: u64,
    version: u64,
    place: u64,
}

/// What somebody has not seen yet.
#[derive(Debug, PartialEq)]
pub(super) enum News {
    Notice(TerminalNotice),
    Output(Vec<u8>),
}

impl Screen {
    /// The screen, and what its shell is to be told.
    pub(super) fn new() -> (Self, mpsc::Receiver<Told>) {
        let (told, shell) = mpsc::channel(WAITING);
        let inner = Inner {
            scrollback: Scrollback::default(),
            window: FIRST_WINDOW,
            viewers: BTreeMap::new(),
            expelled: BTreeSet::new(),
            controller: None,
            read: 0,
            stalled: false,
            version: 1,
            next: 0,
            ended: None,
        };
        let screen = Self {
            inner: Mutex::new(inner),
            changed: watch::Sender::new(()),
            progress: Notify::new(),
            told,
        };
        (screen, shell)
    }

    /// Somebody looks on; the first of all has control. `None` if the shell has ended.
    pub(super) fn join(&self, person: Person) -> Option<(Viewer, watch::Receiver<()>)> {
        let mut inner = self.inner();
        if inner.ended.is_some() {
            return None;
        }
        let number = inner.next;
        inner.next += 1;
        inner.version += 1;
        inner.viewers.insert(number, person);
        let place = inner.scrollback.start();
        if number == 0 {
            inner.give_control(number, place);
        }
        drop(inner);
        self.changed.send_replace(());
        let viewer = Viewer {
            number,
            version: 0,
            place,
        };
        Some((viewer, self.changed.subscribe()))
    }

    /// Nothing of theirs counts any more, and nothing is shown to them.
    pub(super) fn expel(&self, user: UserId) {
        self.change(|inner| {
            let theirs = inner.viewers.iter().filter(|(_, person)| person.id == user);
            let theirs: Vec<u64> = theirs.map(|(number, _)| *number).collect();
            for number in theirs {
                inner.viewers.remove(&number);
                inner.release(number);
                inner.expelled.insert(number);
            }
        });
    }

    pub(super) fn is_expelled(&self, viewer: &Viewer) -> bool {
        self.inner().expelled.contains(&viewer.number)
    }

    pub(super) fn leave(&self, viewer: &Viewer) {
        self.change(|inner| {
            inner.viewers.remove(&viewer.number);
            inner.expelled.remove(&viewer.number);
            inner.release(viewer.number);
        });
    }

    /// What a viewer has not seen, in order; at most `limit` bytes of output.
    pub(super) fn news(&self, viewer: &mut Viewer, limit: usize) -> Vec<News> {
        let mut news = Vec::new();
        let mut inner = self.inner();
        if viewer.version != inner.version {
            viewer.version = inner.version;
            news.push(News::Notice(inner.state(viewer.number)));
        }
        let (output, end) = inner.scrollback.after(viewer.place, limit);
        viewer.place = end;
        if !output.is_empty() {
            news.push(News::Output(output));
        } else if let Some(code) = inner.ended {
            news.push(News::Notice(TerminalNotice::Ended { code }));
        }
        if inner.controller == Some(viewer.number) && inner.read < end {
            (inner.read, inner.stalled) = (end, false);
            self.progress.notify_one();
        }
        news
    }

    pub(super) fn take_control(&self, viewer: &Viewer) {
        self.change(|inner| {
            if inner.viewers.contains_key(&viewer.number) {
                inner.give_control(viewer.number, viewer.place);
            }
        });
    }

    pub(super) fn release_control(&self, viewer: &Viewer) {
        self.change(|inner| inner.release(viewer.number));
    }

    /// Whether it counts: it is of the one in control, and the shell takes it.
    pub(super) fn input(&self, viewer: &Viewer, bytes: Vec<u8>) -> bool {
        let is_theirs = self.inner().controller == Some(viewer.number);
        is_theirs && self.told.try_send(Told::Input(bytes)).is_ok()
    }

    pub(super) fn resize(&self, viewer: &Viewer, columns: u16, rows: u16) {
        let window = Window {
            columns: columns.clamp(1, MAX_COLUMNS),
            rows: rows.clamp(1, MAX_ROWS),
        };
        self.change(|inner| {
            if inner.controller != Some(viewer.number) || inner.window == window {
                return;
            }
            // One that is not taken is asked for again by the next change of size.
            if self.told.try_send(Told::Window(window)).is_ok() {
                inner.window = window;
            }
        });
    }

    /// The shell has printed; returns when it may print more.
    pub(super) async fn print(&self, output: &[u8]) {
        self.inner().scrollback.push(output);
        self.changed.send_replace(());
        let deadline = Instant::now() + PATIENCE;
        while self.inner().is_ahead() {
            if timeout_at(deadline, self.progress.notified())
                .await
                .is_err()
            {
                self.inner().stalled = true;
            }
        }
    }

    pub(super) fn end(&self, code: Option<i32>) {
        self.inner().ended = Some(code);
        self.changed.send_replace(());
    }

    /// Versions are only counted on where something changed.
    fn change(&self, change: impl FnOnce(&mut Inner)) {
        let mut inner = self.inner();
        let before = (inner.controller, inner.window, inner.viewers.len());
        change(&mut inner);
        if before == (inner.controller, inner.window, inner.viewers.len()) {
            return;
        }
        inner.version += 1;
        drop(inner);
        self.changed.send_replace(());
        self.progress.notify_one();
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn give_control(&mut self, number: u64, place: u64) {
        self.controller = Some(number);
        (self.read, self.stalled) = (place, false);
    }

    fn release(&mut self, number: u64) {
        if self.controller == Some(number) {
            self.controller = None;
        }
    }

    fn is_ahead(&self) -> bool {
        self.controller.is_some()
            && !self.stalled
            && self.scrollback.end().saturating_sub(self.read) > AHEAD
    }

    fn state(&self, number: u64) -> TerminalNotice {
        let mut viewers: Vec<Person> = Vec::new();
        for person in self.viewers.values() {
            // Who has two pages open is there once.
            if !viewers.iter().any(|known| known.id == person.id) {
                viewers.push(person.clone());
            }
        }
        TerminalNotice::State {
            columns: self.window.columns,
            rows: self.window.rows,
            viewers,
            controller: self
                .controller
                .and_then(|controller| self.viewers.get(&controller).cloned()),
            yours: self.controller == Some(number),
        }
    }
}

#[cfg(test)]
#[expect(clippy::panic, clippy::unwrap_used, reason = "tests")]
mod tests {
    use tokio::time::timeout;

    use super::*;

    fn person(id: i64) -> Person {
        Person {
            id: UserId(id),
            login: format!("user{id}"),
            name: String::new(),
            avatar: String::new(),
        }
    }

    fn state(news: &[News]) -> (u16, usize, Option<i64>, bool) {
        match news.first() {
            Some(News::Notice(TerminalNotice::State {
                columns,
                viewers,
                controller,
                yours,
                ..
            })) => {
                let controller = controller.as_ref().map(|person| person.id.0);
                (*columns, viewers.len(), controller, *yours)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_viewer_of_a_shell_types_and_the_next_looks_on() {
        let (screen, mut shell) = Screen::new();
        let (mut ada, _) = screen.join(person(1)).unwrap();
        let (mut bob, _) = screen.join(person(2)).unwrap();
        assert_eq!(state(&screen.news(&mut ada, 9)), (80, 2, Some(1), true));
        assert_eq!(state(&screen.news(&mut bob, 9)), (80, 2, Some(1), false));
        assert!(screen.input(&ada, b"ls".to_vec()));
        assert!(!screen.input(&bob, b"rm".to_vec()));
        assert_eq!(shell.try_recv(), Ok(Told::Input(b"ls".to_vec())));
        assert!(shell.try_recv().is_err());
    }

    #[test]
    fn control_is_taken_given_back_and_freed_by_leaving() {
        let (screen, _shell) = Screen::new();
        let (ada, _) = screen.join(person(1)).unwrap();
        let (mut bob, _) = screen.join(person(2)).unwrap();
        screen.take_control(&bob);
        assert_eq!(state(&screen.news(&mut bob, 9)), (80, 2, Some(2), true));
        assert!(!screen.input(&ada, b"x".to_vec()));
        screen.release_control(&ada);
        assert_eq!(screen.news(&mut bob, 9), []);
        screen.release_control(&bob);
        assert_eq!(state(&screen.news(&mut bob, 9)), (80, 2, None, false));
        screen.take_control(&ada);
        screen.leave(&ada);
        assert_eq!(state(&screen.news(&mut bob, 9)), (80, 1, None, false));
    }

    #[test]
    fn whoever_is_expelled_neither_types_nor_looks_on() {
        let (screen, mut shell) = Screen::new();
        let (ada, _) = screen.join(person(1)).unwrap();
        let (ada_elsewhere, _) = screen.join(person(1)).unwrap();
        let (mut bob, changed) = screen.join(person(2)).unwrap();
        screen.expel(UserId(1));
        assert!(changed.has_changed().unwrap());
        assert!(screen.is_expelled(&ada) && screen.is_expelled(&ada_elsewhere));
        screen.take_control(&ada);
        assert!(!screen.input(&ada, b"x".to_vec()));
        assert!(shell.try_recv().is_err());
        assert!(!screen.is_expelled(&bob));
        assert_eq!(state(&screen.news(&mut bob, 9)), (80, 1, None, false));
    }

    #[test]
    fn the_window_is_that_of_whoever_types_within_bounds() {
        let (screen, mut shell) = Screen::new();
        let (mut ada, _) = screen.join(person(1)).unwrap();
        let (bob, _) = screen.join(person(2)).unwrap();
        screen.resize(&bob, 10, 10);
        screen.resize(&ada, 9999, 0);
        let window = Window {
            columns: MAX_COLUMNS,
            rows: 1,
        };
        assert_eq!(shell.try_recv(), Ok(Told::Window(window)));
        assert_eq!(state(&screen.news(&mut ada, 9)).0, MAX_COLUMNS);
        screen.resize(&ada, MAX_COLUMNS, 1);
        assert!(shell.try_recv().is_err());
    }

    #[tokio::test]
    async fn recent_output_follows_the_first_state_and_the_end_comes_last() {
        let (screen, _shell) = Screen::new();
        let (mut ada, _) = screen.join(person(1)).unwrap();
        screen.print(b"one two").await;
        screen.end(Some(3));
        assert!(screen.join(person(2)).is_none());
        let news = screen.news(&mut ada, 4);
        assert_eq!(news.get(1), Some(&News::Output(b"one ".to_vec())));
        assert_eq!(screen.news(&mut ada, 4), [News::Output(b"two".to_vec())]);
        let ended = TerminalNotice::Ended { code: Some(3) };
        assert_eq!(screen.news(&mut ada, 4), [News::Notice(ended)]);
    }

    #[tokio::test]
    async fn a_shell_waits_for_whoever_types_but_not_for_one_who_never_reads() {
        let (screen, _shell) = Screen::new();
        let (mut ada, _) = screen.join(person(1)).unwrap();
        let much = vec![b'x'; KEPT];
        let began = Instant::now();
        screen.print(&much).await;
        assert!(began.elapsed() >= PATIENCE);
        // Once was enough.
        timeout(Duration::ZERO, screen.print(&much)).await.unwrap();
        screen.news(&mut ada, KEPT);
        let mut print = std::pin::pin!(screen.print(&much));
        assert!(timeout(Duration::ZERO, &mut print).await.is_err());
        screen.news(&mut ada, KEPT);
        timeout(Duration::ZERO, &mut print).await.unwrap();
    }

    #[tokio::test]
    async fn a_viewer_who_never_reads_holds_up_no_other() {
        let (screen, _shell) = Screen::new();
        let (mut ada, _) = screen.join(person(1)).unwrap();
        let _silent = screen.join(person(2)).unwrap();
        let mut seen = 0;
        for _ in 0..100 {
            screen.print(&[b'x'; 10_000]).await;
            for news in screen.news(&mut ada, KEPT) {
                if let News::Output(output) = news {
                    seen += output.len();
                }
            }
        }
        assert_eq!(seen, 1_000_000);
    }

    #[test]
    fn a_shell_that_reads_nothing_is_given_no_more() {
        let (screen, _shell) = Screen::new();
        let (ada, _) = screen.join(person(1)).unwrap();
        let taken = (0..1000).filter(|_| screen.input(&ada, b"x".to_vec()));
        assert_eq!(taken.count(), WAITING);
    }
}
