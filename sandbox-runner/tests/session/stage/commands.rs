//! What the session sends: signed commands.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use protocol::api::{FilePlace, ReadFile};
use protocol::callback::{PoolTarget, Register, WarmSandbox};
use protocol::command::{
    BuildImage, Command, GitIdentity, Model as ModelName, Provider, SendPrompt, Start,
};
use protocol::event::{Mode, Repository};
use protocol::image::Base;
use protocol::signature::{Keys, Signed};
use protocol::{Epoch, ImageId, PartId, PromptId, SandboxId, SessionId};
use serde::Serialize;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::{KEY, OWNER, REPOSITORY, Stage, now};

/// A viewer's side of a terminal.
pub(crate) type Screen = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl Stage {
    pub(crate) async fn send(&self, command: &Command) -> StatusCode {
        let body = serde_json::to_vec(command).unwrap();
        let signed = Signed {
            method: "POST",
            path: "/commands",
            body: &body,
        };
        let id = format!(
            "msg_{:?}",
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .as_nanos()
        );
        let signature = Keys::parse(KEY).unwrap().sign_request(&id, now(), signed);
        let mut request = self
            .client
            .post(format!("http://{}/commands", self.address));
        for (name, value) in signature.headers() {
            request = request.header(name, value);
        }
        let response = request.body(body).send().await.unwrap();
        StatusCode::from_u16(response.status().as_u16()).unwrap()
    }

    /// Looks at a sandbox's terminal as somebody.
    pub(crate) async fn terminal(&self, start: &Start) -> Screen {
        let person = r#"{"id":1,"login":"ada","name":"Ada","avatar":""}"#;
        let viewer = BASE64_URL_SAFE_NO_PAD.encode(person);
        let path = format!("/terminal/{}?viewer={viewer}", start.sandbox);
        let signed = Signed {
            method: "GET",
            path: &path,
            body: b"",
        };
        let signature = Keys::parse(KEY).unwrap();
        let signature = signature.sign_request("msg_terminal", now(), signed);
        let url = format!("ws://{}{path}", self.address);
        let mut request = url.into_client_request().unwrap();
        for (name, value) in signature.headers() {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let protocol = "v1.terminal".parse().unwrap();
        request
            .headers_mut()
            .insert("sec-websocket-protocol", protocol);
        connect_async(request).await.unwrap().0
    }

    /// Asks what the Worker asks at once: the status and what was answered.
    pub(crate) async fn ask(&self, path: &str, message: &impl Serialize) -> (u16, String) {
        let body = serde_json::to_vec(message).unwrap();
        let signed = Signed {
            method: "POST",
            path,
            body: &body,
        };
        let keys = Keys::parse(KEY).unwrap();
        let signature = keys.sign_request("msg_ask", now(), signed);
        let mut request = self.client.post(format!("http://{}{path}", self.address));
        for (name, value) in signature.headers() {
            request = request.header(name, value);
        }
        let response = request.body(body).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub(crate) async fn file(&self, place: FilePlace, path: &str) -> (u16, String) {
        let path = path.to_owned();
        self.ask("/files", &ReadFile { place, path }).await
    }

    pub(crate) async fn accept(&self, command: &Command) {
        assert_eq!(self.send(command).await, StatusCode::ACCEPTED);
    }

    /// A sandbox of the one session, told to start.
    pub(crate) async fn open(&self, epoch: u32) -> Start {
        self.open_as(self.start_command(epoch)).await
    }

    /// A sandbox of a session, which pushes to a branch of its own.
    pub(crate) async fn open_for(&self, epoch: u32, seed: u8) -> Start {
        let session = SessionId::from_random([seed; 16]);
        let start = Start {
            callback_url: format!("{}/runner/callbacks/{session}", self.worker.url),
            work_branch: format!("agent/work-{seed}"),
            session,
            ..self.start_command(epoch)
        };
        self.open_as(start).await
    }

    pub(crate) async fn open_as(&self, start: Start) -> Start {
        self.accept(&Command::Start(start.clone())).await;
        start
    }

    pub(crate) fn start_command(&self, epoch: u32) -> Start {
        let session = SessionId::from_random([7; 16]);
        Start {
            sandbox: SandboxId::from_random([epoch as u8; 16]),
            epoch: Epoch(epoch),
            repository: Repository::new(OWNER, REPOSITORY).unwrap(),
            branch: "main".into(),
            work_branch: "agent/work".to_owned(),
            model: ModelName {
                provider: Provider::Openai,
                name: "scripted-1".into(),
            },
            first_part: PartId(u64::from(epoch) * 1000),
            callback_url: format!("{}/runner/callbacks/{session}", self.worker.url),
            environment: None,
            warm: None,
            snapshot: None,
            egress: None,
            specification: None,
            spent_microdollars: 0,
            session,
        }
    }

    /// An order for the image of a branch.
    pub(crate) fn order(&self, branch: &str, seed: u8) -> BuildImage {
        let image = ImageId::from_random([seed; 16]);
        BuildImage {
            callback_url: format!("{}/runner/images/{image}", self.worker.url),
            image,
            base: Base {
                repository: Repository::new(OWNER, REPOSITORY).unwrap(),
                branch: branch.to_owned(),
                environment: None,
            },
            specification: None,
            egress: None,
            force: false,
        }
    }

    /// Makes the branch's image and waits until the pool holds an entry of it that `fits`.
    pub(crate) async fn warm(&self, fits: impl Fn(&WarmSandbox) -> bool) -> WarmSandbox {
        let Start { model, .. } = self.start_command(1);
        let order = self.order("main", 9);
        let base = order.base.clone();
        self.accept(&Command::BuildImage(order)).await;
        let size = 1;
        self.worker
            .with(|told| told.pool = vec![PoolTarget { base, model, size }]);
        let find = |register: &Register| register.warm.iter().find(|warm| fits(warm)).cloned();
        self.worker
            .until_registered(|register| find(register).is_some())
            .await;
        self.worker
            .with(|told| told.registered.last().and_then(find))
            .unwrap()
    }

    pub(crate) async fn prompt(&self, start: &Start, seed: u8, text: &str) -> PromptId {
        self.prompt_as(start, seed, text, Mode::Queue).await
    }

    pub(crate) async fn prompt_as(
        &self,
        start: &Start,
        seed: u8,
        text: &str,
        mode: Mode,
    ) -> PromptId {
        self.send_prompt(Self::prompt_command(start, seed, text, mode))
            .await
    }

    /// A prompt that was running in a sandbox that is lost.
    pub(crate) async fn prompt_again(&self, start: &Start, seed: u8, text: &str) -> PromptId {
        let prompt = Self::prompt_command(start, seed, text, Mode::Queue);
        let resumed = true;
        self.send_prompt(SendPrompt { resumed, ..prompt }).await
    }

    /// Whether the sandbox is there to take it.
    pub(crate) async fn try_prompt(
        &self,
        start: &Start,
        seed: u8,
        text: &str,
        resumed: bool,
    ) -> bool {
        let prompt = Self::prompt_command(start, seed, text, Mode::Queue);
        let command = Command::Prompt(SendPrompt { resumed, ..prompt });
        match self.send(&command).await {
            StatusCode::ACCEPTED => true,
            StatusCode::NOT_FOUND => false,
            other => panic!("{other}"),
        }
    }

    async fn send_prompt(&self, prompt: SendPrompt) -> PromptId {
        let id = prompt.prompt.clone();
        self.accept(&Command::Prompt(prompt)).await;
        id
    }

    fn prompt_command(start: &Start, seed: u8, text: &str, mode: Mode) -> SendPrompt {
        SendPrompt {
            sandbox: start.sandbox.clone(),
            prompt: PromptId::from_random([seed; 16]),
            text: text.into(),
            mode,
            sent_at: now(),
            author: GitIdentity {
                name: "Ada Prompter".into(),
                email: "ada@example.com".into(),
            },
            co_authors: vec![GitIdentity {
                name: "Bob".into(),
                email: "bob@example.com".into(),
            }],
            attachments: Vec::new(),
            resumed: false,
        }
    }
}
