//! The lobby's sockets: let in by a one-time ticket, then only told. They hibernate, so whose one
//! is is in its attachment, and in its tag.

use std::rc::Rc;

use protocol::UserId;
use protocol::api::{LOBBY_SUBPROTOCOL, LobbyNotice};
use serde::{Deserialize, Serialize};
use worker::{
    Request, Response, ResponseBuilder, WebSocket, WebSocketIncomingMessage, WebSocketPair,
};

use super::Core;
use crate::error::Error;
use crate::platform::clock;
use crate::session::hub::REVOKED;
use crate::tickets::Offer;

pub(super) const PING: &str = "ping";
pub(super) const PONG: &str = r#"{"type":"pong"}"#;

/// What is sent to the lobby and means nothing there (RFC 6455).
const POLICY_VIOLATION: u16 = 1008;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Attachment {
    user: UserId,
    /// We closed it: its client may take its time to answer that.
    #[serde(default)]
    closed: bool,
}

impl Core {
    /// Accepts an upgrade whose ticket is good for the page that it comes from.
    pub(super) fn accept(self: &Rc<Self>, request: &Request) -> Result<Response, Error> {
        let Offer { ticket, origin } = Offer::of(request, LOBBY_SUBPROTOCOL)?;
        let (store, now) = (self.store()?, clock::now());
        let person = store
            .redeem_ticket(&ticket, &origin, now)?
            .ok_or(Error::BadTicket)?;
        let pair = WebSocketPair::new()?;
        let tag = person.id.to_string();
        self.state.accept_websocket_with_tags(&pair.server, &[&tag]);
        pair.server.serialize_attachment(Attachment {
            user: person.id,
            closed: false,
        })?;
        let people = store.people_prompting()?;
        send(&pair.server, &LobbyNotice::Prompting { people });
        store.arrived(person.id, now)?;
        self.go_on()?;
        Ok(ResponseBuilder::new()
            .with_status(101)
            .with_header("sec-websocket-protocol", LOBBY_SUBPROTOCOL)?
            .with_websocket(pair.client)
            .empty())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open().next().is_none()
    }

    pub(super) fn is_there(&self, user: UserId) -> bool {
        self.open_of(user).next().is_some()
    }

    /// Every open socket, and whose it is.
    pub(super) fn open(&self) -> impl Iterator<Item = (WebSocket, UserId)> {
        opened(self.state.get_websockets())
    }

    fn open_of(&self, user: UserId) -> impl Iterator<Item = (WebSocket, UserId)> {
        opened(self.state.get_websockets_with_tag(&user.to_string()))
    }

    pub(super) fn tell_all(&self, notice: &LobbyNotice) {
        for (socket, _) in self.open() {
            send(&socket, notice);
        }
    }

    pub(super) fn tell_person(&self, user: UserId, notice: &LobbyNotice) {
        for (socket, _) in self.open_of(user) {
            send(&socket, notice);
        }
    }

    /// Closes every socket of a user.
    pub(super) fn expel(&self, user: UserId) {
        for (socket, user) in self.open_of(user) {
            // One that is closing by itself refuses; it gets nothing more either way.
            let _ = socket.serialize_attachment(Attachment { user, closed: true });
            let _ = socket.close(Some(REVOKED), Some("access to GitHub was revoked"));
        }
    }
}

/// Pings are mostly answered by the runtime. Nothing else is asked here.
pub(super) fn receive(socket: &WebSocket, message: &WebSocketIncomingMessage) {
    let is_ping = matches!(message, WebSocketIncomingMessage::String(text)
        if matches!(text.trim(), PING | r#"{"type":"ping"}"#));
    if is_ping {
        return send(socket, &LobbyNotice::Pong);
    }
    let _ = socket.close(Some(POLICY_VIOLATION), Some("send nothing but a ping"));
}

fn opened(sockets: Vec<WebSocket>) -> impl Iterator<Item = (WebSocket, UserId)> {
    sockets.into_iter().filter_map(|socket| {
        let attachment = socket.deserialize_attachment::<Attachment>().ok()??;
        (!attachment.closed).then_some((socket, attachment.user))
    })
}

/// A socket that is closing refuses, and misses nothing.
pub(super) fn send(socket: &WebSocket, notice: &LobbyNotice) {
    if let Ok(text) = serde_json::to_string(notice) {
        let _ = socket.send_with_str(text);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_the_runtime_answers_is_what_we_would() {
        let pong = serde_json::to_string(&LobbyNotice::Pong).unwrap();
        assert_eq!(pong, PONG);
    }
}
