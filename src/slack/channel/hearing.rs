//! What a channel's object does about what it hears: whose word it is, which repository it is for,
//! and which session gets it.

use std::rc::Rc;

use protocol::event::Repository;

use super::beginning::Beginning;
use super::choosing::question_about;
use super::sessions::Answer;
use super::speakers::Speaker;
use super::speaking::backoff;
use super::store::Utterance;
use super::{Core, Item};
use crate::error::Error;
use crate::platform::clock;
use crate::slack::blocks::Said;
use crate::slack::classification::{self, Decision, Question};
use crate::slack::classifier;
use crate::slack::event::Heard;
use crate::slack::message::{escape, plain};

/// With [`backoff`] these are about ten minutes.
const MAX_ATTEMPTS: i64 = 14;

pub(super) enum Done {
    Finished,
    /// Until that user says who they are.
    WaitsFor(String),
}

impl Core {
    /// Acts on one thing that was heard; false if nothing is due.
    pub(super) async fn hear_next(self: &Rc<Self>) -> Result<bool, Error> {
        let (store, now) = (self.store()?, clock::now());
        if self.is_cut_off(now).await? {
            return Ok(false);
        }
        let Some(taken) = store.next_heard(now)? else {
            return Ok(false);
        };
        let outcome = match self.act(&taken.item).await {
            Err(Error::LinkBroken) => self.invite_again(&taken.item).await,
            outcome => outcome,
        };
        match outcome {
            Ok(Done::Finished) => store.finish(taken.number)?,
            Ok(Done::WaitsFor(user)) => store.wait(taken.number, &user)?,
            // It waits with everything else, and was not tried.
            Err(Error::Slack(error)) if error.is_disconnected() => {
                self.cut_off(&error).await?;
                return Ok(false);
            }
            Err(error) if taken.attempts < MAX_ATTEMPTS => {
                error.log();
                let due = clock::now().plus(backoff(taken.attempts));
                store.retry(taken.number, due)?;
            }
            Err(error) => {
                error.log();
                store.finish(taken.number)?;
                let text = "I tried this for a while, and something on our side keeps failing. \
                            Say it again later.";
                self.whisper(&taken.item, "failed", Said::line(text))?;
            }
        }
        Ok(true)
    }

    async fn act(self: &Rc<Self>, item: &Item) -> Result<Done, Error> {
        match item {
            Item::Heard(heard) => match self.as_revised(heard)? {
                Some(heard) => self.heard(&Item::Heard(heard.clone()), &heard).await,
                None => Ok(Done::Finished),
            },
            Item::Revised(revised) => self.revised(revised).await,
            Item::Chose {
                root, repository, ..
            } => self.chose(item, root, repository).await,
            Item::Associated {
                root, repository, ..
            } => self.associated(item, root, repository).await,
            Item::Dissociated {
                root, repository, ..
            } => self.dissociated(item, root, repository).await,
            Item::Stopped { root, .. } => self.stop(item, root).await,
            Item::Doubted { root, .. } => self.doubted(item, root).await,
            Item::Reacted { ts, name, .. } => self.reacted(item, ts, name).await,
            Item::Linked { ts, sessions, .. } => self.linked(item, ts, sessions).await,
        }
    }

    async fn heard(self: &Rc<Self>, item: &Item, heard: &Heard) -> Result<Done, Error> {
        let known = self.store()?.thread(&heard.root)?;
        if known.is_none() && !heard.is_addressed {
            return Ok(Done::Finished);
        }
        // From here on replies are heard, whoever has to say first who they are.
        self.store()?.change(&heard.root, |_| ())?;
        let seen = Utterance::Reaction {
            ts: heard.ts.clone(),
            name: self.settings()?.emoji.seen,
        };
        self.say(&heard.root, &format!("seen:{}", heard.ts), &seen)?;
        let Some(speaker) = self.speaker(item).await? else {
            return Ok(Done::WaitsFor(heard.user.clone()));
        };
        let thread = known.unwrap_or_default();
        if thread.session.is_some() {
            // An earlier try may have ended before all of it was passed on.
            self.drain(&heard.root).await?;
            return self.pass_on(item, heard, &speaker).await;
        }
        let bot = self.bot()?;
        let text = plain(&heard.text, &bot.user);
        if thread.waiting.iter().any(|waiting| waiting.ts == heard.ts) {
            return Ok(Done::Finished);
        }
        let candidates = match self.candidates(&speaker).await {
            Err(Error::LinkBroken) => return self.invite_again(item).await,
            candidates => candidates?,
        };
        let first = thread
            .waiting
            .first()
            .map(|first| plain(&first.text, &bot.user));
        let said_before: Vec<String> = first.into_iter().collect();
        let name = self.channel_name().await;
        let settings = self.settings()?;
        let association = self.association()?;
        let question = Question {
            text: &text,
            thread: &said_before,
            channel: &self.channel,
            channel_name: &name,
            candidates: &candidates,
            rules: &settings.rules,
            association: association.as_ref().map(|known| &known.repository),
        };
        let decision = match classification::decide(&question) {
            Decision::Unsure => {
                let answer = match &settings.classifier {
                    Some(model) => classifier::ask(model, &question).await,
                    None => None,
                };
                classification::judged(&question, answer)
            }
            decision => decision,
        };
        match decision {
            Decision::Known(repository, reason) => {
                let done = self
                    .start(item, &heard.root, &speaker, &repository, &reason)
                    .await?;
                match done {
                    Some(done) => Ok(done),
                    None => self.pass_on(item, heard, &speaker).await,
                }
            }
            Decision::Ask { likely, reason } => {
                let waiting = heard.clone();
                self.store()?
                    .change(&heard.root, |thread| thread.waiting.push(waiting))?;
                let said = question_about(&reason, &likely);
                self.say(&heard.root, "question", &Utterance::Message { said })?;
                Ok(Done::Finished)
            }
            Decision::Unsure | Decision::Nothing => {
                let text = "There is no repository here that you reach through me. Install the \
                            GitHub App on one, and say it again.";
                self.whisper(item, "nothing", Said::line(text))?;
                Ok(Done::Finished)
            }
        }
    }

    /// Begins the thread's session, and gives it everything that waits for it; answers how it ended
    /// if it could not begin.
    pub(super) async fn start(
        self: &Rc<Self>,
        item: &Item,
        root: &str,
        speaker: &Speaker,
        repository: &Repository,
        reason: &str,
    ) -> Result<Option<Done>, Error> {
        let Some(branch) = self.reach(speaker, repository).await? else {
            let text = format!("You do not reach {repository} on GitHub.");
            self.whisper(item, "unreached", Said::line(&escape(&text)))?;
            return Ok(Some(Done::Finished));
        };
        let thread = self.store()?.thread(root)?.unwrap_or_default();
        let mut left = None;
        for waiting in &thread.waiting {
            left = left.or(self.as_revised(waiting)?);
        }
        let text = match (left, item) {
            (Some(first), _) => first.text,
            (None, Item::Heard(heard)) => heard.text.clone(),
            (None, _) if !thread.waiting.is_empty() => {
                self.store()?
                    .change(root, |thread| thread.waiting.clear())?;
                self.say_all_is_gone(root)?;
                return Ok(Some(Done::Finished));
            }
            _ => String::new(),
        };
        let beginning = self.beginning(&text, speaker, (repository, branch)).await?;
        self.begin(root, speaker, beginning, reason).await?;
        self.drain(root).await?;
        Ok(None)
    }

    /// Gives the thread's session everything that waits for it.
    async fn drain(self: &Rc<Self>, root: &str) -> Result<(), Error> {
        loop {
            let thread = self.store()?.thread(root)?.unwrap_or_default();
            let Some(next) = thread.waiting.first() else {
                return Ok(());
            };
            // It may have been edited or deleted since, when nobody looked for it here.
            if let Some(heard) = self.as_revised(next)? {
                let as_item = Item::Heard(heard.clone());
                // Who is not known any more was asked who they are, and can say it again then.
                if let Some(speaker) = self.speaker(&as_item).await? {
                    self.pass_on(&as_item, &heard, &speaker).await?;
                }
            }
            let ts = next.ts.clone();
            self.store()?.change(root, |thread| {
                thread.waiting.retain(|waiting| waiting.ts != ts);
            })?;
        }
    }

    /// Gives the thread's session a message, if whoever wrote it may.
    async fn pass_on(
        self: &Rc<Self>,
        item: &Item,
        heard: &Heard,
        speaker: &Speaker,
    ) -> Result<Done, Error> {
        let thread = self.store()?.thread(&heard.root)?.unwrap_or_default();
        let Some(repository) = thread.repository else {
            return Ok(Done::Finished);
        };
        let branch = match self.reach(speaker, &repository).await {
            Err(Error::LinkBroken) => return self.invite_again(item).await,
            branch => branch?,
        };
        let Some(branch) = branch else {
            let text =
                format!("This thread works on {repository}, which you do not reach on GitHub.");
            self.whisper(item, "unreached", Said::line(&escape(&text)))?;
            return Ok(Done::Finished);
        };
        // An earlier try may have ended before it was made.
        let beginning = Beginning {
            repository,
            branch,
            model: None,
        };
        self.begin(&heard.root, speaker, beginning, &thread.reason)
            .await?;
        if thread.first.is_none() {
            let first = heard.clone();
            self.store()?
                .change(&heard.root, |thread| thread.first = Some(first))?;
        }
        match self.prompt(heard, speaker).await? {
            Answer::Taken(_) => {}
            // What was said before was read differently by another try: it is there all the same.
            Answer::Refused { code, .. } if code == "conflicting_request" => {}
            Answer::Refused { message, .. } => {
                let text = format!("I could not take this: {message}.");
                self.whisper(item, "refused", Said::line(&escape(&text)))?;
            }
        }
        Ok(Done::Finished)
    }
}
