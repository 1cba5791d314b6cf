//! Whether those who follow a session may still do so. Access is asked with each one's own token,
//! again and again while anybody is there, and at once when GitHub tells that something changed.
//! Whoever has lost it is cut off.

use std::rc::Rc;

use protocol::UserId;
use protocol::event::Person;

use super::Core;
use super::machine::Effect;
use crate::database::{self, Database};
use crate::error::Error;
use crate::github::Github;
use crate::platform::clock;
use crate::{auth, database::users};

/// No longer than GitHub's word is believed elsewhere.
const RECHECK_MS: i64 = database::users::ACCESS_MS;

impl Core {
    /// Puts the next look at everybody's access on the schedule, if anybody is there.
    pub(super) fn watch_access(self: &Rc<Self>) -> Result<(), Error> {
        if self.hub().participants(None).is_empty()
            && self.store()?.onlookers(clock::now())?.is_empty()
        {
            return Ok(());
        }
        let due = clock::now().plus(RECHECK_MS);
        self.store()?
            .schedule(due, &Effect::CheckAccess { user: None })?;
        self.perform_soon();
        Ok(())
    }

    /// Has access of one or all looked at now.
    pub(super) fn recheck(self: &Rc<Self>, user: Option<UserId>) -> Result<(), Error> {
        self.store()?
            .schedule(clock::now(), &Effect::CheckAccess { user })?;
        self.perform_soon();
        Ok(())
    }

    /// Cuts off whoever has no access any more. One who cannot be asked about keeps nobody else
    /// from being looked at; the error then says that there is more to do.
    pub(super) async fn check_access(&self, user: Option<UserId>) -> Result<(), Error> {
        let repository = self.session()?.repository;
        let database = Database::new(&self.env)?;
        let github = Github::new(&self.env)?;
        let mut unknown = None;
        for person in self.followers(user)? {
            match auth::authorize_afresh(&database, &github, &person, &repository).await {
                Ok(_) => {}
                Err(Error::NotFound(_) | Error::LinkBroken) => {
                    self.expel(&person);
                    if let Err(error) = self.close_terminal(&person).await {
                        unknown = Some(error);
                    }
                    users::forget_access(&database, person.id, &repository).await?;
                }
                Err(error) => unknown = Some(error),
            }
        }
        unknown.map_or(Ok(()), Err)
    }

    fn followers(&self, user: Option<UserId>) -> Result<Vec<Person>, Error> {
        let mut people = self.tail.people();
        people.extend(self.store()?.onlookers(clock::now())?);
        people.extend(
            self.hub()
                .participants(None)
                .into_iter()
                .map(|one| one.person),
        );
        people.retain(|person| user.is_none_or(|user| user == person.id));
        people.sort_unstable_by_key(|person| person.id);
        people.dedup_by_key(|person| person.id);
        Ok(people)
    }

    fn expel(&self, person: &Person) {
        self.tail.expel(person.id);
        if self.hub().expel(person.id) {
            self.hub().broadcast_presence(None);
        }
    }
}
