//! The session's sockets. They hibernate: who is behind one is in its attachment, so presence is
//! right after the object has slept.
//!
//! Invariant: a subscribed socket has received everything up to the head. Subscribing and
//! broadcasting never wait in between, so nothing falls between the two.

use protocol::event::Person;
use protocol::frame::{Participant, ServerFrame};
use serde::{Deserialize, Serialize};
use worker::{State, WebSocket};

use crate::error::Error;
use crate::session::store::Committed;

/// What is known of a socket, kept by the runtime.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attachment {
    pub person: Person,
    pub subscribed: bool,
    pub active: bool,
}

pub struct Hub<'a> {
    state: &'a State,
}

impl<'a> Hub<'a> {
    pub fn new(state: &'a State) -> Self {
        Self { state }
    }

    /// Tells every subscribed socket what has been committed.
    pub fn broadcast(&self, committed: Vec<Committed>) {
        for frame in frames(committed) {
            self.send_to_subscribed(&frame, None);
        }
    }

    pub fn broadcast_presence(&self, leaving: Option<&WebSocket>) {
        let participants = self.participants(leaving);
        self.send_to_subscribed(&ServerFrame::Presence { participants }, None);
    }

    /// Tells everybody but the one who types.
    pub fn broadcast_typing(&self, person: Person) {
        let id = person.id;
        self.send_to_subscribed(&ServerFrame::Typing { person }, Some(id));
    }

    /// Everybody who has a socket open, each once, active if one of their sockets is.
    pub fn participants(&self, leaving: Option<&WebSocket>) -> Vec<Participant> {
        let mut participants: Vec<Participant> = Vec::new();
        for socket in self.state.get_websockets() {
            if leaving.is_some_and(|leaving| *leaving == socket) {
                continue;
            }
            let Ok(Some(attachment)) = socket.deserialize_attachment::<Attachment>() else {
                continue;
            };
            let known = participants
                .iter_mut()
                .find(|known| known.person.id == attachment.person.id);
            match known {
                Some(known) => known.active |= attachment.active,
                None => participants.push(Participant {
                    person: attachment.person,
                    active: attachment.active,
                }),
            }
        }
        participants
    }

    fn send_to_subscribed(&self, frame: &ServerFrame, except: Option<protocol::UserId>) {
        let Ok(text) = serde_json::to_string(frame) else {
            return;
        };
        for socket in self.state.get_websockets() {
            let Ok(Some(attachment)) = socket.deserialize_attachment::<Attachment>() else {
                continue;
            };
            if attachment.subscribed && except != Some(attachment.person.id) {
                // A socket that is closing refuses; its close event follows.
                let _ = socket.send_with_str(&text);
            }
        }
    }
}

pub fn send(socket: &WebSocket, frame: &ServerFrame) -> Result<(), Error> {
    socket.send_with_str(serde_json::to_string(frame)?)?;
    Ok(())
}

/// Fewest frames: neighbouring events share one, neighbouring deltas of a part are joined.
fn frames(committed: Vec<Committed>) -> Vec<ServerFrame> {
    let mut frames: Vec<ServerFrame> = Vec::new();
    for item in committed {
        match (item, frames.last_mut()) {
            (Committed::Event(event), Some(ServerFrame::Events { events })) => events.push(event),
            (Committed::Event(event), _) => {
                frames.push(ServerFrame::Events {
                    events: vec![event],
                });
            }
            (
                Committed::Delta { part, text, .. },
                Some(ServerFrame::Delta {
                    part: last,
                    text: before,
                    ..
                }),
            ) if part == *last => before.push_str(&text),
            (Committed::Delta { part, offset, text }, _) => {
                frames.push(ServerFrame::Delta { part, offset, text });
            }
        }
    }
    frames
}

#[cfg(test)]
mod tests {
    use protocol::PartId;

    use super::*;

    fn delta(part: u64, offset: u64, text: &str) -> Committed {
        Committed::Delta {
            part: PartId(part),
            offset,
            text: text.to_owned(),
        }
    }

    #[test]
    fn neighbouring_deltas_of_one_part_share_a_frame() {
        let frames = frames(vec![delta(1, 0, "a"), delta(1, 1, "b"), delta(2, 0, "c")]);
        let joined = ServerFrame::Delta {
            part: PartId(1),
            offset: 0,
            text: "ab".to_owned(),
        };
        assert_eq!(frames.len(), 2);
        assert_eq!(frames.first(), Some(&joined));
    }
}
