//! What Slack posts to us, signed by it, and the page on which somebody says who they are.
//!
//! Nothing is parsed before its signature is found to be right, and Slack is answered as soon as what
//! it told is recorded.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::event::{Person, Repository};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use worker::{Context, Env};

use super::extract::Query;
use super::{malformed, parse_json, read_body};
use crate::auth::browser;
use crate::config::{self, slack::Slack};
use crate::database::users::ACCESS_MS;
use crate::database::{self, Database};
use crate::deliveries;
use crate::error::Error;
use crate::github::oauth::encode_component;
use crate::platform::clock;
use crate::platform::random::hex;
use crate::slack::blocks::{MAX_OPTIONS, choice};
use crate::slack::channel::association::{Reply, Wish};
use crate::slack::client::Profile;
use crate::slack::event::Envelope;
use crate::slack::identity::Invitation;
use crate::slack::interaction::{self, Interaction, Suggestion};
use crate::slack::invitation::Guest;
use crate::slack::signature::{self, SIGNATURE_HEADER, TIMESTAMP_HEADER};
use crate::slack::{channel, delivery, form, invitation};

/// Slack sends no more.
const MAX_PAYLOAD: usize = 1024 * 1024;

/// Reads a body whose signature is right.
async fn verified(env: &Env, request: Request) -> Result<(Slack, Vec<u8>), Error> {
    let settings = Slack::from_env(env)?.ok_or(Error::NotFound("such endpoint"))?;
    let (parts, body) = request.into_parts();
    let given = |name| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let (timestamp, signed) = (given(TIMESTAMP_HEADER), given(SIGNATURE_HEADER));
    let body = read_body(body, MAX_PAYLOAD).await?;
    signature::check(
        &settings.signing_secrets,
        timestamp,
        signed,
        &body,
        clock::now(),
    )?;
    Ok((settings, body))
}

/// `POST /slack/events`
#[worker::send]
pub async fn events(State(env): State<Env>, request: Request) -> Result<Response, Error> {
    let background = request.extensions().get::<Arc<Context>>().cloned();
    let (settings, body) = verified(&env, request).await?;
    match parse_json::<Envelope>(&body)? {
        Envelope::UrlVerification { challenge } => {
            Ok(Json(json!({ "challenge": challenge })).into_response())
        }
        Envelope::EventCallback(callback) => {
            if callback.event_id.is_empty() || callback.event_id.len() > 100 {
                return Err(malformed("the event has no identifier"));
            }
            // Each of our own messages and edits is told: that is much, and nothing to write down.
            if callback.event().is_of_a_bot() {
                return Ok(taken());
            }
            let id = format!("slack:{}", callback.event_id);
            let answer = receive(&env, &id, delivery::EVENT, &body).await?;
            // The queue gathers for a second; that it was seen is shown before. The channel's object
            // shows it as well, should this be lost.
            if let Some(background) = background {
                background.wait_until(async move {
                    delivery::show_seen(&env, &settings, &callback).await;
                });
            }
            Ok(answer)
        }
        Envelope::AppRateLimited {} => {
            worker::console_warn!("Slack delivers no more events for a while: there are too many");
            Ok(taken())
        }
        Envelope::Other => Ok(taken()),
    }
}

/// `POST /slack/interactions`
#[worker::send]
pub async fn interactions(State(env): State<Env>, request: Request) -> Result<Response, Error> {
    let (settings, body) = verified(&env, request).await?;
    match interaction::parse(&body) {
        Some(Interaction::BlockSuggestion(suggestion)) => {
            let options = suggested(&env, &settings, &suggestion).await?;
            Ok(Json(json!({ "options": options })).into_response())
        }
        Some(Interaction::BlockActions(_) | Interaction::MessageAction(_)) => {
            // Nothing in it but the whole tells one press from another.
            let id = format!("slack:{}", hex(&Sha256::digest(&body)));
            receive(&env, &id, delivery::INTERACTION, &body).await
        }
        Some(Interaction::Other) => Ok(taken()),
        None => Err(malformed("no interaction")),
    }
}

/// `POST /slack/commands`: who one is, for which repository a channel is, and else what to do instead.
#[worker::send]
pub async fn commands(State(env): State<Env>, request: Request) -> Result<Response, Error> {
    let (settings, body) = verified(&env, request).await?;
    let field = |name| form::field(&body, name).filter(|value| !value.is_empty());
    let (Some(team), Some(user)) = (field("team_id"), field("user_id")) else {
        return Err(malformed("no command"));
    };
    let place = field("channel_id").unwrap_or_default();
    let bot = delivery::bot(&settings).await?;
    if team != bot.team {
        return Ok(taken());
    }
    let database = Database::new(&env)?;
    let mut person = database::slack::person(&database, &team, &user).await?;
    let words = field("text").unwrap_or_default();
    let words: Vec<&str> = words.split_whitespace().collect();
    match words.as_slice() {
        ["unlink"] => {
            database::slack::unlink(&database, &team, &user).await?;
            return Ok(whispered(
                "You are linked to nobody at GitHub any more.",
                None,
            ));
        }
        ["channel", rest @ ..] if delivery::is_channel(&place) => {
            let Some(wish) = wish(rest) else {
                let text = "Write `channel owner/name`, `channel none`, or `channel` alone.";
                return Ok(whispered(text, None));
            };
            match channel::wish(&env, &bot, &place, &user, wish).await? {
                Reply::Said { said } => return Ok(whispered(&said.text, Some(&said.blocks))),
                Reply::LinkBroken => person = None,
                Reply::Unknown => {}
            }
        }
        _ => {}
    }
    match person {
        Some(person) => {
            let text = format!(
                "You are {} on GitHub. Mention <@{}> in a channel, or write to it, and say what is \
                 to be done. `channel owner/name` after this command says for which repository a \
                 channel is; `unlink` forgets who you are.",
                person.login, bot.user
            );
            Ok(whispered(&text, None))
        }
        None => {
            // Slack waits, and so nothing is asked of it.
            let profile = Profile {
                name: field("user_name").unwrap_or_else(|| user.clone()),
                team: Some(team.clone()),
                email: None,
            };
            let guest = Guest {
                team: &team,
                user: &user,
                profile: Some(&profile),
            };
            let said = invitation::invite(&env, &guest).await?;
            Ok(whispered(&said.text, Some(&said.blocks)))
        }
    }
}

/// What comes after the word `channel`.
fn wish(words: &[&str]) -> Option<Wish> {
    match words {
        [] => Some(Wish::Tell),
        ["none"] => Some(Wish::Drop),
        [name] => Repository::parse(name).ok().map(Wish::Set),
        _ => None,
    }
}

fn whispered(text: &str, blocks: Option<&[Value]>) -> Response {
    let mut body = json!({ "response_type": "ephemeral", "text": text });
    if let (Some(blocks), Some(fields)) = (blocks, body.as_object_mut()) {
        fields.insert("blocks".to_owned(), blocks.into());
    }
    Json(body).into_response()
}

async fn receive(env: &Env, id: &str, name: &str, body: &[u8]) -> Result<Response, Error> {
    let body = std::str::from_utf8(body).map_err(malformed)?;
    deliveries::receive(env, id, name, body).await?;
    Ok(taken())
}

/// What Slack wants to hear.
fn taken() -> Response {
    StatusCode::OK.into_response()
}

/// Repositories for a searchable menu, of those that the person is known to reach: whoever asked the
/// question has just looked.
async fn suggested(
    env: &Env,
    settings: &Slack,
    suggestion: &Suggestion,
) -> Result<Vec<Value>, Error> {
    let bot = delivery::bot(settings).await?;
    if suggestion
        .team
        .as_ref()
        .is_none_or(|team| !bot.listens_to(&team.id))
    {
        return Ok(Vec::new());
    }
    let database = Database::new(env)?;
    let part = suggestion.value.trim();
    let user = &suggestion.user.id;
    let found = match database::slack::person(&database, &bot.team, user).await? {
        Some(person) => {
            // A question may be answered a day later.
            let since = clock::now().plus(-144 * ACCESS_MS);
            database::slack::reachable(&database, person.id, part, since, MAX_OPTIONS).await?
        }
        None => {
            let part = part.to_lowercase();
            let all = settings.open_repositories.iter();
            let fits = all.filter(|name| name.to_string().to_lowercase().contains(&part));
            fits.take(MAX_OPTIONS).cloned().collect()
        }
    };
    Ok(found
        .iter()
        .filter_map(|found| choice(&found.to_string()))
        .collect())
}

#[derive(Deserialize)]
pub struct LinkQuery {
    #[serde(default)]
    invitation: String,
}

/// `GET /slack/link?invitation=`: whoever is signed in is asked whether they are that person in Slack.
#[worker::send]
pub async fn ask_link(
    State(env): State<Env>,
    Query(query): Query<LinkQuery>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    let invitation = opened(&env, &query.invitation)?;
    let Some(person) = signed_in(&env, &parts).await? else {
        let back = format!("/slack/link?invitation={}", query.invitation);
        let url = format!("/auth/github/login?return_to={}", encode_component(&back));
        return Ok((StatusCode::FOUND, [(header::LOCATION, url)]).into_response());
    };
    let body = format!(
        "<h1>Are you {name} in Slack?</h1>\
         <p>What the Slack user <b>{name}</b> ({user}, workspace {team}) asks for will be done in the \
         name of <b>{login}</b> on GitHub. Go on only if this is you, and you asked for it \
         yourself.</p>\
         <form method=\"post\" action=\"/slack/link\">\
         <input type=\"hidden\" name=\"invitation\" value=\"{sealed}\">\
         <button>Yes, that is me</button></form>",
        name = escaped(&invitation.name),
        user = escaped(&invitation.user),
        team = escaped(&invitation.team),
        login = escaped(&person.login),
        sealed = escaped(&query.invitation),
    );
    Ok(page(&body))
}

/// `POST /slack/link`: the answer, from our own page alone.
#[worker::send]
pub async fn link(State(env): State<Env>, request: Request) -> Result<Response, Error> {
    let (parts, body) = request.into_parts();
    let origin = parts.headers.get(header::ORIGIN);
    if origin.and_then(|origin| origin.to_str().ok()) != Some(&*config::public_url(&env)?) {
        return Err(Error::CrossSite);
    }
    let body = read_body(body, MAX_PAYLOAD).await?;
    let sealed = form::field(&body, "invitation").unwrap_or_default();
    let invitation = opened(&env, &sealed)?;
    let person = signed_in(&env, &parts).await?.ok_or(Error::NotSignedIn)?;
    let Invitation {
        team,
        user,
        nonce,
        expires_at,
        ..
    } = &invitation;
    let database = Database::new(&env)?;
    let is_new = database::slack::link(
        &database,
        (team, user),
        person.id,
        (nonce, *expires_at),
        clock::now(),
    )
    .await?;
    if !is_new {
        return Err(void());
    }
    for wait in database::slack_waits::of(&database, team, user).await? {
        channel::known(&env, &wait).await?;
    }
    Ok(page(&format!(
        "<h1>You are linked</h1><p>{} in Slack is {} on GitHub. What you asked for goes on; you can \
         close this page.</p>",
        escaped(&invitation.name),
        escaped(&person.login)
    )))
}

fn opened(env: &Env, sealed: &str) -> Result<Invitation, Error> {
    if Slack::from_env(env)?.is_none() {
        return Err(Error::NotFound("such endpoint"));
    }
    let keys = config::encryption_keys(env)?;
    Invitation::open(&keys, sealed, clock::now()).ok_or_else(void)
}

fn void() -> Error {
    let message = "this link was used or has expired: ask for a new one in Slack";
    Error::invalid("bad_invitation", message)
}

/// Who is signed in with this browser, if they may be here.
async fn signed_in(env: &Env, parts: &Parts) -> Result<Option<Person>, Error> {
    let Some(cookie) = browser::session_cookie(parts) else {
        return Ok(None);
    };
    let database = Database::new(env)?;
    let person = database::logins::find(&database, cookie, clock::now()).await?;
    let is_allowed =
        |person: &Person| config::allowed_users(env).is_none_or(|people| people.contains(person));
    match person {
        Some(person) if !is_allowed(&person) => Err(Error::NotAllowed),
        person => Ok(person),
    }
}

fn page(body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Slack</title>{body}</html>"
    );
    let policy = "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy),
    ];
    (headers, html).into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
