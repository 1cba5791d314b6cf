//! What the agent offers to its session: one file at a time, each answered with what became of it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::response::Response;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::timeout;

use super::forward::{json_answer, refuse};

const LONGEST_BODY: usize = 16 << 10;
/// Offers of one sandbox that wait. The agent makes one after the other.
const MOST_WAITING: usize = 8;
/// How long one may take: reading, keeping, a try to deliver.
const PATIENCE: Duration = Duration::from_secs(90);
const LONGEST_PATH: usize = 4096;

/// `POST /workspace/share`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Offer {
    /// From the root of the workspace, or absolute.
    pub path: String,
    #[serde(default)]
    pub caption: String,
}

/// An offer that waits for its answer: a sentence for the agent, either way.
#[derive(Debug)]
pub struct Offered {
    pub offer: Offer,
    pub answer: oneshot::Sender<Result<String, String>>,
}

/// Between whoever offers and whoever takes.
#[derive(Debug)]
pub struct Offers {
    sender: mpsc::Sender<Offered>,
    receiver: Arc<Mutex<mpsc::Receiver<Offered>>>,
}

impl Default for Offers {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(MOST_WAITING);
        Self {
            sender,
            receiver: Arc::new(Mutex::new(receiver)),
        }
    }
}

impl Offers {
    /// The next one.
    pub async fn next(&self) -> Option<Offered> {
        self.receiver.lock().await.recv().await
    }

    pub(super) async fn answer(&self, request: Request) -> Response {
        let body = to_bytes(request.into_body(), LONGEST_BODY).await;
        let offer: Option<Offer> = body
            .ok()
            .and_then(|body| serde_json::from_slice(&body).ok());
        let is_path = |offer: &Offer| {
            !offer.path.is_empty() && offer.path.len() <= LONGEST_PATH && !offer.path.contains('\0')
        };
        let Some(offer) = offer.filter(is_path) else {
            let message = "An offer is {path, caption}.";
            return refuse(StatusCode::BAD_REQUEST, "malformed", message);
        };
        let (answer, answered) = oneshot::channel();
        if self.sender.try_send(Offered { offer, answer }).is_err() {
            let message = "Too many files are being shared at once.";
            return refuse(StatusCode::TOO_MANY_REQUESTS, "busy", message);
        }
        match timeout(PATIENCE, answered).await {
            Ok(Ok(Ok(message))) => json_answer(StatusCode::OK, &json!({ "message": message })),
            Ok(Ok(Err(message))) => {
                refuse(StatusCode::UNPROCESSABLE_ENTITY, "not_shared", &message)
            }
            _ => refuse(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "Files cannot be shared now. Try again later.",
            ),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use axum::body::Body;

    use super::*;

    async fn offer(offers: &Offers, body: &str) -> (StatusCode, String) {
        let request = Request::post("/workspace/share");
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let answer = offers.answer(request).await;
        let status = answer.status();
        let body = to_bytes(answer.into_body(), LONGEST_BODY).await.unwrap();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn what_is_no_offer_is_refused_at_once() {
        let offers = Offers::default();
        let long = format!(r#"{{"path":"{}"}}"#, "a".repeat(LONGEST_PATH + 1));
        for body in ["", "{}", r#"{"path":""}"#, r#"{"path":"a\u0000b"}"#, &long] {
            assert_eq!(
                offer(&offers, body).await.0,
                StatusCode::BAD_REQUEST,
                "{body}"
            );
        }
    }

    #[tokio::test]
    async fn an_offer_is_answered_with_what_became_of_it() {
        let offers = Offers::default();
        let taken = async {
            let first = offers.next().await.unwrap();
            assert_eq!(first.offer.path, "shot.png");
            first.answer.send(Ok("Shown.".to_owned())).unwrap();
            let second = offers.next().await.unwrap();
            second.answer.send(Err("Too large.".to_owned())).unwrap();
        };
        let offered = async {
            let (status, body) = offer(&offers, r#"{"path":"shot.png"}"#).await;
            assert_eq!((status, body.contains("Shown.")), (StatusCode::OK, true));
            let (status, body) = offer(&offers, r#"{"path":"large.bin"}"#).await;
            let refused = StatusCode::UNPROCESSABLE_ENTITY;
            assert_eq!((status, body.contains("Too large.")), (refused, true));
        };
        tokio::join!(taken, offered);
    }
}
