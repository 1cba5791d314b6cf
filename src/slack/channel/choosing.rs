//! For which repository a thread is, where people say it: what they may choose from, the question,
//! and their answer.

use std::rc::Rc;

use protocol::event::Repository;

use super::hearing::Done;
use super::speakers::Speaker;
use super::store::Utterance;
use super::{Core, Item};
use crate::database::{self, Database};
use crate::error::Error;
use crate::github::Github;
use crate::platform::clock;
use crate::session::machine::Act;
use crate::session::request::Request as Ask;
use crate::slack::blocks::{Said, button, search_menu};
use crate::slack::classification::{self, Candidate};
use crate::slack::message::{cut, escape, plain};
use crate::slack::thread::Thread;

/// Longest text of a message that is kept as an example.
const MAX_EXAMPLE: usize = 200;

impl Core {
    /// Somebody said which repository it is.
    pub(super) async fn chose(
        self: &Rc<Self>,
        item: &Item,
        root: &str,
        repository: &Repository,
    ) -> Result<Done, Error> {
        let Some(speaker) = self.speaker(item).await? else {
            return Ok(Done::WaitsFor(item.user().to_owned()));
        };
        let Some(thread) = self.store()?.thread(root)? else {
            return Ok(Done::Finished);
        };
        let is_settled = thread.session.is_some() && !thread.is_doubted;
        let is_over = thread.session.is_none() && thread.waiting.is_empty();
        if is_over || is_settled && thread.waiting.is_empty() {
            return Ok(Done::Finished);
        }
        if self.reach(&speaker, repository).await?.is_none() {
            let text = format!("You do not reach {repository} on GitHub.");
            self.whisper(item, "unreached", Said::line(&escape(&text)))?;
            return Ok(Done::Finished);
        }
        let mut went_elsewhere = false;
        if thread.is_doubted && self.keeps(item, &speaker, &thread).await? {
            return Ok(Done::Finished);
        }
        if thread.is_doubted && thread.repository.as_ref() == Some(repository) {
            self.store()?
                .change(root, |thread| thread.is_doubted = false)?;
        } else if thread.is_doubted {
            went_elsewhere = thread.has_several_turns();
            if let Some(session) = &thread.session {
                let by = speaker.person.clone();
                self.ask(session, &Ask::act(Act::Archive, by)).await?;
                // So that it is said how that ended.
                self.follow(root).await?;
            }
            self.store()?.change(root, Thread::begin_anew)?;
        }
        let name = escape(&speaker.person.login);
        let mut text = format!("*{}* it is, says {name}.", escape(&repository.to_string()));
        if went_elsewhere {
            text.push_str(
                " It begins with the first message: what was said after that went to the other one, \
                 so say it again if it still holds.",
            );
        }
        let said = Said::line(&text).actions(self.offer_always(repository).await?);
        let thread = self.store()?.thread(root)?.unwrap_or_default();
        let first = thread.waiting.first();
        let first = first.map(|first| self.as_revised(first)).transpose()?;
        if let Some(first) = first.flatten() {
            let bot = self.bot()?;
            let example = cut(&plain(&first.text, &bot.user), MAX_EXAMPLE);
            let known = self.store()?.examples()?;
            let is_known = |texts: &Vec<String>| texts.contains(&example);
            if !known.get(repository).is_some_and(is_known) {
                self.store()?.learn(repository, &example)?;
            }
        }
        self.say(root, "question", &Utterance::Message { said })?;
        let reason = format!("{} said so", speaker.person.login);
        let done = self
            .start(item, root, &speaker, repository, &reason)
            .await?;
        Ok(done.unwrap_or(Done::Finished))
    }

    /// Somebody said that it is another repository: which one is asked.
    pub(super) async fn doubted(self: &Rc<Self>, item: &Item, root: &str) -> Result<Done, Error> {
        let Some(speaker) = self.speaker(item).await? else {
            return Ok(Done::WaitsFor(item.user().to_owned()));
        };
        let Some(thread) = self.store()?.thread(root)? else {
            return Ok(Done::Finished);
        };
        if self.keeps(item, &speaker, &thread).await? {
            return Ok(Done::Finished);
        }
        let candidates = self.candidates(&speaker).await?;
        let others = candidates.into_iter().map(|candidate| candidate.repository);
        let likely: Vec<Repository> = others
            .filter(|repository| thread.repository.as_ref() != Some(repository))
            .take(classification::MAX_OFFERED)
            .collect();
        self.store()?
            .change(root, |thread| thread.is_doubted = true)?;
        let said = question_about(
            "Then which one is it? What runs now ends when you say it.",
            &likely,
        );
        self.say(root, "question", &Utterance::Message { said })?;
        Ok(Done::Finished)
    }

    /// Whether a thread stays with its repository whatever the speaker says, who is told why: what runs
    /// ends with a correction, and a button stays where it was pressed before.
    async fn keeps(
        self: &Rc<Self>,
        item: &Item,
        speaker: &Speaker,
        thread: &Thread,
    ) -> Result<bool, Error> {
        let Some(repository) = &thread.repository else {
            return Ok(false);
        };
        let why = if self.reach(speaker, repository).await?.is_none() {
            format!("This thread works on {repository}, which you do not reach on GitHub.")
        } else if thread.has_pull_request() {
            format!(
                "There is a pull request in {repository} already. For another repository begin a \
                 new thread."
            )
        } else {
            return Ok(false);
        };
        self.whisper(item, "kept", Said::line(&escape(&why)))?;
        Ok(true)
    }

    /// What the speaker may choose from, with what people wrote of it and what this channel has taught.
    pub(super) async fn candidates(&self, speaker: &Speaker) -> Result<Vec<Candidate>, Error> {
        let described = self.described(speaker).await?;
        let names: Vec<Repository> = described.iter().map(|(name, _)| name.clone()).collect();
        let database = Database::new(&self.env)?;
        let mut hints = database::repositories::hints(&database, &names).await?;
        let mut examples = self.store()?.examples()?;
        let candidates = described
            .into_iter()
            .map(|(repository, description)| Candidate {
                description,
                hints: hints.remove(&repository).unwrap_or_default(),
                examples: examples.remove(&repository).unwrap_or_default(),
                repository,
            });
        Ok(candidates.collect())
    }

    /// What the speaker reaches, with its own description.
    async fn described(&self, speaker: &Speaker) -> Result<Vec<(Repository, String)>, Error> {
        if speaker.is_linked {
            let github = Github::new(&self.env)?;
            let user = speaker.person.id;
            let found = github
                .as_user(user, async |token: &str| github.described(token).await)
                .await?;
            let summaries: Vec<_> = found.iter().map(|found| found.summary.clone()).collect();
            let database = Database::new(&self.env)?;
            database::users::remember_access(&database, user, &summaries, clock::now()).await?;
            let described = found.into_iter();
            Ok(described
                .map(|found| (found.summary.repository, found.description))
                .collect())
        } else {
            let open = self.settings()?.open_repositories.into_iter();
            Ok(open.map(|name| (name, String::new())).collect())
        }
    }

    /// Without its sign; empty if there is none, or it cannot be had.
    pub(super) async fn channel_name(&self) -> String {
        if let Ok(Some(known)) = self.store().and_then(|store| Ok(store.note("channel")?)) {
            return known;
        }
        let Ok(settings) = self.settings() else {
            return String::new();
        };
        let Ok(name) = settings.client().channel_name(&self.channel).await else {
            return String::new();
        };
        if let Ok(store) = self.store() {
            // Asked again if it could not be written down.
            let _ = store.set_note("channel", &name);
        }
        name
    }
}

/// Asks for which repository something is.
pub(super) fn question_about(reason: &str, likely: &[Repository]) -> Said {
    let reason = escape(reason);
    let text = format!("Which repository is this about? {reason}");
    let mut elements: Vec<_> = likely
        .iter()
        .enumerate()
        .map(|(at, repository)| {
            let name = repository.to_string();
            button(&format!("choose:{at}"), &name, &name)
        })
        .collect();
    elements.push(search_menu("choose_any", "Search all repositories"));
    Said::line(text.trim()).actions(elements)
}
