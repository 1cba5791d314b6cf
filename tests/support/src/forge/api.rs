//! GitHub's REST API: who may call what, before and after the emulator answers.
//!
//! The emulator knows neither wrong tokens nor repositories outside a token's reach; both are
//! refused here, with GitHub's statuses. Calls that would create git objects in the emulator
//! alone are refused too: the bare repositories are the truth.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::check;
use super::emulator::Answer;
use super::graphql;
use super::hook;
use super::listing;
use super::people::ACCOUNTS_WITH_APP;
use super::pull;
use super::reference;
use super::reply::{Refusal, json_response};
use super::repository::Repository;
use super::site::{Call, Site, respond};
use super::token::{Grant, Holder};

pub(super) async fn answer(site: &Site, mut call: Call) -> Result<Response, Refusal> {
    if !call.headers.contains_key(header::USER_AGENT) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.",
        ));
    }
    let token = bearer(&call)?;
    if token.starts_with("eyJ") {
        return answer_app(site, call, &token).await;
    }
    let grant = site
        .tokens
        .find(&token)
        .ok_or_else(Refusal::bad_credentials)?;
    if let Ok(value) = format!("Bearer {}", grant.upstream).parse() {
        call.headers.insert(header::AUTHORIZATION, value);
    }
    let path = call.path.clone();
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (&call.method, segments.as_slice()) {
        (_, ["app", ..] | ["repos", _, _, "installation"]) => Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "A JSON web token could not be decoded",
        )),
        (&Method::POST, ["graphql"]) => graphql::answer(site, &call, &grant).await,
        (_, ["user", ..]) if matches!(grant.holder, Holder::Installation { .. }) => {
            Err(Refusal::not_accessible())
        }
        (&Method::GET, ["installation", "repositories"]) => listing::of_token(site, &grant).await,
        (&Method::GET, ["user", "installations"]) => listing::installations(site, &grant),
        (&Method::GET, ["user", "installations", id, "repositories"]) => {
            listing::of_installation(site, &grant, id).await
        }
        (&Method::GET, ["user", "repos"] | ["orgs" | "users", _, "repos"]) => {
            let answer = pass_on(site, &call).await?;
            Ok(listing::visible(site, &grant, &answer))
        }
        (&Method::POST, ["user", "repos"] | ["orgs", _, "repos"]) => Err(Refusal::not_supported()),
        (_, ["repos", owner, name, rest @ ..]) => {
            let repository = site
                .repositories
                .find(owner, name)
                .filter(|repository| repository.visible_to(&grant.holder))
                .ok_or_else(Refusal::not_found)?;
            answer_repository(site, &call, &grant, &repository, rest).await
        }
        _ => Ok(respond(site, &pass_on(site, &call).await?)),
    }
}

async fn answer_repository(
    site: &Site,
    call: &Call,
    grant: &Grant,
    repository: &Arc<Repository>,
    rest: &[&str],
) -> Result<Response, Refusal> {
    let reads = matches!(call.method, Method::GET | Method::HEAD);
    match (&call.method, rest) {
        (_, ["git", "refs", ..]) if !reads => {
            reference::change(site, call, grant, repository, rest).await
        }
        (_, rest) if check::is_about(rest) => check::answer(site, call, grant).await,
        (_, ["pulls", ..]) => pull::answer(site, call, grant, repository, rest).await,
        (
            _,
            []
            | ["contents", ..]
            | ["git", ..]
            | ["merges" | "forks" | "transfer"]
            | ["collaborators", ..],
        ) if !reads => Err(Refusal::not_supported()),
        // The emulator gives the whole of a private repository to any token of its account.
        (
            _,
            [
                "contents" | "commits" | "compare" | "branches" | "git" | "readme",
                ..,
            ],
        ) if repository.access(&grant.holder).is_none() => Err(Refusal::not_accessible()),
        (&Method::GET, []) => {
            let answer = pass_on(site, call).await?;
            let mut body = answer.json();
            listing::set_permissions(&mut body, repository, &grant.holder);
            Ok(json_response(answer.status, &body))
        }
        _ => Ok(respond(site, &pass_on(site, call).await?)),
    }
}

/// Calls of the App itself, with its signed token.
async fn answer_app(site: &Site, call: Call, token: &str) -> Result<Response, Refusal> {
    check_claims(token)?;
    let identity = site.emulator.call(Method::GET, "/app", token, None).await?;
    if !identity.status.is_success() {
        return Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "A JSON web token could not be decoded",
        ));
    }
    let path = call.path.clone();
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    match segments.as_slice() {
        ["app", "installations", id, "access_tokens"] if call.method == Method::POST => {
            let answer = pass_on(site, &call).await?;
            learn(site, id, &answer);
            Ok(respond(site, &answer))
        }
        ["app", "hook", "deliveries", rest @ ..] => hook::answer(site, &call.method, rest).await,
        ["app", ..] | ["repos", _, _, "installation"] | ["orgs" | "users", _, "installation"] => {
            Ok(respond(site, &pass_on(site, &call).await?))
        }
        _ => Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "Resource not accessible by integration",
        )),
    }
}

/// GitHub's limits on the App's own tokens; the signature is the emulator's to check.
fn check_claims(token: &str) -> Result<(), Refusal> {
    let unauthorized = |message| Refusal::new(StatusCode::UNAUTHORIZED, message);
    let claims = token
        .split('.')
        .nth(1)
        .and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok())
        .and_then(|claims| serde_json::from_slice::<Value>(&claims).ok())
        .ok_or_else(|| unauthorized("A JSON web token could not be decoded"))?;
    let claim = |name: &str| claims.get(name).and_then(Value::as_u64);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs());
    match (claim("iat"), claim("exp")) {
        (_, None) => Err(unauthorized("Missing 'exp' claim in assertion")),
        (_, Some(expires)) if expires <= now => Err(unauthorized(
            "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
        )),
        (_, Some(expires)) if expires > now + 600 => Err(unauthorized(
            "'Expiration time' claim ('exp') is too far in the future",
        )),
        (Some(issued), _) if issued <= now => Ok(()),
        _ => Err(unauthorized(
            "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
        )),
    }
}

fn learn(site: &Site, installation: &str, answer: &Answer) {
    let body = answer.json();
    let Some(token) = body.get("token").and_then(Value::as_str) else {
        return;
    };
    let account = ACCOUNTS_WITH_APP
        .iter()
        .find(|(_, id)| id.to_string() == installation)
        .map_or("", |(account, _)| account);
    let repositories = body.get("repositories").and_then(Value::as_array);
    let repositories = repositories.map(|repositories| {
        repositories
            .iter()
            .filter_map(|repository| repository.get("full_name")?.as_str().map(str::to_owned))
            .collect()
    });
    let permissions: BTreeMap<String, String> = body
        .get("permissions")
        .and_then(|permissions| serde_json::from_value(permissions.clone()).ok())
        .unwrap_or_default();
    site.tokens.learn_installation(
        token,
        Holder::Installation {
            account: account.to_owned(),
            repositories,
            permissions,
        },
    );
}

pub(super) async fn pass_on(site: &Site, call: &Call) -> Result<Answer, Refusal> {
    let path = call.path_and_query();
    let (method, headers) = (call.method.clone(), call.headers.clone());
    let answer = site
        .emulator
        .forward(method, &path, headers, call.body.clone());
    Ok(answer.await?)
}

/// The JSON object that a call carries; no body stands for an empty one.
pub(super) fn body_of(call: &Call) -> Result<Value, Refusal> {
    if call.body.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(&call.body)
        .ok()
        .filter(Value::is_object)
        .ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "Problems parsing JSON"))
}

fn bearer(call: &Call) -> Result<String, Refusal> {
    let Some(value) = call.headers.get(header::AUTHORIZATION) else {
        return Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "Requires authentication",
        ));
    };
    value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| {
            scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token")
        })
        .map(|(_, token)| token.trim().to_owned())
        .ok_or_else(Refusal::bad_credentials)
}
