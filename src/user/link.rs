//! A user's tokens for GitHub, sealed, and whether they are still good.

use protocol::{Millis, UserId};

use crate::github::oauth::UserTokens;
use crate::platform::crypto::CryptoError;
use crate::platform::sealing::KeyRing;
use crate::platform::sql::{Sql, SqlError, Value};

/// A token is renewed so long before it expires: whoever gets it has to do something with it.
const MARGIN_MS: i64 = 5 * 60_000;

/// For less than this it is not given out any more, whatever becomes of its renewal.
const LAST_MS: i64 = 30_000;

#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("the user's tables could not be used")]
    Sql(#[from] SqlError),
    #[error("a token could not be sealed")]
    Sealed(#[from] CryptoError),
}

/// How a link stands at some time.
#[derive(Debug, PartialEq, Eq)]
pub enum Standing {
    Unlinked,
    /// The user has to link again.
    Broken,
    Good {
        token: String,
    },
    /// The token has to be renewed first.
    Old {
        refresh: String,
        /// Good for some moments, should that fail.
        meanwhile: Option<String>,
    },
}

pub struct Link<'a, S> {
    sql: &'a S,
    keys: KeyRing,
    user: UserId,
}

impl<'a, S: Sql> Link<'a, S> {
    pub fn new(sql: &'a S, keys: KeyRing, user: UserId) -> Self {
        Self { sql, keys, user }
    }

    pub fn standing(&self, now: Millis) -> Result<Standing, LinkError> {
        let rows = self.sql.run(
            "SELECT broken, access, coalesce(expires_at, 0), coalesce(refresh, ''),
                coalesce(refresh_expires_at, 0) FROM link",
            &[],
        )?;
        let Some(row) = rows.first() else {
            return Ok(Standing::Unlinked);
        };
        if row.integer(0)? != 0 {
            return Ok(Standing::Broken);
        }
        // 0 stands for no end.
        let lasts = |column: usize, margin: i64| -> Result<bool, SqlError> {
            let end = row.integer(column)?;
            Ok(end == 0 || Millis(end) > now.plus(margin))
        };
        // Of no use if it was sealed with another key.
        let Ok(token) = self.open("access", row.text(1)?) else {
            return Ok(Standing::Broken);
        };
        if lasts(2, MARGIN_MS)? {
            return Ok(Standing::Good { token });
        }
        let meanwhile = Some(token).filter(|_| lasts(2, LAST_MS).unwrap_or(false));
        let refresh = row.text(3)?;
        if refresh.is_empty() || !lasts(4, 0)? {
            return Ok(match meanwhile {
                Some(token) => Standing::Good { token },
                None => Standing::Broken,
            });
        }
        match self.open("refresh", refresh) {
            Ok(refresh) => Ok(Standing::Old { refresh, meanwhile }),
            Err(_) => Ok(Standing::Broken),
        }
    }

    /// Stores a new pair in place of the old one.
    pub fn keep(&self, tokens: &UserTokens) -> Result<(), LinkError> {
        let sealed = |name: &str, text: &str| self.keys.seal(&self.place(name), text);
        let time = |time: Option<Millis>| time.map_or(Value::Null, |time| time.0.into());
        let refresh = tokens.refresh_token.as_deref();
        let refresh = refresh.map(|text| sealed("refresh", text)).transpose()?;
        self.sql.run(
            "INSERT INTO link (id, access, expires_at, refresh, refresh_expires_at, broken)
             VALUES (1, ?, ?, ?, ?, 0)
             ON CONFLICT (id) DO UPDATE SET access = excluded.access,
                expires_at = excluded.expires_at, refresh = excluded.refresh,
                refresh_expires_at = excluded.refresh_expires_at, broken = 0",
            &[
                sealed("access", &tokens.access_token)?.into(),
                time(tokens.expires_at),
                refresh.map_or(Value::Null, Into::into),
                time(tokens.refresh_expires_at),
            ],
        )?;
        Ok(())
    }

    /// The refresh token is of no use any more.
    pub fn broken(&self) -> Result<(), LinkError> {
        self.sql.run("UPDATE link SET broken = 1", &[])?;
        Ok(())
    }

    /// GitHub does not take a token: it has come to its end, whatever was said of that. Nothing is
    /// said about a token that has been replaced meanwhile.
    pub fn refused(&self, token: &str) -> Result<(), LinkError> {
        let rows = self
            .sql
            .run("SELECT access FROM link WHERE broken = 0", &[])?;
        let Some(row) = rows.first() else {
            return Ok(());
        };
        let known = self.open("access", row.text(0)?);
        if known.is_ok_and(|known| known == token) {
            self.sql.run("UPDATE link SET expires_at = 1", &[])?;
        }
        Ok(())
    }

    /// Drops the tokens. That there was a link stays known, so that no older one is taken over.
    pub fn cut(&self) -> Result<(), LinkError> {
        self.sql.run(
            "INSERT INTO link (id, access, broken) VALUES (1, '', 1)
             ON CONFLICT (id) DO UPDATE SET access = '', refresh = NULL, broken = 1",
            &[],
        )?;
        Ok(())
    }

    /// What an older key sealed is sealed anew. `column` is one of this module's own words.
    fn open(&self, column: &str, sealed: &str) -> Result<String, LinkError> {
        let place = self.place(column);
        let opened = self.keys.open(&place, sealed)?;
        if opened.stale {
            let again = self.keys.seal(&place, &opened.text)?;
            let statement = format!("UPDATE link SET {column} = ? WHERE {column} = ?");
            self.sql.run(&statement, &[again.into(), sealed.into()])?;
        }
        Ok(opened.text)
    }

    fn place(&self, name: &str) -> String {
        format!("user|{}|{name}", self.user)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::platform::migration::migrate;
    use crate::platform::sql::native::NativeSql;

    const HOUR: i64 = 3_600_000;

    fn tables() -> NativeSql {
        let sql = NativeSql::in_memory();
        migrate(&sql, crate::user::STEPS).unwrap();
        sql
    }

    fn link(sql: &NativeSql) -> Link<'_, NativeSql> {
        Link::new(sql, KeyRing::of(7), UserId(7))
    }

    fn pair() -> UserTokens {
        UserTokens {
            access_token: "ghu_1".to_owned(),
            expires_at: Some(Millis(8 * HOUR)),
            refresh_token: Some("ghr_1".to_owned()),
            refresh_expires_at: Some(Millis(4000 * HOUR)),
        }
    }

    fn good() -> Standing {
        let token = "ghu_1".to_owned();
        Standing::Good { token }
    }

    #[test]
    fn a_token_is_renewed_before_it_expires_and_until_then_it_can_stand_in() {
        let sql = tables();
        let link = link(&sql);
        link.keep(&pair()).unwrap();
        assert_eq!(link.standing(Millis(0)).unwrap(), good());
        let old = |meanwhile: Option<&str>| Standing::Old {
            refresh: "ghr_1".to_owned(),
            meanwhile: meanwhile.map(str::to_owned),
        };
        let soon = Millis(8 * HOUR - MARGIN_MS);
        assert_eq!(link.standing(soon).unwrap(), old(Some("ghu_1")));
        let expired = Millis(8 * HOUR);
        assert_eq!(link.standing(expired).unwrap(), old(None));
    }

    #[test]
    fn a_token_without_an_end_is_good_for_ever() {
        let sql = tables();
        let link = link(&sql);
        link.keep(&UserTokens::lasting("ghu_1".to_owned())).unwrap();
        assert_eq!(link.standing(Millis(9000 * HOUR)).unwrap(), good());
    }

    #[test]
    fn a_link_breaks_when_the_refresh_token_has_expired_too() {
        let sql = tables();
        let link = link(&sql);
        link.keep(&pair()).unwrap();
        let late = Millis(4000 * HOUR);
        assert_eq!(link.standing(late).unwrap(), Standing::Broken);
    }

    #[test]
    fn a_refused_token_is_renewed_unless_it_was_replaced() {
        let sql = tables();
        let link = link(&sql);
        link.keep(&pair()).unwrap();
        link.refused("ghu_0").unwrap();
        assert_eq!(link.standing(Millis(0)).unwrap(), good());
        link.refused("ghu_1").unwrap();
        let old = Standing::Old {
            refresh: "ghr_1".to_owned(),
            meanwhile: None,
        };
        assert_eq!(link.standing(Millis(0)).unwrap(), old);
    }

    #[test]
    fn a_refused_token_that_cannot_be_renewed_breaks_the_link() {
        let sql = tables();
        let link = link(&sql);
        link.keep(&UserTokens::lasting("ghu_1".to_owned())).unwrap();
        link.refused("ghu_1").unwrap();
        assert_eq!(link.standing(Millis(0)).unwrap(), Standing::Broken);
        link.keep(&pair()).unwrap();
        assert_eq!(link.standing(Millis(0)).unwrap(), good());
    }

    #[test]
    fn a_link_that_was_cut_holds_no_token_and_is_no_unknown_one() {
        let sql = tables();
        let link = link(&sql);
        assert_eq!(link.standing(Millis(0)).unwrap(), Standing::Unlinked);
        link.keep(&pair()).unwrap();
        link.cut().unwrap();
        assert_eq!(link.standing(Millis(0)).unwrap(), Standing::Broken);
        let rows = sql.run("SELECT access, refresh FROM link", &[]).unwrap();
        assert_eq!(rows.first().unwrap().text(0).unwrap(), "");
        assert!(rows.first().unwrap().text(1).is_err());
    }

    #[test]
    fn tokens_are_sealed_for_their_user() {
        let sql = tables();
        link(&sql).keep(&pair()).unwrap();
        let rows = sql.run("SELECT access || refresh FROM link", &[]).unwrap();
        assert!(!rows.first().unwrap().text(0).unwrap().contains("gh"));
        let other = Link::new(&sql, KeyRing::of(7), UserId(8));
        assert_eq!(other.standing(Millis(0)).unwrap(), Standing::Broken);
    }
}
