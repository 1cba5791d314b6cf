//! Lists of repositories as a token sees them, with true permissions.

use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::emulator::Answer;
use super::people::ACCOUNTS_WITH_APP;
use super::reply::{Refusal, json_response};
use super::repository::{Permission, Repository};
use super::site::{Site, respond};
use super::token::{Grant, Holder};

/// Keeps what the token reaches of a list of the emulator's.
pub(super) fn visible(site: &Site, grant: &Grant, answer: &Answer) -> Response {
    let Value::Array(items) = answer.json() else {
        return respond(site, answer);
    };
    let kept: Vec<_> = items
        .into_iter()
        .filter_map(|mut item| {
            let (owner, name) = item.get("full_name")?.as_str()?.split_once('/')?;
            let repository = site.repositories.find(owner, name)?;
            if !repository.visible_to(&grant.holder) {
                return None;
            }
            set_permissions(&mut item, &repository, &grant.holder);
            Some(item)
        })
        .collect();
    let mut response = json_response(answer.status, &Value::Array(kept));
    if let Some(link) = respond(site, answer).headers().get(header::LINK) {
        response.headers_mut().insert(header::LINK, link.clone());
    }
    response
}

/// `GET /installation/repositories`.
pub(super) async fn of_token(site: &Site, grant: &Grant) -> Result<Response, Refusal> {
    let Holder::Installation { account, .. } = &grant.holder else {
        return Err(Refusal::not_accessible());
    };
    list(site, grant, account).await
}

/// `GET /user/installations`: where the App and the user meet.
pub(super) fn installations(site: &Site, grant: &Grant) -> Result<Response, Refusal> {
    let installations: Vec<_> = ACCOUNTS_WITH_APP
        .iter()
        .filter(|(account, _)| {
            site.repositories
                .all()
                .iter()
                .any(|repository| is_theirs(repository, account, grant))
        })
        .map(|(account, id)| {
            json!({
                "id": id,
                "account": {"login": account},
                "app_id": site.app.app_id,
                "app_slug": site.app.slug,
                "repository_selection": "all",
            })
        })
        .collect();
    let body = json!({"total_count": installations.len(), "installations": installations});
    Ok(json_response(StatusCode::OK, &body))
}

/// `GET /user/installations/{id}/repositories`.
pub(super) async fn of_installation(
    site: &Site,
    grant: &Grant,
    id: &str,
) -> Result<Response, Refusal> {
    let account = ACCOUNTS_WITH_APP
        .iter()
        .find(|(_, known)| known.to_string() == id)
        .map(|(account, _)| *account)
        .ok_or_else(Refusal::not_found)?;
    list(site, grant, account).await
}

/// The emulator says that everybody may do everything.
pub(super) fn set_permissions(value: &mut Value, repository: &Repository, holder: &Holder) {
    let access = repository.access(holder);
    let at_least = |permission| access.is_some_and(|access| access >= permission);
    if let Some(value) = value.as_object_mut() {
        value.insert(
            "permissions".to_owned(),
            json!({
                "admin": at_least(Permission::Admin),
                "maintain": at_least(Permission::Admin),
                "push": at_least(Permission::Write),
                "triage": at_least(Permission::Write),
                "pull": at_least(Permission::Read),
            }),
        );
    }
}

async fn list(site: &Site, grant: &Grant, account: &str) -> Result<Response, Refusal> {
    let mut repositories = Vec::new();
    for repository in site.repositories.all() {
        if !is_theirs(&repository, account, grant) {
            continue;
        }
        let token = site.emulator.acting(repository.administrator());
        let path = repository.api_path();
        let mut item = site
            .emulator
            .demand(Method::GET, &path, token, None)
            .await?;
        set_permissions(&mut item, &repository, &grant.holder);
        repositories.push(item);
    }
    let body = json!({"total_count": repositories.len(), "repositories": repositories});
    Ok(json_response(StatusCode::OK, &body))
}

/// Of the account, and within the token's reach by more than being public.
fn is_theirs(repository: &Repository, account: &str, grant: &Grant) -> bool {
    repository.owner == account
        && match &grant.holder {
            Holder::User { login } => repository
                .permission_of(login)
                .is_some_and(|permission| repository.private || permission > Permission::Read),
            holder @ Holder::Installation { .. } => repository.visible_to(holder),
        }
}
