//! The lobby's SQLite: what is still to be told, who prompted lately, whose access is looked at
//! when, and tickets.
//!
//! A notice waits until its session was last told of a second ago; what comes meanwhile takes its
//! place. It is taken under a lease and let go of when it was told, so the last state of a session
//! is told, whatever ends in between.

use protocol::api::SessionSummary;
use protocol::event::Person;
use protocol::{Millis, SessionId, UserId};

use crate::platform::migration::migrate;
use crate::platform::sql::{Row, Sql, SqlError};
use crate::session::store::StoreError;
use crate::tickets::{self, TicketHolder};

const STEPS: &[&str] = &["
    CREATE TABLE tickets (
        hash TEXT PRIMARY KEY, person TEXT NOT NULL, origin TEXT NOT NULL,
        expires_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE notices (
        session TEXT PRIMARY KEY, updated_at INTEGER NOT NULL, version INTEGER NOT NULL,
        summary TEXT, due_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX notices_by_time ON notices (due_at);
    CREATE TABLE prompters (user INTEGER PRIMARY KEY, at INTEGER NOT NULL);
    CREATE TABLE people (user INTEGER PRIMARY KEY, look_at INTEGER NOT NULL)
"];

/// Between two notices of one session.
const PAUSE_MS: i64 = 1000;

/// Longest that telling takes. What is not told by then is told again.
const TELLING_MS: i64 = 15_000;

/// Longest that a look at somebody's access takes.
const LOOKING_MS: i64 = 120_000;

/// How long it is remembered what was told, so that what comes late is not told after it.
const REMEMBERED_MS: i64 = 60_000;

/// Who prompted so long ago is prompting now.
pub const PROMPTING_MS: i64 = 5 * 60_000;

/// Most notices that are told in one go.
const AT_ONCE: i64 = 100;

pub struct Store<S> {
    sql: S,
}

/// A notice that is to be told now.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    pub session: SessionId,
    version: i64,
    pub summary: SessionSummary,
}

/// Somebody whose access is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    pub user: UserId,
    lease: Millis,
}

impl<S: Sql> Store<S> {
    pub fn open(sql: S) -> Result<Self, SqlError> {
        migrate(&sql, STEPS)?;
        Ok(Self { sql })
    }

    pub fn issue_ticket(
        &self,
        ticket: &str,
        holder: &TicketHolder,
        now: Millis,
    ) -> Result<(), StoreError> {
        tickets::issue(&self.sql, ticket, holder, now)
    }

    pub fn redeem_ticket(
        &self,
        ticket: &str,
        origin: &str,
        now: Millis,
    ) -> Result<Option<Person>, StoreError> {
        let bearer = tickets::redeem(&self.sql, ticket, origin, now)?;
        Ok(bearer.map(|bearer| bearer.person))
    }

    /// Keeps what a session looks like now, unless something newer is known.
    pub fn note(&self, summary: &SessionSummary, now: Millis) -> Result<(), StoreError> {
        self.sql.run(
            "INSERT INTO notices (session, updated_at, version, summary, due_at)
             VALUES (?, ?, 1, ?, ?)
             ON CONFLICT (session) DO UPDATE SET updated_at = excluded.updated_at,
                version = version + 1, summary = excluded.summary
             WHERE excluded.updated_at >= notices.updated_at",
            &[
                summary.id.as_str().into(),
                summary.updated_at.0.into(),
                serde_json::to_string(summary)?.into(),
                now.0.into(),
            ],
        )?;
        Ok(())
    }

    /// What is to be told now. Until it is [`told`](Self::told) or its lease ends, it is not due.
    pub fn take_due(&self, now: Millis) -> Result<Vec<Due>, StoreError> {
        let rows = self.sql.run(
            "SELECT session, version, summary FROM notices
             WHERE summary IS NOT NULL AND due_at <= ? ORDER BY due_at LIMIT ?",
            &[now.0.into(), AT_ONCE.into()],
        )?;
        let mut due = Vec::new();
        for row in &rows {
            let session = row.text(0)?;
            self.sql.run(
                "UPDATE notices SET due_at = ? WHERE session = ?",
                &[now.plus(TELLING_MS).0.into(), session.into()],
            )?;
            let Ok(id) = SessionId::parse(session) else {
                continue;
            };
            due.push(Due {
                session: id,
                version: row.integer(1)?,
                summary: serde_json::from_str(row.text(2)?)?,
            });
        }
        Ok(due)
    }

    /// Lets go of what was told; something newer that came meanwhile waits for its turn.
    pub fn told(&self, due: &Due, now: Millis) -> Result<(), StoreError> {
        self.sql.run(
            "UPDATE notices SET due_at = ?,
                summary = CASE WHEN version = ? THEN NULL ELSE summary END
             WHERE session = ?",
            &[
                now.plus(PAUSE_MS).0.into(),
                due.version.into(),
                due.session.as_str().into(),
            ],
        )?;
        self.sql.run(
            "DELETE FROM notices WHERE summary IS NULL AND due_at < ?",
            &[now.plus(-REMEMBERED_MS).0.into()],
        )?;
        Ok(())
    }

    /// Nobody is there to be told.
    pub fn forget_notices(&self) -> Result<(), StoreError> {
        self.sql.run("DELETE FROM notices", &[])?;
        Ok(())
    }

    /// Notes who prompted; whether that changes how many do.
    pub fn prompted(&self, user: UserId, at: Millis, now: Millis) -> Result<bool, StoreError> {
        if at <= now.plus(-PROMPTING_MS) {
            return Ok(false);
        }
        let known = self
            .sql
            .run("SELECT 1 FROM prompters WHERE user = ?", &[user.0.into()])?;
        self.sql.run(
            "INSERT INTO prompters (user, at) VALUES (?, ?)
             ON CONFLICT (user) DO UPDATE SET at = max(at, excluded.at)",
            &[user.0.into(), at.0.into()],
        )?;
        Ok(known.is_empty())
    }

    /// Forgets who prompted too long ago; whether there was anybody.
    pub fn forget_prompters(&self, now: Millis) -> Result<bool, StoreError> {
        let rows = self.sql.run(
            "DELETE FROM prompters WHERE at <= ? RETURNING user",
            &[now.plus(-PROMPTING_MS).0.into()],
        )?;
        Ok(!rows.is_empty())
    }

    pub fn people_prompting(&self) -> Result<u64, StoreError> {
        let rows = self.sql.run("SELECT count(*) FROM prompters", &[])?;
        let people = rows.first().map_or(Ok(0), |row| row.integer(0))?;
        Ok(u64::try_from(people).unwrap_or(0))
    }

    /// Somebody is there: their access is looked at now, unless it is already watched.
    pub fn arrived(&self, user: UserId, now: Millis) -> Result<(), StoreError> {
        self.sql.run(
            "INSERT INTO people (user, look_at) VALUES (?, ?) ON CONFLICT (user) DO NOTHING",
            &[user.0.into(), now.0.into()],
        )?;
        Ok(())
    }

    /// Has the access of one or all looked at now.
    pub fn look_again(&self, user: Option<UserId>, now: Millis) -> Result<(), StoreError> {
        let user = user.map_or(0, |user| user.0);
        self.sql.run(
            "UPDATE people SET look_at = ?1 WHERE ?2 = 0 OR user = ?2",
            &[now.0.into(), user.into()],
        )?;
        Ok(())
    }

    pub fn take_looks(&self, now: Millis) -> Result<Vec<Look>, StoreError> {
        let lease = now.plus(LOOKING_MS);
        let rows = self.sql.run(
            "UPDATE people SET look_at = ? WHERE look_at <= ? RETURNING user",
            &[lease.0.into(), now.0.into()],
        )?;
        rows.iter()
            .map(|row| {
                let user = UserId(row.integer(0)?);
                Ok(Look { user, lease })
            })
            .collect()
    }

    /// Says when to look next, unless somebody asked for it meanwhile.
    pub fn looked(&self, look: Look, next: Millis) -> Result<(), StoreError> {
        self.sql.run(
            "UPDATE people SET look_at = ? WHERE user = ? AND look_at = ?",
            &[next.0.into(), look.user.0.into(), look.lease.0.into()],
        )?;
        Ok(())
    }

    pub fn left(&self, user: UserId) -> Result<(), StoreError> {
        self.sql
            .run("DELETE FROM people WHERE user = ?", &[user.0.into()])?;
        Ok(())
    }

    /// When there is something to do next.
    pub fn next_due(&self) -> Result<Option<Millis>, StoreError> {
        let rows = self.sql.run(
            "SELECT min(at) FROM (
                SELECT due_at AS at FROM notices WHERE summary IS NOT NULL
                UNION ALL SELECT at + ? FROM prompters
                UNION ALL SELECT look_at FROM people
             ) HAVING min(at) IS NOT NULL",
            &[PROMPTING_MS.into()],
        )?;
        let due = rows.first().map(|row: &Row| row.integer(0)).transpose()?;
        Ok(due.map(Millis))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use protocol::api::SessionState;
    use protocol::event::Repository;

    use super::*;
    use crate::platform::sql::native::NativeSql;

    const START: Millis = Millis(1_000_000);

    fn store() -> Store<NativeSql> {
        Store::open(NativeSql::in_memory()).unwrap()
    }

    fn summary(title: &str, updated_at: i64) -> SessionSummary {
        SessionSummary {
            id: SessionId::from_random([1; 16]),
            repository: Repository::new("acme", "tool").unwrap(),
            branch: "main".to_owned(),
            title: title.to_owned(),
            state: SessionState::Idle,
            created_by: Person {
                id: UserId(1),
                login: "alice".to_owned(),
                name: String::new(),
                avatar: String::new(),
            },
            created_at: Millis(0),
            updated_at: Millis(updated_at),
            pull_requests: Vec::new(),
            paused: false,
            parent: None,
            unread: false,
        }
    }

    fn titles(due: &[Due]) -> Vec<&str> {
        due.iter().map(|due| due.summary.title.as_str()).collect()
    }

    /// Tells all that is due.
    fn tell(store: &Store<NativeSql>, now: Millis) -> Vec<Due> {
        let due = store.take_due(now).unwrap();
        for one in &due {
            store.told(one, now).unwrap();
        }
        due
    }

    #[test]
    fn the_first_notice_of_a_session_is_told_at_once() {
        let store = store();
        store.note(&summary("one", 1), START).unwrap();
        assert_eq!(store.next_due().unwrap(), Some(START));
        assert_eq!(titles(&tell(&store, START)), ["one"]);
        assert_eq!(store.next_due().unwrap(), None);
    }

    #[test]
    fn of_a_burst_the_last_state_is_told_a_second_later() {
        let store = store();
        store.note(&summary("one", 1), START).unwrap();
        tell(&store, START);
        for (title, at) in [("two", 2), ("three", 3)] {
            store.note(&summary(title, at), START.plus(at)).unwrap();
            assert_eq!(tell(&store, START.plus(at)), []);
        }
        let due = START.plus(PAUSE_MS);
        assert_eq!(store.next_due().unwrap(), Some(due));
        assert_eq!(titles(&tell(&store, due)), ["three"]);
        assert_eq!(tell(&store, due.plus(PAUSE_MS)), []);
    }

    #[test]
    fn what_comes_while_something_is_told_is_told_after_it() {
        let store = store();
        store.note(&summary("one", 1), START).unwrap();
        let due = store.take_due(START).unwrap();
        store.note(&summary("two", 2), START.plus(1)).unwrap();
        store.told(due.first().unwrap(), START).unwrap();
        let next = START.plus(PAUSE_MS);
        assert_eq!(titles(&tell(&store, next)), ["two"]);
    }

    #[test]
    fn what_was_taken_and_not_told_is_told_again() {
        let store = store();
        store.note(&summary("one", 1), START).unwrap();
        store.take_due(START).unwrap();
        assert_eq!(tell(&store, START.plus(1)), []);
        let again = store.next_due().unwrap().unwrap();
        assert_eq!(titles(&tell(&store, again)), ["one"]);
    }

    #[test]
    fn what_is_older_is_not_told_after_what_is_newer() {
        let store = store();
        store.note(&summary("new", 5), START).unwrap();
        tell(&store, START);
        store.note(&summary("old", 4), START.plus(10)).unwrap();
        assert_eq!(tell(&store, START.plus(PAUSE_MS)), []);
    }

    #[test]
    fn somebody_who_prompted_counts_once_for_five_minutes() {
        let store = store();
        let (alice, bob) = (UserId(1), UserId(2));
        assert!(store.prompted(alice, START, START).unwrap());
        let later = START.plus(60_000);
        assert!(!store.prompted(alice, later, later).unwrap());
        assert!(store.prompted(bob, START, later).unwrap());
        assert_eq!(store.people_prompting().unwrap(), 2);
        let end = START.plus(PROMPTING_MS);
        assert_eq!(store.next_due().unwrap(), Some(end));
        assert!(store.forget_prompters(end).unwrap());
        assert_eq!(store.people_prompting().unwrap(), 1);
        assert!(!store.forget_prompters(end).unwrap());
        assert!(!store.prompted(bob, START, end).unwrap(), "that is too old");
    }

    #[test]
    fn access_is_looked_at_when_somebody_arrives_and_when_it_was_said() {
        let store = store();
        let alice = UserId(1);
        store.arrived(alice, START).unwrap();
        let looks = store.take_looks(START).unwrap();
        assert_eq!(looks.len(), 1);
        store.arrived(alice, START.plus(1)).unwrap();
        assert_eq!(store.take_looks(START.plus(1)).unwrap(), []);
        let next = START.plus(10_000);
        store.looked(*looks.first().unwrap(), next).unwrap();
        assert_eq!(store.next_due().unwrap(), Some(next));
        store.left(alice).unwrap();
        assert_eq!(store.next_due().unwrap(), None);
    }

    #[test]
    fn a_look_that_was_asked_for_during_another_one_is_not_lost() {
        let store = store();
        let alice = UserId(1);
        store.arrived(alice, START).unwrap();
        let looks = store.take_looks(START).unwrap();
        store.look_again(Some(alice), START.plus(1)).unwrap();
        store
            .looked(*looks.first().unwrap(), START.plus(10_000))
            .unwrap();
        assert_eq!(store.take_looks(START.plus(1)).unwrap().len(), 1);
    }
}
