//! What a handler leaves of a request's body.
//!
//! workerd closes a connection whose request was not read to its end, and whoever still sends may lose the
//! answer with it: an upload that is refused for its signature would look like a broken network. So the
//! rest is read before the answer leaves, as far as a limit.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::Request;
use futures_util::{Stream, StreamExt as _};
use worker::HttpRequest;

use super::http::within;

/// The most that is read for nothing, in bytes.
const LIMIT: usize = 1024 * 1024;
const DEADLINE: Duration = Duration::from_secs(5);

type Left = Arc<Mutex<Option<worker::Body>>>;

/// What nobody has read when the request was handled.
pub struct Remainder(Left);

impl Remainder {
    /// The request, with a body that leaves here what is not read of it.
    pub fn of(request: HttpRequest) -> (Request<Body>, Self) {
        let left = Left::default();
        let request = request.map(|body| {
            if body.is_end_stream() {
                return Body::empty();
            }
            Body::from_stream(Watched {
                body: Some(body),
                left: Arc::clone(&left),
            })
        });
        (request, Self(left))
    }

    pub async fn read(self) {
        let left = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut body) = left else { return };
        let reading = async {
            let mut read = 0;
            while let Some(Ok(bytes)) = body.next().await
                && read < LIMIT
            {
                read += bytes.len();
            }
        };
        within(reading, DEADLINE).await;
    }
}

/// A body that is not dropped before its end.
struct Watched {
    /// Until it has ended.
    body: Option<worker::Body>,
    left: Left,
}

impl Stream for Watched {
    type Item = worker::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let polled = body.poll_next_unpin(context);
        if !matches!(polled, Poll::Pending | Poll::Ready(Some(Ok(_)))) {
            self.body = None;
        }
        polled
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = self.body.take();
    }
}
