//! What people do without words: buttons and reactions that stop or insert, links that they post.

use std::rc::Rc;

use serde_json::json;

use super::hearing::Done;
use super::sessions::Answer;
use super::speakers::Speaker;
use super::store::Utterance;
use super::{Core, Item};
use crate::database::{self, Database};
use crate::error::Error;
use crate::session::machine::Act;
use crate::session::request::Request as Ask;
use crate::slack::home::card;

impl Core {
    pub(super) async fn stop(self: &Rc<Self>, item: &Item, root: &str) -> Result<Done, Error> {
        self.ask_for(item, root, Act::Stop).await
    }

    pub(super) async fn reacted(
        self: &Rc<Self>,
        item: &Item,
        ts: &str,
        name: &str,
    ) -> Result<Done, Error> {
        let emoji = self.settings()?.emoji;
        let Some(root) = self.store()?.root_of(ts)? else {
            return Ok(Done::Finished);
        };
        if name == emoji.stop {
            return self.stop(item, &root).await;
        }
        if name != emoji.insert {
            return Ok(Done::Finished);
        }
        let Some(prompt) = self.prompt_of(ts)? else {
            return Ok(Done::Finished);
        };
        // One that has started meanwhile is where it was to be.
        self.ask_for(item, &root, Act::Insert { prompt }).await
    }

    /// Asks the thread's session for what somebody wants who reaches its repository.
    async fn ask_for(self: &Rc<Self>, item: &Item, root: &str, act: Act) -> Result<Done, Error> {
        let Some(speaker) = self.speaker(item).await? else {
            return Ok(Done::WaitsFor(item.user().to_owned()));
        };
        let thread = self.store()?.thread(root)?.unwrap_or_default();
        let (Some(session), Some(repository)) = (thread.session, thread.repository) else {
            return Ok(Done::Finished);
        };
        if self.reach(&speaker, &repository).await?.is_some() {
            let by = speaker.person;
            self.ask(&session, &Ask::act(act, by)).await?;
        }
        Ok(Done::Finished)
    }

    /// Shows what links lead to, if whoever posted them may see it.
    pub(super) async fn linked(
        self: &Rc<Self>,
        item: &Item,
        ts: &str,
        sessions: &[(String, protocol::SessionId)],
    ) -> Result<Done, Error> {
        let database = Database::new(&self.env)?;
        let Some(person) = database::slack::person(&database, &self.team, item.user()).await?
        else {
            return Ok(Done::Finished);
        };
        let speaker = Speaker {
            person,
            is_linked: true,
        };
        let mut cards = serde_json::Map::new();
        for (url, session) in sessions {
            let repository = database::sessions::repository_of(&database, session).await?;
            let Some(repository) = repository else {
                continue;
            };
            if self.reach(&speaker, &repository).await?.is_none() {
                continue;
            }
            let Answer::Taken(body) = self.ask(session, &Ask::Summary).await? else {
                continue;
            };
            let summary: protocol::api::SessionSummary = serde_json::from_slice(&body)?;
            let card = card(&summary);
            cards.insert(url.clone(), json!({ "blocks": card.blocks }));
        }
        if !cards.is_empty() {
            let unfurl = Utterance::Unfurl {
                ts: ts.to_owned(),
                unfurls: serde_json::Value::Object(cards),
            };
            self.say(ts, "unfurl", &unfurl)?;
        }
        Ok(Done::Finished)
    }
}
