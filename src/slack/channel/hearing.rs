//! What a channel's object does about what it hears: whose word it is, which repository it is for,
//! and which session gets it.

use std::rc::Rc;

use protocol::event::{Person, Repository};
use serde_json::json;

use super::sessions::Answer;
use super::speaking::backoff;
use super::store::Utterance;
use super::{Core, Item};
use crate::config;
use crate::database::{self, Database};
use crate::error::Error;
use crate::github::Github;
use crate::platform::{clock, random};
use crate::session::request::Request as Ask;
use crate::slack::blocks::{Said, button, link_button, search_menu};
use crate::slack::classification::{self, Candidate, Decision, Question};
use crate::slack::event::Heard;
use crate::slack::identity::{self, INVITATION_MS, Invitation};
use crate::slack::message::{cut, escape, plain};
use crate::slack::{classifier, thread};

/// With [`backoff`] these are about ten minutes.
const MAX_ATTEMPTS: i64 = 14;

/// Longest text of a message that is kept as an example.
const MAX_EXAMPLE: usize = 200;

/// Whoever spoke, as sessions know people.
pub(super) struct Speaker {
    pub(super) person: Person,
    pub(super) is_linked: bool,
}

enum Done {
    Finished,
    /// Until that user says who they are.
    WaitsFor(String),
}

impl Core {
    /// Acts on one thing that was heard; false if nothing is due.
    pub(super) async fn hear_next(self: &Rc<Self>) -> Result<bool, Error> {
        let store = self.store()?;
        let Some(taken) = store.next_heard(clock::now())? else {
            return Ok(false);
        };
        match self.act(&taken.item).await {
            Ok(Done::Finished) => store.finish(taken.number)?,
            Ok(Done::WaitsFor(user)) => store.wait(taken.number, &user)?,
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
            Item::Heard(heard) => self.heard(item, heard).await,
            Item::Chose {
                root, repository, ..
            } => self.chose(item, root, repository).await,
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
        let question = Question {
            text: &text,
            thread: &said_before,
            channel: &self.channel,
            channel_name: &name,
            candidates: &candidates,
            rules: &settings.rules,
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
    async fn start(
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
        self.begin(root, speaker, (repository, branch), reason)
            .await?;
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
            let as_item = Item::Heard(next.clone());
            // Who is not known any more was asked who they are, and can say it again then.
            if let Some(speaker) = self.speaker(&as_item).await? {
                self.pass_on(&as_item, next, &speaker).await?;
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
        self.begin(&heard.root, speaker, (&repository, branch), &thread.reason)
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

    /// Somebody said which repository it is.
    async fn chose(
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
        if is_settled && thread.waiting.is_empty() {
            return Ok(Done::Finished);
        }
        if self.reach(&speaker, repository).await?.is_none() {
            let text = format!("You do not reach {repository} on GitHub.");
            self.whisper(item, "unreached", Said::line(&escape(&text)))?;
            return Ok(Done::Finished);
        }
        if thread.is_doubted && thread.repository.as_ref() == Some(repository) {
            self.store()?
                .change(root, |thread| thread.is_doubted = false)?;
        } else if thread.is_doubted {
            if let Some(session) = &thread.session {
                let by = speaker.person.clone();
                self.ask(session, &Ask::Archive { by }).await?;
                // So that it is said how that ended.
                self.follow(root).await?;
            }
            self.store()?.change(root, thread::Thread::begin_anew)?;
        }
        let name = escape(&speaker.person.login);
        let text = format!("*{}* it is, says {name}.", escape(&repository.to_string()));
        let said = Said::line(&text);
        let thread = self.store()?.thread(root)?.unwrap_or_default();
        if let Some(first) = thread.waiting.first() {
            let bot = self.bot()?;
            let example = cut(&plain(&first.text, &bot.user), MAX_EXAMPLE);
            let known = self.store()?.examples(repository)?;
            if !known.contains(&example) {
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
    async fn doubted(self: &Rc<Self>, item: &Item, root: &str) -> Result<Done, Error> {
        let Some(speaker) = self.speaker(item).await? else {
            return Ok(Done::WaitsFor(item.user().to_owned()));
        };
        let Some(thread) = self.store()?.thread(root)? else {
            return Ok(Done::Finished);
        };
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

    async fn stop(self: &Rc<Self>, item: &Item, root: &str) -> Result<Done, Error> {
        let Some(speaker) = self.speaker(item).await? else {
            return Ok(Done::WaitsFor(item.user().to_owned()));
        };
        let thread = self.store()?.thread(root)?.unwrap_or_default();
        let (Some(session), Some(repository)) = (thread.session, thread.repository) else {
            return Ok(Done::Finished);
        };
        if self.reach(&speaker, &repository).await?.is_some() {
            let by = speaker.person;
            self.ask(&session, &Ask::Stop { by }).await?;
        }
        Ok(Done::Finished)
    }

    async fn reacted(self: &Rc<Self>, item: &Item, ts: &str, name: &str) -> Result<Done, Error> {
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
        let Some(speaker) = self.speaker(item).await? else {
            return Ok(Done::WaitsFor(item.user().to_owned()));
        };
        let thread = self.store()?.thread(&root)?.unwrap_or_default();
        let (Some(session), Some(repository)) = (thread.session, thread.repository) else {
            return Ok(Done::Finished);
        };
        if self.reach(&speaker, &repository).await?.is_some() {
            let by = speaker.person;
            // One that has started meanwhile is where it was to be.
            self.ask(&session, &Ask::Insert { prompt, by }).await?;
        }
        Ok(Done::Finished)
    }

    /// Shows what links lead to, if whoever posted them may see it.
    async fn linked(
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
            let card = crate::slack::home::card(&summary);
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

    /// Who spoke. Somebody who is linked to nobody is asked in private who they are, unless the
    /// deployment lets them work as they are.
    pub(super) async fn speaker(self: &Rc<Self>, item: &Item) -> Result<Option<Speaker>, Error> {
        let database = Database::new(&self.env)?;
        let user = item.user();
        if let Some(person) = database::slack::person(&database, &self.team, user).await? {
            let is_allowed =
                config::allowed_users(&self.env).is_none_or(|people| people.contains(&person));
            if is_allowed {
                let is_linked = true;
                return Ok(Some(Speaker { person, is_linked }));
            }
        } else if !self.settings()?.open_repositories.is_empty() {
            let name = self.name_of(user).await;
            return Ok(Some(Speaker {
                person: identity::unlinked(&self.team, user, &name),
                is_linked: false,
            }));
        }
        self.invite(item).await?;
        Ok(None)
    }

    async fn invite(self: &Rc<Self>, item: &Item) -> Result<(), Error> {
        let user = item.user();
        let invitation = Invitation {
            team: self.team.clone(),
            user: user.to_owned(),
            name: self.name_of(user).await,
            channel: self.channel.clone(),
            nonce: random::token()?,
            expires_at: clock::now().plus(INVITATION_MS),
        };
        let said = invitation_for(&self.env, &invitation)?;
        self.whisper(item, "invitation", said)
    }

    async fn invite_again(self: &Rc<Self>, item: &Item) -> Result<Done, Error> {
        self.invite(item).await?;
        Ok(Done::WaitsFor(item.user().to_owned()))
    }

    /// Says something to whoever spoke, once for each thing that they said.
    fn whisper(self: &Rc<Self>, item: &Item, name: &str, said: Said) -> Result<(), Error> {
        let at = match item {
            Item::Heard(heard) => &heard.ts,
            other => other.root(),
        };
        let user = item.user().to_owned();
        let name = format!("{name}:{user}:{at}");
        self.say(item.root(), &name, &Utterance::Whisper { user, said })
    }

    /// What the speaker may choose from, with what this channel has taught.
    async fn candidates(&self, speaker: &Speaker) -> Result<Vec<Candidate>, Error> {
        let mut candidates = Vec::new();
        if speaker.is_linked {
            let github = Github::new(&self.env)?;
            let user = speaker.person.id;
            let found = github
                .as_user(user, async |token: &str| github.described(token).await)
                .await?;
            let summaries: Vec<_> = found.iter().map(|found| found.summary.clone()).collect();
            let database = Database::new(&self.env)?;
            database::users::remember_access(&database, user, &summaries, clock::now()).await?;
            for found in found {
                candidates.push(Candidate {
                    examples: self.store()?.examples(&found.summary.repository)?,
                    repository: found.summary.repository,
                    description: found.description,
                });
            }
        } else {
            for repository in self.settings()?.open_repositories {
                candidates.push(Candidate {
                    examples: self.store()?.examples(&repository)?,
                    repository,
                    description: String::new(),
                });
            }
        }
        Ok(candidates)
    }

    /// Without its sign; empty if there is none, or it cannot be had.
    async fn channel_name(&self) -> String {
        if let Ok(Some(known)) = self.store().and_then(|store| Ok(store.note("channel")?)) {
            return known;
        }
        let Ok(settings) = self.settings() else {
            return String::new();
        };
        let name = settings.client().channel_name(&self.channel).await;
        let name = name.unwrap_or_default();
        if let Ok(store) = self.store() {
            // Asked again if it could not be written down.
            let _ = store.set_note("channel", &name);
        }
        name
    }
}

/// The private invitation to say who one is.
pub fn invitation_for(env: &worker::Env, invitation: &Invitation) -> Result<Said, Error> {
    let keys = config::encryption_keys(env)?;
    let url = format!(
        "{}/slack/link?invitation={}",
        config::public_url(env)?,
        invitation.seal(&keys)?
    );
    let text = "I work in your name, so I have to know who you are on GitHub. Sign in, and I go on \
                with what you asked.";
    Ok(Said::line(text).actions(vec![link_button("link", "Sign in with GitHub", &url)]))
}

/// Asks for which repository something is.
fn question_about(reason: &str, likely: &[Repository]) -> Said {
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
