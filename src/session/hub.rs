//! The session's sockets. They hibernate: who is behind one is in its attachment, so presence is
//! right after the object has slept.
//!
//! Invariant: a subscribed socket has received everything up to the head. Subscribing and
//! broadcasting never wait in between, so nothing falls between the two.

use protocol::event::{Person, Source};
use protocol::frame::{Participant, ServerFrame};
use protocol::{Millis, UserId};
use serde::{Deserialize, Serialize};
use worker::{State, WebSocket};

use crate::error::Error;
use crate::session::store::Committed;
use crate::tickets::web;

/// What is known of a socket, kept by the runtime.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attachment {
    pub person: Person,
    /// Where what they send comes from.
    #[serde(default = "web")]
    pub source: Source,
    pub subscribed: bool,
    pub active: bool,
    /// We closed it: its client may take its time to answer that.
    #[serde(default)]
    pub closed: bool,
    #[serde(default)]
    pub allowance: Allowance,
}

/// How many frames a socket may still send, refilled as time passes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Allowance {
    frames: i64,
    since: Millis,
}

/// More than anybody types, and few enough that a page gone mad disturbs nobody.
const FRAMES_AT_ONCE: i64 = 200;
const MS_PER_FRAME: i64 = 50;

impl Default for Allowance {
    fn default() -> Self {
        Self {
            frames: FRAMES_AT_ONCE,
            since: Millis(0),
        }
    }
}

impl Allowance {
    /// Whether one more frame may come now.
    pub fn take(&mut self, now: Millis) -> bool {
        let earned = i64::try_from(now.since(self.since)).unwrap_or(i64::MAX) / MS_PER_FRAME;
        if earned > 0 {
            self.frames = self.frames.saturating_add(earned).min(FRAMES_AT_ONCE);
            self.since = now;
        }
        let allowed = self.frames > 0;
        self.frames -= i64::from(allowed);
        allowed
    }
}

/// The code that sockets of somebody who lost access are closed with.
pub const REVOKED: u16 = 4001;

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

    /// Closes every socket of a user. Whether there was one.
    pub fn expel(&self, user: UserId) -> bool {
        let mut expelled = false;
        for (socket, mut attachment) in self.open() {
            if attachment.person.id == user {
                attachment.closed = true;
                // One that is closing by itself refuses; it gets nothing more either way.
                let _ = socket.serialize_attachment(attachment);
                let _ = socket.close(Some(REVOKED), Some("access to the repository was revoked"));
                expelled = true;
            }
        }
        expelled
    }

    fn open(&self) -> impl Iterator<Item = (WebSocket, Attachment)> {
        let sockets = self.state.get_websockets().into_iter();
        sockets.filter_map(|socket| {
            let attachment = socket.deserialize_attachment::<Attachment>().ok()??;
            (!attachment.closed).then_some((socket, attachment))
        })
    }

    /// Everybody who has a socket open, each once, active if one of their sockets is.
    pub fn participants(&self, leaving: Option<&WebSocket>) -> Vec<Participant> {
        let mut participants: Vec<Participant> = Vec::new();
        for (socket, attachment) in self.open() {
            if leaving.is_some_and(|leaving| *leaving == socket) {
                continue;
            }
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

    fn send_to_subscribed(&self, frame: &ServerFrame, except: Option<UserId>) {
        let Ok(text) = serde_json::to_string(frame) else {
            return;
        };
        for (socket, attachment) in self.open() {
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
    fn a_socket_sends_at_its_pace_after_a_burst() {
        let mut allowance = Allowance::default();
        let taken = (0..1000)
            .filter(|_| allowance.take(Millis(1_000_000)))
            .count();
        assert_eq!(taken, 200);
        assert!(!allowance.take(Millis(1_000_049)));
        assert!(allowance.take(Millis(1_000_050)));
        assert!(!allowance.take(Millis(1_000_051)));
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
