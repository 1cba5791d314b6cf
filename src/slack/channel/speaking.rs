//! What a channel's object says: it reads the logs of its threads' sessions, and sends what is to be
//! said, a message a second, each thing once and in its newest form.

use std::rc::Rc;
use std::time::Duration;

use protocol::Seq;
use protocol::api::EventPage;

use super::Core;
use super::sessions::Answer;
use super::store::{Due, Utterance};
use crate::config;
use crate::error::Error;
use crate::platform::clock;
use crate::session::request::Request as Ask;
use crate::slack::blocks::Said;
use crate::slack::client::{Place, Slack, SlackError};
use crate::slack::thread::Scene;

/// Slack takes one message a second in a channel.
const PACE_MS: i64 = 1050;

/// A longer wait is left to the alarm.
const SHORT_MS: i64 = 2000;

/// Events of a log that are read at once.
const PAGE: i64 = 500;

/// With [`backoff`] these are about half an hour.
const MAX_ATTEMPTS: i64 = 40;

/// How far something was said.
pub(super) enum Sent {
    /// All of it; the time stamp of its message, if it has one.
    Whole(Option<String>),
    /// There is another call to make.
    More,
}

impl Core {
    /// Does one thing; false if nothing is due.
    pub(super) async fn speak_next(self: &Rc<Self>) -> Result<bool, Error> {
        let (store, now) = (self.store()?, clock::now());
        if let Some(root) = store.next_behind(now)? {
            // Before it is read: what happens meanwhile is read afterwards.
            store.catch_up(&root)?;
            if let Err(error) = self.follow(&root).await {
                error.log();
                store.fall_behind(&root, clock::now().plus(SHORT_MS))?;
            }
            return Ok(true);
        }
        if self.is_cut_off(now).await? {
            return Ok(false);
        }
        let Some(due) = store.next_said(now)? else {
            return Ok(false);
        };
        let quiet = self.quiet_until.get();
        let wait = quiet.0.saturating_sub(now.0);
        if wait > SHORT_MS {
            store.hold(quiet)?;
            return Ok(true);
        }
        let is_message = due.utterance.is_message();
        if is_message && wait > 0 {
            worker::Delay::from(Duration::from_millis(wait.unsigned_abs())).await;
            // There may be news of it by now.
            return Ok(true);
        }
        let slack = self.settings()?.client();
        let outcome = self.send(&slack, &due).await;
        let now = clock::now();
        if is_message {
            self.quiet_until.set(now.plus(PACE_MS));
        }
        match outcome {
            Ok(Sent::Whole(ts)) => store.said(&due, ts.as_deref())?,
            Ok(Sent::More) => {}
            Err(error) if error.is_disconnected() => {
                self.cut_off(&error).await?;
                return Ok(false);
            }
            Err(error) if error.is_passing() && due.attempts < MAX_ATTEMPTS => {
                worker::console_warn!("will say it later: key={} reason={error}", due.key);
                let wait = error.wait_ms().unwrap_or_else(|| backoff(due.attempts));
                store.say_later(due.number, now.plus(wait))?;
                if error.wait_ms().is_some() {
                    self.quiet_until.set(now.plus(wait));
                }
            }
            Err(error) => {
                worker::console_error!("not said: key={} reason={error}", due.key);
                store.leave_unsaid(due.number)?;
            }
        }
        Ok(true)
    }

    /// Says one thing.
    async fn send(&self, slack: &Slack, due: &Due) -> Result<Sent, SlackError> {
        let place = Place {
            channel: &self.channel,
            root: Some(&due.root),
        };
        let done = match &due.utterance {
            Utterance::Message { said } | Utterance::Announcement { said } => {
                return self.send_message(slack, due, said).await;
            }
            Utterance::Turn { said, progress } => {
                return self.send_turn(slack, due, said, progress).await;
            }
            Utterance::Standing {
                is_working,
                title,
                user,
            } => {
                let about = (title.as_str(), user.as_str());
                return self.send_standing(slack, due, *is_working, about).await;
            }
            Utterance::Picture { session, artifact } => {
                return self.send_picture(slack, due, session, artifact).await;
            }
            Utterance::Whisper { user, said } => slack.whisper(&place, user, said).await,
            Utterance::Reaction { ts, name } => slack.react(&self.channel, ts, name).await,
            Utterance::Unfurl { ts, unfurls } => slack.unfurl(&self.channel, ts, unfurls).await,
        };
        done.map(|()| Sent::Whole(None))
    }

    /// Posts a message, or edits the one that is there.
    pub(super) async fn send_message(
        &self,
        slack: &Slack,
        due: &Due,
        said: &Said,
    ) -> Result<Sent, SlackError> {
        let mut known = due.ts.clone();
        // What is in no thread is not looked for: twice is better than never.
        let root = Some(due.root.as_str()).filter(|root| !root.is_empty());
        if known.is_none() && due.is_tried && root.is_some() {
            known = slack.said(&self.channel, &due.root, &due.key).await?;
        }
        if let Some(ts) = known {
            slack.update(&self.channel, &ts, &due.key, said).await?;
            return Ok(Sent::Whole(Some(ts)));
        }
        self.try_to_say(due);
        let place = Place {
            channel: &self.channel,
            root,
        };
        let is_shown = matches!(due.utterance, Utterance::Announcement { .. });
        let ts = slack.post(&place, &due.key, said, is_shown).await?;
        Ok(Sent::Whole(Some(ts)))
    }

    pub(super) fn try_to_say(&self, due: &Due) {
        let noted = self
            .store()
            .and_then(|store| Ok(store.try_to_say(due.number)?));
        if let Err(error) = noted {
            error.log();
        }
    }

    /// Reads what is new in the log of a thread's session, and has it said.
    pub(super) async fn follow(self: &Rc<Self>, root: &str) -> Result<(), Error> {
        let public_url = config::public_url(&self.env)?;
        loop {
            let Some(thread) = self.store()?.thread(root)? else {
                return Ok(());
            };
            let Some(session) = thread.session else {
                return Ok(());
            };
            let since = thread.seen;
            let ask = Ask::Events { since, limit: PAGE };
            let page: EventPage = match self.ask(&session, &ask).await? {
                Answer::Taken(body) => serde_json::from_slice(&body)?,
                Answer::Refused { .. } => return Ok(()),
            };
            let last = page.events.last().map_or(since, |event| event.seq);
            let scene = Scene {
                public_url: &public_url,
                now: clock::now(),
            };
            // No await from here on: what was seen and what is to be said become durable together.
            let says = self.store()?.change(root, |thread| {
                // It may have become another session's meanwhile.
                let is_same = thread.session.as_ref() == Some(&session);
                is_same.then(|| thread.follow(&page.events, &scene))
            })?;
            for say in says.into_iter().flatten() {
                self.store()?
                    .say(root, &say.name, &say.utterance, clock::now())?;
            }
            if last >= page.head_seq || last == Seq(0) || page.events.is_empty() {
                return Ok(());
            }
        }
    }
}

/// A second, doubled each time, at most a minute.
pub(super) fn backoff(attempts: i64) -> i64 {
    let doublings = u32::try_from(attempts.clamp(0, 6)).unwrap_or(0);
    (1000_i64 << doublings).min(60_000)
}
