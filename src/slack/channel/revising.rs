//! Messages that were edited or deleted after they were said: what waits changes with them, what runs
//! or ran is left as it was.
//!
//! A revision is kept for its message, which may come, or be acted on, only afterwards.

use std::rc::Rc;

use super::Core;
use super::hearing::Done;
use super::store::Utterance;
use crate::error::Error;
use crate::session::machine::Act;
use crate::session::request::Request as Ask;
use crate::slack::blocks::Said;
use crate::slack::event::{Heard, Revised};

impl Core {
    pub(super) async fn revised(self: &Rc<Self>, revised: &Revised) -> Result<Done, Error> {
        let store = self.store()?;
        let heard = &revised.heard;
        let thread = store.thread(&heard.root)?;
        if thread.is_none() && !heard.is_addressed {
            // What people say to each other is not kept.
            return Ok(Done::Finished);
        }
        if !store.revise(revised)? {
            // A later revision came before this one.
            return Ok(Done::Finished);
        }
        let Some(thread) = thread else {
            return Ok(Done::Finished);
        };
        if thread.waiting.iter().any(|waiting| waiting.ts == heard.ts) {
            self.revise_waiting(revised)?;
            return Ok(Done::Finished);
        }
        let prompt = store.prompt_said_at(&heard.ts)?;
        let (Some(session), Some(repository), Some(prompt)) =
            (thread.session, thread.repository, prompt)
        else {
            return Ok(Done::Finished);
        };
        let Some(speaker) = self.known_speaker(&heard.user).await? else {
            return Ok(Done::Finished);
        };
        if self.reach(&speaker, &repository).await?.is_none() {
            return Ok(Done::Finished);
        }
        let by = speaker.person;
        let act = if revised.is_deleted {
            Act::Cancel { prompt }
        } else {
            let given = store.given_before(&heard.root, &heard.ts)?;
            let before = self.said_since(heard, &given).await?;
            let text = self.compose(heard, &before).await?;
            Act::Edit { prompt, text }
        };
        // A refusal says that it does not wait any more.
        self.ask(&session, &Ask::act(act, by)).await?;
        Ok(Done::Finished)
    }

    /// Of a message that waits until it is known for which repository it is.
    fn revise_waiting(self: &Rc<Self>, revised: &Revised) -> Result<(), Error> {
        let heard = &revised.heard;
        let is_over = self.store()?.change(&heard.root, |thread| {
            let is_it = |waiting: &Heard| waiting.ts == heard.ts && waiting.user == heard.user;
            if revised.is_deleted {
                thread.waiting.retain(|waiting| !is_it(waiting));
            }
            for waiting in thread.waiting.iter_mut().filter(|waiting| is_it(waiting)) {
                waiting.text.clone_from(&heard.text);
            }
            thread.waiting.is_empty() && thread.session.is_none()
        })?;
        if is_over {
            self.say_all_is_gone(&heard.root)?;
        }
        Ok(())
    }

    pub(super) fn say_all_is_gone(self: &Rc<Self>, root: &str) -> Result<(), Error> {
        let said = Said::line("What this was about was deleted, so there is nothing to do.");
        self.say(root, "question", &Utterance::Message { said })
    }

    /// A message as it is now. `None` if it is gone.
    pub(super) fn as_revised(&self, heard: &Heard) -> Result<Option<Heard>, Error> {
        let revision = self.store()?.revision(&heard.ts)?;
        // By whoever wrote it; what somebody else asked for by its words stays what they asked for.
        let Some(revision) = revision.filter(|known| known.user == heard.user) else {
            return Ok(Some(heard.clone()));
        };
        Ok(revision.text.map(|text| Heard {
            text,
            ..heard.clone()
        }))
    }
}
