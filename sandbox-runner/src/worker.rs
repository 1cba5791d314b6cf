//! Signed requests to the Worker.

use std::time::Duration;

use protocol::signature::{Keys, Signed};
use reqwest::{Client, Method, Response, StatusCode, Url, header};
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
    #[error("the Worker's answer is longer than {limit} bytes")]
    TooLong { limit: usize },
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

    /// Where a path of the Worker is.
    pub fn address(&self, path: &str) -> String {
        format!("{}{path}", self.url)
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
        let response = self
            .send(Method::POST, url, body, "application/json")
            .await?;
        Answer::read(response, usize::MAX).await
    }

    /// Posts a file to a path of the Worker, whatever the answer.
    pub async fn deliver(&self, path: &str, file: Vec<u8>) -> Result<Answer, WorkerError> {
        let url = format!("{}{path}", self.url);
        let kind = "application/octet-stream";
        let response = self.send(Method::POST, &url, file, kind).await?;
        Answer::read(response, usize::MAX).await
    }

    /// Gets what is at an absolute address, if it has at most `limit` bytes. It has to be the Worker's:
    /// the signature is for nobody else.
    pub async fn get(&self, url: &str, limit: usize) -> Result<Answer, WorkerError> {
        if !url
            .strip_prefix(&self.url)
            .is_some_and(|path| path.starts_with('/'))
        {
            return Err(WorkerError::Address);
        }
        let kind = "application/octet-stream";
        let response = self.send(Method::GET, url, Vec::new(), kind).await?;
        Answer::read(response, limit).await
    }

    async fn send(
        &self,
        method: Method,
        url: &str,
        body: Vec<u8>,
        kind: &'static str,
    ) -> Result<Response, WorkerError> {
        let url = Url::parse(url).map_err(|_| WorkerError::Address)?;
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let id = format!("msg_{:032x}", u128::from_be_bytes(clock::random()));
        let signed = Signed {
            method: method.as_str(),
            path: &path,
            body: &body,
        };
        let signature = self.keys.sign_request(&id, clock::now(), signed);
        let mut request = self
            .client
            .request(method, url)
            .header(header::CONTENT_TYPE, kind);
        for (name, value) in signature.headers() {
            request = request.header(name, value);
        }
        let sent = request.body(body).send().await;
        sent.map_err(WorkerError::Transport)
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
    /// Reads a body to its end, however long its sender says it is.
    async fn read(mut response: Response, limit: usize) -> Result<Self, WorkerError> {
        let status = response.status();
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(WorkerError::Transport)? {
            if status.is_success() && body.len() + piece.len() > limit {
                return Err(WorkerError::TooLong { limit });
            }
            body.extend_from_slice(&piece);
        }
        Ok(Self { status, body })
    }

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
