//! Signed requests to the Worker.

use std::time::Duration;

use protocol::signature::{Keys, Signed};
use reqwest::{Client, Method, StatusCode, Url, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clock;

/// Long enough for a session that wakes up under load, short enough to notice a dead connection.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("failed to make an HTTP client")]
    Client(#[source] reqwest::Error),
    #[error("an address of the Worker cannot be used")]
    Address,
    #[error("failed to write a request")]
    Encode(#[source] serde_json::Error),
    #[error("failed to reach the Worker")]
    Transport(#[source] reqwest::Error),
    #[error("the Worker answered {status}: {body}")]
    Refused { status: StatusCode, body: String },
    #[error("the Worker's answer cannot be read")]
    Decode(#[source] serde_json::Error),
}

/// The Worker as this runner sees it. Clones share their connections.
#[derive(Clone)]
pub struct Worker {
    client: Client,
    keys: Keys,
    url: String,
}

/// An answer of any status.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Vec<u8>,
}

impl Worker {
    /// `url` is the Worker's address without a slash at its end.
    pub fn new(url: &str, keys: Keys) -> Result<Self, WorkerError> {
        let parsed = Url::parse(url).map_err(|_| WorkerError::Address)?;
        let mut builder = Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            // A signature is made for one path: no other may be followed.
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true);
        // A proxy for the outside world does not lead back to this machine.
        if matches!(parsed.host_str(), Some("127.0.0.1" | "localhost" | "[::1]")) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(WorkerError::Client)?;
        Ok(Self {
            client,
            keys,
            url: url.to_owned(),
        })
    }

    /// Posts to a path of the Worker and reads a successful answer.
    pub async fn call<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, WorkerError> {
        let answer = self.call_raw(path, body).await?;
        serde_json::from_slice(&answer).map_err(WorkerError::Decode)
    }

    /// Posts to a path of the Worker; only success matters.
    pub async fn tell(&self, path: &str, body: &impl Serialize) -> Result<(), WorkerError> {
        self.call_raw(path, body).await.map(drop)
    }

    /// Posts to an absolute address with a new webhook id, whatever the answer.
    pub async fn post(&self, url: &str, body: Vec<u8>) -> Result<Answer, WorkerError> {
        let url = Url::parse(url).map_err(|_| WorkerError::Address)?;
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let id = format!("msg_{:032x}", u128::from_be_bytes(clock::random()));
        let signed = Signed {
            method: "POST",
            path: &path,
            body: &body,
        };
        let signature = self.keys.sign_request(&id, clock::now(), signed);
        let mut request = self
            .client
            .request(Method::POST, url)
            .header(header::CONTENT_TYPE, "application/json");
        for (name, value) in signature.headers() {
            request = request.header(name, value);
        }
        let response = request
            .body(body)
            .send()
            .await
            .map_err(WorkerError::Transport)?;
        let status = response.status();
        let body = response
            .bytes()
            .await
            .map_err(WorkerError::Transport)?
            .to_vec();
        Ok(Answer { status, body })
    }

    async fn call_raw(&self, path: &str, body: &impl Serialize) -> Result<Vec<u8>, WorkerError> {
        let body = serde_json::to_vec(body).map_err(WorkerError::Encode)?;
        let answer = self.post(&format!("{}{path}", self.url), body).await?;
        if answer.status.is_success() {
            Ok(answer.body)
        } else {
            Err(answer.refusal())
        }
    }
}

impl Answer {
    pub fn refusal(&self) -> WorkerError {
        let body: String = String::from_utf8_lossy(&self.body)
            .chars()
            .take(300)
            .collect();
        WorkerError::Refused {
            status: self.status,
            body,
        }
    }
}
