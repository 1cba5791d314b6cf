//! The scripted model: a server that speaks the OpenAI and the Anthropic protocol.
//!
//! It says what a script tells it to, one token at a time, and calls the tools that a script
//! names. Which turn it plays follows from the conversation alone, so that any number of sessions,
//! retries and restarts of an agent get consistent answers. Every request is kept for assertions,
//! and none is answered without the configured key: only a gateway that adds it gets through.
//!
//! A prompt chooses its script with `[[name]]`, else by a keyword that was given when the script
//! was registered; otherwise the model gives a short friendly answer.
//! Built in are:
//!
//! | marker | what the model does |
//! | --- | --- |
//! | `[[say text="…"]]` | says that |
//! | `[[stream tokens=8000 rate=100]]` | that many tokens of English, so many a second (0: at once) |
//! | `[[bash command="…"]]`, `[[write path="…" content="…"]]`, `[[read path="…"]]`, `[[edit path="…" old="…" new="…"]]` | calls the tool |
//! | `[[fail status=529 times=2]]` | answers with an error, so often (default: always) |
//! | `[[hang after=3]]` | says so many tokens (default: none), then nothing more |
//!
//! Several markers are played one after the other, a turn each. Each takes `delay` (milliseconds
//! before the first token) and `rate` (tokens a second). Values in quotes know the escapes of JSON.

use axum::serve::ListenerExt as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinHandle;

mod anthropic;
mod conversation;
mod hall;
mod marker;
mod openai;
mod pace;
mod prose;
mod repair;
mod script;
mod server;

pub use conversation::{Conversation, ToolResult};
pub use prose::{prose, tokens};
pub use repair::Repair;
pub use script::{Step, ToolCall, Turn};

use hall::Hall;

#[derive(Debug, Clone)]
pub struct ModelOptions {
    /// 0 chooses a free one.
    pub port: u16,
    /// The key without which no request is answered.
    pub api_key: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("the model cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("the model got {got} of {wanted} requests within {within:?}")]
    TooFewRequests {
        got: usize,
        wanted: usize,
        within: Duration,
    },
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct RecordedRequest {
    pub at: Instant,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Value,
    /// What was answered; a request without the key is recorded as well.
    pub status: u16,
}

impl RecordedRequest {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// A running model. Dropping it ends it.
#[derive(Debug)]
pub struct Model {
    hall: Arc<Hall>,
    url: String,
    server: JoinHandle<()>,
}

impl Model {
    pub async fn start(options: ModelOptions) -> Result<Self, ModelError> {
        let address = SocketAddr::from(([127, 0, 0, 1], options.port));
        let listen_error = |source| ModelError::Listen { address, source };
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .map_err(listen_error)?;
        let port = listener.local_addr().map_err(listen_error)?.port();
        let hall = Arc::new(Hall::new(options.api_key));
        let router = server::router(Arc::clone(&hall));
        let server = tokio::spawn(async move {
            // Tokens are small writes: held back to be joined, each would come 40 ms late.
            let listener = listener.tap_io(|stream| {
                let _ = stream.set_nodelay(true);
            });
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the model stopped serving");
            }
        });
        Ok(Self {
            hall,
            url: format!("http://127.0.0.1:{port}"),
            server,
        })
    }

    /// Without `/v1`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A script for prompts that contain `[[name]]`.
    pub fn script<S: Into<Step>>(&self, name: &str, steps: impl IntoIterator<Item = S>) {
        let steps = steps.into_iter().map(Into::into).collect();
        self.hall.register(name, None, steps);
    }

    /// A script that also answers prompts which contain `keyword`, in any case.
    pub fn script_for<S: Into<Step>>(
        &self,
        name: &str,
        keyword: &str,
        steps: impl IntoIterator<Item = S>,
    ) {
        let steps = steps.into_iter().map(Into::into).collect();
        self.hall.register(name, Some(keyword), steps);
    }

    /// The requests so far, oldest first.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.hall.requests()
    }

    /// Waits until there were so many requests.
    pub async fn wait_for_requests(
        &self,
        wanted: usize,
        within: Duration,
    ) -> Result<Vec<RecordedRequest>, ModelError> {
        let arrived = self.hall.arrived(wanted);
        if tokio::time::timeout(within, arrived).await.is_err() {
            return Err(ModelError::TooFewRequests {
                got: self.requests().len(),
                wanted,
                within,
            });
        }
        Ok(self.requests())
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.server.abort();
    }
}
