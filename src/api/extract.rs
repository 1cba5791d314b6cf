//! Parts of requests as handlers take them, each refused in the one form that errors have.

use std::future::Future;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use worker::Env;
use worker::send::SendFuture;

use super::{Caller, MAX_BODY, parse_json, read_body};
use crate::error::Error;

impl FromRequestParts<Env> for Caller {
    type Rejection = Error;

    fn from_request_parts(
        parts: &mut Parts,
        env: &Env,
    ) -> impl Future<Output = Result<Self, Error>> + Send {
        SendFuture::new(Self::of(env.clone(), parts))
    }
}

/// What the path names. A path that cannot be read names nothing.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        let axum::extract::Path(path) = path.map_err(|_| Error::NotFound("such endpoint"))?;
        Ok(Self(path))
    }
}

pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let query = axum::extract::Query::from_request_parts(parts, state).await;
        let axum::extract::Query(query) = query.map_err(|error| {
            Error::invalid("malformed", format!("the query cannot be read: {error}"))
        })?;
        Ok(Self(query))
    }
}

/// A number in a query that counts something; as large as a double is exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u64")]
pub struct Count(i64);

impl TryFrom<u64> for Count {
    type Error = &'static str;

    fn try_from(number: u64) -> Result<Self, Self::Error> {
        i64::try_from(number)
            .ok()
            .filter(|number| *number < 1 << 53)
            .map(Self)
            .ok_or("a number is less than 2^53")
    }
}

impl From<Count> for i64 {
    fn from(count: Count) -> Self {
        count.0
    }
}

impl From<Count> for u64 {
    fn from(count: Count) -> Self {
        count.0.unsigned_abs()
    }
}

/// A JSON body within the limit.
pub struct Input<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Env> for Input<T> {
    type Rejection = Error;

    fn from_request(
        request: Request,
        _env: &Env,
    ) -> impl Future<Output = Result<Self, Error>> + Send {
        SendFuture::new(async move { Ok(Self(parse_json(&json_body(request).await?)?)) })
    }
}

/// A JSON body all of whose fields can be left out, and then the body as well.
pub struct OptionalInput<T>(pub T);

impl<T: DeserializeOwned + Default> FromRequest<Env> for OptionalInput<T> {
    type Rejection = Error;

    fn from_request(
        request: Request,
        _env: &Env,
    ) -> impl Future<Output = Result<Self, Error>> + Send {
        SendFuture::new(async move {
            let bytes = json_body(request).await?;
            if bytes.is_empty() {
                return Ok(Self(T::default()));
            }
            Ok(Self(parse_json(&bytes)?))
        })
    }
}

async fn json_body(request: Request<Body>) -> Result<Vec<u8>, Error> {
    let (parts, body) = request.into_parts();
    let kind = parts.headers.get(header::CONTENT_TYPE);
    // Forms are what a page of another site can send without being asked.
    if kind.is_some_and(|kind| !is_json(kind.as_bytes())) {
        return Err(Error::NotJson);
    }
    read_body(body, MAX_BODY).await
}

fn is_json(kind: &[u8]) -> bool {
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

#[cfg(test)]
mod tests {
    use super::{Count, is_json};

    #[test]
    fn what_counts_is_exact_as_a_double() {
        assert_eq!(Count::try_from(7), Ok(Count(7)));
        assert_eq!(Count::try_from((1 << 53) - 1), Ok(Count((1 << 53) - 1)));
        assert!(Count::try_from(1 << 53).is_err());
        assert!(Count::try_from(u64::MAX).is_err());
    }

    #[test]
    fn json_is_known_by_its_type_whatever_follows() {
        assert!(is_json(b"application/json"));
        assert!(is_json(b"Application/JSON; charset=utf-8"));
        assert!(!is_json(b"application/jsonp"));
        assert!(!is_json(b"text/plain"));
        assert!(!is_json(b""));
    }
}
