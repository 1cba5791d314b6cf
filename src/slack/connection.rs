//! Whether Slack takes the bot's token, for the whole deployment.
//!
//! Every refusal of the token is noted, and an event that tells that the app was removed is looked
//! into. From then on nothing is asked of Slack but, from time to time, whether the token works; what
//! came from there and what is to be said wait. Another token is another matter, and works until it is
//! refused.

use protocol::Millis;
use worker::Env;

use super::client::SlackError;
use super::event::Event;
use crate::config::slack::Slack;
use crate::database::Database;
use crate::database::slack_tokens::{self, Lost};
use crate::error::Error;
use crate::platform::clock;

/// A lost token is tried no more often.
const AGAIN_MS: i64 = 5 * 60_000;

/// Fails while the token is known not to work.
pub async fn check(env: &Env, settings: &Slack) -> Result<(), Error> {
    let (database, now) = (Database::new(env)?, clock::now());
    let token = &settings.bot_token;
    let Some(lost) = slack_tokens::lost(&database, token).await? else {
        return Ok(());
    };
    let before = now.plus(-AGAIN_MS);
    if slack_tokens::is_to_be_tried(&database, token, before, now).await? {
        return probe(&database, settings, None).await;
    }
    Err(Error::Slack(SlackError::Refused {
        method: "auth.test",
        code: lost.reason,
    }))
}

/// What an event tells of the connection; `None` if nothing.
pub fn told(event: &Event) -> Option<&'static str> {
    match event {
        Event::AppUninstalled {} => Some("app_uninstalled"),
        Event::TokensRevoked {} => Some("tokens_revoked"),
        _ => None,
    }
}

/// Looks into what was told: it may be of another workspace, or long over.
pub async fn look_into(env: &Env, settings: &Slack, reason: &'static str) -> Result<(), Error> {
    match probe(&Database::new(env)?, settings, Some(reason)).await {
        Err(Error::Slack(error)) if error.is_disconnected() => Ok(()),
        outcome => outcome,
    }
}

/// Notes what a failed call says of the token.
pub async fn notice(env: &Env, settings: &Slack, error: &SlackError) -> Result<(), Error> {
    if !error.is_disconnected() {
        return Ok(());
    }
    let database = Database::new(env)?;
    lose(&database, settings, (error.code(), false)).await
}

/// Since when and why the token does not work, for people; `None` if nothing is known against it.
pub async fn outage(env: &Env, settings: &Slack) -> Result<Option<(Millis, String)>, Error> {
    let lost = slack_tokens::lost(&Database::new(env)?, &settings.bot_token).await?;
    Ok(lost.map(|Lost { lost_at, reason }| (lost_at, advice(&reason))))
}

async fn probe(
    database: &Database,
    settings: &Slack,
    told: Option<&'static str>,
) -> Result<(), Error> {
    match settings.client().bot().await {
        Ok(_) => Ok(slack_tokens::find(database, &settings.bot_token).await?),
        Err(error) if error.is_disconnected() => {
            let reason = (told.unwrap_or(error.code()), told.is_some());
            lose(database, settings, reason).await?;
            Err(error.into())
        }
        Err(error) => Err(error.into()),
    }
}

async fn lose(database: &Database, settings: &Slack, reason: (&str, bool)) -> Result<(), Error> {
    worker::console_error!("Slack does not take the bot's token: {}", reason.0);
    let token = &settings.bot_token;
    Ok(slack_tokens::lose(database, token, reason, clock::now()).await?)
}

/// What happened, and what to do.
fn advice(reason: &str) -> String {
    let happened = match reason {
        "app_uninstalled" => "The app was removed from the workspace.",
        "account_inactive" => "The app's user in the workspace, or the workspace, is deactivated.",
        "tokens_revoked" | "token_revoked" => "The app's token was revoked.",
        "token_expired" => "The app's token has expired: its rotation has to be off.",
        _ => "Slack does not know SLACK_BOT_TOKEN.",
    };
    format!(
        "{happened} Install the app in the workspace again, and set SLACK_BOT_TOKEN to the bot token \
         that it gets. What is to be said in Slack waits until then."
    )
}

#[cfg(test)]
mod tests {
    use super::{advice, told};
    use crate::slack::event::Event;

    #[test]
    fn people_are_told_what_happened_and_what_to_do() {
        for reason in ["app_uninstalled", "tokens_revoked", "invalid_auth", "new"] {
            let said = advice(reason);
            assert!(
                said.contains("SLACK_BOT_TOKEN") && said.contains("again"),
                "{said}"
            );
        }
        assert!(advice("app_uninstalled").starts_with("The app was removed"));
        assert_eq!(told(&Event::TokensRevoked {}), Some("tokens_revoked"));
        assert_eq!(told(&Event::Other), None);
    }
}
