//! Secrets of a repository: set and removed, listed without their values.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use protocol::api::{Deed, SecretList, SetSecret};

use super::Caller;
use super::extract::{Input, Path};
use crate::auth::policy::Action;
use crate::database;
use crate::database::secrets::NewSecret;
use crate::error::Error;
use crate::fleet;
use crate::platform::clock;
use crate::secrets;

/// `GET /api/repositories/{owner}/{name}/secrets`
#[worker::send]
pub async fn list(
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Response, Error> {
    let (repository, _) = caller
        .repository(&owner, &name, Action::ManageSecrets)
        .await?;
    let secrets = database::secrets::list(&caller.database, &repository).await?;
    Ok(Json(SecretList { secrets }).into_response())
}

/// `PUT /api/repositories/{owner}/{name}/secrets/{secret}`
#[worker::send]
pub async fn set(
    caller: Caller,
    Path((owner, name, secret)): Path<(String, String, String)>,
    Input(SetSecret { value, scope }): Input<SetSecret>,
) -> Result<Response, Error> {
    let (repository, _) = caller
        .repository(&owner, &name, Action::ManageSecrets)
        .await?;
    let bad = |message: String| Error::invalid("bad_secret", message);
    secrets::check(&secret, &value, &scope).map_err(bad)?;
    let known = database::secrets::list(&caller.database, &repository).await?;
    let is_new = known.iter().all(|known| known.name != secret);
    if is_new && known.len() >= database::secrets::MOST {
        let message = "this repository has as many secrets as there can be: remove one";
        return Err(Error::invalid("too_many", message));
    }
    let subject = repository.to_string();
    let entry = caller.entry(Deed::SecretSet, &subject, Some(&secret));
    let new = NewSecret {
        repository: &repository,
        name: &secret,
        value: &value,
        scope: &scope,
    };
    database::secrets::set(&caller.database, &new, entry, clock::now()).await?;
    fleet::refresh(&caller.env, &repository).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE /api/repositories/{owner}/{name}/secrets/{secret}`
#[worker::send]
pub async fn remove(
    caller: Caller,
    Path((owner, name, secret)): Path<(String, String, String)>,
) -> Result<Response, Error> {
    let (repository, _) = caller
        .repository(&owner, &name, Action::ManageSecrets)
        .await?;
    let known = database::secrets::list(&caller.database, &repository).await?;
    if known.iter().all(|known| known.name != secret) {
        return Err(Error::NotFound("secret"));
    }
    let subject = repository.to_string();
    let entry = caller.entry(Deed::SecretRemoved, &subject, Some(&secret));
    let now = clock::now();
    database::secrets::remove(&caller.database, &repository, &secret, entry, now).await?;
    fleet::refresh(&caller.env, &repository).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}
