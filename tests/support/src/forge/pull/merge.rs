//! Merging a pull request: in the bare repository, with the emulator's consent.

use std::sync::{Arc, PoisonError};

use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::super::api::body_of;
use super::super::git::Git;
use super::super::json::{number, text};
use super::super::mirror;
use super::super::people::PEOPLE;
use super::super::reply::{Refusal, json_response};
use super::super::repository::{Permission, Repository};
use super::super::site::{Call, Site};
use super::super::token::{Grant, Holder};
use super::range;

/// What a merge did: the commits that it joined and the one that it made.
#[derive(Debug, Clone)]
pub(in crate::forge) struct Merge {
    pub(super) base: String,
    pub(super) head: String,
    pub(super) commit: String,
}

pub(super) async fn merge(
    site: &Site,
    call: &Call,
    grant: &Grant,
    repository: &Arc<Repository>,
    id: &str,
) -> Result<Response, Refusal> {
    if repository.access(&grant.holder) < Some(Permission::Write) {
        return Err(Refusal::not_accessible());
    }
    let body = body_of(call)?;
    let wish = |name: &str| body.get(name).and_then(Value::as_str);
    let mut mirrored = repository.changes.lock().await;
    let path = format!("{}/pulls/{id}", repository.api_path());
    let pull = site
        .emulator
        .call(Method::GET, &path, &grant.upstream, None)
        .await?;
    if !pull.status.is_success() {
        return Err(Refusal::not_found());
    }
    let pull = pull.json();
    if text(&pull, "/state") != "open" {
        return Err(not_allowed("Pull Request is not mergeable"));
    }
    let (base, head) = range(repository, &pull).await?;
    if wish("sha").is_some_and(|sha| sha != head) {
        return Err(Refusal::new(
            StatusCode::CONFLICT,
            "Head branch was modified. Review and try the merge again.",
        ));
    }
    let squash = match wish("merge_method") {
        None | Some("merge") => false,
        Some("squash") => true,
        Some(_) => {
            return Err(not_allowed(
                "This merge method is not allowed on this repository.",
            ));
        }
    };
    let git = &repository.git;
    let tree = git
        .merge_tree(&base, &head)
        .await?
        .ok_or_else(|| not_allowed("Pull Request is not mergeable"))?;
    let message = message_of(&body, &pull, repository, squash);
    let parents: &[&str] = if squash { &[&base] } else { &[&base, &head] };
    let commit = commit_tree(site, git, grant, &tree, parents, &message).await?;

    let path = format!("{path}/merge");
    ask(site, grant, &path, squash).await?;
    let reference = format!("refs/heads/{}", text(&pull, "/base/ref"));
    git.bytes(&["update-ref", &reference, &commit, &base])
        .await?;
    let merge = Merge {
        base,
        head,
        commit: commit.clone(),
    };
    repository
        .merges
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(number(&pull, "/number"), merge);
    mirror::forget_position(&mut mirrored, &reference);
    mirror::update(&site.emulator, repository, &mut mirrored, None).await?;
    Ok(json_response(
        StatusCode::OK,
        &json!({"sha": commit, "merged": true, "message": "Pull Request successfully merged"}),
    ))
}

/// The emulator decides whether the rules of the branch allow it, and closes the pull request.
async fn ask(site: &Site, grant: &Grant, path: &str, squash: bool) -> Result<(), Refusal> {
    let request = json!({"merge_method": if squash { "squash" } else { "merge" }});
    let answer = site
        .emulator
        .call(Method::PUT, path, &grant.upstream, Some(&request))
        .await?;
    if answer.status.is_success() {
        return Ok(());
    }
    let reason = text(&answer.json(), "/message");
    Err(not_allowed(&reason))
}

fn message_of(body: &Value, pull: &Value, repository: &Repository, squash: bool) -> String {
    let number = number(pull, "/number");
    let pull_title = text(pull, "/title");
    let default_title = if squash {
        format!("{pull_title} (#{number})")
    } else {
        let branch = text(pull, "/head/ref");
        format!(
            "Merge pull request #{number} from {}/{branch}",
            repository.owner
        )
    };
    let title = Some(text(body, "/commit_title")).filter(|title| !title.is_empty());
    let message = Some(text(body, "/commit_message")).filter(|message| !message.is_empty());
    let message = message.or_else(|| (!squash).then_some(pull_title));
    let title = title.unwrap_or(default_title);
    message.map_or_else(
        || format!("{title}\n"),
        |message| format!("{title}\n\n{message}\n"),
    )
}

async fn commit_tree(
    site: &Site,
    git: &Git,
    grant: &Grant,
    tree: &str,
    parents: &[&str],
    message: &str,
) -> Result<String, Refusal> {
    let (name, email) = match &grant.holder {
        Holder::User { login } => {
            let person = PEOPLE.iter().find(|person| person.login == login);
            let name = person.map_or(login.as_str(), |person| person.name);
            let path = format!("/users/{login}");
            let token = site.emulator.acting(login);
            let user = site
                .emulator
                .demand(Method::GET, &path, token, None)
                .await?;
            let id = number(&user, "/id");
            (
                name.to_owned(),
                format!("{id}+{login}@users.noreply.github.com"),
            )
        }
        Holder::Installation { .. } => {
            let (login, id) = (&site.app.bot_login, site.app.bot_user_id);
            (
                login.clone(),
                format!("{id}+{login}@users.noreply.github.com"),
            )
        }
    };
    let environment = [
        ("GIT_AUTHOR_NAME", name.as_str()),
        ("GIT_AUTHOR_EMAIL", email.as_str()),
        ("GIT_COMMITTER_NAME", "GitHub"),
        ("GIT_COMMITTER_EMAIL", "noreply@github.com"),
    ];
    let mut arguments = vec!["commit-tree", tree];
    for &parent in parents {
        arguments.extend(["-p", parent]);
    }
    let commit = git
        .bytes_from(&arguments, &environment, message.as_bytes())
        .await?;
    Ok(String::from_utf8_lossy(&commit).trim().to_owned())
}

pub(super) fn merge_of(repository: &Repository, number: u64) -> Option<Merge> {
    repository
        .merges
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&number)
        .cloned()
}

fn not_allowed(message: &str) -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, message)
}
