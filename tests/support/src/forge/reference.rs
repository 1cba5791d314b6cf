//! Branches that are made, moved or deleted through the API: in the bare repository first.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use axum::response::Response;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::api::body_of;
use super::mirror;
use super::reply::{Refusal, json_response};
use super::repository::{Permission, Repository};
use super::site::{Call, Site};
use super::token::Grant;

pub(super) async fn change(
    site: &Site,
    call: &Call,
    grant: &Grant,
    repository: &Arc<Repository>,
    rest: &[&str],
) -> Result<Response, Refusal> {
    if repository.access(&grant.holder) < Some(Permission::Write) {
        return Err(Refusal::not_accessible());
    }
    let body = body_of(call)?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let git = &repository.git;
    let mut mirrored = repository.changes.lock().await;
    let (reference, status) = match (&call.method, rest) {
        (&Method::POST, ["git", "refs"]) => {
            let reference = text("ref").to_owned();
            if !is_well_formed(&reference) {
                return Err(Refusal::invalid(invalid("ref")));
            }
            if git.commit(&reference).await?.is_some() {
                return Err(unprocessable("Reference already exists"));
            }
            (reference, StatusCode::CREATED)
        }
        (&Method::PATCH | &Method::DELETE, ["git", "refs", short @ ..]) => {
            // Clients differ in whether they encode the slashes of a branch.
            let short = short.join("/");
            let short = percent_decode_str(&short).decode_utf8_lossy();
            let reference = format!("refs/{short}");
            if !is_well_formed(&reference) || git.commit(&reference).await?.is_none() {
                return Err(unprocessable("Reference does not exist"));
            }
            (reference, StatusCode::OK)
        }
        _ => return Err(Refusal::not_supported()),
    };
    let response = if call.method == Method::DELETE {
        git.bytes(&["update-ref", "-d", &reference]).await?;
        let mut response = json_response(StatusCode::NO_CONTENT, &Value::Null);
        *response.body_mut() = axum::body::Body::empty();
        response
    } else {
        let commit = git
            .commit(text("sha"))
            .await?
            .filter(|commit| commit == text("sha"))
            .ok_or_else(|| unprocessable("Object does not exist"))?;
        let force = body.get("force").and_then(Value::as_bool) == Some(true);
        if call.method == Method::PATCH && !force {
            let merged = git
                .text(&["merge-base", &reference, &commit])
                .await
                .unwrap_or_default();
            if git.commit(&reference).await?.as_deref() != Some(merged.as_str()) {
                return Err(unprocessable("Update is not a fast forward"));
            }
        }
        git.bytes(&["update-ref", &reference, &commit]).await?;
        let url = format!("{}{}/git", site.url, repository.api_path());
        let body = json!({
            "ref": reference,
            "url": format!("{url}/{reference}"),
            "object": {"type": "commit", "sha": commit, "url": format!("{url}/commits/{commit}")},
        });
        json_response(status, &body)
    };
    let upstream = Some(grant.upstream.as_str());
    mirror::update(&site.emulator, repository, &mut mirrored, upstream).await?;
    Ok(response)
}

fn is_well_formed(reference: &str) -> bool {
    (reference.starts_with("refs/heads/") || reference.starts_with("refs/tags/"))
        && !reference.contains("..")
        && reference
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"~^:?*[\\".contains(&byte))
}

fn invalid(field: &str) -> Value {
    json!({"resource": "Reference", "field": field, "code": "invalid"})
}

fn unprocessable(message: &str) -> Refusal {
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, message)
}
