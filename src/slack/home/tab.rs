//! The app's home as somebody opens it, and what they choose there.

use protocol::UserId;
use protocol::branch::is_branch_name;
use protocol::event::Person;
use worker::Env;

use super::{Choices, home, welcome};
use crate::config::{self, slack::Slack};
use crate::database::preferences::{self, Preference};
use crate::database::session_list::{self, Filter};
use crate::database::{self, Database};
use crate::error::Error;
use crate::platform::clock;
use crate::slack::event::Bot;
use crate::slack::interaction::Action;
use crate::slack::invitation::{self, Guest};
use crate::slack::wishes::key;

/// Identifiers of what can be chosen.
pub const MODEL: &str = "default_model";
pub const BRANCH: &str = "default_branch";

/// The value of the deployment's own model.
pub const NO_MODEL: &str = "none";

/// Publishes somebody's home; `notice` is what there is to say of what they just did.
pub async fn show(
    env: &Env,
    settings: &Slack,
    bot: &Bot,
    user: &str,
    notice: &str,
) -> Result<(), Error> {
    let database = Database::new(env)?;
    let slack = settings.client();
    let said = match person(env, &database, bot, user).await? {
        Some(person) => {
            let mine = Filter {
                only_mine: true,
                ..Filter::default()
            };
            let now = clock::now();
            let sessions = session_list::list(&database, person.id, &mine, now).await?;
            let choices = Choices {
                models: config::models(env)?,
                preferences: preferences::of(&database, person.id).await?,
                notice,
            };
            home(&person, &choices, &sessions, &config::public_url(env)?)
        }
        None => {
            let profile = slack.profile(user).await.ok();
            let guest = Guest {
                team: &bot.team,
                user,
                profile: profile.as_ref(),
            };
            welcome(invitation::invite(env, &guest).await?)
        }
    };
    Ok(slack.publish_home(user, &said.blocks).await?)
}

/// Takes what somebody chose, and shows them what came of it.
pub async fn set(
    env: &Env,
    settings: &Slack,
    bot: &Bot,
    user: &str,
    action: &Action,
) -> Result<(), Error> {
    let database = Database::new(env)?;
    let Some(person) = person(env, &database, bot, user).await? else {
        return show(env, settings, bot, user, "").await;
    };
    let chosen = action.chosen().unwrap_or_default().trim();
    let notice = match action.action_id.as_str() {
        MODEL => set_model(env, &database, person.id, chosen).await?,
        BRANCH => set_branch(&database, person.id, chosen).await?,
        _ => return Ok(()),
    };
    show(env, settings, bot, user, &notice).await
}

async fn set_model(
    env: &Env,
    database: &Database,
    user: UserId,
    chosen: &str,
) -> Result<String, Error> {
    let models = config::models(env)?;
    let known = models.iter().find(|choice| key(&choice.model) == chosen);
    if known.is_none() && chosen != NO_MODEL {
        return Ok("There is no such model here any more.".to_owned());
    }
    let model = Preference::Model(known.map(|_| chosen));
    preferences::set(database, user, model).await?;
    Ok("Your next sessions start with it.".to_owned())
}

async fn set_branch(database: &Database, user: UserId, chosen: &str) -> Result<String, Error> {
    if !chosen.is_empty() && !is_branch_name(chosen) {
        return Ok("That is no name of a branch, and nothing was changed.".to_owned());
    }
    let branch = Some(chosen).filter(|branch| !branch.is_empty());
    preferences::set(database, user, Preference::Branch(branch)).await?;
    Ok(match branch {
        Some(_) => "Your next sessions start on it, in repositories that have it.".to_owned(),
        None => "Your next sessions start on each repository's own branch.".to_owned(),
    })
}

/// Who somebody is, if they may be here.
async fn person(
    env: &Env,
    database: &Database,
    bot: &Bot,
    user: &str,
) -> Result<Option<Person>, Error> {
    let person = database::slack::person(database, &bot.team, user).await?;
    let people = config::allowed_users(env);
    Ok(person.filter(|person| people.as_ref().is_none_or(|people| people.contains(person))))
}
