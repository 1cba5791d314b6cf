//! Typed requests to Durable Objects: one JSON value each way, posted to an object by its name.

use serde::Serialize;
use serde::de::DeserializeOwned;
use worker::{Env, Request, Response};

use super::http::to_object;

#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    #[error("the runtime failed")]
    Platform(#[from] worker::Error),
    /// The object has written down why.
    #[error("an object of {binding} answered {status}")]
    Refused { binding: &'static str, status: u16 },
}

/// Asks the object of that name behind a binding.
pub async fn ask<T: DeserializeOwned>(
    env: &Env,
    binding: &'static str,
    name: &str,
    request: &impl Serialize,
) -> Result<T, ObjectError> {
    let stub = env.durable_object(binding)?.get_by_name(name)?;
    let mut response = stub.fetch_with_request(to_object("/", request)?).await?;
    match response.status_code() {
        200..=299 => Ok(response.json().await?),
        status => Err(ObjectError::Refused { binding, status }),
    }
}

/// In the object: takes a request apart and writes down what it is answered.
pub async fn answer<R, T, E>(
    mut request: Request,
    answer: impl AsyncFnOnce(R) -> Result<T, E>,
    refuse: impl FnOnce(E) -> worker::Result<Response>,
) -> worker::Result<Response>
where
    R: DeserializeOwned,
    T: Serialize,
    E: From<worker::Error>,
{
    let outcome = match request.json::<R>().await {
        Ok(request) => answer(request).await,
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(value) => Response::from_json(&value),
        Err(error) => refuse(error),
    }
}
