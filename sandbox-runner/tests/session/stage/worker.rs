//! The Worker that the test plays: what it is told, and what it answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use protocol::api::{ErrorBody, ErrorDetail, KeepChanges, TerminalUsed};
use protocol::callback::{
    Acknowledgement, Batch, Credentials, CredentialsRequest, PoolTarget, Register, Registered,
    Report, RepositoryEgress, Secrets,
};
use protocol::signature::{Keys, Signature, Signed};
use protocol::{ImageId, PromptId, SandboxId};
use support::forge::Forge;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Heard, KEY, LIMIT, OWNER, now};

/// What the Worker has been told.
#[derive(Default)]
pub(crate) struct Told {
    pub(super) reports: HashMap<SandboxId, Vec<Report>>,
    pub(crate) registered: Vec<Register>,
    /// What registrations are answered with.
    pub(super) pool: Vec<PoolTarget>,
    pub(crate) egress: Vec<RepositoryEgress>,
    pub(crate) lapsed: Vec<SandboxId>,
    faults: Vec<String>,
    /// Callbacks are answered with an error while set.
    deaf: bool,
    /// Callbacks are taken, and not answered, while set.
    holds: bool,
    /// How many callbacks were not answered.
    held: u32,
    void: bool,
    images: HashMap<ImageId, Heard>,
    /// What prompts have changed, and those whose changes were not taken.
    kept: Vec<KeepChanges>,
    refused: Vec<PromptId>,
    /// Sandboxes in whose terminals somebody typed.
    used: Vec<SandboxId>,
}

impl Told {
    pub(crate) fn registered(&self) -> &[Register] {
        &self.registered
    }
}

pub(crate) struct Worker {
    pub(super) told: Arc<Desk>,
    pub(super) url: String,
    server: JoinHandle<()>,
}

pub(super) struct Desk {
    told: Mutex<Told>,
    pub(super) changes: watch::Sender<u64>,
    /// Nobody gets into a repository while set: whoever asks waits.
    is_closed: watch::Sender<bool>,
    forge: Arc<Forge>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Worker {
    pub(super) async fn start(forge: Arc<Forge>) -> Self {
        let desk = Arc::new(Desk {
            told: Mutex::default(),
            changes: watch::Sender::new(0),
            is_closed: watch::Sender::new(false),
            forge,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&desk));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            told: desk,
            url,
            server,
        }
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Told) -> T) -> T {
        look(&mut self.told.told.lock().unwrap())
    }

    pub(crate) fn set_deaf(&self, deaf: bool) {
        self.with(|told| told.deaf = deaf);
    }

    pub(crate) fn set_holding(&self, holds: bool) {
        self.with(|told| told.holds = holds);
    }

    /// While set, the forge lets nobody in, so no workspace can be brought up to date.
    pub(crate) fn set_closed(&self, closed: bool) {
        self.told.is_closed.send_replace(closed);
    }

    /// Returns when a callback was taken that is not answered.
    pub(crate) async fn holds_a_callback(&self) {
        self.once("callback", |told| (told.held > 0).then_some(()))
            .await;
    }

    /// While set, sessions are gone, and nobody wants an image.
    pub(crate) fn set_void(&self, void: bool) {
        self.with(|told| told.void = void);
    }

    /// What was told of an image, as soon as it `fits`.
    pub(crate) async fn heard(&self, image: &ImageId, fits: impl Fn(&Heard) -> bool) -> Heard {
        let mut changes = self.told.changes.subscribe();
        let look = |told: &mut Told| told.images.get(image).cloned().unwrap_or_default();
        let waited = async {
            loop {
                let heard = self.with(look);
                if fits(&heard) {
                    return heard;
                }
                changes.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(LIMIT, waited).await {
            Ok(heard) => heard,
            Err(_) => panic!("heard {:?}", self.with(look).log),
        }
    }

    /// What a prompt has changed, once it was told.
    pub(crate) async fn kept(&self, prompt: &PromptId) -> KeepChanges {
        let of = |kept: &&KeepChanges| kept.prompt == *prompt;
        self.once("changes", |told| told.kept.iter().find(of).cloned())
            .await
    }

    /// Returns when changes of a prompt were not taken.
    pub(crate) async fn refused(&self, prompt: &PromptId) {
        self.once("refusal", |told| {
            told.refused.contains(prompt).then_some(())
        })
        .await;
    }

    pub(crate) async fn terminal_used(&self, sandbox: &SandboxId) {
        self.once("keystroke", |told| {
            told.used.contains(sandbox).then_some(())
        })
        .await;
    }

    async fn once<T>(&self, wanted: &str, look: impl Fn(&Told) -> Option<T>) -> T {
        let mut changes = self.told.changes.subscribe();
        let waited = async {
            loop {
                if let Some(found) = self.with(|told| look(told)) {
                    return found;
                }
                changes.changed().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(LIMIT, waited).await;
        waited.unwrap_or_else(|_| panic!("no {wanted}"))
    }

    pub(crate) fn assert_faultless(&self) {
        self.with(|told| assert_eq!(told.faults, Vec::<String>::new()));
    }

    /// The newest registration.
    pub(crate) fn registered(&self) -> Register {
        self.with(|told| told.registered.last().cloned()).unwrap()
    }

    pub(crate) async fn until_registered(&self, fits: impl Fn(&Register) -> bool) {
        let mut changes = self.told.changes.subscribe();
        let waited = async {
            while !self.with(|told| told.registered.last().is_some_and(&fits)) {
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(LIMIT, waited).await.unwrap();
    }
}

async fn answer(
    State(desk): State<Arc<Desk>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let signature = Signature::from_headers(|name| headers.get(name)?.to_str().ok()).unwrap();
    let signed = Signed {
        method: "POST",
        path: uri.path(),
        body: &body,
    };
    if Keys::parse(KEY)
        .unwrap()
        .verify_request(&signature, now(), signed)
        .is_err()
    {
        desk.told
            .lock()
            .unwrap()
            .faults
            .push(format!("{uri} is not signed"));
    }
    let response = match uri.path() {
        "/runner/register" => {
            let register = serde_json::from_slice(&body).unwrap();
            let mut told = desk.told.lock().unwrap();
            told.registered.push(register);
            Json(Registered {
                registered: true,
                pool: told.pool.clone(),
                egress: told.egress.clone(),
                lapsed: told.lapsed.clone(),
            })
            .into_response()
        }
        "/runner/credentials" => {
            let mut is_closed = desk.is_closed.subscribe();
            is_closed.wait_for(|closed| !closed).await.unwrap();
            let request: CredentialsRequest = serde_json::from_slice(&body).unwrap();
            let name = request.repository.name();
            let allowed = [("contents", "write"), ("metadata", "read")];
            let token = desk
                .forge
                .installation_token(OWNER, &[name], &allowed)
                .await
                .unwrap();
            let credentials = Credentials {
                username: "x-access-token".into(),
                password: token,
                expires_at: now().plus(3_600_000),
            };
            Json(credentials).into_response()
        }
        "/runner/secrets" => Json(Secrets {
            secrets: Vec::new(),
        })
        .into_response(),
        path if path.starts_with("/runner/terminals/") => {
            let used: TerminalUsed = serde_json::from_slice(&body).unwrap();
            desk.told.lock().unwrap().used.push(used.sandbox);
            StatusCode::NO_CONTENT.into_response()
        }
        path if path.starts_with("/runner/changes/") => {
            let told = &mut desk.told.lock().unwrap();
            let kept: KeepChanges = serde_json::from_slice(&body).unwrap();
            match refusal(told) {
                Some(refusal) => {
                    told.refused.push(kept.prompt);
                    refusal
                }
                None => {
                    told.kept.push(kept);
                    StatusCode::NO_CONTENT.into_response()
                }
            }
        }
        path if path.starts_with("/runner/images/") => {
            let image = path.rsplit('/').next().unwrap();
            let image = ImageId::parse(image).unwrap();
            image_report(&mut desk.told.lock().unwrap(), image, &body)
        }
        _ => callback(&mut desk.told.lock().unwrap(), &body),
    };
    let is_held = uri.path().starts_with("/runner/callbacks/") && {
        let told = &mut desk.told.lock().unwrap();
        told.held += u32::from(told.holds);
        told.holds
    };
    desk.changes.send_modify(|count| *count += 1);
    if is_held {
        // Whoever waits for it is killed.
        std::future::pending::<()>().await;
    }
    response
}

fn image_report(told: &mut Told, image: ImageId, body: &[u8]) -> Response {
    let refusal = refusal(told);
    let heard = told.images.entry(image).or_default();
    if let Some(refusal) = refusal {
        heard.refusals += 1;
        return refusal;
    }
    let report = serde_json::from_slice(body).unwrap();
    match heard.take(report) {
        Ok(received) => Json(Acknowledgement { received }).into_response(),
        Err(received) => {
            told.faults.push(format!("a gap after {received}"));
            (StatusCode::CONFLICT, Json(Acknowledgement { received })).into_response()
        }
    }
}

fn refusal(told: &Told) -> Option<Response> {
    if told.void {
        let error = ErrorDetail {
            code: "gone".into(),
            message: "the session is gone".into(),
        };
        return Some((StatusCode::GONE, Json(ErrorBody { error })).into_response());
    }
    let deaf = StatusCode::SERVICE_UNAVAILABLE;
    told.deaf.then(|| deaf.into_response())
}

fn callback(told: &mut Told, body: &[u8]) -> Response {
    if let Some(refusal) = refusal(told) {
        return refusal;
    }
    let batch: Batch = serde_json::from_slice(body).unwrap();
    let held = told.reports.entry(batch.sandbox).or_default();
    let received = held.len() as u64;
    if batch.first > received + 1 {
        told.faults
            .push(format!("a gap from {received} to {}", batch.first));
        return (StatusCode::CONFLICT, Json(Acknowledgement { received })).into_response();
    }
    held.extend(
        batch
            .reports
            .into_iter()
            .skip((received + 1 - batch.first) as usize),
    );
    Json(Acknowledgement {
        received: held.len() as u64,
    })
    .into_response()
}
