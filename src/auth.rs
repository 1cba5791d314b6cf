//! Who is asking, and what they may do.

pub mod browser;
pub mod policy;
pub mod reach;
pub mod sign_in;

use axum::http::header;
use axum::http::request::Parts;
use protocol::SessionId;
use protocol::api::{TOKEN_PREFIX, TokenScope};
use protocol::event::{Person, Repository};

use self::policy::Means;
use crate::database::users::Reach;
use crate::database::{self, Database};
use crate::error::Error;
use crate::github::Github;
use crate::platform::clock;

/// Whoever asks, and how they came in.
pub struct CurrentUser {
    pub person: Person,
    pub means: Means,
}

impl CurrentUser {
    /// Reads the token, or else the cookie. What is asked with a token is asked by a program, which
    /// no page can make ask; a cookie beside it counts for nothing. A browser's request that changes
    /// something must come from our own pages.
    pub async fn of(parts: &Parts, public_url: &str, database: &Database) -> Result<Self, Error> {
        let now = clock::now();
        if let Some(authorization) = parts.headers.get(header::AUTHORIZATION) {
            let secret = bearer(authorization.as_bytes()).ok_or(Error::BadToken)?;
            let found = database::tokens::find(database, secret, now).await?;
            let (person, scopes) = found.ok_or(Error::BadToken)?;
            return Ok(Self::by_token(person, scopes));
        }
        let cookie = browser::session_cookie(parts).ok_or(Error::NotSignedIn)?;
        browser::check_origin(parts, public_url)?;
        let person = database::logins::find(database, cookie, now)
            .await?
            .ok_or(Error::NotSignedIn)?;
        Ok(Self {
            person,
            means: Means::Browser,
        })
    }

    fn by_token(person: Person, scopes: Vec<TokenScope>) -> Self {
        let means = Means::Token { scopes };
        Self { person, means }
    }
}

/// The secret of an `Authorization` header, if it can be one of ours.
fn bearer(authorization: &[u8]) -> Option<&str> {
    let (scheme, secret) = std::str::from_utf8(authorization).ok()?.split_once(' ')?;
    let secret = secret.trim();
    (scheme.eq_ignore_ascii_case("bearer") && secret.starts_with(TOKEN_PREFIX)).then_some(secret)
}

/// What GitHub lets the user do with a repository, asked with their own token; not found if that is
/// nothing.
pub async fn authorize_repository(
    database: &Database,
    github: &Github,
    user: &Person,
    repository: &Repository,
) -> Result<Reach, Error> {
    let now = clock::now();
    if let Some(reach) = database::users::known_access(database, user.id, repository, now).await? {
        return Ok(reach);
    }
    authorize_afresh(database, github, user, repository).await
}

/// Like [`authorize_repository`], whatever GitHub said before.
pub async fn authorize_afresh(
    database: &Database,
    github: &Github,
    user: &Person,
    repository: &Repository,
) -> Result<Reach, Error> {
    let found = github
        .as_user(user.id, async |token| {
            github.repository(token, repository).await
        })
        .await?;
    let found = found.ok_or(Error::NotFound("repository"))?;
    database::users::remember_access(
        database,
        user.id,
        std::slice::from_ref(&found),
        clock::now(),
    )
    .await?;
    Ok(Reach {
        default_branch: found.default_branch,
        may_write: found.may_write,
    })
}

/// Lets in whoever reaches the session's repository. To others it does not exist.
pub async fn authorize_session(
    database: &Database,
    github: &Github,
    user: &Person,
    session: &SessionId,
) -> Result<Reach, Error> {
    let repository = database::sessions::repository_of(database, session)
        .await?
        .ok_or(Error::NotFound("session"))?;
    match authorize_repository(database, github, user, &repository).await {
        Err(Error::NotFound(_)) => Err(Error::NotFound("session")),
        reach => reach,
    }
}

#[cfg(test)]
mod tests {
    use super::bearer;

    #[test]
    fn only_a_bearer_token_of_ours_is_looked_up() {
        assert_eq!(bearer(b"Bearer hat_abc"), Some("hat_abc"));
        assert_eq!(bearer(b"bearer  hat_abc"), Some("hat_abc"));
        for other in [
            &b"Basic hat_abc"[..],
            b"Bearer",
            b"Bearer ",
            b"Bearer ghp_abc",
            b"hat_abc",
            b"Bearer hat_\xff",
        ] {
            assert_eq!(bearer(other), None, "{other:?}");
        }
    }
}
