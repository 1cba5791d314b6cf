//! The part of GitHub's GraphQL API that REST does not have: drafts, and blame by git itself.

use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::api::body_of;
use super::history;
use super::json::text;
use super::reply::{Refusal, json_response};
use super::repository::{Permission, Repository};
use super::site::{Call, Site};
use super::token::Grant;

pub(super) async fn answer(site: &Site, call: &Call, grant: &Grant) -> Result<Response, Refusal> {
    let body = body_of(call)?;
    let query = text(&body, "/query");
    let data = if query.contains("blame(") {
        blame(site, grant, &body).await?
    } else if query.contains("markPullRequestReadyForReview") {
        set_draft(site, grant, &body, false).await?
    } else if query.contains("convertPullRequestToDraft") {
        set_draft(site, grant, &body, true).await?
    } else {
        Err("The local forge does not know this query.".to_owned())
    };
    let answer = match data {
        Ok(data) => json!({ "data": data }),
        Err(message) => json!({ "data": null, "errors": [{ "message": message }] }),
    };
    Ok(json_response(StatusCode::OK, &answer))
}

type Outcome = Result<Result<Value, String>, Refusal>;

async fn blame(site: &Site, grant: &Grant, body: &Value) -> Outcome {
    let variable = |name: &str| text(body, &format!("/variables/{name}"));
    let (owner, name) = (variable("owner"), variable("name"));
    let found = site.repositories.find(&owner, &name);
    let Some(repository) = found.filter(|found| found.access(&grant.holder).is_some()) else {
        let message = format!("Could not resolve to a Repository with the name '{owner}/{name}'.");
        return Ok(Err(message));
    };
    let Some(commit) = repository.git.commit(&variable("ref")).await? else {
        return Ok(Ok(json!({ "repository": { "object": null } })));
    };
    let path = variable("path");
    let Ok(lines) = repository
        .git
        .text(&["blame", "--line-porcelain", &commit, "--", &path])
        .await
    else {
        return Ok(Err(format!("Could not find file {path}")));
    };
    let commits: Vec<&str> = lines
        .lines()
        .filter(|line| !line.starts_with('\t'))
        .filter_map(|line| line.split(' ').next())
        .filter(|word| word.len() == 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .collect();
    let mut ranges = Vec::new();
    for (line, commit) in (1..).zip(commits) {
        ranges.push(json!({
            "startingLine": line, "endingLine": line, "commit": describe(site, &repository, commit).await?,
        }));
    }
    Ok(Ok(
        json!({ "repository": { "object": { "blame": { "ranges": ranges } } } }),
    ))
}

async fn describe(site: &Site, repository: &Repository, commit: &str) -> Result<Value, Refusal> {
    let format = "--format=%an%x1f%ae%x1f%B";
    let shown = repository
        .git
        .text(&["show", "--no-patch", format, commit])
        .await?;
    let mut fields = shown.splitn(3, '\x1f');
    let mut next = || fields.next().unwrap_or_default();
    let author = json!({ "name": next(), "email": next(), "user": null });
    let pulls = pulls_with(site, repository, commit).await?;
    Ok(json!({
        "oid": commit, "author": author, "message": next(),
        "associatedPullRequests": { "nodes": pulls },
    }))
}

/// The first pull request that brought a commit.
async fn pulls_with(
    site: &Site,
    repository: &Repository,
    commit: &str,
) -> Result<Vec<Value>, Refusal> {
    for pull in list(site, repository).await? {
        let (base, head) = super::pull::range(repository, &pull).await?;
        let commits = history::commits(repository, &site.url, &base, &head).await?;
        let commits = commits.as_array().cloned().unwrap_or_default();
        let merged = text(&pull, "/merge_commit_sha");
        if merged == commit || commits.iter().any(|one| text(one, "/sha") == commit) {
            let branch = text(&pull, "/head/ref");
            return Ok(vec![
                json!({ "number": pull.get("number"), "headRefName": branch }),
            ]);
        }
    }
    Ok(Vec::new())
}

async fn list(site: &Site, repository: &Repository) -> Result<Vec<Value>, Refusal> {
    let token = site.emulator.acting(repository.administrator());
    let path = format!("{}/pulls?state=all&per_page=100", repository.api_path());
    let pulls = site
        .emulator
        .demand(Method::GET, &path, token, None)
        .await?;
    let mut pulls = pulls.as_array().cloned().unwrap_or_default();
    for pull in &mut pulls {
        super::pull::bring_up_to_date(repository, pull).await?;
    }
    Ok(pulls)
}

async fn set_draft(site: &Site, grant: &Grant, body: &Value, draft: bool) -> Outcome {
    let id = text(body, "/variables/id");
    for repository in site.repositories.all() {
        if repository.access(&grant.holder) < Some(Permission::Write) {
            continue;
        }
        for pull in list(site, &repository).await? {
            if text(&pull, "/node_id") == id {
                let path = format!(
                    "{}/pulls/{}",
                    repository.api_path(),
                    pull.get("number")
                        .and_then(Value::as_u64)
                        .unwrap_or_default()
                );
                let change = json!({ "draft": draft });
                site.emulator
                    .demand(Method::PATCH, &path, &grant.upstream, Some(&change))
                    .await?;
                return Ok(Ok(json!({ "pullRequest": { "isDraft": draft } })));
            }
        }
    }
    Ok(Err(format!(
        "Could not resolve to a node with the global id of '{id}'"
    )))
}
