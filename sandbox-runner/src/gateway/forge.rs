//! Git over HTTP: one repository, read by every sandbox, written on its own branches by a session's.
//!
//! Refusals are plain text, since git shows that to its user and nothing else.

use std::sync::Arc;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt as _, stream};
use hyper::header::{
    ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
    HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use hyper::{Method, StatusCode};
use protocol::callback::Credentials;

use super::forward::{
    allow_contact, content_length, discard, fail_contact, named, refuse, stream as hand_on,
};
use super::ledger::ContactKind;
use super::push::{self, Commands};
use super::{Access, Caller};

const REQUEST_HEADERS: [HeaderName; 6] = [
    ACCEPT,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    USER_AGENT,
    HeaderName::from_static("git-protocol"),
];

/// What git asks for.
enum Operation {
    /// Which references there are, for a fetch or a push.
    Discover {
        push: bool,
    },
    Fetch,
    Push,
}

/// `path` is what follows `/git/`.
pub(super) async fn answer(caller: &Caller, path: &str, request: Request) -> Response {
    let Some((repository, rest)) = path.split_once(".git/") else {
        deny(caller, "there is nothing at this path");
        return refuse(
            StatusCode::NOT_FOUND,
            "not_found",
            "The gateway has nothing at this path.",
        );
    };
    if repository != caller.policy.repository.to_string() {
        deny(caller, "another repository");
        let message = format!("This sandbox may only reach {}.", caller.policy.repository);
        return say(StatusCode::FORBIDDEN, &message);
    }
    let operation = match (request.method(), rest, request.uri().query()) {
        (&Method::GET, "info/refs", Some("service=git-upload-pack")) => {
            Operation::Discover { push: false }
        }
        (&Method::GET, "info/refs", Some("service=git-receive-pack")) => {
            Operation::Discover { push: true }
        }
        (&Method::POST, "git-upload-pack", None) => Operation::Fetch,
        (&Method::POST, "git-receive-pack", None) => Operation::Push,
        _ => {
            deny(caller, "the gateway does not offer this");
            return say(
                StatusCode::FORBIDDEN,
                "The gateway does not offer this of the forge.",
            );
        }
    };
    let path = format!("{repository}.git/{rest}");
    match (operation, &caller.policy.access) {
        (Operation::Push | Operation::Discover { push: true }, Access::Image | Access::Pool) => {
            deny(caller, "a push without a session");
            say(
                StatusCode::FORBIDDEN,
                "Nothing may be pushed while there is no session.",
            )
        }
        (Operation::Push, Access::Session { branch, .. }) => {
            check_push(caller, &path, branch, request).await
        }
        (Operation::Discover { .. } | Operation::Fetch, _) => {
            let (parts, body) = request.into_parts();
            let query = parts.uri.query();
            let outgoing = Outgoing {
                method: parts.method,
                path: &path,
                query,
                headers: parts.headers,
            };
            forward(caller, outgoing, body.into_data_stream().boxed()).await
        }
    }
}

/// Lets a push through once it is known what it changes.
async fn check_push(caller: &Caller, path: &str, branch: &str, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut rest = body.into_data_stream();
    // Git never compresses a push; what it would read of one could not be told here.
    let commands = if parts.headers.contains_key(CONTENT_ENCODING) {
        None
    } else {
        read_commands(&mut rest).await
    };
    let Some((read, commands)) = commands else {
        deny(caller, "an unreadable push");
        return say(
            StatusCode::BAD_REQUEST,
            "The gateway cannot read this push.",
        );
    };
    if commands.has("push-options") {
        deny(caller, "push options");
        return say(StatusCode::FORBIDDEN, "Push options are not offered.");
    }
    if let Some(refusals) = commands.refusals(branch) {
        deny(caller, "a push to another branch");
        discard(&mut rest).await;
        return match push::refusal(&commands, &refusals) {
            Some(body) => push_result(body),
            None => say(
                StatusCode::FORBIDDEN,
                &format!("Only {branch} and {branch}-<topic> may be pushed."),
            ),
        };
    }
    // Before a large push git asks with an empty one whether it may.
    let is_probe = commands.commands.is_empty();
    if is_probe && content_length(&parts.headers) != Some(commands.length as u64) {
        deny(caller, "an unreadable push");
        return say(
            StatusCode::BAD_REQUEST,
            "The gateway cannot read this push.",
        );
    }
    let read = stream::once(async { Ok(Bytes::from(read)) });
    let outgoing = Outgoing {
        method: parts.method,
        path,
        query: None,
        headers: parts.headers,
    };
    forward(caller, outgoing, read.chain(rest).boxed()).await
}

/// The commands, and all bytes that were read for them; `None` if they cannot be read.
async fn read_commands(body: &mut BodyDataStream) -> Option<(Vec<u8>, Commands)> {
    let mut read = Vec::new();
    loop {
        if let Some(commands) = push::parse(&read).ok()? {
            return Some((read, commands));
        }
        read.extend_from_slice(&body.next().await?.ok()?);
    }
}

struct Outgoing<'a> {
    method: Method,
    path: &'a str,
    query: Option<&'a str>,
    headers: HeaderMap,
}

type Pieces = stream::BoxStream<'static, Result<Bytes, axum::Error>>;

async fn forward(caller: &Caller, outgoing: Outgoing<'_>, body: Pieces) -> Response {
    let outside = &caller.outside;
    let host = &outside.forge.host;
    let credentials = match caller
        .credentials
        .get(&outside.source, (outside.now)())
        .await
    {
        Ok(credentials) => credentials,
        Err(error) => {
            fail_contact(&caller.ledger, ContactKind::Git, host, error.as_ref());
            return say(
                StatusCode::BAD_GATEWAY,
                "There is no access to the repository right now.",
            );
        }
    };
    let Some(authorization) = basic(&credentials) else {
        return say(
            StatusCode::BAD_GATEWAY,
            "The repository's credentials cannot be used.",
        );
    };
    let mut headers = named(&outgoing.headers, &REQUEST_HEADERS);
    headers.insert(AUTHORIZATION, authorization);
    let url = outside.forge.url(outgoing.path, outgoing.query);
    let mut request = outside
        .forge
        .client
        .request(outgoing.method.clone(), url)
        .headers(headers);
    if outgoing.method == Method::POST {
        let ledger = Arc::clone(&caller.ledger);
        let counted = host.clone();
        request = request.body(reqwest::Body::wrap_stream(body.inspect(move |bytes| {
            if let Ok(bytes) = bytes {
                ledger.bytes(ContactKind::Git, &counted, bytes.len() as u64, 0);
            }
        })));
    }
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => {
            fail_contact(&caller.ledger, ContactKind::Git, host, &error.without_url());
            return say(StatusCode::BAD_GATEWAY, "The forge could not be reached.");
        }
    };
    let status = answer.status();
    allow_contact(
        &caller.ledger,
        ContactKind::Git,
        host,
        outgoing.path,
        status,
    );
    if status == StatusCode::UNAUTHORIZED {
        caller.credentials.forget(&credentials).await;
    }
    if status.is_success() {
        let (ledger, host) = (Arc::clone(&caller.ledger), host.clone());
        return hand_on(answer, move |bytes| {
            ledger.bytes(ContactKind::Git, &host, 0, bytes.len() as u64);
        });
    }
    // A 401 would make git ask its user for a password.
    say(
        StatusCode::FORBIDDEN,
        &format!("The forge refused this with status {}.", status.as_u16()),
    )
}

fn deny(caller: &Caller, reason: &str) {
    let host = &caller.outside.forge.host;
    caller.ledger.denied(ContactKind::Git, host, reason);
}

fn basic(credentials: &Credentials) -> Option<HeaderValue> {
    let pair = format!("{}:{}", credentials.username, credentials.password);
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn push_result(body: Vec<u8>) -> Response {
    let headers = [
        (
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-git-receive-pack-result"),
        ),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, Body::from(body)).into_response()
}

fn say(status: StatusCode, message: &str) -> Response {
    let headers = [(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    )];
    (status, headers, format!("{message}\n")).into_response()
}
