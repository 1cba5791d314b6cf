//! Images of a repository: asked for, listed, their logs followed.
//!
//! Images of an environment are shown to those who may use it.

mod log_stream;

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use protocol::ImageId;
use protocol::api::{ImageList, ImageLog, RequestImage, RequestedImage};
use protocol::event::Repository;
use protocol::image::Base;
use serde::Deserialize;

use super::Caller;
use super::extract::{Count, OptionalInput, Path, Query};
use super::log::{accepts_stream, last_event_id};
use super::sessions::checked_branch;
use crate::auth::policy::Action;
use crate::database::Database;
use crate::database::image_logs::Piece;
use crate::database::images::{Row, Wish};
use crate::error::Error;
use crate::platform::clock;
use crate::{database, images};

/// `POST /api/repositories/{owner}/{name}/images`
#[worker::send]
pub async fn request(
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
    OptionalInput(wanted): OptionalInput<RequestImage>,
) -> Result<Response, Error> {
    let (repository, default_branch) = caller
        .repository(&owner, &name, Action::ManageImages)
        .await?;
    let RequestImage {
        branch,
        environment,
        force,
    } = wanted;
    caller
        .authorize_environment(&repository, environment.as_ref())
        .await?;
    let base = Base {
        repository,
        branch: checked_branch(branch.unwrap_or(default_branch))?,
        environment,
    };
    let (database, now) = (&caller.database, clock::now());
    let login = &caller.person.login;
    let reason = format!("{login} asked for it");
    database::bases::used(database, &base, now).await?;
    let wish = Wish {
        forced: force,
        ..images::wish(&base, &reason, login, now)
    };
    let id = images::request(database, &wish).await?;
    images::dispatch(&caller.env, database).await;
    let url = format!(
        "{}/api/repositories/{}/images/{id}",
        caller.public_url, base.repository
    );
    Ok((StatusCode::ACCEPTED, Json(RequestedImage { id, url })).into_response())
}

/// `GET /api/repositories/{owner}/{name}/images`
#[worker::send]
pub async fn list(
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Response, Error> {
    let (repository, _) = caller.repository(&owner, &name, Action::View).await?;
    let rows = database::images::list(&caller.database, &repository).await?;
    let environments = database::environments::list(&caller.database, &repository).await?;
    let is_shown = |row: &&Row| {
        row.environment.is_empty()
            || environments.iter().any(|environment| {
                environment.name.as_str() == row.environment
                    && environment.is_open_to(&caller.person)
            })
    };
    let images = rows.iter().filter(is_shown).map(Row::image);
    Ok(Json(ImageList {
        images: images.collect::<Result<_, _>>()?,
    })
    .into_response())
}

/// `GET /api/repositories/{owner}/{name}/images/{image}`
#[worker::send]
pub async fn show(
    caller: Caller,
    Path((owner, name, image)): Path<(String, String, String)>,
) -> Result<Response, Error> {
    let (repository, _) = caller.repository(&owner, &name, Action::View).await?;
    let row = find(&caller, &repository, &image).await?;
    Ok(Json(row.image()?).into_response())
}

async fn find(caller: &Caller, repository: &Repository, image: &str) -> Result<Row, Error> {
    let image = ImageId::parse(image).map_err(|_| Error::NotFound("image"))?;
    let row = database::images::find(&caller.database, &image)
        .await?
        .filter(|row| row.repository == *repository)
        .ok_or(Error::NotFound("image"))?;
    let environment = row.base().environment;
    match caller
        .authorize_environment(repository, environment.as_ref())
        .await
    {
        Ok(()) => Ok(row),
        Err(Error::NotFound(_)) => Err(Error::NotFound("image")),
        Err(error) => Err(error),
    }
}

#[derive(Deserialize)]
pub struct LogQuery {
    #[serde(default)]
    offset: Count,
}

/// `GET /api/repositories/{owner}/{name}/images/{image}/log?offset=`, with
/// `Accept: text/event-stream` a stream of what follows `offset` or `Last-Event-ID`.
#[worker::send]
pub async fn log(
    caller: Caller,
    Path((owner, name, image)): Path<(String, String, String)>,
    Query(LogQuery { offset }): Query<LogQuery>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let (repository, _) = caller.repository(&owner, &name, Action::View).await?;
    let image = find(&caller, &repository, &image).await?.id;
    let database = caller.database;
    if !accepts_stream(&headers) {
        return Ok(Json(read(&database, &image, offset.into()).await?).into_response());
    }
    let last = last_event_id(&headers)?;
    let offset = last.unwrap_or(offset.into());
    let log = read(&database, &image, offset).await?;
    // Whoever comes back for nothing more is told not to come again.
    if last.is_some() && log.complete && log.text.is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    log_stream::stream(database, image, offset)
}

async fn read(database: &Database, image: &ImageId, offset: u64) -> Result<ImageLog, Error> {
    // The state is read first: what is written in between is seen the next time.
    let row = database::images::find(database, image)
        .await?
        .ok_or(Error::NotFound("image"))?;
    let length = u64::try_from(row.log_bytes).unwrap_or(0);
    let pieces = if offset < length {
        database::image_logs::read(database, &row.id, offset).await?
    } else {
        Vec::new()
    };
    excerpt(offset, length, row.is_finished(), &pieces)
}

/// What follows `offset` in a log of `length` bytes.
fn excerpt(offset: u64, length: u64, ended: bool, pieces: &[Piece]) -> Result<ImageLog, Error> {
    if offset > length {
        return Ok(ImageLog {
            text: String::new(),
            next_offset: 0,
            complete: false,
        });
    }
    let mut text = String::new();
    let mut next_offset = offset;
    for piece in pieces {
        let skipped = usize::try_from(next_offset.saturating_sub(piece.offset));
        let rest = skipped.ok().and_then(|skipped| piece.text.get(skipped..));
        let Some(rest) = rest else {
            let message = "the offset is not between two characters of the log";
            return Err(Error::invalid("malformed", message));
        };
        text.push_str(rest);
        next_offset += rest.len() as u64;
    }
    Ok(ImageLog {
        text,
        next_offset,
        complete: ended && next_offset >= length,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn pieces() -> Vec<Piece> {
        let piece = |offset, text: &str| Piece {
            offset,
            text: text.to_owned(),
        };
        vec![piece(0, "one "), piece(4, "zwölf")]
    }

    #[test]
    fn a_log_is_read_on_from_any_character() {
        let log = excerpt(2, 10, true, &pieces()).unwrap();
        assert_eq!(log.text, "e zwölf");
        assert_eq!((log.next_offset, log.complete), (10, true));
        assert!(excerpt(7, 10, true, &pieces()).is_err(), "inside the ö");
    }

    #[test]
    fn a_log_is_complete_once_its_build_has_ended_and_all_is_read() {
        assert!(!excerpt(0, 10, false, &pieces()).unwrap().complete);
        assert!(!excerpt(0, 20, true, &pieces()).unwrap().complete);
        assert!(excerpt(10, 10, true, &[]).unwrap().complete);
        assert!(excerpt(0, 0, true, &[]).unwrap().complete);
    }

    #[test]
    fn whoever_asks_behind_the_end_is_sent_to_the_beginning() {
        let log = excerpt(11, 10, false, &[]).unwrap();
        assert_eq!((log.text.as_str(), log.next_offset), ("", 0));
    }
}
