//! Who may have the sandbox's terminal open. Its socket passes by the session, so nobody tells when
//! it ends; no visit is longer than [`TERMINAL_VISIT`].

use protocol::api::TERMINAL_VISIT;
use protocol::event::Person;
use protocol::{Millis, UserId};

use super::{Store, StoreError};
use crate::platform::sql::Sql;

impl<S: Sql> Store<S> {
    pub fn note_onlooker(&self, person: &Person, now: Millis) -> Result<(), StoreError> {
        let visit = i64::try_from(TERMINAL_VISIT.as_millis()).unwrap_or(i64::MAX);
        self.sql.run(
            "INSERT INTO onlookers (user, person, until) VALUES (?, ?, ?)
             ON CONFLICT (user) DO UPDATE SET person = excluded.person, until = excluded.until",
            &[
                person.id.0.into(),
                serde_json::to_string(person)?.into(),
                now.plus(visit).0.into(),
            ],
        )?;
        Ok(())
    }

    pub fn onlookers(&self, now: Millis) -> Result<Vec<Person>, StoreError> {
        self.sql
            .run("DELETE FROM onlookers WHERE until < ?", &[now.0.into()])?;
        let rows = self
            .sql
            .run("SELECT person FROM onlookers ORDER BY user", &[])?;
        let people = rows
            .iter()
            .map(|row| Ok(serde_json::from_str(row.text(0)?)?));
        people.collect()
    }

    pub fn forget_onlooker(&self, user: UserId) -> Result<(), StoreError> {
        self.sql
            .run("DELETE FROM onlookers WHERE user = ?", &[user.0.into()])?;
        Ok(())
    }
}
