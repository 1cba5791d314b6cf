//! One's own account: API tokens, and signed-in browsers. Only a browser manages them.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::TokenId;
use protocol::api::{
    ApiToken, ApiTokenList, CreateApiToken, CreatedApiToken, DEFAULT_TOKEN_DAYS, Deed,
    MAX_TOKEN_DAYS, TOKEN_PREFIX, TokenScope,
};

use super::Caller;
use super::extract::{Input, Path};
use crate::auth::browser::{self, SESSION_COOKIE};
use crate::auth::policy::{Action, Subject};
use crate::database;
use crate::error::Error;
use crate::platform::{clock, random};

const DAY_MS: i64 = 24 * 3_600_000;
const LONGEST_NAME: usize = 100;

/// `POST /api/tokens`
#[worker::send]
pub async fn create_token(
    caller: Caller,
    Input(wanted): Input<CreateApiToken>,
) -> Result<Response, Error> {
    manages_account(&caller).await?;
    let wanted = Wanted::parse(wanted)?;
    let now = clock::now();
    let known = database::tokens::list(&caller.database, caller.person.id, now).await?;
    if known.len() >= database::tokens::MOST {
        let message = "you have as many tokens as there can be: revoke one";
        return Err(Error::invalid("too_many", message));
    }
    let token = ApiToken {
        id: TokenId::from_random(random::bytes()?),
        name: wanted.name,
        scopes: wanted.scopes,
        created_at: now,
        expires_at: now.plus(wanted.days.saturating_mul(DAY_MS)),
        last_used_at: None,
    };
    let secret = format!("{TOKEN_PREFIX}{}", random::token()?);
    let entry = caller.entry(Deed::TokenCreated, token.id.as_str(), Some(&token.name));
    database::tokens::create(&caller.database, &token, &secret, entry).await?;
    Ok((StatusCode::CREATED, Json(CreatedApiToken { token, secret })).into_response())
}

/// `GET /api/tokens`
#[worker::send]
pub async fn list_tokens(caller: Caller) -> Result<Response, Error> {
    manages_account(&caller).await?;
    let tokens = database::tokens::list(&caller.database, caller.person.id, clock::now()).await?;
    Ok(Json(ApiTokenList { tokens }).into_response())
}

/// `DELETE /api/tokens/{token}`
#[worker::send]
pub async fn revoke_token(caller: Caller, Path(id): Path<String>) -> Result<Response, Error> {
    manages_account(&caller).await?;
    let id = TokenId::parse(&id).map_err(|_| Error::NotFound("token"))?;
    let entry = caller.entry(Deed::TokenRevoked, id.as_str(), None);
    match database::tokens::revoke(&caller.database, &id, entry, clock::now()).await? {
        true => Ok(StatusCode::NO_CONTENT.into_response()),
        false => Err(Error::NotFound("token")),
    }
}

/// `DELETE /api/logins`: signs out everywhere, here too.
#[worker::send]
pub async fn end_logins(caller: Caller) -> Result<Response, Error> {
    manages_account(&caller).await?;
    let entry = caller.entry(Deed::SignedOutEverywhere, "", None);
    database::logins::end_all(&caller.database, entry, clock::now()).await?;
    let gone = browser::set_cookie(SESSION_COOKIE, "", 0);
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, gone)]).into_response())
}

async fn manages_account(caller: &Caller) -> Result<(), Error> {
    caller
        .may(Action::ManageAccount, Subject::Deployment, "")
        .await
}

/// A token that can be made.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    name: String,
    scopes: Vec<TokenScope>,
    days: i64,
}

impl Wanted {
    fn parse(wanted: CreateApiToken) -> Result<Self, Error> {
        let bad = |message: String| Err(Error::invalid("bad_token_request", message));
        let name = wanted.name.trim().to_owned();
        if name.is_empty() || name.chars().count() > LONGEST_NAME {
            return bad(format!("a token's name has 1 to {LONGEST_NAME} characters"));
        }
        let mut scopes = wanted.scopes;
        scopes.sort_unstable();
        scopes.dedup();
        if scopes.is_empty() {
            return bad("name at least one scope: read, write or admin".to_owned());
        }
        let days = wanted.expires_in_days.unwrap_or(DEFAULT_TOKEN_DAYS);
        if !(1..=MAX_TOKEN_DAYS).contains(&days) {
            return bad(format!("a token is valid for 1 to {MAX_TOKEN_DAYS} days"));
        }
        Ok(Self {
            name,
            scopes,
            days: i64::from(days),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn wanted(name: &str, scopes: &[TokenScope], days: Option<u32>) -> CreateApiToken {
        CreateApiToken {
            name: name.to_owned(),
            scopes: scopes.to_vec(),
            expires_in_days: days,
        }
    }

    #[test]
    fn a_token_has_a_name_and_each_scope_once_and_expires() {
        let scopes = [TokenScope::Write, TokenScope::Read, TokenScope::Write];
        let parsed = Wanted::parse(wanted(" nightly ", &scopes, None)).unwrap();
        assert_eq!(parsed.name, "nightly");
        assert_eq!(parsed.scopes, [TokenScope::Read, TokenScope::Write]);
        assert_eq!(parsed.days, 90);
    }

    #[test]
    fn a_token_without_name_scope_or_end_is_refused() {
        let read = &[TokenScope::Read][..];
        for bad in [
            wanted(" ", read, None),
            wanted(&"x".repeat(101), read, None),
            wanted("a", &[], None),
            wanted("a", read, Some(0)),
            wanted("a", read, Some(366)),
        ] {
            assert!(Wanted::parse(bad.clone()).is_err(), "{bad:?}");
        }
    }
}
