//! HTTP: each request is parsed, checked, and written anew, so that what the host reads is what
//! was checked here. A host for which the repository has a header secret is asked by HTTPS, with the
//! secret in the request: the sandbox asks without encryption, since what it encrypted could not be
//! added to, and what leaves this machine is encrypted.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use protocol::egress::HostName;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::flow::Watched;
use super::{ContactKind, Way};
use crate::cause;

/// What concerns one connection only.
const CONNECTION_HEADERS: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Of a request's or an answer's head.
const LONGEST_HEAD: usize = 64 * 1024;

pub(super) async fn serve(way: Arc<Way>, client: TcpStream) {
    let Ok(address) = client.local_addr() else {
        return;
    };
    let (client, silence) = Watched::new(client, Box::new(|_, _| {}));
    let limits = way.egress.limits;
    // Requests of one connection are answered one after another.
    let asked = Arc::new(Mutex::new(None));
    let answering = service_fn(|request| {
        let (way, asked) = (Arc::clone(&way), Arc::clone(&asked));
        let said = host_of(&request);
        // Before it is admitted: a change of the policy in between is not missed.
        let host = said
            .as_ref()
            .ok()
            .and_then(|said| HostName::parse(said).ok());
        *asked.lock().unwrap_or_else(PoisonError::into_inner) = host;
        async move {
            let answer = answer(way, address.ip(), said, request).await;
            Ok::<_, std::convert::Infallible>(answer)
        }
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(client), answering);
    tokio::select! {
        served = serving => {
            if let Err(error) = served {
                tracing::debug!(%error, "a sandbox's connection broke");
            }
        }
        () = silence.of(limits.idle) => tracing::debug!("a sandbox's connection was idle"),
        () = way.excluded(ContactKind::Http, || {
            asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
        }) => {}
    }
}

async fn answer(
    way: Arc<Way>,
    address: IpAddr,
    said: Result<String, &'static str>,
    request: Request<Incoming>,
) -> Response<Body> {
    let said = match said {
        Ok(said) => said,
        Err(reason) => {
            let host = way
                .name_at(address)
                .map_or_else(|| address.to_string(), |name| name.as_str().to_owned());
            way.ledger.denied(ContactKind::Http, &host, reason);
            return say(StatusCode::FORBIDDEN, reason);
        }
    };
    let host = match way.admit(ContactKind::Http, address, &said) {
        Ok(host) => host,
        Err(reason) => return say(StatusCode::FORBIDDEN, &reason),
    };
    let secrets = match way.vault.headers_for(&host).await {
        Ok(secrets) => secrets,
        Err(error) => {
            let error = cause::chain(&*error);
            tracing::warn!(error, "a repository's secrets cannot be had");
            let reason = "The secrets of this repository cannot be had at the moment.";
            return say(StatusCode::BAD_GATEWAY, reason);
        }
    };
    let kind = match secrets.is_empty() {
        true => ContactKind::Http,
        false => ContactKind::Https,
    };
    let upstream = match way.dial(kind, &host).await {
        Ok(upstream) => upstream,
        Err(error @ super::DialError::Forbidden(_)) => {
            return say(StatusCode::FORBIDDEN, &format!("{host}: {error}"));
        }
        Err(error) => return say(StatusCode::BAD_GATEWAY, &format!("{host}: {error}")),
    };
    let answered = match kind {
        ContactKind::Https => match encrypt(&way, &host, upstream).await {
            Ok(upstream) => forward(&way, (kind, &host), upstream, request, secrets).await,
            Err(error) => {
                way.ledger.failed(kind, host.as_str(), &error.to_string());
                return say(StatusCode::BAD_GATEWAY, &format!("{host}: {error}"));
            }
        },
        _ => forward(&way, (kind, &host), upstream, request, secrets).await,
    };
    match answered {
        Ok(response) => response,
        Err(error) => {
            tracing::debug!(%error, host = host.as_str(), "a request was not answered");
            say(
                StatusCode::BAD_GATEWAY,
                &format!("{host} did not answer the request."),
            )
        }
    }
}

/// The one host that a request names, wherever it names it.
fn host_of(request: &Request<Incoming>) -> Result<String, &'static str> {
    const OTHER: &str = "The request names more than one host.";
    if request.method() == Method::CONNECT {
        return Err("The gateway is not a proxy: connect to the host itself.");
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err("The request needs one Host header.");
    };
    let host = host
        .to_str()
        .map_err(|_| "The request's Host header cannot be read.")?;
    let host = plain(host).ok_or("Only port 80 can be reached without encryption.")?;
    let uri = request.uri();
    if let Some(authority) = uri.authority() {
        let same = plain(authority.as_str()).is_some_and(|other| other.eq_ignore_ascii_case(host));
        if !same || uri.scheme_str() != Some("http") {
            return Err(OTHER);
        }
    }
    Ok(host.to_owned())
}

/// Without the port that is meant anyway.
fn plain(authority: &str) -> Option<&str> {
    match authority.split_once(':') {
        None | Some((_, "80")) => authority.split(':').next(),
        Some(_) => None,
    }
}

/// Whom it is connected to is proved by their certificate, before anything is said.
async fn encrypt(
    way: &Way,
    host: &HostName,
    upstream: TcpStream,
) -> io::Result<TlsStream<TcpStream>> {
    let tls = way.egress.tls().map_err(io::Error::other)?;
    let name = ServerName::try_from(host.as_str().to_owned()).map_err(io::Error::other)?;
    let greeting = TlsConnector::from(tls).connect(name, upstream);
    timeout(way.egress.limits.head, greeting).await?
}

async fn forward(
    way: &Way,
    (kind, host): (ContactKind, &HostName),
    upstream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Incoming>,
    secrets: Vec<(HeaderName, HeaderValue)>,
) -> Result<Response<Body>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let ledger = Arc::clone(&way.ledger);
    let counted = host.clone();
    let body = body.map_frame(move |frame| {
        let sent = frame.data_ref().map_or(0, |data| data.len() as u64);
        ledger.bytes(kind, counted.as_str(), sent, 0);
        frame
    });
    let has_body = !body.is_end_stream();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut outgoing = Request::new(if has_body {
        Body::new(body)
    } else {
        Body::empty()
    });
    *outgoing.method_mut() = parts.method;
    *outgoing.uri_mut() = path.parse().unwrap_or_else(|_| Uri::from_static("/"));
    *outgoing.headers_mut() = parts.headers;
    strip(outgoing.headers_mut());
    // The server here has answered it already.
    outgoing.headers_mut().remove(header::EXPECT);
    if let Ok(value) = HeaderValue::from_str(host.as_str()) {
        outgoing.headers_mut().insert(header::HOST, value);
    }
    outgoing
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    // In place of whatever the sandbox has put there.
    for (name, value) in secrets {
        outgoing.headers_mut().insert(name, value);
    }
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(LONGEST_HEAD)
        .handshake(TokioIo::new(upstream))
        .await?;
    // It ends when the answer is read or dropped.
    tokio::spawn(connection);
    let mut response = sender.send_request(outgoing).await?;
    strip(response.headers_mut());
    let (parts, body) = response.into_parts();
    let ledger = Arc::clone(&way.ledger);
    let counted = host.clone();
    let body = body.map_frame(move |frame| {
        let received = frame.data_ref().map_or(0, |data| data.len() as u64);
        ledger.bytes(kind, counted.as_str(), 0, received);
        frame
    });
    Ok(Response::from_parts(parts, Body::new(body)))
}

fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&CONNECTION_HEADERS) {
        headers.remove(name);
    }
}

fn say(status: StatusCode, reason: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{reason}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    // What is left of the request is not read: it may never end.
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
