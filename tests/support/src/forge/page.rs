//! What a person sees in a browser: a pull request, and faces.
//!
//! The pages ask for no sign-in; whoever can reach this machine's loopback may read them.

use axum::http::Method;
use axum::response::Response;
use serde_json::Value;

use super::history;
use super::pull;
use super::reply::{Refusal, text_response};
use super::sign_in::escape;
use super::site::Site;

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;\
    padding:0 1rem;color:#1f2328}h1{font-weight:500}pre{background:#f6f8fa;border:1px solid #d1d9e0;\
    border-radius:6px;padding:1rem;overflow:auto;white-space:pre-wrap}.state{color:#fff;\
    background:#1a7f37;border-radius:1rem;padding:.2rem .8rem}.merged{background:#8250df}\
    .closed{background:#cf222e}.add{background:#dafbe1}.del{background:#ffebe9}.hunk{color:#59636e}";

/// `GET /{owner}/{name}/pull/{number}`, also with `.diff`.
pub(super) async fn pull_request(
    site: &Site,
    owner: &str,
    name: &str,
    number: &str,
) -> Result<Response, Refusal> {
    let repository = site
        .repositories
        .find(owner, name)
        .ok_or_else(Refusal::not_found)?;
    let (number, as_diff) = match number.strip_suffix(".diff") {
        Some(number) => (number, true),
        None => (number, false),
    };
    let token = site.emulator.acting(repository.administrator());
    let path = format!("{}/pulls/{number}", repository.api_path());
    let answer = site.emulator.call(Method::GET, &path, token, None).await?;
    if !answer.status.is_success() {
        return Err(Refusal::not_found());
    }
    let pull = answer.json();
    let (base, head) = pull::range(&repository, &pull).await?;
    let diff = history::diff(&repository.git, &base, &head).await?;
    if as_diff {
        return Ok(text_response("text/plain; charset=utf-8", diff));
    }
    let commits = history::commits(&repository, &site.url, &base, &head).await?;
    Ok(text_response(HTML, page(&pull, &commits, &diff)))
}

/// A circle with the first letter of the login.
pub(super) fn avatar(login: &str) -> Response {
    let letter = login.chars().next().unwrap_or('?').to_uppercase();
    let hue = login.bytes().map(u32::from).sum::<u32>() * 47 % 360;
    let svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 40 40\"><circle cx=\"20\" cy=\"20\" r=\"20\" \
         fill=\"hsl({hue} 45% 45%)\"/><text x=\"20\" y=\"27\" text-anchor=\"middle\" fill=\"#fff\" \
         font-family=\"sans-serif\" font-size=\"20\">{}</text></svg>",
        escape(&letter.to_string())
    );
    text_response("image/svg+xml", svg)
}

fn page(pull: &Value, commits: &Value, diff: &str) -> String {
    let text = |value: &Value, pointer: &str| {
        let text = value.pointer(pointer).and_then(Value::as_str);
        escape(text.unwrap_or_default())
    };
    let merged = pull.get("merged").and_then(Value::as_bool) == Some(true);
    let state = if merged {
        "merged".to_owned()
    } else {
        text(pull, "/state")
    };
    let number = pull
        .get("number")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    let commits: String = commits
        .as_array()
        .into_iter()
        .flatten()
        .map(|commit| {
            let message = text(commit, "/commit/message");
            let title = message.lines().next().unwrap_or_default().to_owned();
            let author = text(commit, "/commit/author/name");
            let committer = text(commit, "/commit/committer/name");
            format!("<li>{title} <small>by {author}, committed by {committer}</small></li>")
        })
        .collect();
    let diff: String = diff
        .lines()
        .map(|line| {
            let class = match line.as_bytes().first() {
                Some(b'+') => "add",
                Some(b'-') => "del",
                Some(b'@') => "hunk",
                _ => "",
            };
            format!("<span class=\"{class}\">{}</span>\n", escape(line))
        })
        .collect();
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title} · #{number}</title>\
         <style>{STYLE}</style><h1>{title} <small>#{number}</small></h1>\
         <p><span class=\"state {state}\">{state}</span> <b>{author}</b> wants to merge \
         <code>{head}</code> into <code>{base}</code></p><pre>{body}</pre>\
         <h2>Commits</h2><ul>{commits}</ul><h2>Changes</h2><pre>{diff}</pre></html>",
        title = text(pull, "/title"),
        author = text(pull, "/user/login"),
        head = text(pull, "/head/ref"),
        base = text(pull, "/base/ref"),
        body = text(pull, "/body"),
    )
}
