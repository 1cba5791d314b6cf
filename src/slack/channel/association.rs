//! For which repository a channel is, as somebody said in it. It is kept by the channel's identifier,
//! so a new name of the channel changes nothing, and it says nothing to whoever does not reach the
//! repository: their messages are decided as if there were none.

use std::rc::Rc;

use protocol::event::{Person, Repository};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::hearing::Done;
use super::speakers::Speaker;
use super::store::Utterance;
use super::{Core, Item};
use crate::error::Error;
use crate::github::Github;
use crate::platform::clock;
use crate::slack::blocks::{Said, button};
use crate::slack::event::Bot;
use crate::slack::message::escape;

/// Where it is written down.
const NOTE: &str = "association";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Association {
    pub(super) repository: Repository,
    /// As people know them.
    by: String,
    /// What the channel was for until then.
    before: Option<Repository>,
}

/// What somebody wants of the association by the slash command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    Tell,
    Drop,
    Set(Repository),
}

/// What the slash command says to whoever gave it. The channel is told by itself if something changed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Reply {
    Said {
        said: Said,
    },
    /// Nobody knows who asks.
    Unknown,
    /// They have to say again who they are.
    LinkBroken,
}

impl Core {
    pub(super) fn association(&self) -> Result<Option<Association>, Error> {
        let Some(noted) = self.store()?.note(NOTE)? else {
            return Ok(None);
        };
        Ok(Some(serde_json::from_str(&noted)?))
    }

    /// The button that has a repository always chosen here, where it would change something.
    pub(super) async fn offer_always(&self, repository: &Repository) -> Result<Vec<Value>, Error> {
        let known = self.association()?;
        let is_known = known.is_some_and(|known| known.repository == *repository);
        if is_known || !self.may_be_associated().await? {
            return Ok(Vec::new());
        }
        let value = repository.to_string();
        Ok(vec![button("always", "Always in this channel", &value)])
    }

    /// Not where somebody is alone with us, and not where the configuration says it already.
    async fn may_be_associated(&self) -> Result<bool, Error> {
        if self.channel.starts_with('D') {
            return Ok(false);
        }
        let name = self.channel_name().await;
        let rules = self.settings()?.rules;
        let is_this = |channel: &String| *channel == self.channel || *channel == name;
        Ok(!rules.channels.iter().any(|(channel, _)| is_this(channel)))
    }

    /// Somebody said that the channel is for a repository.
    pub(super) async fn associated(
        self: &Rc<Self>,
        item: &Item,
        root: &str,
        repository: &Repository,
    ) -> Result<Done, Error> {
        let Some(speaker) = self.speaker(item).await? else {
            return Ok(Done::WaitsFor(item.user().to_owned()));
        };
        if !self.may_be_associated().await? {
            return Ok(Done::Finished);
        }
        let known = self.association()?;
        if let Some(known) = &known
            && self.reach(&speaker, &known.repository).await?.is_none()
        {
            return self.tell_unreached(item);
        }
        if self.reach(&speaker, repository).await?.is_none() {
            return self.tell_unreached(item);
        }
        if self.association()? != known {
            // Somebody else was faster.
            return Ok(Done::Finished);
        }
        let known = self.associate(&speaker.person, repository)?;
        self.announce(root, repository, announcement(&known))?;
        let thread = self.store()?.thread(root)?.unwrap_or_default();
        if thread.repository.as_ref() == Some(repository) && !thread.is_doubted {
            // The button has done what it is for.
            let name = escape(&repository.to_string());
            let said = Said::line(&format!("*{name}* it is, and always in this channel."));
            self.say(root, "question", &Utterance::Message { said })?;
        }
        Ok(Done::Finished)
    }

    /// Somebody took that back.
    pub(super) async fn dissociated(
        self: &Rc<Self>,
        item: &Item,
        root: &str,
        repository: &Repository,
    ) -> Result<Done, Error> {
        let Some(speaker) = self.speaker(item).await? else {
            return Ok(Done::WaitsFor(item.user().to_owned()));
        };
        // It may be another one's by now.
        let known = self.association()?;
        let Some(known) = known.filter(|known| known.repository == *repository) else {
            return Ok(Done::Finished);
        };
        if self.reach(&speaker, repository).await?.is_none() {
            return self.tell_unreached(item);
        }
        let mut before = known.before.clone();
        if let Some(earlier) = &before
            && self.reach(&speaker, earlier).await?.is_none()
        {
            before = None;
        }
        if self.association()?.as_ref() != Some(&known) {
            return Ok(Done::Finished);
        }
        let by = &speaker.person.login;
        match &before {
            Some(earlier) => self.note_association(&Association {
                repository: earlier.clone(),
                by: by.clone(),
                before: None,
            })?,
            None => self.store()?.forget_note(NOTE)?,
        }
        self.announce(root, repository, taken_back(by, before.as_ref()))?;
        Ok(Done::Finished)
    }

    /// What the slash command wants.
    pub(super) async fn wished(
        self: &Rc<Self>,
        user: &str,
        wish: Wish,
        bot: &Bot,
    ) -> Result<Reply, Error> {
        // It may be the first that this channel hears.
        self.note_bot(bot)?;
        match self.answered(user, wish).await {
            Err(Error::LinkBroken) => Ok(Reply::LinkBroken),
            outcome => outcome,
        }
    }

    async fn answered(self: &Rc<Self>, user: &str, wish: Wish) -> Result<Reply, Error> {
        let Some(speaker) = self.known_speaker(user).await? else {
            return Ok(Reply::Unknown);
        };
        if self.channel.starts_with('D') {
            return Ok(whispered(
                "This is a direct message: each is asked for itself.",
            ));
        }
        if !self.may_be_associated().await? {
            return Ok(whispered(
                "The deployment's configuration says for which repository this channel is.",
            ));
        }
        let known = self.association()?;
        if let Some(known) = &known
            && self.reach(&speaker, &known.repository).await?.is_none()
        {
            return Ok(whispered(
                "This channel is for a repository that you do not reach on GitHub.",
            ));
        }
        let wanted = match wish {
            Wish::Tell => {
                let said = known.map(|known| Said::line(&sentence(&known)));
                let nothing = || Said::line("This channel is for no repository.");
                let said = said.unwrap_or_else(nothing);
                return Ok(Reply::Said { said });
            }
            Wish::Drop => None,
            Wish::Set(repository) => match self.own_name(&speaker, &repository).await? {
                None => return Ok(whispered("You do not reach that repository on GitHub.")),
                own => own,
            },
        };
        // No await from here on: what is set and what is said of it become durable together.
        if self.association()? != known {
            return Ok(whispered(
                "Somebody else said at the same time for which repository this channel is: look again.",
            ));
        }
        if known.as_ref().map(|known| &known.repository) == wanted.as_ref() {
            return Ok(whispered("That is how it is already."));
        }
        let said = match wanted {
            Some(repository) => announcement(&self.associate(&speaker.person, &repository)?),
            None => {
                self.store()?.forget_note(NOTE)?;
                let by = escape(&speaker.person.login);
                Said::line(&format!(
                    ":leftwards_arrow_with_hook: {by} said that this channel is for no repository any \
                     more."
                ))
            }
        };
        // Each is said by itself, where the command was given, which is in no thread.
        let name = format!("wish:{user}:{}", clock::now().0);
        self.say("", &name, &Utterance::Announcement { said })?;
        Ok(whispered("It is set, and the channel is told."))
    }

    /// A repository as GitHub calls it now, if the speaker reaches it under the name that they wrote.
    async fn own_name(
        &self,
        speaker: &Speaker,
        repository: &Repository,
    ) -> Result<Option<Repository>, Error> {
        if !speaker.is_linked {
            let reached = self.reach(speaker, repository).await?;
            return Ok(reached.map(|_| repository.clone()));
        }
        let github = Github::new(&self.env)?;
        let found = github
            .as_user(speaker.person.id, async |token: &str| {
                github.repository(token, repository).await
            })
            .await?;
        Ok(found.map(|found| found.repository))
    }

    /// Whoever said it first stays the one who said it.
    fn associate(&self, by: &Person, repository: &Repository) -> Result<Association, Error> {
        let known = self.association()?;
        if let Some(known) = known
            .as_ref()
            .filter(|known| known.repository == *repository)
        {
            return Ok(known.clone());
        }
        let association = Association {
            repository: repository.clone(),
            by: by.login.clone(),
            before: known.map(|known| known.repository),
        };
        self.note_association(&association)?;
        Ok(association)
    }

    fn note_association(&self, association: &Association) -> Result<(), Error> {
        let noted = serde_json::to_string(association)?;
        Ok(self.store()?.set_note(NOTE, &noted)?)
    }

    /// One line for each repository, in the thread and where the whole channel sees it.
    fn announce(
        self: &Rc<Self>,
        root: &str,
        repository: &Repository,
        said: Said,
    ) -> Result<(), Error> {
        let name = format!("association:{repository}");
        self.say(root, &name, &Utterance::Announcement { said })
    }

    fn tell_unreached(self: &Rc<Self>, item: &Item) -> Result<Done, Error> {
        let said = Said::line("You do not reach that repository on GitHub.");
        self.whisper(item, "unreached", said)?;
        Ok(Done::Finished)
    }
}

fn whispered(text: &str) -> Reply {
    let said = Said::line(text);
    Reply::Said { said }
}

fn sentence(association: &Association) -> String {
    let Association { repository, by, .. } = association;
    let (name, by) = (escape(&repository.to_string()), escape(by));
    format!(
        ":pushpin: {by} said that this channel is for *{name}*, unless a message names another."
    )
}

fn announcement(association: &Association) -> Said {
    let name = association.repository.to_string();
    Said::line(&sentence(association)).actions(vec![button("undo", "Undo", &name)])
}

fn taken_back(by: &str, now: Option<&Repository>) -> Said {
    let by = escape(by);
    let text = match now {
        Some(now) => format!(
            ":leftwards_arrow_with_hook: {by} took that back: this channel is for *{}* again.",
            escape(&now.to_string())
        ),
        None => format!(
            ":leftwards_arrow_with_hook: {by} took that back: this channel is for no repository."
        ),
    };
    Said::line(&text)
}
