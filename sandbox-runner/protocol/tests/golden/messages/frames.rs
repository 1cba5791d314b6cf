//! A client's WebSocket.

use super::samples::*;
use crate::example::Unknown::{PassedOver, Refused};
use crate::example::{Example, each, message};
use protocol::event::*;
use protocol::frame::*;
use protocol::{Fact, PartId, Seq};

pub fn frames() -> Vec<Example> {
    let from_clients = vec![
        ClientFrame::Subscribe { since: Seq(0) },
        ClientFrame::Prompt {
            text: TEXT.to_owned(),
            mode: Mode::Insert,
            client_request_id: Some("7f3c".to_owned()),
            attachments: vec![artifact().id],
        },
        ClientFrame::EditPrompt {
            prompt: prompt_id(),
            text: "another text".to_owned(),
        },
        ClientFrame::CancelPrompt {
            prompt: prompt_id(),
        },
        ClientFrame::InsertPrompt {
            prompt: prompt_id(),
        },
        ClientFrame::ReorderPrompts {
            order: vec![prompt_id()],
        },
        ClientFrame::Stop {},
        ClientFrame::ResumeQueue {},
        ClientFrame::ClearQueue {},
        ClientFrame::Typing {},
        ClientFrame::Presence { active: false },
        ClientFrame::Ping {},
    ];
    let from_server = vec![
        ServerFrame::Welcome {
            session: summary(),
            participants: vec![participant()],
            queue: vec![prompt()],
            head_seq: Seq(9),
        },
        ServerFrame::Events {
            events: vec![event(Fact::PromptStarted {
                prompt: prompt_id(),
            })],
        },
        ServerFrame::Delta {
            part: PartId(3),
            offset: 12,
            text: "naïve 🦀\n".to_owned(),
        },
        ServerFrame::Presence {
            participants: vec![participant()],
        },
        ServerFrame::Typing { person: alice() },
        ServerFrame::Error {
            code: "prompt_empty".to_owned(),
            message: "write what the agent is to do".to_owned(),
            client_request_id: Some("7f3c".to_owned()),
        },
        ServerFrame::Pong,
    ];
    let mut examples = each("client_frame", Refused, from_clients);
    examples.extend(each("server_frame", PassedOver, from_server));
    examples.push(message("participant", PassedOver, participant()));
    examples
}
