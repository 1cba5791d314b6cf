//! Terminals of sandboxes: a ticket from the app's host, the socket on the sandboxes' host.
//!
//! The socket is known by its ticket alone. Cookies are not read there, and the browser sends none,
//! since it is another host. The runner gets the viewer's name in what is signed.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use protocol::SessionId;
use protocol::api::{Deed, TERMINAL_SUBPROTOCOL, TerminalNotice, TerminalTicket, Ticket};
use protocol::event::Person;
use protocol::frame::TICKET_PREFIX;
use protocol::signature::Signed;
use std::time::Duration;
use worker::{Env, Fetch, Headers, RequestInit, ResponseBuilder, WebSocketPair};

use super::extract::Path;
use super::sessions::read_answer;
use super::{Caller, ask_session, into_axum};
use crate::auth::policy::Action;
use crate::error::Error;
use crate::platform::http::within;
use crate::platform::{clock, random};
use crate::session::request::Request as Ask;
use crate::session::terminal::{Admitted, TerminalRequest};
use crate::{config, hosts};

const DEADLINE: Duration = Duration::from_secs(10);

/// Codes of closed sockets: where it is not there, and where it could not be had.
const CLOSED_ABSENT: u16 = 4004;
const CLOSED_FAILED: u16 = 4002;

/// `POST /api/sessions/{session}/terminal`
#[worker::send]
pub async fn ticket(caller: Caller, Path(id): Path<String>) -> Result<Response, Error> {
    let session = caller.session(&id, Action::UseTerminal).await?;
    let base = hosts::sandbox_url(&caller.env)?.ok_or_else(|| {
        let message = "this deployment has no host for sandboxes: an operator sets SANDBOX_URL";
        Error::invalid("no_sandbox_url", message)
    })?;
    let issue = TerminalRequest::Issue {
        person: caller.person.clone(),
        origin: caller.public_url.clone(),
    };
    let answer = ask_session(&caller.env, &session, &Ask::Terminal(issue)).await?;
    if !answer.status().is_success() {
        return Ok(answer);
    }
    let issued = read_answer::<Ticket>(answer).await?;
    let Ticket { ticket } = issued.ok_or(Error::SessionAway)?;
    caller.note(Deed::TerminalOpened, session.as_str()).await?;
    let url = format!("{}/terminal/{session}", hosts::socket_url(&base));
    let ticket = TerminalTicket { url, ticket };
    Ok((StatusCode::CREATED, Json(ticket)).into_response())
}

/// `GET /terminal/{session}`, on the sandboxes' host.
#[worker::send]
pub async fn socket(
    State(env): State<Env>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    let session = SessionId::parse(&id).map_err(|_| Error::NotFound("session"))?;
    if !given(&parts.headers, header::UPGRADE).eq_ignore_ascii_case("websocket") {
        let message = "this is a WebSocket: connect with `new WebSocket` and a ticket";
        return Err(Error::invalid("not_a_websocket", message));
    }
    let origin = given(&parts.headers, header::ORIGIN);
    if origin != config::public_url(&env)? {
        return Err(Error::CrossSite);
    }
    let offered = given(&parts.headers, header::SEC_WEBSOCKET_PROTOCOL);
    let mut protocols = offered.split(',').map(str::trim);
    let ticket = protocols
        .clone()
        .find_map(|one| one.strip_prefix(TICKET_PREFIX));
    if !protocols.any(|one| one == TERMINAL_SUBPROTOCOL) {
        let message = format!("offer the subprotocol {TERMINAL_SUBPROTOCOL}");
        return Err(Error::invalid("wrong_subprotocol", message));
    }
    let redeem = TerminalRequest::Redeem {
        ticket: ticket.ok_or(Error::BadTicket)?.to_owned(),
        origin: origin.to_owned(),
    };
    let answer = ask_session(&env, &session, &Ask::Terminal(redeem)).await?;
    match answer.status() {
        StatusCode::OK => {}
        // A session that is not there has given out no ticket, and is told from none.
        StatusCode::NOT_FOUND => return Err(Error::BadTicket),
        _ => return Ok(answer),
    }
    let admitted = read_answer::<Admitted>(answer).await?;
    let Admitted { person, place } = admitted.ok_or(Error::SessionAway)?;
    let Some((sandbox, runner)) = place else {
        let message = "This session has no sandbox now: one starts with the next prompt.";
        return refuse("no_sandbox", message, CLOSED_ABSENT);
    };
    let path = format!("/terminal/{sandbox}?viewer={}", viewer(&person)?);
    match connect(&env, &runner, &path).await {
        Ok(Some(response)) => Ok(response),
        Ok(None) => {
            let message = "The sandbox's terminal cannot be had now: try again.";
            refuse("terminal_unavailable", message, CLOSED_FAILED)
        }
        Err(error) => {
            error.log();
            let message = "The sandbox's runner cannot be reached: try again.";
            refuse("runner_unavailable", message, CLOSED_FAILED)
        }
    }
}

fn given(headers: &HeaderMap, name: HeaderName) -> &str {
    let value = headers.get(name);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// Whoever looks on, as part of a path that is signed.
fn viewer(person: &Person) -> Result<String, Error> {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(person)?))
}

/// The runner's socket, to be passed on as it is; none if the runner gives none.
async fn connect(env: &Env, runner: &str, path: &str) -> Result<Option<Response>, Error> {
    let id = format!("msg_{}", random::hex(&random::bytes::<16>()?));
    let signed = Signed {
        method: "GET",
        path,
        body: b"",
    };
    let signature = config::runner_keys(env)?.sign_request(&id, clock::now(), signed);
    let headers = Headers::new();
    headers.set("upgrade", "websocket")?;
    headers.set("sec-websocket-protocol", TERMINAL_SUBPROTOCOL)?;
    for (name, value) in signature.headers() {
        headers.set(name, value)?;
    }
    let mut init = RequestInit::new();
    init.with_headers(headers);
    let request = worker::Request::new_with_init(&format!("{runner}{path}"), &init)?;
    let fetching = Fetch::Request(request);
    let answer = within(fetching.send(), DEADLINE).await;
    let Some(answer) = answer.transpose()? else {
        return Ok(None);
    };
    match answer.status_code() {
        101 => into_axum(answer).map(Some),
        status => {
            worker::console_warn!("a terminal was refused: status={status}");
            Ok(None)
        }
    }
}

/// A socket that says why it is closed: a page does not see the status of a failed upgrade.
fn refuse(code: &str, message: &str, close: u16) -> Result<Response, Error> {
    let pair = WebSocketPair::new()?;
    pair.server.accept()?;
    let notice = TerminalNotice::Error {
        code: code.to_owned(),
        message: message.to_owned(),
    };
    pair.server.send_with_str(serde_json::to_string(&notice)?)?;
    pair.server.close(Some(close), Some(code))?;
    into_axum(
        ResponseBuilder::new()
            .with_status(101)
            .with_header("sec-websocket-protocol", TERMINAL_SUBPROTOCOL)?
            .with_websocket(pair.client)
            .empty(),
    )
}
