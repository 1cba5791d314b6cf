//! Telling of sessions: to each socket those whose repository its person reaches.

use std::collections::BTreeSet;
use std::time::Duration;

use protocol::UserId;
use protocol::api::LobbyNotice;
use protocol::event::Repository;

use super::store::Due;
use super::{Core, Turn};
use crate::database::{self, Database};
use crate::error::Error;
use crate::platform::clock;
use crate::platform::http::within;

/// Shorter than the lease of what is told.
const DEADLINE: Duration = Duration::from_secs(10);

impl Core {
    /// Tells all that is due, and what becomes due meanwhile. Whoever else is at it does the same.
    pub(super) async fn tell_due(&self) {
        let Some(_turn) = Turn::take(&self.telling) else {
            return;
        };
        loop {
            match within(self.tell_some(), DEADLINE).await {
                Some(Ok(true)) => {}
                Some(Ok(false)) => break,
                // It is due again when its lease ends.
                Some(Err(error)) => {
                    error.log();
                    break;
                }
                None => {
                    worker::console_warn!("nobody could be told in time");
                    break;
                }
            }
        }
    }

    /// Whether there was anything to tell.
    async fn tell_some(&self) -> Result<bool, Error> {
        let store = self.store()?;
        let people: BTreeSet<UserId> = self.open().map(|(_, user)| user).collect();
        if people.is_empty() {
            store.forget_notices()?;
            return Ok(false);
        }
        let taken_at = clock::now();
        let due = store.take_due(taken_at)?;
        if due.is_empty() {
            return Ok(false);
        }
        let repositories: BTreeSet<&Repository> =
            due.iter().map(|due| &due.summary.repository).collect();
        let database = Database::new(&self.env)?;
        let reach =
            database::reach::of_these(&database, &people, &repositories, clock::now()).await?;
        for one in due {
            store.told(&one, taken_at)?;
            self.tell_session(one, &reach);
        }
        Ok(true)
    }

    fn tell_session(&self, due: Due, reach: &BTreeSet<(UserId, Repository)>) {
        let repository = due.summary.repository.clone();
        let Ok(text) = serde_json::to_string(&LobbyNotice::Session {
            session: due.summary,
        }) else {
            return;
        };
        for (socket, user) in self.open() {
            if reach.contains(&(user, repository.clone())) {
                // A socket that is closing refuses, and misses nothing.
                let _ = socket.send_with_str(&text);
            }
        }
    }
}
