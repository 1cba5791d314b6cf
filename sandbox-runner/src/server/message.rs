//! A message of the Worker's: its body is read, its signature verified, and only then is it parsed.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRef, FromRequest, Request};
use protocol::Millis;
use protocol::signature::{Keys, Signature};
use serde::de::DeserializeOwned;

use super::{Refusal, verified};
use crate::clock;

pub(super) struct FromWorker<T> {
    pub(super) signature: Signature,
    pub(super) received_at: Millis,
    pub(super) message: T,
}

impl<S, T> FromRequest<S> for FromWorker<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
    Keys: FromRef<S>,
{
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let headers = request.headers().clone();
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|rejection: BytesRejection| Refusal::Body(rejection.status()))?;
        let (keys, received_at) = (Keys::from_ref(state), clock::now());
        let signature = verified(&keys, received_at, (&method, &uri, &headers), &body)?;
        Ok(Self {
            signature,
            received_at,
            message: serde_json::from_slice(&body).map_err(Refusal::Malformed)?,
        })
    }
}
