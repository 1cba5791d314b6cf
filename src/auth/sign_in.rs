//! Signing in with GitHub: out with state and PKCE, back with a code, then a cookie of ours.
//!
//! What has to survive the way through GitHub travels in a sealed cookie, so nothing is stored for
//! somebody who never comes back.

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::Millis;
use protocol::api::{Deed, Means};
use serde::{Deserialize, Serialize};
use worker::Env;

use super::browser::{self, LOGIN_COOKIE, SESSION_COOKIE};
use crate::api::extract::Query;
use crate::database::audit::Entry;
use crate::database::{self, Database};
use crate::error::Error;
use crate::github::Github;
use crate::github::oauth::Authorize;
use crate::platform::{clock, random};
use crate::{config, limits, user};

const LOGIN_SECONDS: i64 = 10 * 60;
const SESSION_SECONDS: i64 = 14 * 24 * 3600;
const LOGIN_PLACE: &str = "cookie|login";

#[derive(Serialize, Deserialize)]
struct Login {
    state: String,
    verifier: String,
    return_to: String,
    expires_at: Millis,
}

#[derive(Deserialize)]
pub struct Start {
    #[serde(default)]
    return_to: String,
}

#[derive(Deserialize)]
pub struct Callback {
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
}

/// `GET /auth/github/login`
#[worker::send]
pub async fn login(
    State(env): State<Env>,
    Query(start): Query<Start>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    take_turn(&env, &parts)?;
    let public_url = config::public_url(&env)?;
    let github = Github::new(&env)?;
    let login = Login {
        state: random::token()?,
        verifier: random::token()?,
        return_to: local_path(&start.return_to).to_owned(),
        expires_at: clock::now().plus(LOGIN_SECONDS * 1000),
    };
    let location = github.authorize_url(&Authorize {
        redirect_uri: &redirect_uri(&public_url),
        state: &login.state,
        verifier: &login.verifier,
    });
    let keys = config::encryption_keys(&env)?;
    let sealed = keys.seal(LOGIN_PLACE, &serde_json::to_string(&login)?)?;
    Ok(redirect(
        &location,
        &[browser::set_cookie(LOGIN_COOKIE, &sealed, LOGIN_SECONDS)],
    ))
}

/// `GET /auth/github/callback`
#[worker::send]
pub async fn callback(
    State(env): State<Env>,
    Query(callback): Query<Callback>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    take_turn(&env, &parts)?;
    let keys = config::encryption_keys(&env)?;
    let login = browser::cookie(&parts, LOGIN_COOKIE)
        .and_then(|sealed| keys.open(LOGIN_PLACE, sealed).ok())
        .and_then(|opened| serde_json::from_str::<Login>(&opened.text).ok())
        .filter(|login| login.expires_at >= clock::now());
    let (Some(login), Some(code), Some(state)) = (login, callback.code, callback.state) else {
        let reason = if callback.error.is_some() {
            "denied"
        } else {
            "expired"
        };
        return Ok(failed(reason));
    };
    if state != login.state {
        return Ok(failed("expired"));
    }
    let public_url = config::public_url(&env)?;
    let github = Github::new(&env)?;
    let redirect_uri = redirect_uri(&public_url);
    let tokens = match github.exchange(&code, &redirect_uri, &login.verifier).await {
        Ok(tokens) => tokens,
        Err(error) if error.is_passing() => return Err(error.into()),
        Err(_) => return Ok(failed("refused")),
    };
    let person = github.user(&tokens.access_token).await?;
    if config::allowed_users(&env).is_some_and(|people| !people.contains(&person)) {
        return Ok(failed("not_allowed"));
    }
    let database = Database::new(&env)?;
    let now = clock::now();
    database::users::seen(&database, &person, now).await?;
    user::link(&env, person.id, tokens).await?;
    // Whoever signs in again in this browser has one cookie, and it is new.
    if let Some(before) = browser::session_cookie(&parts) {
        database::logins::end(&database, before).await?;
    }
    let entry = Entry {
        person: &person,
        means: Means::Browser,
        deed: Deed::SignedIn,
        subject: "",
        detail: None,
    };
    database::audit::write(&database, entry, now).await?;
    let cookie = random::token()?;
    database::logins::create(&database, &cookie, person.id, now).await?;
    Ok(redirect(
        &login.return_to,
        &[
            browser::set_cookie(SESSION_COOKIE, &cookie, SESSION_SECONDS),
            browser::set_cookie(LOGIN_COOKIE, "", 0),
        ],
    ))
}

/// `POST /auth/logout`
#[worker::send]
pub async fn logout(State(env): State<Env>, request: Request) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    browser::check_origin(&parts, &config::public_url(&env)?)?;
    if let Some(cookie) = browser::session_cookie(&parts) {
        database::logins::end(&Database::new(&env)?, cookie).await?;
    }
    let gone = browser::set_cookie(SESSION_COOKIE, "", 0);
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, gone)]).into_response())
}

/// Nobody is known yet, so turns are counted by address.
fn take_turn(env: &Env, parts: &Parts) -> Result<(), Error> {
    let address = parts.headers.get("cf-connecting-ip");
    let address = address.and_then(|value| value.to_str().ok()).unwrap_or("");
    let rate = limits::changes(config::changes_per_minute(env)?);
    limits::take_here(&format!("sign-in {address}"), rate, clock::now()).map_err(Error::RateLimited)
}

fn redirect_uri(public_url: &str) -> String {
    format!("{public_url}/auth/github/callback")
}

fn failed(reason: &str) -> Response {
    redirect(
        &format!("/signin?error={reason}"),
        &[browser::set_cookie(LOGIN_COOKIE, "", 0)],
    )
}

fn redirect(location: &str, cookies: &[String]) -> Response {
    let mut response = (StatusCode::FOUND, [(header::LOCATION, location)]).into_response();
    for cookie in cookies {
        if let Ok(value) = cookie.parse() {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }
    response
}

/// A path on this host, so that nobody is sent elsewhere after signing in.
fn local_path(path: &str) -> &str {
    let plain = path
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if path.starts_with('/') && !path.starts_with("//") && plain {
        path
    } else {
        "/"
    }
}

#[cfg(test)]
mod tests {
    use super::local_path;

    #[test]
    fn signing_in_never_leads_to_another_host() {
        assert_eq!(local_path("/sessions/ses_1?a=b"), "/sessions/ses_1?a=b");
        for elsewhere in [
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "",
            "/\n",
        ] {
            assert_eq!(local_path(elsewhere), "/", "{elsewhere:?}");
        }
    }
}
