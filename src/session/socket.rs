//! A client's socket: let in by a one-time ticket, told what it lacks, then the live tail.

use std::rc::Rc;

use protocol::frame::{ClientFrame, MAX_CLIENT_FRAME, SUBPROTOCOL, ServerFrame};
use protocol::{PartId, Seq};
use worker::{
    Request, Response, ResponseBuilder, WebSocket, WebSocketIncomingMessage, WebSocketPair,
};

use super::hub::{self, Allowance, Attachment};
use super::machine::{Act, Input};
use super::request::NewPrompt;
use super::store::MAX_PAGE;
use super::{Core, summary_of};
use crate::error::Error;
use crate::platform::clock;
use crate::tickets::{Bearer, Offer};

impl Core {
    /// Accepts an upgrade whose ticket is good for the page that it comes from.
    pub(super) fn accept(self: &Rc<Self>, request: &Request) -> Result<Response, Error> {
        // A session that is not there has given out no ticket, and is told from none.
        let Offer { ticket, origin } = Offer::of(request, SUBPROTOCOL)?;
        let Bearer { person, source } = self
            .store()?
            .redeem_ticket(&ticket, &origin, clock::now())?
            .ok_or(Error::BadTicket)?;
        let pair = WebSocketPair::new()?;
        self.state.accept_web_socket(&pair.server);
        pair.server.serialize_attachment(Attachment {
            person,
            source,
            subscribed: false,
            active: true,
            closed: false,
            allowance: Allowance::default(),
        })?;
        self.watch_access()?;
        Ok(ResponseBuilder::new()
            .with_status(101)
            .with_header("sec-websocket-protocol", SUBPROTOCOL)?
            .with_websocket(pair.client)
            .empty())
    }

    /// Handles one frame. A bad one is answered on the socket and changes nothing.
    pub(super) fn receive(self: &Rc<Self>, socket: &WebSocket, message: WebSocketIncomingMessage) {
        let mut client_request_id = None;
        let outcome = parse(message).and_then(|frame| {
            if let ClientFrame::Prompt {
                client_request_id: id,
                ..
            } = &frame
            {
                client_request_id.clone_from(id);
            }
            self.handle(socket, frame)
        });
        if let Err(error) = outcome {
            error.log();
            let detail = error.body().error;
            let frame = ServerFrame::Error {
                code: detail.code,
                message: detail.message,
                client_request_id,
            };
            // A socket that is closing has nobody to tell.
            let _ = hub::send(socket, &frame);
        }
    }

    fn handle(self: &Rc<Self>, socket: &WebSocket, frame: ClientFrame) -> Result<(), Error> {
        let mut attachment = socket
            .deserialize_attachment::<Attachment>()?
            .filter(|attachment| !attachment.closed)
            .ok_or(Error::BadTicket)?;
        let allowed = attachment.allowance.take(clock::now());
        socket.serialize_attachment(&attachment)?;
        if !allowed {
            let message = "too many frames: send at most 20 a second";
            return Err(Error::invalid("too_many_frames", message));
        }
        let by = attachment.person.clone();
        match frame {
            ClientFrame::Subscribe { since } => self.subscribe(socket, attachment, since),
            ClientFrame::Prompt {
                text,
                mode,
                client_request_id,
                attachments,
            } => {
                let source = attachment.source;
                self.prompt(NewPrompt {
                    author: by,
                    text,
                    source,
                    mode,
                    attachments,
                    client_request_id,
                })?;
                Ok(())
            }
            ClientFrame::EditPrompt { prompt, text } => self.act(Act::Edit { prompt, text }, by),
            ClientFrame::CancelPrompt { prompt } => self.act(Act::Cancel { prompt }, by),
            ClientFrame::InsertPrompt { prompt } => self.act(Act::Insert { prompt }, by),
            ClientFrame::ReorderPrompts { order } => self.act(Act::Reorder { order }, by),
            ClientFrame::ResumeQueue {} => self.act(Act::ResumeQueue, by),
            ClientFrame::ClearQueue {} => self.act(Act::ClearQueue, by),
            ClientFrame::Stop {} => self.act(Act::Stop, by),
            ClientFrame::Typing {} => {
                self.hub().broadcast_typing(by);
                self.apply(Input::Typing, None)
            }
            ClientFrame::Presence { active } => {
                attachment.active = active;
                socket.serialize_attachment(attachment)?;
                self.hub().broadcast_presence(None);
                Ok(())
            }
            ClientFrame::Ping {} => hub::send(socket, &ServerFrame::Pong),
        }
    }

    /// Sends what follows `since`, text that is still growing, and from then on everything.
    fn subscribe(
        &self,
        socket: &WebSocket,
        mut attachment: Attachment,
        since: Seq,
    ) -> Result<(), Error> {
        let store = self.store()?;
        let state = self.session()?;
        let head_seq = store.head()?;
        if since > head_seq {
            return Err(Error::unknown_seq(head_seq));
        }
        let queue = state
            .queue
            .iter()
            .filter_map(|waiting| store.prompt(&waiting.prompt).transpose())
            .collect::<Result<Vec<_>, _>>()?;
        let newcomer = !attachment.subscribed;
        attachment.subscribed = true;
        socket.serialize_attachment(&attachment)?;
        hub::send(
            socket,
            &ServerFrame::Welcome {
                session: summary_of(&state),
                participants: self.hub().participants(None),
                queue,
                head_seq,
            },
        )?;
        let mut sent = since;
        while sent < head_seq {
            let events = store.events(sent, MAX_PAGE)?.events;
            let Some(last) = events.last() else {
                break;
            };
            sent = last.seq;
            hub::send(socket, &ServerFrame::Events { events })?;
        }
        for part in state.open_parts.keys() {
            self.send_growing(socket, *part)?;
        }
        if newcomer {
            self.hub().broadcast_presence(None);
        }
        Ok(())
    }

    fn send_growing(&self, socket: &WebSocket, part: PartId) -> Result<(), Error> {
        let text = self.store()?.growing_text(part)?;
        if text.is_empty() {
            return Ok(());
        }
        hub::send(
            socket,
            &ServerFrame::Delta {
                part,
                offset: 0,
                text,
            },
        )
    }
}

fn parse(message: WebSocketIncomingMessage) -> Result<ClientFrame, Error> {
    let WebSocketIncomingMessage::String(text) = message else {
        return Err(Error::invalid("malformed", "frames are JSON text"));
    };
    if text.len() > MAX_CLIENT_FRAME {
        let message = format!("a frame has at most {MAX_CLIENT_FRAME} bytes");
        return Err(Error::invalid("body_too_large", message));
    }
    serde_json::from_str(&text)
        .map_err(|error| Error::invalid("malformed", format!("not a frame: {error}")))
}
