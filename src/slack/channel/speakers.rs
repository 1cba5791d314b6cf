//! Whose word something is, and what is said to them alone.

use std::rc::Rc;

use protocol::event::Person;

use super::hearing::Done;
use super::store::Utterance;
use super::{Core, Item};
use crate::config;
use crate::database::slack_waits::{self, Wait};
use crate::database::{self, Database};
use crate::error::Error;
use crate::slack::blocks::Said;
use crate::slack::client::Profile;
use crate::slack::identity;
use crate::slack::invitation::{self, Guest};

/// Whoever spoke, as sessions know people.
pub(super) struct Speaker {
    pub(super) person: Person,
    pub(super) is_linked: bool,
}

impl Core {
    /// Who spoke. Somebody who is linked to nobody is asked in private who they are, unless the
    /// deployment lets them work as they are. People of workspaces that are not listened to are
    /// nobody, and are asked nothing.
    pub(super) async fn speaker(self: &Rc<Self>, item: &Item) -> Result<Option<Speaker>, Error> {
        let user = item.user();
        let known = self.known_speaker(user).await?;
        if known.is_none() && !self.is_stranger(user).await? {
            self.invite(item).await?;
        }
        Ok(known)
    }

    /// The same, and nobody is asked anything.
    pub(super) async fn known_speaker(&self, user: &str) -> Result<Option<Speaker>, Error> {
        let database = Database::new(&self.env)?;
        if let Some(person) = database::slack::person(&database, &self.team, user).await? {
            let is_allowed =
                config::allowed_users(&self.env).is_none_or(|people| people.contains(&person));
            let is_linked = true;
            return Ok(is_allowed.then_some(Speaker { person, is_linked }));
        }
        if self.settings()?.open_repositories.is_empty() || self.is_stranger(user).await? {
            return Ok(None);
        }
        let name = self.name_of(user).await;
        Ok(Some(Speaker {
            person: identity::unlinked(&self.team, user, &name),
            is_linked: false,
        }))
    }

    /// Whether somebody is not of a workspace that is listened to. Reactions do not say so, and so
    /// Slack is asked; of whom it says nothing is a stranger.
    async fn is_stranger(&self, user: &str) -> Result<bool, Error> {
        let note = format!("team:{user}");
        if let Some(team) = self.store()?.note(&note)? {
            return Ok(!self.bot()?.listens_to(&team));
        }
        let team = match self.settings()?.client().profile(user).await {
            Ok(profile) => profile.team,
            Err(error) if !error.is_of_the_call() => return Err(error.into()),
            Err(error) => {
                worker::console_warn!("nobody says who {user} is: {error}");
                None
            }
        };
        let Some(team) = team else {
            return Ok(true);
        };
        self.store()?.set_note(&note, &team)?;
        Ok(!self.bot()?.listens_to(&team))
    }

    /// What Slack says of somebody, if it does.
    async fn profile(&self, user: &str) -> Option<Profile> {
        self.settings().ok()?.client().profile(user).await.ok()
    }

    /// What somebody is called; their identifier if that cannot be had.
    pub(super) async fn name_of(&self, user: &str) -> String {
        let note = format!("name:{user}");
        if let Ok(Some(known)) = self.store().and_then(|store| Ok(store.note(&note)?)) {
            return known;
        }
        let Some(profile) = self.profile(user).await else {
            return user.to_owned();
        };
        if let Ok(store) = self.store() {
            // Asked again if it could not be written down.
            let _ = store.set_note(&note, &profile.name);
        }
        profile.name
    }

    async fn invite(self: &Rc<Self>, item: &Item) -> Result<(), Error> {
        let user = item.user();
        let wait = Wait {
            team: self.team.clone(),
            user: user.to_owned(),
            channel: self.channel.clone(),
        };
        slack_waits::note(&Database::new(&self.env)?, &wait).await?;
        let profile = self.profile(user).await;
        let guest = Guest {
            team: &self.team,
            user,
            profile: profile.as_ref(),
        };
        let said = invitation::invite(&self.env, &guest).await?;
        self.whisper(item, "invitation", said)
    }

    pub(super) async fn invite_again(self: &Rc<Self>, item: &Item) -> Result<Done, Error> {
        self.invite(item).await?;
        Ok(Done::WaitsFor(item.user().to_owned()))
    }

    /// Says something to whoever spoke, once for each thing that they said.
    pub(super) fn whisper(
        self: &Rc<Self>,
        item: &Item,
        name: &str,
        said: Said,
    ) -> Result<(), Error> {
        let at = match item {
            Item::Heard(heard) => &heard.ts,
            other => other.root(),
        };
        let user = item.user().to_owned();
        let name = format!("{name}:{user}:{at}");
        self.say(item.root(), &name, &Utterance::Whisper { user, said })
    }
}
