//! One viewer's WebSocket: what is new goes out, what they do comes in.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use protocol::api::{MAX_TERMINAL_INPUT, TerminalNotice, TerminalRequest};
use protocol::event::Person;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::Shell;
use super::screen::{News, Viewer};

/// Most bytes of one message to a viewer.
const CHUNK: usize = 32 << 10;
/// How long a message may take to be sent.
const SLOW: Duration = Duration::from_secs(30);
/// How long one is let in for. The session asks every ten minutes who may look on; this holds whatever
/// becomes of it.
const VISIT: Duration = protocol::api::TERMINAL_VISIT;

const CLOSED: u16 = 1000;
const CLOSED_TOO_LARGE: u16 = 1009;
const CLOSED_AGAIN: u16 = 4001;

/// Why a viewer's socket ends.
enum Parting {
    /// They have gone, or do not read.
    Gone,
    Said(u16, &'static str),
}

/// Serves a viewer to the end of their socket or of the shell.
pub(super) async fn serve(mut socket: WebSocket, shell: Arc<Shell>, person: Person) {
    let Some((mut viewer, changed)) = shell.screen.join(person) else {
        let ended = TerminalNotice::Ended { code: None };
        if send(&mut socket, News::Notice(ended)).await {
            close(socket, CLOSED, "the shell has ended").await;
        }
        return;
    };
    let parting = attend(&mut socket, &shell, &mut viewer, changed).await;
    shell.screen.leave(&viewer);
    if let Parting::Said(code, reason) = parting {
        close(socket, code, reason).await;
    }
}

async fn attend(
    socket: &mut WebSocket,
    shell: &Shell,
    viewer: &mut Viewer,
    mut changed: watch::Receiver<()>,
) -> Parting {
    let until = Instant::now() + VISIT;
    loop {
        // Marked as seen before it is looked at, so nothing falls in between.
        changed.mark_unchanged();
        if shell.screen.is_expelled(viewer) {
            return Parting::Said(CLOSED_AGAIN, "your access has ended");
        }
        let news = shell.screen.news(viewer, CHUNK);
        let is_quiet = news.is_empty();
        for news in news {
            let is_last = matches!(news, News::Notice(TerminalNotice::Ended { .. }));
            if !send(socket, news).await {
                return Parting::Gone;
            }
            if is_last {
                return Parting::Said(CLOSED, "the shell has ended");
            }
        }
        tokio::select! {
            // There may be more than one message of news.
            () = std::future::ready(()), if !is_quiet => {
                tokio::task::yield_now().await;
                let waiting = timeout(Duration::ZERO, socket.recv()).await;
                if let Ok(message) = waiting
                    && let Some(parting) = hear(socket, shell, viewer, message).await
                {
                    return parting;
                }
            }
            outcome = changed.changed() => if outcome.is_err() {
                return Parting::Said(CLOSED, "the sandbox has ended");
            },
            message = socket.recv() => {
                if let Some(parting) = hear(socket, shell, viewer, message).await {
                    return parting;
                }
            }
            () = sleep_until(until) => {
                return Parting::Said(CLOSED_AGAIN, "open the terminal again");
            }
        }
    }
}

async fn hear(
    socket: &mut WebSocket,
    shell: &Shell,
    viewer: &Viewer,
    message: Option<Result<Message, axum::Error>>,
) -> Option<Parting> {
    match message {
        Some(Ok(Message::Binary(bytes))) => {
            if bytes.len() > MAX_TERMINAL_INPUT {
                return Some(Parting::Said(CLOSED_TOO_LARGE, "too much at once"));
            }
            if shell.screen.input(viewer, bytes.to_vec()) {
                shell.used();
            }
            None
        }
        Some(Ok(Message::Text(text))) => {
            let answer = match serde_json::from_str(&text) {
                Ok(TerminalRequest::TakeControl {}) => {
                    shell.screen.take_control(viewer);
                    None
                }
                Ok(TerminalRequest::ReleaseControl {}) => {
                    shell.screen.release_control(viewer);
                    None
                }
                Ok(TerminalRequest::Resize { columns, rows }) => {
                    shell.screen.resize(viewer, columns, rows);
                    None
                }
                Ok(TerminalRequest::Ping {}) => Some(TerminalNotice::Pong),
                Err(error) => Some(TerminalNotice::Error {
                    code: "malformed".to_owned(),
                    message: format!("that cannot be read: {error}"),
                }),
            };
            let answer = answer.map(News::Notice)?;
            (!send(socket, answer).await).then_some(Parting::Gone)
        }
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => None,
        Some(Ok(Message::Close(_)) | Err(_)) | None => Some(Parting::Gone),
    }
}

/// Whether it was sent.
async fn send(socket: &mut WebSocket, news: News) -> bool {
    let message = match news {
        News::Output(bytes) => Message::Binary(bytes.into()),
        News::Notice(notice) => match serde_json::to_string(&notice) {
            Ok(text) => Message::Text(text.into()),
            Err(error) => {
                tracing::error!(%error, "a notice cannot be written");
                return false;
            }
        },
    };
    matches!(timeout(SLOW, socket.send(message)).await, Ok(Ok(())))
}

async fn close(mut socket: WebSocket, code: u16, reason: &'static str) {
    let frame = CloseFrame {
        code,
        reason: reason.into(),
    };
    // Whoever has gone need not be told.
    let _ = timeout(SLOW, socket.send(Message::Close(Some(frame)))).await;
}
