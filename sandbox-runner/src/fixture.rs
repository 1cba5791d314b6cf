//! Messages that several tests need.

#![expect(clippy::unwrap_used, reason = "tests")]

use protocol::command::{GitIdentity, Model, Provider, SendPrompt, Start};
use protocol::event::{Mode, Repository};
use protocol::{Epoch, Millis, PartId, PromptId, SandboxId, SessionId};

pub(crate) fn sandbox() -> SandboxId {
    SandboxId::from_random([2; 16])
}

pub(crate) fn start(callback_url: &str) -> Start {
    Start {
        session: SessionId::from_random([1; 16]),
        sandbox: sandbox(),
        epoch: Epoch(1),
        repository: Repository::parse("octo/hello").unwrap(),
        branch: "main".into(),
        work_branch: "agent/1".into(),
        model: Model {
            provider: Provider::Openai,
            name: "scripted-1".into(),
        },
        first_part: PartId(1),
        callback_url: callback_url.into(),
        environment: None,
        warm: None,
        snapshot: None,
        egress: None,
        specification: None,
        spent_microdollars: 0,
    }
}

pub(crate) fn prompt(seed: u8, text: &str) -> SendPrompt {
    SendPrompt {
        sandbox: sandbox(),
        prompt: PromptId::from_random([seed; 16]),
        text: text.into(),
        mode: Mode::Queue,
        sent_at: Millis(1000),
        author: GitIdentity {
            name: "Ada".into(),
            email: "ada@example.com".into(),
        },
        co_authors: Vec::new(),
        attachments: Vec::new(),
        resumed: false,
    }
}
