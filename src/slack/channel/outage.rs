//! While Slack does not take our token, nothing is said, and nothing that was heard is acted on, since
//! that takes asking Slack: all of it waits, what is to be said in its newest form, until the token
//! works again or there is another.

use protocol::Millis;
use serde::{Deserialize, Serialize};

use super::Core;
use crate::config::slack::Slack;
use crate::error::Error;
use crate::platform::clock;
use crate::slack::client::SlackError;
use crate::slack::connection;

/// Where it is written down.
const NOTE: &str = "outage";

/// How long until it is looked whether it is over.
const LOOK_AGAIN_MS: i64 = 10 * 60_000;

#[derive(Debug, Serialize, Deserialize)]
struct Outage {
    /// Of which token.
    token: String,
    /// Everything that was heard or is to be said is due then.
    until: Millis,
}

impl Core {
    /// Whether everything waits now.
    pub(super) async fn is_cut_off(&self, now: Millis) -> Result<bool, Error> {
        // Whoever hears and whoever speaks ask beside each other: one looks, both go by what it saw.
        let _turn = self.looking.lock().await;
        let store = self.store()?;
        let Some(noted) = store.note(NOTE)? else {
            return Ok(false);
        };
        let outage: Outage = serde_json::from_str(&noted)?;
        let settings = self.settings()?;
        if outage.token == settings.token_digest() {
            if now < outage.until {
                store.hold_all(outage.until)?;
                return Ok(true);
            }
            if let Err(error) = connection::check(&self.env, &settings).await {
                error.log();
                self.wait(&settings)?;
                return Ok(true);
            }
        }
        store.forget_note(NOTE)?;
        store.release_all(outage.until, clock::now())?;
        Ok(false)
    }

    /// Slack refused our token.
    pub(super) async fn cut_off(&self, error: &SlackError) -> Result<(), Error> {
        let settings = self.settings()?;
        // Written down here first: whatever else fails, this channel is quiet.
        self.wait(&settings)?;
        connection::notice(&self.env, &settings, error).await
    }

    fn wait(&self, settings: &Slack) -> Result<(), Error> {
        let until = clock::now().plus(LOOK_AGAIN_MS);
        let outage = Outage {
            token: settings.token_digest(),
            until,
        };
        let store = self.store()?;
        store.set_note(NOTE, &serde_json::to_string(&outage)?)?;
        Ok(store.hold_all(until)?)
    }
}
