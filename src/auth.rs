//! Who is asking, and what they may do.

pub mod browser;
pub mod sign_in;

use axum::http::request::Parts;
use protocol::SessionId;
use protocol::event::{Person, Repository};

use crate::database::{self, Database};
use crate::error::Error;
use crate::github::Github;
use crate::platform::clock;

/// The signed-in user of a request.
pub struct CurrentUser {
    pub person: Person,
}

impl CurrentUser {
    /// Reads the cookie; a request that changes something must come from our own pages.
    pub async fn of(parts: &Parts, public_url: &str, database: &Database) -> Result<Self, Error> {
        browser::check_origin(parts, public_url)?;
        let cookie = browser::session_cookie(parts).ok_or(Error::NotSignedIn)?;
        let person = database::logins::find(database, cookie, clock::now())
            .await?
            .ok_or(Error::NotSignedIn)?;
        Ok(Self { person })
    }
}

/// The repository's default branch, if GitHub lets the user reach it with their own token.
pub async fn authorize_repository(
    database: &Database,
    github: &Github,
    user: &Person,
    repository: &Repository,
) -> Result<String, Error> {
    let now = clock::now();
    if let Some(branch) = database::users::known_access(database, user.id, repository, now).await? {
        return Ok(branch);
    }
    authorize_afresh(database, github, user, repository).await
}

/// Like [`authorize_repository`], whatever GitHub said before.
pub async fn authorize_afresh(
    database: &Database,
    github: &Github,
    user: &Person,
    repository: &Repository,
) -> Result<String, Error> {
    let token = database::users::github_token(database, user.id)
        .await?
        .ok_or(Error::LinkBroken)?;
    let found = match github.repository(&token, repository).await {
        Ok(found) => found,
        Err(error) if error.status() == Some(401) => return Err(Error::LinkBroken),
        Err(error) => return Err(error.into()),
    };
    let found = found.ok_or(Error::NotFound("repository"))?;
    database::users::remember_access(
        database,
        user.id,
        std::slice::from_ref(&found),
        clock::now(),
    )
    .await?;
    Ok(found.default_branch)
}

/// Lets in whoever reaches the session's repository. To others it does not exist.
pub async fn authorize_session(
    database: &Database,
    github: &Github,
    user: &Person,
    session: &SessionId,
) -> Result<(), Error> {
    let repository = database::sessions::repository_of(database, session)
        .await?
        .ok_or(Error::NotFound("session"))?;
    match authorize_repository(database, github, user, &repository).await {
        Ok(_) => Ok(()),
        Err(Error::NotFound(_)) => Err(Error::NotFound("session")),
        Err(error) => Err(error),
    }
}
