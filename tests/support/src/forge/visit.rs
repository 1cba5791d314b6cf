//! Visits to a forge from outside: what a browser or a client of the API would do.

use std::collections::HashMap;
use std::time::Duration;

use axum::http::{Method, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Client, Response, Url};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::app::{AppCredentials, CALLBACK_PATH};
use super::sign_in::{attribute, form, hidden_fields};
use super::token::UserToken;
use crate::random;

const DEADLINE: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum VisitError {
    #[error("{url} did not answer")]
    Request {
        url: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{url} is no URL")]
    Url { url: String },
    #[error("the sign-in page does not offer {login}; it says {page}")]
    NotOffered { login: String, page: String },
    #[error("the sign-in page did not send the browser on; it says {page}")]
    NoRedirect { page: String },
    #[error("{url} refused: {status} {body}")]
    Refused {
        url: String,
        status: u16,
        body: String,
    },
    #[error("no randomness for a sign-in")]
    Random(#[from] getrandom::Error),
}

/// Opens the sign-in page, presses the button of `login`, answers the redirect's target.
pub(super) async fn pick(authorize_url: &str, login: &str) -> Result<String, VisitError> {
    let url = Url::parse(authorize_url).map_err(|_| VisitError::Url {
        url: authorize_url.to_owned(),
    })?;
    let client = client(authorize_url)?;
    let page = body(client.get(url.clone()), authorize_url).await?;
    let offered = page.split("<form ").skip(1).find_map(|part| {
        let inside = part.split("</form>").next()?;
        let fields: HashMap<_, _> = hidden_fields(inside).collect();
        let chosen = fields.get("login").is_some_and(|value| value == login);
        chosen.then(|| (attribute(inside, "action").unwrap_or_default(), fields))
    });
    let Some((action, fields)) = offered else {
        return Err(VisitError::NotOffered {
            login: login.to_owned(),
            page,
        });
    };
    let target = url
        .join(&action)
        .map_err(|_| VisitError::Url { url: action })?;
    let request = client
        .post(target.clone())
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form(&fields));
    let response = send(request, target.as_str()).await?;
    let location = response.headers().get(header::LOCATION);
    match location.and_then(|location| location.to_str().ok()) {
        Some(location) => Ok(location.to_owned()),
        None => Err(VisitError::NoRedirect {
            page: response.text().await.unwrap_or_default(),
        }),
    }
}

/// The web flow with PKCE, from the button to the tokens.
pub(super) async fn sign_in(
    forge: &str,
    app: &AppCredentials,
    login: &str,
) -> Result<UserToken, VisitError> {
    let verifier = random::token(64)?;
    let callback = format!("http://127.0.0.1{CALLBACK_PATH}");
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
    let query = fields(&[
        ("client_id", &app.client_id),
        ("redirect_uri", &callback),
        ("state", &random::token(24)?),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ]);
    let page = format!("{forge}/login/oauth/authorize?{}", form(&query));
    let location = pick(&page, login).await?;
    let url = Url::parse(&location).map_err(|_| VisitError::Url {
        url: location.clone(),
    })?;
    let code = url
        .query_pairs()
        .find_map(|(name, value)| (name == "code").then(|| value.into_owned()))
        .unwrap_or_default();
    let exchange = fields(&[
        ("client_id", &app.client_id),
        ("client_secret", &app.client_secret),
        ("code", &code),
        ("redirect_uri", &callback),
        ("code_verifier", &verifier),
    ]);
    let url = format!("{forge}/login/oauth/access_token");
    let request = client(&url)?
        .post(&url)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::ACCEPT, "application/json")
        .body(form(&exchange));
    let answer = body(request, &url).await?;
    let tokens: Value = serde_json::from_str(&answer).unwrap_or_default();
    let token = |name: &str| tokens.get(name).and_then(Value::as_str);
    match (token("access_token"), token("refresh_token")) {
        (Some(access), Some(refresh)) => Ok(UserToken {
            access_token: access.to_owned(),
            refresh_token: refresh.to_owned(),
        }),
        _ => Err(VisitError::Refused {
            url,
            status: 200,
            body: answer,
        }),
    }
}

/// One call to the API, which must succeed.
pub(super) async fn api(
    forge: &str,
    method: Method,
    path: &str,
    token: &str,
    json: &Value,
) -> Result<Value, VisitError> {
    let url = format!("{forge}{path}");
    let request = client(&url)?
        .request(method, &url)
        .bearer_auth(token)
        .header(header::USER_AGENT, "hosted-agents-support")
        .json(json);
    let answer = body(request, &url).await?;
    Ok(serde_json::from_str(&answer).unwrap_or_default())
}

async fn body(request: reqwest::RequestBuilder, url: &str) -> Result<String, VisitError> {
    let response = send(request, url).await?;
    let status = response.status();
    let body = response.text().await.map_err(failed(url))?;
    if status.is_success() {
        return Ok(body);
    }
    Err(VisitError::Refused {
        url: url.to_owned(),
        status: status.as_u16(),
        body,
    })
}

async fn send(request: reqwest::RequestBuilder, url: &str) -> Result<Response, VisitError> {
    request.send().await.map_err(failed(url))
}

fn client(url: &str) -> Result<Client, VisitError> {
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(DEADLINE)
        .no_proxy()
        .build()
        .map_err(failed(url))
}

fn fields(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn failed(url: &str) -> impl FnOnce(reqwest::Error) -> VisitError + '_ {
    move |source| VisitError::Request {
        url: url.to_owned(),
        source,
    }
}
