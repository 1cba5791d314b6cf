//! Upgrades to WebSockets, handed on to the object that holds them. A ticket says who it is, so
//! there is no cookie to misuse.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::Response;
use worker::{Env, Stub};

use super::into_axum;
use crate::config;
use crate::error::Error;
use crate::session::request::SOCKET_PATH;

/// Hands an upgrade that comes from one of our own pages to `object`.
pub(super) async fn upgrade(env: &Env, object: &Stub, request: Request) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    let headers = &parts.headers;
    if !given(headers, &header::UPGRADE).eq_ignore_ascii_case("websocket") {
        let message = "this is a WebSocket: connect with `new WebSocket` and a ticket";
        return Err(Error::invalid("not_a_websocket", message));
    }
    if given(headers, &header::ORIGIN) != config::public_url(env)? {
        return Err(Error::CrossSite);
    }
    let onward = worker::Headers::new();
    for name in [
        header::UPGRADE,
        header::ORIGIN,
        header::SEC_WEBSOCKET_PROTOCOL,
    ] {
        onward.set(name.as_str(), given(headers, &name))?;
    }
    let mut init = worker::RequestInit::new();
    init.with_headers(onward);
    let url = format!("https://object{SOCKET_PATH}");
    let request = worker::Request::new_with_init(&url, &init)?;
    into_axum(object.fetch_with_request(request).await?)
}

fn given<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default()
}
