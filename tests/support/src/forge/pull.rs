//! Pull requests: the emulator keeps them, the bare repository says what is in them.
//!
//! The emulator remembers the commits of the moment a pull request was opened, opens several for
//! one branch, and makes up branches and files. Here the head must exist, a second pull request
//! for it is refused, every answer carries the branch's commits of now, and a merge happens in
//! the bare repository.

use std::sync::{Arc, PoisonError};

use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::api::{body_of, pass_on};
use super::emulator::EmulatorError;
use super::git::GitError;
use super::history;
use super::json::{number, text};
use super::mirror;
use super::reply::{Refusal, json_response, text_response};
use super::repository::{Permission, Repository};
use super::site::{Call, Site, respond};
use super::token::{Grant, Holder};

/// The number of every repository that is a fork: no other has it.
const FORK: u64 = 9_000_001;

mod merge;

pub(super) use merge::Merge;
use merge::{merge, merge_of};

/// A pull request as it is on the forge now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    pub number: u64,
    pub title: String,
    pub body: String,
    pub author: String,
    pub head_branch: String,
    pub head_commit: String,
    pub base_branch: String,
    pub open: bool,
    pub merged: bool,
    pub url: String,
}

pub(super) async fn answer(
    site: &Site,
    call: &Call,
    grant: &Grant,
    repository: &Arc<Repository>,
    rest: &[&str],
) -> Result<Response, Refusal> {
    match (&call.method, rest) {
        (&Method::POST, ["pulls"]) => open(site, call, grant, repository).await,
        (&Method::PUT, ["pulls", number, "merge"]) => {
            merge(site, call, grant, repository, number).await
        }
        (&Method::POST, ["pulls", number, "reviews"]) => {
            review(site, call, grant, repository, number).await
        }
        (&Method::PUT, ["pulls", _, "update-branch"]) => Err(Refusal::not_supported()),
        (&Method::GET, ["pulls", number, "commits"]) => {
            let (base, head) = commits_of(site, call, repository, number).await?;
            let commits = history::commits(repository, &site.url, &base, &head).await?;
            Ok(json_response(StatusCode::OK, &commits))
        }
        (&Method::GET, ["pulls", number, "files"]) => {
            let (base, head) = commits_of(site, call, repository, number).await?;
            let files = history::files(repository, &site.url, &base, &head).await?;
            Ok(json_response(StatusCode::OK, &files))
        }
        (&Method::GET, ["pulls", number]) if call.accepts("diff") => {
            let (base, head) = commits_of(site, call, repository, number).await?;
            let diff = history::diff(&repository.git, &base, &head).await?;
            Ok(text_response(
                "application/vnd.github.diff; charset=utf-8",
                diff,
            ))
        }
        (_, ["pulls"] | ["pulls", _] | ["pulls", _, "requested_reviewers"]) => {
            let answer = pass_on(site, call).await?;
            if !answer.status.is_success() {
                return Ok(respond(site, &answer));
            }
            let mut body = answer.json();
            match &mut body {
                Value::Array(pulls) => {
                    for pull in pulls {
                        bring_up_to_date(repository, pull).await?;
                    }
                }
                pull => bring_up_to_date(repository, pull).await?,
            }
            let mut response = respond(site, &answer);
            *response.body_mut() = body.to_string().into();
            Ok(response)
        }
        _ => Ok(respond(site, &pass_on(site, call).await?)),
    }
}

impl From<&Value> for PullRequest {
    fn from(pull: &Value) -> Self {
        Self {
            number: number(pull, "/number"),
            title: text(pull, "/title"),
            body: text(pull, "/body"),
            author: text(pull, "/user/login"),
            head_branch: text(pull, "/head/ref"),
            head_commit: text(pull, "/head/sha"),
            base_branch: text(pull, "/base/ref"),
            open: text(pull, "/state") == "open",
            merged: pull.get("merged").and_then(Value::as_bool) == Some(true),
            url: text(pull, "/html_url"),
        }
    }
}

/// Says of an issue that it is a pull request, which the emulator leaves out.
pub(super) async fn mark(site: &Site, repository: &Repository, issue: &mut Value) {
    let path = format!(
        "{}/pulls/{}",
        repository.api_path(),
        number(issue, "/number")
    );
    let token = site.emulator.acting(repository.administrator());
    let found = site.emulator.call(Method::GET, &path, token, None).await;
    let is_pull = found.is_ok_and(|answer| answer.status.is_success());
    if let Some(fields) = issue.as_object_mut().filter(|_| is_pull) {
        let url = format!("{}{path}", site.url);
        fields.insert("pull_request".to_owned(), json!({ "url": url }));
    }
}

/// Puts the repository's truth into what the emulator says about a pull request.
pub(super) async fn bring_up_to_date(
    repository: &Repository,
    pull: &mut Value,
) -> Result<(), GitError> {
    let Some(number) = pull.get("number").and_then(Value::as_u64) else {
        return Ok(());
    };
    let git = &repository.git;
    let merge = merge_of(repository, number);
    let (base, head) = range(repository, pull).await?;
    let (additions, deletions, files) = history::size(git, &base, &head).await?;
    let between = format!("{base}..{head}");
    let commits = git.text(&["rev-list", "--count", &between]).await?;
    let open = pull.get("state").and_then(Value::as_str) == Some("open");
    let mergeable = open && git.merge_tree(&base, &head).await?.is_some();
    let Some(fields) = pull.as_object_mut() else {
        return Ok(());
    };
    for (side, commit) in [("head", head), ("base", base)] {
        if let Some(side) = fields.get_mut(side).and_then(Value::as_object_mut) {
            side.insert("sha".to_owned(), json!(commit));
            if let Some(repository) = side.get_mut("repo").and_then(Value::as_object_mut) {
                repository.remove("permissions");
            }
        }
    }
    let forks = repository.forks.read();
    let forks = forks.unwrap_or_else(PoisonError::into_inner);
    if let Some(owner) = forks.get(&number)
        && let Some(fork) = fields.get_mut("head").and_then(|head| head.get_mut("repo"))
    {
        *fork = json!({
            "id": FORK,
            "name": repository.name,
            "full_name": format!("{owner}/{}", repository.name),
            "private": repository.private,
        });
    }
    drop(forks);
    let state = match (open, mergeable) {
        (true, true) => "clean",
        (true, false) => "dirty",
        (false, _) => "unknown",
    };
    for (name, value) in [
        ("commits", json!(commits.parse::<u64>().unwrap_or_default())),
        ("additions", json!(additions)),
        ("deletions", json!(deletions)),
        ("changed_files", json!(files)),
        ("mergeable", json!(mergeable)),
        ("mergeable_state", json!(state)),
        ("merge_commit_sha", json!(merge.map(|merge| merge.commit))),
    ] {
        fields.insert(name.to_owned(), value);
    }
    Ok(())
}

/// The commits that a pull request goes from and to.
pub(super) async fn range(
    repository: &Repository,
    pull: &Value,
) -> Result<(String, String), GitError> {
    let number = pull.get("number").and_then(Value::as_u64);
    if let Some(merge) = number.and_then(|number| merge_of(repository, number)) {
        return Ok((merge.base, merge.head));
    }
    let base = repository.git.branch(&text(pull, "/base/ref")).await?;
    let head = repository.git.branch(&text(pull, "/head/ref")).await?;
    Ok((
        base.unwrap_or_else(|| text(pull, "/base/sha")),
        head.unwrap_or_else(|| text(pull, "/head/sha")),
    ))
}

async fn commits_of(
    site: &Site,
    call: &Call,
    repository: &Repository,
    number: &str,
) -> Result<(String, String), Refusal> {
    let path = format!("{}/pulls/{number}", repository.api_path());
    let token = call
        .headers
        .get(axum::http::header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or_default();
    let answer = site.emulator.call(Method::GET, &path, token, None).await?;
    if !answer.status.is_success() {
        return Err(Refusal::not_found());
    }
    Ok(range(repository, &answer.json()).await?)
}

async fn open(
    site: &Site,
    call: &Call,
    grant: &Grant,
    repository: &Arc<Repository>,
) -> Result<Response, Refusal> {
    let body = body_of(call)?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    for field in ["title", "head", "base"] {
        if text(field).trim().is_empty() {
            return Err(Refusal::invalid(json!({
                "resource": "PullRequest", "field": field, "code": "missing_field",
            })));
        }
    }
    let writes = repository.access(&grant.holder) >= Some(Permission::Write);
    if !writes && matches!(grant.holder, Holder::User { .. }) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "Must have push access to the head branch.",
        ));
    }
    let head = match text("head").split_once(':') {
        Some((owner, branch)) if owner == repository.owner => branch,
        Some(_) => return Err(invalid("head")),
        None => text("head"),
    };
    let base = text("base");
    let mut mirrored = repository.changes.lock().await;
    let git = &repository.git;
    let head_commit = git.branch(head).await?.ok_or_else(|| invalid("head"))?;
    let base_commit = git.branch(base).await?.ok_or_else(|| invalid("base"))?;
    let between = format!("{base_commit}..{head_commit}");
    if git.text(&["rev-list", "--count", &between]).await? == "0" {
        return Err(custom(&format!("No commits between {base} and {head}")));
    }
    if is_open(site, repository, head, base).await? {
        return Err(custom(&format!(
            "A pull request already exists for {}:{head}.",
            repository.owner
        )));
    }
    mirror::update(&site.emulator, repository, &mut mirrored, None).await?;
    let answer = pass_on(site, call).await?;
    if !answer.status.is_success() {
        return Ok(respond(site, &answer));
    }
    let mut pull = answer.json();
    bring_up_to_date(repository, &mut pull).await?;
    Ok(json_response(answer.status, &pull))
}

/// A review is of the head as it is now, and nobody's of their own pull request.
async fn review(
    site: &Site,
    call: &Call,
    grant: &Grant,
    repository: &Arc<Repository>,
    number: &str,
) -> Result<Response, Refusal> {
    let mut body = body_of(call)?;
    let path = format!("{}/pulls/{number}", repository.api_path());
    let token = site.emulator.acting(repository.administrator());
    let mut pull = site
        .emulator
        .demand(Method::GET, &path, token, None)
        .await?;
    bring_up_to_date(repository, &mut pull).await?;
    let decides = matches!(
        text(&body, "/event").as_str(),
        "APPROVE" | "REQUEST_CHANGES"
    );
    if let Holder::User { login } = &grant.holder
        && decides
        && *login == text(&pull, "/user/login")
    {
        let message = "Can not approve your own pull request";
        return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, message));
    }
    if let Some(fields) = body.as_object_mut() {
        fields.insert("commit_id".to_owned(), json!(text(&pull, "/head/sha")));
    }
    let path = format!("{path}/reviews");
    let answer = site
        .emulator
        .call(Method::POST, &path, &grant.upstream, Some(&body))
        .await?;
    Ok(respond(site, &answer))
}

/// Open pull requests whose head is a branch, as the emulator has them.
pub(super) async fn open_of_branch(
    site: &Site,
    repository: &Repository,
    branch: &str,
) -> Result<Vec<Value>, EmulatorError> {
    let token = site.emulator.acting(repository.administrator());
    let path = format!("{}/pulls?state=open&per_page=100", repository.api_path());
    let pulls = site
        .emulator
        .demand(Method::GET, &path, token, None)
        .await?;
    let pulls = pulls.as_array().cloned().unwrap_or_default();
    let has_it = |pull: &Value| text(pull, "/head/ref") == branch;
    Ok(pulls.into_iter().filter(has_it).collect())
}

async fn is_open(
    site: &Site,
    repository: &Repository,
    head: &str,
    base: &str,
) -> Result<bool, Refusal> {
    let pulls = open_of_branch(site, repository, head).await?;
    Ok(pulls.iter().any(|pull| text(pull, "/base/ref") == base))
}

fn invalid(field: &str) -> Refusal {
    Refusal::invalid(json!({"resource": "PullRequest", "field": field, "code": "invalid"}))
}

fn custom(message: &str) -> Refusal {
    Refusal::invalid(json!({"resource": "PullRequest", "code": "custom", "message": message}))
}
