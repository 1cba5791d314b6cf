//! Git over smart HTTP, through git's own `http-backend`.
//!
//! Bodies stream in both directions. A push has reached the emulator before its answer ends, so
//! that whoever pushed can open a pull request at once.

use std::convert::Infallible;
use std::process::Stdio;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt, stream};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::mpsc;

use super::git;
use super::mirror;
use super::reply::Refusal;
use super::repository::{Permission, Repository};
use super::site::Site;
use super::token::Grant;

/// One of the three requests of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Fetch,
    Push,
}

/// Serves `/{owner}/{name}.git/{tail}`.
pub(super) async fn serve(
    site: Arc<Site>,
    owner: &str,
    name: &str,
    tail: &str,
    request: Request,
) -> Result<Response, Refusal> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let service = service_of(tail, &query).ok_or_else(Refusal::not_found)?;
    let grant = authenticate(&site, request.headers())?;
    let repository = site
        .repositories
        .find(owner, name)
        .ok_or_else(|| match &grant {
            Some(_) => Refusal::not_found(),
            None => Refusal::git_challenge(),
        })?;
    authorise(&repository, grant.as_ref(), service)?;
    if service == Service::Fetch {
        let mut held = repository.holds_fetches.subscribe();
        // Its sender is the repository's own.
        let _ = held.wait_for(|held| !held).await;
    }

    let mut child = backend(&site, &repository, tail, &query, &request)
        .spawn()
        .map_err(git::GitError::Start)?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Refusal::not_supported());
    };
    tokio::spawn(copy_body(request.into_body(), stdin));
    let mut stdout = BufReader::new(stdout);
    let (status, headers) = read_head(&mut stdout).await?;

    let pushed = service == Service::Push && tail == "git-receive-pack";
    let after = pushed.then_some(Push {
        site,
        repository,
        token: grant.map(|grant| grant.upstream),
    });
    let mut response = Response::new(stream_body(child, stdout, after));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

fn service_of(tail: &str, query: &str) -> Option<Service> {
    match (tail, query) {
        ("info/refs", "service=git-upload-pack") | ("git-upload-pack", _) => Some(Service::Fetch),
        ("info/refs", "service=git-receive-pack") | ("git-receive-pack", _) => Some(Service::Push),
        _ => None,
    }
}

/// The token is the password of Basic authentication; a wrong one is worse than none.
fn authenticate(site: &Site, headers: &HeaderMap) -> Result<Option<Grant>, Refusal> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    value
        .to_str()
        .ok()
        .and_then(|value| value.strip_prefix("Basic "))
        .and_then(|encoded| STANDARD.decode(encoded).ok())
        .and_then(|decoded| String::from_utf8(decoded).ok())
        .and_then(|pair| {
            let (user, password) = pair.split_once(':')?;
            (user == "x-access-token").then(|| site.tokens.find(password))?
        })
        .map(Some)
        .ok_or_else(Refusal::git_challenge)
}

fn authorise(
    repository: &Repository,
    grant: Option<&Grant>,
    service: Service,
) -> Result<(), Refusal> {
    let access = match grant {
        Some(grant) => repository.access(&grant.holder),
        None => (!repository.private).then_some(Permission::Read),
    };
    let needed = match service {
        Service::Fetch => Permission::Read,
        Service::Push => Permission::Write,
    };
    if access.is_some_and(|access| access >= needed) {
        return Ok(());
    }
    let Some(grant) = grant else {
        return Err(Refusal::git_challenge());
    };
    if repository.visible_to(&grant.holder) {
        let message = format!("Permission to {}.git denied.", repository.full_name());
        return Err(Refusal::new(StatusCode::FORBIDDEN, &message));
    }
    Err(Refusal::new(StatusCode::NOT_FOUND, "Repository not found."))
}

fn backend(
    site: &Site,
    repository: &Repository,
    tail: &str,
    query: &str,
    request: &Request,
) -> tokio::process::Command {
    let mut command = git::plain_command();
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", &site.root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env(
            "PATH_INFO",
            format!("/{}.git/{tail}", repository.full_name()),
        )
        .env("REQUEST_METHOD", request.method().as_str())
        .env("QUERY_STRING", query)
        .env("REMOTE_ADDR", "127.0.0.1")
        .env("REMOTE_USER", "x-access-token")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    for (name, variable) in [
        (header::CONTENT_TYPE, "CONTENT_TYPE"),
        (header::CONTENT_LENGTH, "CONTENT_LENGTH"),
        (header::CONTENT_ENCODING, "HTTP_CONTENT_ENCODING"),
        (HeaderName::from_static("git-protocol"), "GIT_PROTOCOL"),
    ] {
        if let Some(value) = request.headers().get(name).and_then(|v| v.to_str().ok()) {
            command.env(variable, value);
        }
    }
    command
}

/// A client that goes away, or a backend that has read enough, ends the copy; the backend's exit
/// says whether that mattered.
async fn copy_body(body: Body, mut stdin: ChildStdin) {
    let mut chunks = body.into_data_stream();
    while let Some(Ok(chunk)) = chunks.next().await {
        if stdin.write_all(&chunk).await.is_err() {
            return;
        }
    }
}

async fn read_head(
    stdout: &mut BufReader<ChildStdout>,
) -> Result<(StatusCode, HeaderMap), Refusal> {
    let mut status = StatusCode::OK;
    let mut headers = HeaderMap::new();
    loop {
        let mut line = String::new();
        let read = stdout
            .read_line(&mut line)
            .await
            .map_err(git::GitError::Start)?;
        let line = line.trim_end();
        if read == 0 || line.is_empty() {
            return Ok((status, headers));
        }
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().and_then(|code| code.parse().ok());
            status = code.unwrap_or(StatusCode::BAD_GATEWAY);
        } else if let (Ok(name), Ok(value)) =
            (name.parse::<HeaderName>(), value.parse::<HeaderValue>())
        {
            headers.append(name, value);
        }
    }
}

struct Push {
    site: Arc<Site>,
    repository: Arc<Repository>,
    token: Option<String>,
}

fn stream_body(mut child: Child, mut stdout: BufReader<ChildStdout>, after: Option<Push>) -> Body {
    let (sender, receiver) = mpsc::channel::<Bytes>(8);
    tokio::spawn(async move {
        let mut buffer = vec![0; 64 * 1024];
        let mut listening = true;
        while let Ok(read @ 1..) = stdout.read(&mut buffer).await {
            let chunk = buffer.get(..read).map(Bytes::copy_from_slice);
            // A push goes on without its client, and must then still be mirrored.
            if let (true, Some(chunk)) = (listening, chunk) {
                listening = sender.send(chunk).await.is_ok();
            }
            if !listening && after.is_none() {
                return;
            }
        }
        if let Err(error) = child.wait().await {
            tracing::warn!(%error, "git http-backend could not be waited for");
        }
        if let Some(push) = after {
            push.mirror().await;
        }
        drop(sender);
    });
    let chunks = stream::unfold(receiver, |mut receiver| async {
        let chunk = receiver.recv().await?;
        Some((Ok::<_, Infallible>(chunk), receiver))
    });
    Body::from_stream(chunks)
}

impl Push {
    async fn mirror(self) {
        let mut mirrored = self.repository.changes.lock().await;
        let emulator = &self.site.emulator;
        let token = self.token.as_deref();
        if let Err(error) = mirror::update(emulator, &self.repository, &mut mirrored, token).await {
            let cause = std::error::Error::source(&error).map(tracing::field::display);
            tracing::error!(%error, cause, repository = self.repository.full_name(), "a push was not mirrored");
        }
    }
}
