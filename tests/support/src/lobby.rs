//! A page that listens to the lobby.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use protocol::SessionId;
use protocol::api::{LOBBY_SUBPROTOCOL, LobbyNotice, SessionSummary, Ticket};
use reqwest::Method;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Client, ClientError, Socket};

/// One socket and all that it has been told.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    pub notices: Vec<LobbyNotice>,
}

impl Client {
    pub async fn lobby_ticket(&self) -> Result<String, ClientError> {
        let body = Some(&serde_json::json!({}));
        let ticket: Ticket = self
            .send(Method::POST, "/api/lobby/ws-ticket", body)
            .await?;
        Ok(ticket.ticket)
    }

    /// Listens to the lobby from now on.
    pub async fn listen(&self) -> Result<Listener, ClientError> {
        let ticket = self.lobby_ticket().await?;
        self.listen_with(&ticket).await
    }

    pub async fn listen_with(&self, ticket: &str) -> Result<Listener, ClientError> {
        let socket = self
            .connect("/api/lobby/ws", LOBBY_SUBPROTOCOL, ticket)
            .await?;
        let notices = Vec::new();
        Ok(Listener { socket, notices })
    }
}

impl Listener {
    pub async fn send(&mut self, text: &str) -> Result<(), ClientError> {
        let sent = self.socket.send(Message::text(text)).await;
        Ok(sent.map_err(Box::new)?)
    }

    /// Reads notices until `find` finds something in one.
    pub async fn wait_for<T>(
        &mut self,
        wanted: &str,
        within: Duration,
        find: impl Fn(&LobbyNotice) -> Option<T>,
    ) -> Result<T, ClientError> {
        let deadline = Instant::now() + within;
        loop {
            let message = self.message(wanted, within, deadline).await?;
            let Message::Text(text) = message else {
                continue;
            };
            let notice: LobbyNotice =
                serde_json::from_str(&text).map_err(|source| ClientError::Form {
                    text: text.to_string(),
                    source,
                })?;
            self.notices.push(notice.clone());
            if let Some(found) = find(&notice) {
                return Ok(found);
            }
        }
    }

    /// The next notice of a session of which `is_wanted` is true.
    pub async fn session(
        &mut self,
        wanted: &str,
        within: Duration,
        is_wanted: impl Fn(&SessionSummary) -> bool,
    ) -> Result<SessionSummary, ClientError> {
        self.wait_for(wanted, within, |notice| match notice {
            LobbyNotice::Session { session } if is_wanted(session) => Some(session.clone()),
            _ => None,
        })
        .await
    }

    /// Reads all that was told before now.
    pub async fn catch_up(&mut self, within: Duration) -> Result<(), ClientError> {
        // This form is answered by the object itself, after all that it has told.
        self.send(r#"{"type":"ping"}"#).await?;
        self.wait_for("a pong", within, |notice| {
            matches!(notice, LobbyNotice::Pong).then_some(())
        })
        .await
    }

    /// What was told of a session.
    pub fn told_of<'a>(&'a self, id: &'a SessionId) -> impl Iterator<Item = &'a SessionSummary> {
        self.notices.iter().filter_map(move |notice| match notice {
            LobbyNotice::Session { session } if session.id == *id => Some(session),
            _ => None,
        })
    }

    /// The code that the socket is closed with.
    pub async fn closed(&mut self, within: Duration) -> Result<u16, ClientError> {
        let deadline = Instant::now() + within;
        loop {
            if let Message::Close(frame) = self.message("a close", within, deadline).await? {
                return Ok(frame.map_or(0, |frame| frame.code.into()));
            }
        }
    }

    async fn message(
        &mut self,
        wanted: &str,
        within: Duration,
        deadline: Instant,
    ) -> Result<Message, ClientError> {
        let next = tokio::time::timeout_at(deadline, self.socket.next()).await;
        let next = next.map_err(|_| ClientError::Late {
            wanted: wanted.to_owned(),
            within,
        })?;
        Ok(next.ok_or(ClientError::Closed)?.map_err(Box::new)?)
    }
}
