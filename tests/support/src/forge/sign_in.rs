//! Signing in with GitHub: the OAuth web flow, with the checks that the emulator leaves out.
//!
//! PKCE is verified (S256 only), a redirect must lead to the registered callback on loopback, and
//! a code belongs to the redirect that it was made for. The tokens are those of a GitHub App.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::app::CALLBACK_PATH;
use super::people;
use super::reply::{Refusal, json_response};
use super::site::Site;
use super::token::{REFRESH_TOKEN_LIFE, USER_TOKEN_LIFE, UserToken};

/// Sign-ins that have begun and not ended.
#[derive(Debug, Default)]
pub(super) struct SignIns {
    begun: Mutex<HashMap<String, Option<String>>>,
    codes: Mutex<HashMap<String, Code>>,
}

#[derive(Debug)]
struct Code {
    login: String,
    redirect_uri: String,
    challenge: Option<String>,
}

/// `GET /login/oauth/authorize`: the emulator's page, on which one picks a user.
pub(super) async fn authorize(
    site: &Site,
    query: &str,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let mut parameters = parse(query);
    let redirect_uri = parameters
        .get("redirect_uri")
        .cloned()
        .unwrap_or_else(registered_callback);
    if !is_callback(&redirect_uri) {
        return Err(bad_request(
            "The redirect_uri is not associated with this application.",
        ));
    }
    let challenge = parameters.remove("code_challenge");
    let method = parameters.remove("code_challenge_method");
    if challenge.is_some() && method.as_deref() != Some("S256") {
        return Err(bad_request("code_challenge_method must be S256."));
    }
    let state = parameters.get("state").cloned().unwrap_or_default();
    lock(&site.sign_ins.begun).insert(state, challenge);

    // The emulator compares the whole URI with the registered one, port and all.
    parameters.insert("redirect_uri".to_owned(), registered_callback());
    let path = format!("/login/oauth/authorize?{}", form(&parameters));
    let answer = site
        .emulator
        .forward(Method::GET, &path, headers, Bytes::new())
        .await?;
    let page = String::from_utf8_lossy(&answer.body);
    let page = only_people(&page).replace(
        &format!("value=\"{}\"", registered_callback()),
        &format!("value=\"{}\"", escape(&redirect_uri)),
    );
    let mut response = super::site::respond(site, &answer);
    response.headers_mut().remove(header::CONTENT_LENGTH);
    *response.body_mut() = page.into();
    Ok(response)
}

/// `POST /login/oauth/callback`: the picked user goes back to the application with a code.
pub(super) async fn picked(
    site: &Site,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let fields = parse(&String::from_utf8_lossy(&body));
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let (login, redirect_uri) = (field("login"), field("redirect_uri"));
    if !is_callback(&redirect_uri) || !people::is_person(&login) {
        return Err(bad_request("The sign-in was not begun here."));
    }
    let Some(challenge) = lock(&site.sign_ins.begun).remove(&field("state")) else {
        return Err(bad_request("The sign-in was not begun here."));
    };
    let answer = site
        .emulator
        .forward(Method::POST, "/login/oauth/callback", headers, body)
        .await?;
    let code = answer
        .headers
        .get(header::LOCATION)
        .and_then(|location| location.to_str().ok())
        .and_then(|location| Url::parse(location).ok())
        .and_then(|location| {
            let mut pairs = location.query_pairs();
            pairs.find_map(|(name, value)| (name == "code").then(|| value.into_owned()))
        });
    if let Some(code) = code {
        lock(&site.sign_ins.codes).insert(
            code,
            Code {
                login,
                redirect_uri,
                challenge,
            },
        );
    }
    Ok(super::site::respond(site, &answer))
}

/// `POST /login/oauth/access_token`: a code, or a refresh token, for a pair of tokens.
pub(super) async fn exchange(
    site: &Site,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let fields = fields_of(&headers, &body);
    let field = |name: &str| fields.get(name).map_or("", String::as_str);
    if field("client_id") != site.app.client_id || field("client_secret") != site.app.client_secret
    {
        return Ok(oauth_error(
            "incorrect_client_credentials",
            "The client_id and/or client_secret passed are incorrect.",
        ));
    }
    if field("grant_type") == "refresh_token" {
        return Ok(match site.tokens.renew(field("refresh_token"))? {
            Some(token) => token_response(&token),
            None => oauth_error(
                "bad_refresh_token",
                "The refresh token passed is incorrect or expired.",
            ),
        });
    }
    // Taken out first: a code works once, whatever comes of it.
    let code = lock(&site.sign_ins.codes).remove(field("code"));
    let Some(code) = code.filter(|code| proves(code.challenge.as_deref(), field("code_verifier")))
    else {
        return Ok(oauth_error(
            "bad_verification_code",
            "The code passed is incorrect or expired.",
        ));
    };
    if !field("redirect_uri").is_empty() && field("redirect_uri") != code.redirect_uri {
        return Ok(oauth_error(
            "redirect_uri_mismatch",
            "The redirect_uri MUST match the registered callback URL for this application.",
        ));
    }
    let mut plain = HeaderMap::new();
    for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH] {
        if let Some(value) = headers.get(&name) {
            plain.insert(name, value.clone());
        }
    }
    let answer = site
        .emulator
        .forward(Method::POST, "/login/oauth/access_token", plain, body)
        .await?;
    let answer_body = answer.json();
    match answer_body.get("access_token").and_then(Value::as_str) {
        Some(upstream) => Ok(token_response(
            &site.tokens.issue_user(&code.login, upstream)?,
        )),
        None => Ok(super::site::respond(site, &answer)),
    }
}

fn proves(challenge: Option<&str>, verifier: &str) -> bool {
    match challenge {
        None => verifier.is_empty(),
        Some(challenge) => URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) == challenge,
    }
}

fn token_response(token: &UserToken) -> Response {
    json_response(
        StatusCode::OK,
        &json!({
            "access_token": token.access_token,
            "expires_in": USER_TOKEN_LIFE.as_secs(),
            "refresh_token": token.refresh_token,
            "refresh_token_expires_in": REFRESH_TOKEN_LIFE.as_secs(),
            "scope": "",
            "token_type": "bearer",
        }),
    )
}

/// GitHub answers 200 to these, with the error in the body.
fn oauth_error(code: &str, description: &str) -> Response {
    json_response(
        StatusCode::OK,
        &json!({"error": code, "error_description": description}),
    )
}

fn bad_request(message: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, message)
}

fn registered_callback() -> String {
    format!("http://127.0.0.1{CALLBACK_PATH}")
}

fn is_callback(uri: &str) -> bool {
    Url::parse(uri).is_ok_and(|url| {
        matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"))
            && url.path() == CALLBACK_PATH
    })
}

/// The page without the users that are no people: ghosts, administrators, robots.
fn only_people(page: &str) -> String {
    let mut kept = String::with_capacity(page.len());
    let mut forms = page.split("<form ");
    kept.push_str(forms.next().unwrap_or_default());
    for form in forms {
        let (inside, after) = form.split_once("</form>").unwrap_or((form, ""));
        if hidden_fields(inside).any(|(name, value)| name == "login" && people::is_person(&value)) {
            kept.push_str("<form ");
            kept.push_str(inside);
            kept.push_str("</form>");
        }
        kept.push_str(after);
    }
    kept
}

/// Names and values of the hidden inputs in a piece of a page.
pub(super) fn hidden_fields(form: &str) -> impl Iterator<Item = (String, String)> + '_ {
    form.split("<input ").skip(1).filter_map(|input| {
        let tag = input.split('>').next()?;
        Some((attribute(tag, "name")?, attribute(tag, "value")?))
    })
}

pub(super) fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!("{name}=\""))?;
    let (value, _) = rest.split_once('"')?;
    Some(
        value
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&#39;", "'")
            .replace("&amp;", "&"),
    )
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn fields_of(headers: &HeaderMap, body: &[u8]) -> HashMap<String, String> {
    let json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("application/json"));
    if json {
        return serde_json::from_slice::<HashMap<String, Value>>(body)
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())))
            .collect();
    }
    parse(&String::from_utf8_lossy(body))
}

fn parse(query: &str) -> HashMap<String, String> {
    let mut url = scratch();
    if let Some(url) = &mut url {
        url.set_query(Some(query));
    }
    url.iter()
        .flat_map(Url::query_pairs)
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

pub(super) fn form(fields: &HashMap<String, String>) -> String {
    let mut url = scratch();
    if let Some(url) = &mut url {
        url.query_pairs_mut().extend_pairs(fields);
    }
    url.and_then(|url| url.query().map(str::to_owned))
        .unwrap_or_default()
}

/// A URL to borrow the form encoding of.
fn scratch() -> Option<Url> {
    Url::parse("http://127.0.0.1/").ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
