//! For which repository a channel is, as somebody said in it. It is kept by the channel's identifier,
//! so a new name of the channel changes nothing, and it says nothing to whoever does not reach the
//! repository: their messages are decided as if there were none.

use std::rc::Rc;

use protocol::event::{Person, Repository};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::hearing::Done;
use super::store::Utterance;
use super::{Core, Item};
use crate::error::Error;
use crate::slack::blocks::{Said, button};
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

/// What the slash command says; to everybody in the channel if something changed.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reply {
    pub said: Said,
    pub is_public: bool,
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
        if self.reach(&speaker, repository).await?.is_none() {
            return self.tell_unreached(item);
        }
        let known = self.associate(&speaker.person, repository)?;
        let said = announcement(&known);
        self.announce(root, repository, said)?;
        // The button has done what it is for.
        let name = escape(&repository.to_string());
        let said = Said::line(&format!("*{name}* it is, and always in this channel."));
        self.say(root, "question", &Utterance::Message { said })?;
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
        let mut before = known.before;
        if let Some(earlier) = &before
            && self.reach(&speaker, earlier).await?.is_none()
        {
            before = None;
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

    /// What the slash command wants. `None` if nobody knows who asks.
    pub(super) async fn wished(&self, user: &str, wish: Wish) -> Result<Option<Reply>, Error> {
        let Some(speaker) = self.known_speaker(user).await? else {
            return Ok(None);
        };
        let whispered = |text: &str| {
            let said = Said::line(text);
            Some(Reply {
                said,
                is_public: false,
            })
        };
        if !self.may_be_associated().await? {
            return Ok(whispered(
                "Here the deployment's configuration decides, or nobody has to: there is nothing to set.",
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
        let said = match (wish, known) {
            (Wish::Tell, Some(known)) => {
                return Ok(Some(Reply {
                    said: announcement(&known),
                    is_public: false,
                }));
            }
            (Wish::Tell | Wish::Drop, None) => {
                return Ok(whispered("This channel is for no repository."));
            }
            (Wish::Drop, Some(_)) => {
                self.store()?.forget_note(NOTE)?;
                taken_back(&speaker.person.login, None)
            }
            (Wish::Set(repository), _) => {
                if self.reach(&speaker, &repository).await?.is_none() {
                    return Ok(whispered("You do not reach that repository on GitHub."));
                }
                announcement(&self.associate(&speaker.person, &repository)?)
            }
        };
        let is_public = true;
        Ok(Some(Reply { said, is_public }))
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

fn announcement(association: &Association) -> Said {
    let Association { repository, by, .. } = association;
    let (name, by) = (repository.to_string(), escape(by));
    let text = format!(
        ":pushpin: {by} said that this channel is for *{}*, unless a message names another.",
        escape(&name)
    );
    Said::line(&text).actions(vec![button("undo", "Undo", &name)])
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
