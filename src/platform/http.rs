//! Outgoing requests with a deadline, which the platform's fetch does not have by itself.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use protocol::signature::{Keys, Signed};

use super::{clock, random};

#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("no answer from {host} within {seconds} seconds")]
    Deadline { host: String, seconds: u64 },
    #[error("failed to reach {host}")]
    Unreachable {
        host: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("failed to make the request")]
    Random(#[from] getrandom::Error),
    #[error("failed to write the request's body")]
    Body(#[from] serde_json::Error),
}

/// A status, headers and the whole body.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Vec<u8>,
}

/// Sends `request` and reads the answer, both within `deadline`.
pub async fn send(
    request: reqwest::RequestBuilder,
    host: &str,
    deadline: Duration,
) -> Result<Answer, HttpError> {
    let exchange = async {
        let unreachable = |source| HttpError::Unreachable {
            host: host.to_owned(),
            source,
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = response.bytes().await.map_err(unreachable)?.to_vec();
        Ok(Answer {
            status,
            headers,
            body,
        })
    };
    within(exchange, deadline).await.unwrap_or_else(|| {
        Err(HttpError::Deadline {
            host: host.to_owned(),
            seconds: deadline.as_secs(),
        })
    })
}

/// Posts a signed message to a runner.
pub async fn post_signed(
    keys: &Keys,
    base: &str,
    path: &str,
    message: &impl serde::Serialize,
    deadline: Duration,
) -> Result<Answer, HttpError> {
    let body = serde_json::to_vec(message)?;
    let id = format!("msg_{}", random::hex(&random::bytes::<16>()?));
    let signed = Signed {
        method: "POST",
        path,
        body: &body,
    };
    let signature = keys.sign_request(&id, clock::now(), signed);
    let mut request = reqwest::Client::new()
        .post(format!("{base}{path}"))
        .header("content-type", "application/json");
    for (name, value) in signature.headers() {
        request = request.header(name, value);
    }
    send(request.body(body), base, deadline).await
}

/// The future's value, or `None` if `deadline` passes first.
pub async fn within<F: Future>(future: F, deadline: Duration) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut timer = pin!(worker::Delay::from(deadline));
    std::future::poll_fn(move |context| {
        if let Poll::Ready(value) = future.as_mut().poll(context) {
            return Poll::Ready(Some(value));
        }
        timer.as_mut().poll(context).map(|()| None)
    })
    .await
}

/// A request to a Durable Object; the host is never looked at.
pub fn to_object(path: &str, message: &impl serde::Serialize) -> worker::Result<worker::Request> {
    let body = serde_json::to_string(message)?;
    let mut init = worker::RequestInit::new();
    init.with_method(worker::Method::Post)
        .with_body(Some(body.into()));
    worker::Request::new_with_init(&format!("https://object{path}"), &init)
}
