//! HTTP connections to one agent.
//!
//! Idle connections are kept, so that a prompt costs no dialing; the event stream has one of its
//! own. A request is repeated only when it was certainly not sent.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::time::timeout;

use super::{AgentError, Dial};

/// Longest answer that is read: a long conversation with all its tool outputs.
const LONGEST_ANSWER: usize = 256 * 1024 * 1024;

/// Longest part of a refusal that goes into an error.
const LONGEST_REFUSAL: usize = 500;

/// Idle connections that are kept: more are never needed, since requests follow one another.
const MOST_IDLE: usize = 2;

type Sender = SendRequest<Full<Bytes>>;

pub(super) struct Connections {
    dial: Dial,
    directory: String,
    idle: Mutex<Vec<Sender>>,
}

impl Connections {
    pub(super) fn new(dial: Dial, directory: &str) -> Self {
        Self {
            dial,
            directory: encode(directory),
            idle: Mutex::default(),
        }
    }

    pub(super) fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Request<Full<Bytes>>, AgentError> {
        let builder = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "agent")
            .header(ACCEPT, "*/*")
            .header("x-opencode-directory", &self.directory);
        let request = match body {
            Some(body) => builder
                .header(CONTENT_TYPE, "application/json")
                .body(Full::new(Bytes::from(body.to_string()))),
            None => builder.body(Full::default()),
        };
        request.map_err(AgentError::Request)
    }

    /// Sends a request and reads the whole answer.
    pub(super) async fn send(
        &self,
        operation: &'static str,
        request: Request<Full<Bytes>>,
        longest: Duration,
    ) -> Result<Vec<u8>, AgentError> {
        let exchange = async {
            let (sender, response) = self.exchange(request).await?;
            let answer = whole(operation, response).await?;
            self.keep(sender);
            Ok(answer)
        };
        timeout(longest, exchange)
            .await
            .map_err(|_| AgentError::Timeout { operation })?
    }

    /// Sends a request on a connection of its own and returns when the answer begins.
    pub(super) async fn open(
        &self,
        operation: &'static str,
        request: Request<Full<Bytes>>,
        longest: Duration,
    ) -> Result<Incoming, AgentError> {
        let exchange = async {
            let mut sender = self.dial().await?;
            let response = sender
                .send_request(request)
                .await
                .map_err(AgentError::Http)?;
            if response.status().is_success() {
                return Ok(response.into_body());
            }
            whole(operation, response).await?;
            Err(AgentError::StreamEnded)
        };
        timeout(longest, exchange)
            .await
            .map_err(|_| AgentError::Timeout { operation })?
    }

    /// Asks on a new connection: one that was accepted too early is lost.
    pub(super) async fn probe(&self, path: &str, longest: Duration) -> Result<(), AgentError> {
        let request = self.request(Method::GET, path, None)?;
        let exchange = async {
            let mut sender = self.dial().await?;
            let response = sender
                .send_request(request)
                .await
                .map_err(AgentError::Http)?;
            whole("health", response).await.map(drop)
        };
        timeout(longest, exchange)
            .await
            .map_err(|_| AgentError::Timeout {
                operation: "health",
            })?
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(Sender, Response<Incoming>), AgentError> {
        let mut request = request;
        while let Some(mut sender) = self.take() {
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((sender, response)),
                Err(mut failure) => match failure.take_message() {
                    // The agent had closed the connection; nothing was sent.
                    Some(unsent) => request = unsent,
                    None => return Err(AgentError::Http(failure.into_error())),
                },
            }
        }
        let mut sender = self.dial().await?;
        let response = sender
            .send_request(request)
            .await
            .map_err(AgentError::Http)?;
        Ok((sender, response))
    }

    async fn dial(&self) -> Result<Sender, AgentError> {
        let io = (self.dial)().await.map_err(AgentError::Dial)?;
        let (sender, connection) = http1::handshake(TokioIo::new(io))
            .await
            .map_err(AgentError::Http)?;
        // It ends by itself when the sender is dropped or the agent closes it; whoever waits for
        // an answer gets the error.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(sender)
    }

    fn take(&self) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|sender| !sender.is_closed());
        idle.pop()
    }

    fn keep(&self, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MOST_IDLE {
            idle.push(sender);
        }
    }
}

async fn whole(
    operation: &'static str,
    response: Response<Incoming>,
) -> Result<Vec<u8>, AgentError> {
    let status = response.status();
    let body = Limited::new(response.into_body(), LONGEST_ANSWER)
        .collect()
        .await
        .map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(error) => AgentError::Http(*error),
            Err(_) => AgentError::TooLong {
                limit: LONGEST_ANSWER,
            },
        })?
        .to_bytes();
    if status.is_success() {
        return Ok(body.into());
    }
    let message = String::from_utf8_lossy(&body)
        .chars()
        .take(LONGEST_REFUSAL)
        .collect();
    Err(AgentError::Refused {
        operation,
        status: status.as_u16(),
        message,
    })
}

/// The agent decodes its header as a URI component.
fn encode(directory: &str) -> String {
    let mut encoded = String::with_capacity(directory.len());
    for byte in directory.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
