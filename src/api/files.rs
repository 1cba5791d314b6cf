//! Whole files of a session: as they are in its sandbox now, else in its newest snapshot. The runner
//! that has them is asked; what it answers is hostile, and only ever saved by a browser.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use protocol::api::{ErrorBody, FilePlace, ReadFile, names_of};
use worker::Env;

use super::extract::Path;
use super::sessions::read_answer;
use super::{Caller, ask_session};
use crate::artifacts::name;
use crate::auth::policy::Action;
use crate::error::Error;
use crate::platform::http;
use crate::session::files::Whereabouts;
use crate::session::machine::{Kept, Refusal};
use crate::session::request::Request as Ask;
use crate::{config, fleet};

/// A snapshot may have to be fetched from the depot first.
const DEADLINE: Duration = Duration::from_secs(25);

/// `GET /api/sessions/{session}/files/{path}`
#[worker::send]
pub async fn read(
    caller: Caller,
    Path((id, path)): Path<(String, String)>,
) -> Result<Response, Error> {
    let session = caller.session(&id, Action::View).await?;
    if names_of(&path).is_none() {
        let message = "a path leads down from the workspace, without `.`, `..` and empty names";
        return Err(Error::invalid("bad_path", message));
    }
    let answer = ask_session(&caller.env, &session, &Ask::Whereabouts).await?;
    if !answer.status().is_success() {
        return Ok(answer);
    }
    let whereabouts = read_answer::<Whereabouts>(answer).await?;
    let Whereabouts { sandbox, snapshot } = whereabouts.ok_or(Error::SessionAway)?;
    if let Some((sandbox, runner)) = sandbox {
        let place = FilePlace::Sandbox { sandbox };
        match ask(&caller.env, &runner, place, &path).await {
            // It has ended meanwhile, or its runner is not there just now.
            Err(Error::NoRunner) if snapshot.is_some() => {}
            read => return Ok(answer_with(read?, &path)),
        }
    }
    let kept = snapshot.ok_or(Refusal::NoSnapshot)?;
    let runner = holder(&caller.env, &kept).await?.ok_or(Error::NoRunner)?;
    let place = FilePlace::Snapshot { snapshot: kept.id };
    let content = ask(&caller.env, &runner, place, &path).await?;
    Ok(answer_with(content, &path))
}

/// The runner that has a snapshot, or one that can fetch it.
async fn holder(env: &Env, kept: &Kept) -> Result<Option<String>, Error> {
    let present = fleet::present_runners(env).await?;
    let its = present
        .iter()
        .find(|runner| Some(&runner.runner) == kept.runner.as_ref());
    let any = present.iter().find(|runner| runner.depot);
    Ok(its.or(any).map(|runner| runner.url.clone()))
}

async fn ask(env: &Env, runner: &str, place: FilePlace, path: &str) -> Result<Vec<u8>, Error> {
    let wanted = ReadFile {
        place,
        path: path.to_owned(),
    };
    let keys = config::runner_keys(env)?;
    let answer = match http::post_signed(&keys, runner, "/files", &wanted, DEADLINE).await {
        Ok(answer) => answer,
        Err(error) => {
            worker::console_warn!("a runner was not asked for a file: {error}");
            return Err(Error::NoRunner);
        }
    };
    if answer.status == 200 {
        return Ok(answer.body);
    }
    let told = serde_json::from_slice::<ErrorBody>(&answer.body).ok();
    let code = told.map(|body| body.error.code).unwrap_or_default();
    Err(match code.as_str() {
        "not_found" => Error::NotFound("file of this name"),
        "not_a_file" => Error::invalid("not_a_file", "this is a directory, a link or no file"),
        "file_too_large" => Error::invalid("file_too_large", "a file has at most 10 MiB here"),
        _ => {
            let status = answer.status;
            worker::console_warn!("a runner did not read a file: status={status} code={code}");
            Error::NoRunner
        }
    })
}

/// Saved, whatever it is.
fn answer_with(content: Vec<u8>, path: &str) -> Response {
    let is_text = !content.contains(&0) && std::str::from_utf8(&content).is_ok();
    let kind = match is_text {
        true => HeaderValue::from_static("text/plain; charset=utf-8"),
        false => HeaderValue::from_static("application/octet-stream"),
    };
    let disposition = name::disposition("attachment", &name::safe(path));
    let disposition = HeaderValue::try_from(disposition)
        .unwrap_or_else(|_| HeaderValue::from_static("attachment"));
    let policy = "sandbox; default-src 'none'; frame-ancestors 'none'";
    let mut response = Response::new(Body::from(content));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CONTENT_DISPOSITION, disposition);
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(policy),
    );
    response
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn no_browser_shows_or_runs_a_file() {
        for (content, kind) in [
            (
                "<script>alert(1)</script>".into(),
                "text/plain; charset=utf-8",
            ),
            (vec![0, 1], "application/octet-stream"),
            (vec![0xff], "application/octet-stream"),
        ] {
            let response = answer_with(content, "web/\"evil\".html");
            let of = |name| response.headers().get(name).unwrap().to_str().unwrap();
            assert_eq!(of(header::CONTENT_TYPE), kind);
            assert!(
                of(header::CONTENT_DISPOSITION).starts_with("attachment; filename=\"_evil_.html\"")
            );
            assert!(of(header::CONTENT_SECURITY_POLICY).starts_with("sandbox;"));
        }
    }
}
