//! A shell in each sandbox, for people: started when somebody looks, shared by all who do.
//!
//! - `scrollback`: its last output; `screen`: what people see of it, and who types.
//! - `socket`: one viewer.
//!
//! It is nobody's prompt: it is not stopped with one, and what is written in it becomes part of the
//! next one's work. It ends with its sandbox, and with this process; then the next viewer starts
//! another. Whatever it prints is hostile: it is passed on and never read here.

mod screen;
mod scrollback;
mod socket;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::ws::WebSocket;
use protocol::api::TerminalUsed;
use protocol::command::Start;
use protocol::event::Person;
use protocol::{SandboxId, UserId};
use tokio::sync::{Notify, OnceCell, mpsc};
use tokio::time::Instant;

use self::screen::{FIRST_WINDOW, Screen, Told};
use crate::cause;
use crate::image::WORKSPACE;
use crate::init::wire::{Exit, TerminalSpec};
use crate::sandbox::channel::{ExecFrame, TerminalInput, TerminalOutput};
use crate::sandbox::{HOME, SandboxBackend, SandboxError};
use crate::store::{Store, StoreError};
use crate::worker::Worker;

/// How often the session is told that somebody types.
const TELLING: Duration = Duration::from_secs(30);
/// What a shell may print before it rests: about 25 MB a second, more than anybody reads.
const BURST: usize = 256 << 10;
const REST: Duration = Duration::from_millis(10);

#[derive(Debug, thiserror::Error)]
pub enum TerminalError {
    #[error("the sandbox is not on this runner")]
    Unknown,
    #[error("failed to look the sandbox up")]
    Store(#[from] StoreError),
    #[error("failed to start a shell in the sandbox")]
    Start(#[source] SandboxError),
}

/// The terminals of this runner's sandboxes.
pub struct Terminals {
    store: Arc<Store>,
    backend: Arc<dyn SandboxBackend>,
    worker: Worker,
    /// By what the session knows the sandbox by.
    shells: Mutex<HashMap<SandboxId, Arc<OnceCell<Arc<Shell>>>>>,
    /// Told of what is typed, by the same.
    typed: Mutex<HashMap<SandboxId, Arc<Notify>>>,
}

/// A shell that runs, or has ended just now.
pub(crate) struct Shell {
    screen: Screen,
    /// Its number in the sandbox, which is that of its session of processes.
    number: i32,
    start: Start,
    worker: Worker,
    told_at: Mutex<Option<Instant>>,
    typed: Arc<Notify>,
}

impl Terminals {
    pub fn new(store: Arc<Store>, backend: Arc<dyn SandboxBackend>, worker: Worker) -> Self {
        Self {
            store,
            backend,
            worker,
            shells: Mutex::default(),
            typed: Mutex::default(),
        }
    }

    /// The shell of a sandbox, started if there is none.
    pub(crate) async fn open(
        self: &Arc<Self>,
        sandbox: &SandboxId,
    ) -> Result<Arc<Shell>, TerminalError> {
        let cell = Arc::clone(self.shells().entry(sandbox.clone()).or_default());
        let started = cell.get_or_try_init(|| self.start(sandbox)).await;
        let outcome = started.map(Arc::clone);
        if outcome.is_err() {
            self.forget(sandbox, &cell);
        }
        outcome
    }

    /// Somebody may look on no more.
    pub(crate) fn expel(&self, sandbox: &SandboxId, user: UserId) {
        let cell = self.shells().get(sandbox).cloned();
        if let Some(shell) = cell.as_ref().and_then(|cell| cell.get()) {
            shell.screen.expel(user);
        }
    }

    /// Serves somebody who looks at a shell.
    pub(crate) async fn attend(socket: WebSocket, shell: Arc<Shell>, person: Person) {
        socket::serve(socket, shell, person).await;
    }

    /// The number of a sandbox's shell inside it: what it started is people's, and not a prompt's.
    pub(crate) fn shell_at(&self, place: &SandboxId) -> Option<i32> {
        let shells = self.shells();
        let mut running = shells.iter().filter_map(|(sandbox, cell)| {
            let shell = cell.get()?;
            Some((self.store.place_of(sandbox).ok()?, shell.number))
        });
        running
            .find(|(known, _)| known == place)
            .map(|(_, number)| number)
    }

    /// Told when somebody has typed in a sandbox's terminal: for one who waits.
    pub(crate) fn typed(&self, sandbox: &SandboxId) -> Arc<Notify> {
        let mut typed = self.typed.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that only this map has are of sandboxes that are gone.
        typed.retain(|known, typed| known == sandbox || Arc::strong_count(typed) > 1);
        Arc::clone(typed.entry(sandbox.clone()).or_default())
    }

    async fn start(self: &Arc<Self>, sandbox: &SandboxId) -> Result<Arc<Shell>, TerminalError> {
        let stored = self.store.sandbox(sandbox)?;
        let start = stored.ok_or(TerminalError::Unknown)?.start;
        let place = self.store.place_of(sandbox)?;
        let spec = TerminalSpec {
            argv: ["/bin/bash", "-l"].map(str::to_owned).into(),
            env: environment(),
            cwd: Some(WORKSPACE.to_owned()),
            window: FIRST_WINDOW,
        };
        let terminal = self.backend.terminal(&place, &spec).await;
        let (number, output, input) = terminal.map_err(TerminalError::Start)?;
        let (screen, told) = Screen::new();
        let shell = Arc::new(Shell {
            screen,
            number,
            start,
            worker: self.worker.clone(),
            told_at: Mutex::default(),
            typed: self.typed(sandbox),
        });
        tracing::info!(%sandbox, "a terminal was opened");
        let (terminals, served) = (Arc::clone(self), Arc::clone(&shell));
        let sandbox = sandbox.clone();
        tokio::spawn(async move {
            let code = tokio::select! {
                code = show(output, &served.screen) => code,
                () = tell(input, told) => None,
            };
            // Before its viewers know: who comes back at once starts another.
            terminals.shells().remove(&sandbox);
            served.screen.end(code);
            tracing::info!(%sandbox, "a terminal ended");
        });
        Ok(shell)
    }

    fn forget(&self, sandbox: &SandboxId, cell: &Arc<OnceCell<Arc<Shell>>>) {
        if let Entry::Occupied(entry) = self.shells().entry(sandbox.clone())
            && Arc::ptr_eq(entry.get(), cell)
            && entry.get().get().is_none()
        {
            entry.remove();
        }
    }

    fn shells(&self) -> MutexGuard<'_, HashMap<SandboxId, Arc<OnceCell<Arc<Shell>>>>> {
        self.shells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shell {
    /// Somebody types: what comes of it is kept, and the session learns of it now and then, so that the
    /// sandbox is not put to sleep.
    fn used(&self) {
        self.typed.notify_one();
        let now = Instant::now();
        let mut told_at = self.told_at.lock().unwrap_or_else(PoisonError::into_inner);
        if told_at.is_some_and(|at| now < at + TELLING) {
            return;
        }
        *told_at = Some(now);
        drop(told_at);
        let (worker, path) = (
            self.worker.clone(),
            format!("/runner/terminals/{}", self.start.session),
        );
        let used = TerminalUsed {
            sandbox: self.start.sandbox.clone(),
            epoch: self.start.epoch,
        };
        tokio::spawn(async move {
            if let Err(error) = worker.tell(&path, &used).await {
                let error = cause::chain(&error);
                tracing::warn!(error, "a session does not know that its terminal is used");
            }
        });
    }
}

/// What the agent's programs have, on a terminal.
fn environment() -> std::collections::BTreeMap<String, String> {
    let variables = [
        ("TERM", "xterm-256color"),
        ("COLORTERM", "truecolor"),
        ("LANG", "C.UTF-8"),
        ("SHELL", "/bin/bash"),
        ("HOME", HOME),
    ];
    variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// Shows what a shell prints, to its end.
async fn show(mut output: TerminalOutput, screen: &Screen) -> Option<i32> {
    let mut printed = 0;
    loop {
        match output.next().await {
            Ok(ExecFrame::Stdout(bytes)) => {
                screen.print(&bytes).await;
                printed += bytes.len();
                if printed >= BURST {
                    printed = 0;
                    tokio::time::sleep(REST).await;
                }
            }
            Ok(ExecFrame::Exit(Exit::Code(code))) => return Some(code),
            Ok(ExecFrame::Stderr(_)) => {}
            // The sandbox has ended, or a signal has ended the shell.
            Ok(ExecFrame::Exit(_)) | Err(_) => return None,
        }
    }
}

/// Tells a shell what is typed, until it cannot be told.
async fn tell(mut input: TerminalInput, mut told: mpsc::Receiver<Told>) {
    while let Some(told) = told.recv().await {
        let sent = match told {
            Told::Input(bytes) => input.write(&bytes).await,
            Told::Window(window) => input.resize(window).await,
        };
        if let Err(error) = sent {
            tracing::debug!(error = cause::chain(&error), "a shell hung up");
            // Its last words are still to be shown.
            return std::future::pending().await;
        }
    }
}
