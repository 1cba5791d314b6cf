//! What one forge is made of, and which part of it answers which request.
//!
//! Git goes to the bare repositories, sign-in and API through checks of ours to the emulator.

use std::path::PathBuf;
use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::api;
use super::app::AppCredentials;
use super::check::OwnRuns;
use super::emulator::{Answer, Emulator};
use super::hook::{self, Hook};
use super::page;
use super::reply::Refusal;
use super::repository::{self, Repositories};
use super::sign_in::{self, SignIns};
use super::token::TokenLedger;
use super::transport;

/// As much as GitHub takes.
const BODY_LIMIT: usize = 64 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Site {
    pub(super) hook: Hook,
    pub(super) url: String,
    /// Where the bare repositories are.
    pub(super) root: PathBuf,
    pub(super) emulator: Emulator,
    pub(super) app: AppCredentials,
    pub(super) tokens: TokenLedger,
    pub(super) sign_ins: SignIns,
    pub(super) repositories: Repositories,
    pub(super) own_runs: OwnRuns,
}

/// A request to the API, read whole.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Call {
    pub(super) fn path_and_query(&self) -> String {
        if self.query.is_empty() {
            return self.path.clone();
        }
        format!("{}?{}", self.path, self.query)
    }

    pub(super) fn accepts(&self, media: &str) -> bool {
        self.headers
            .get(header::ACCEPT)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.contains(media))
    }
}

pub(super) async fn answer(State(site): State<Arc<Site>>, request: Request) -> Response {
    route(site, request)
        .await
        .unwrap_or_else(IntoResponse::into_response)
}

async fn route(site: Arc<Site>, request: Request) -> Result<Response, Refusal> {
    let path = request.uri().path().to_owned();
    if let Some((owner, name, tail)) = git_path(&path) {
        return transport::serve(site, owner, name, tail, request).await;
    }
    let (head, body) = request.into_parts();
    let body = to_bytes(body, BODY_LIMIT)
        .await
        .map_err(|_| Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "The request is too large."))?;
    let call = Call {
        method: head.method,
        path,
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: onward(&head.headers),
        body,
    };
    let segments: Vec<&str> = call.path.trim_matches('/').split('/').collect();
    match (&call.method, segments.as_slice()) {
        (&Method::GET, ["login", "oauth", "authorize"]) => {
            sign_in::authorize(&site, &call.query, call.headers).await
        }
        (&Method::POST, ["login", "oauth", "callback"]) => {
            sign_in::picked(&site, call.headers, call.body).await
        }
        (&Method::POST, ["login", "oauth", "access_token"]) => {
            sign_in::exchange(&site, call.headers, call.body).await
        }
        (&Method::POST, ["_emulate", "hook"]) => Ok(hook::take(&site, &call.headers, &call.body)),
        (&Method::GET, ["avatars", "u", login]) => Ok(page::avatar(login)),
        (&Method::GET, ["_emulate", "fonts" | "favicon.ico", ..] | ["favicon.ico"]) => {
            let path = call.path_and_query();
            let method = call.method.clone();
            let answer = site
                .emulator
                .forward(method, &path, call.headers, call.body);
            Ok(respond(&site, &answer.await?))
        }
        (&Method::GET, [owner, name, "pull", number]) => {
            page::pull_request(&site, owner, name, number).await
        }
        _ => api::answer(&site, call).await,
    }
}

/// `/{owner}/{name}.git/{tail}`, also without the suffix, as GitHub has it.
fn git_path(path: &str) -> Option<(&str, &str, &str)> {
    let (owner, rest) = path.strip_prefix('/')?.split_once('/')?;
    let (name, tail) = rest.split_once('/')?;
    let is_git = matches!(tail, "info/refs" | "git-upload-pack" | "git-receive-pack");
    let name = name.strip_suffix(".git").unwrap_or(name);
    let plain = repository::is_plain_name(owner) && repository::is_plain_name(name);
    (is_git && plain).then_some((owner, name, tail))
}

/// The emulator's answer as the forge's own.
pub(super) fn respond(site: &Site, answer: &Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body.clone()));
    *response.status_mut() = answer.status;
    for (name, value) in &answer.headers {
        if is_hop_by_hop(name) || *name == header::CONTENT_LENGTH {
            continue;
        }
        // Links to further pages name the emulator's private port.
        let rewritten = value
            .to_str()
            .ok()
            .map(|text| text.replace(site.emulator.base(), &site.url))
            .and_then(|text| HeaderValue::from_str(&text).ok());
        response
            .headers_mut()
            .append(name.clone(), rewritten.unwrap_or_else(|| value.clone()));
    }
    response
}

/// The headers that a proxy passes on.
fn onward(headers: &HeaderMap) -> HeaderMap {
    headers
        .iter()
        .filter(|(name, _)| {
            !is_hop_by_hop(name)
                && !matches!(
                    **name,
                    header::HOST | header::CONTENT_LENGTH | header::ACCEPT_ENCODING
                )
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::CONNECTION
            | header::TE
            | header::TRAILER
            | header::TRANSFER_ENCODING
            | header::UPGRADE
            | header::PROXY_AUTHORIZATION
    )
}
