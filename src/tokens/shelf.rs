//! Installation tokens at hand, sealed, by what they allow.

use protocol::Millis;
use protocol::event::Repository;

use crate::github::app::{InstallationToken, Permissions};
use crate::platform::crypto::CryptoError;
use crate::platform::sealing::KeyRing;
use crate::platform::sql::{Sql, SqlError};

pub const STEPS: &[&str] = &["
    CREATE TABLE tokens (
        permissions TEXT PRIMARY KEY, token TEXT NOT NULL, expires_at INTEGER NOT NULL
    ) WITHOUT ROWID
"];

/// A token is not given out in its last minutes: whoever gets it has to do something with it.
const MARGIN_MS: i64 = 5 * 60_000;

#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    #[error("the tables of tokens could not be used")]
    Sql(#[from] SqlError),
    #[error("a token could not be sealed")]
    Sealed(#[from] CryptoError),
}

pub struct Shelf<'a, S> {
    sql: &'a S,
    keys: KeyRing,
    repository: &'a Repository,
}

impl<'a, S: Sql> Shelf<'a, S> {
    pub fn new(sql: &'a S, keys: KeyRing, repository: &'a Repository) -> Self {
        Self {
            sql,
            keys,
            repository,
        }
    }

    pub fn find(
        &self,
        permissions: Permissions,
        now: Millis,
    ) -> Result<Option<InstallationToken>, ShelfError> {
        let rows = self.sql.run(
            "SELECT token, expires_at FROM tokens WHERE permissions = ? AND expires_at > ?",
            &[permissions.to_string().into(), now.plus(MARGIN_MS).0.into()],
        )?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        // Of no use if it was sealed with another key.
        let token = self.keys.open(&self.place(permissions), row.text(0)?).ok();
        let expires_at = Millis(row.integer(1)?);
        Ok(token.map(|token| InstallationToken {
            token: token.text,
            expires_at,
        }))
    }

    pub fn keep(
        &self,
        permissions: Permissions,
        token: &InstallationToken,
    ) -> Result<(), ShelfError> {
        let sealed = self.keys.seal(&self.place(permissions), &token.token)?;
        self.sql.run(
            "INSERT INTO tokens (permissions, token, expires_at) VALUES (?, ?, ?)
             ON CONFLICT (permissions) DO UPDATE SET token = excluded.token,
                expires_at = excluded.expires_at",
            &[
                permissions.to_string().into(),
                sealed.into(),
                token.expires_at.0.into(),
            ],
        )?;
        Ok(())
    }

    pub fn clear(&self) -> Result<(), ShelfError> {
        self.sql.run("DELETE FROM tokens", &[])?;
        Ok(())
    }

    fn place(&self, permissions: Permissions) -> String {
        format!("tokens|{}|{permissions}", self.repository)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::github::app::Level;
    use crate::platform::migration::migrate;
    use crate::platform::sql::native::NativeSql;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn a_token_is_found_by_what_it_allows_until_five_minutes_before_it_expires() {
        let sql = NativeSql::in_memory();
        migrate(&sql, STEPS).unwrap();
        let repository = Repository::new("acme", "api").unwrap();
        let shelf = Shelf::new(&sql, KeyRing::of(7), &repository);
        let read = Permissions::default().contents(Level::Read);
        let write = Permissions::default().contents(Level::Write);
        let token = InstallationToken {
            token: "ghs_1".to_owned(),
            expires_at: Millis(HOUR),
        };
        shelf.keep(read, &token).unwrap();
        let last = Millis(HOUR - MARGIN_MS - 1);
        assert_eq!(shelf.find(read, last).unwrap(), Some(token));
        assert_eq!(shelf.find(read, last.plus(1)).unwrap(), None);
        assert_eq!(shelf.find(write, Millis(0)).unwrap(), None);
        shelf.clear().unwrap();
        assert_eq!(shelf.find(read, Millis(0)).unwrap(), None);
    }
}
