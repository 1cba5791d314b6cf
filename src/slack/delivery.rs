//! What Slack posted, brought from the queue to whoever acts on it: mostly the object of the channel
//! in which it happened. It can be repeated, since a channel takes each thing once.

use std::cell::RefCell;

use protocol::SessionId;
use protocol::event::Repository;
use worker::Env;

use super::channel::{self, Item};
use super::connection;
use super::event::{Bot, Callback, Envelope, Event, Heard, Message, is_timestamp};
use super::home::tab;
use super::interaction::{self, Action, Interaction, Pressed, Shortcut};
use crate::config::{self, slack::Slack};
use crate::error::Error;

/// Names under which deliveries are recorded.
pub const EVENT: &str = "slack.event";
pub const INTERACTION: &str = "slack.interaction";

/// The shortcut on messages.
pub const WORK_ON_THIS: &str = "work_on_this";

/// Whether a recorded delivery is Slack's.
pub fn is_ours(name: &str) -> bool {
    name == EVENT || name == INTERACTION
}

/// Acts on one delivery.
pub async fn see_to(env: &Env, name: &str, id: &str, body: &str) -> Result<(), Error> {
    let settings = Slack::from_env(env)?.ok_or(Error::NotFound("Slack"))?;
    let callback = match serde_json::from_str(body) {
        Ok(Envelope::EventCallback(callback)) if name == EVENT => Some(callback),
        _ => None,
    };
    let told = callback
        .as_ref()
        .and_then(|callback: &Callback| connection::told(&callback.event()));
    if let Some(reason) = told {
        return connection::look_into(env, &settings, reason).await;
    }
    // While we cannot answer, what came waits: it is tried again.
    connection::check(env, &settings).await?;
    let outcome = act(env, &settings, (name, id, body), callback).await;
    if let Err(Error::Slack(error)) = &outcome {
        connection::notice(env, &settings, error).await?;
    }
    outcome
}

async fn act(
    env: &Env,
    settings: &Slack,
    (name, id, body): (&str, &str, &str),
    callback: Option<Callback>,
) -> Result<(), Error> {
    let bot = bot(settings).await?;
    match name {
        EVENT => match callback {
            Some(callback) => happened(env, settings, &bot, callback).await,
            None => Ok(()),
        },
        INTERACTION => match interaction::parse(body.as_bytes()) {
            Some(Interaction::BlockActions(pressed)) if pressed.is_at_home() => {
                set_at_home(env, settings, &bot, &pressed).await
            }
            Some(Interaction::BlockActions(pressed)) => pressed_in(env, &bot, id, &pressed).await,
            Some(Interaction::MessageAction(shortcut)) => asked_for(env, &bot, *shortcut).await,
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

async fn happened(env: &Env, settings: &Slack, bot: &Bot, callback: Callback) -> Result<(), Error> {
    if !bot.listens_to(&callback.team_id) {
        worker::console_warn!("passed over: an event of another workspace");
        return Ok(());
    }
    match callback.event() {
        Event::AppMention(message) => wrote(env, bot, message, true).await,
        Event::Message(message) if message.subtype.as_deref().is_some_and(is_revision) => {
            revised(env, bot, &callback.event_id, message).await
        }
        Event::Message(message) => wrote(env, bot, message, false).await,
        Event::ReactionAdded(reaction) => {
            let name = reaction.reaction.split("::").next().unwrap_or_default();
            let emoji = &settings.emoji;
            let is_meant = name == emoji.stop || name == emoji.insert;
            if !is_meant || reaction.user == bot.user || !is_channel(&reaction.item.channel) {
                return Ok(());
            }
            let item = Item::Reacted {
                user: reaction.user,
                ts: reaction.item.ts,
                name: name.to_owned(),
            };
            channel::take(env, bot, &reaction.item.channel, &callback.event_id, item).await
        }
        Event::AppHomeOpened { user } => tab::show(env, settings, bot, &user, "").await,
        Event::LinkShared(shared) => {
            let url = config::public_url(env)?;
            let sessions: Vec<(String, SessionId)> = shared
                .links
                .into_iter()
                .filter_map(|link| {
                    let path = link.url.strip_prefix(&url)?.strip_prefix("/sessions/")?;
                    let name = path.split(['?', '#', '/']).next()?;
                    let session = SessionId::parse(name).ok()?;
                    Some((link.url, session))
                })
                .collect();
            if sessions.is_empty() || !is_channel(&shared.channel) {
                return Ok(());
            }
            let item = Item::Linked {
                user: shared.user,
                ts: shared.message_ts,
                sessions,
            };
            channel::take(env, bot, &shared.channel, &callback.event_id, item).await
        }
        Event::AgentSessionStopped(stopped) => {
            let root = stopped.thread_ts.filter(|root| is_timestamp(root));
            let (Some(root), true) = (root, is_channel(&stopped.channel)) else {
                return Ok(());
            };
            let user = stopped.user;
            let item = Item::Stopped { root, user };
            channel::take(env, bot, &stopped.channel, &callback.event_id, item).await
        }
        Event::AppUninstalled {} | Event::TokensRevoked {} | Event::Other => Ok(()),
    }
}

/// Shows whoever spoke to us that it was seen, without waiting for anything else.
pub async fn show_seen(env: &Env, settings: &Slack, callback: &Callback) {
    let (message, is_mention) = match callback.event() {
        Event::AppMention(message) => (message, true),
        Event::Message(message) => (message, false),
        _ => return,
    };
    // While Slack does not take our token, it is left alone.
    if !matches!(connection::outage(env, settings).await, Ok(None)) {
        return;
    }
    let Ok(bot) = bot(settings).await else {
        return;
    };
    let place = message.channel.clone();
    let heard = message.heard(&bot, is_mention);
    let Some(heard) = heard.filter(|heard| heard.is_addressed && callback.team_id == bot.team)
    else {
        return;
    };
    let slack = settings.client();
    let shown = slack.react(&place, &heard.ts, &settings.emoji.seen);
    if let Err(error) = shown.await {
        worker::console_warn!("that it was seen is shown later: {error}");
    }
}

async fn wrote(env: &Env, bot: &Bot, message: Message, is_mention: bool) -> Result<(), Error> {
    let place = message.channel.clone();
    let Some(heard) = message.heard(bot, is_mention) else {
        return Ok(());
    };
    // Most of what is written in a channel is nothing of ours, and wakes nobody.
    let may_be_ours = heard.is_addressed || heard.root != heard.ts;
    if !may_be_ours || !is_channel(&place) {
        return Ok(());
    }
    // A mention comes twice, as two events: it is one message.
    let id = heard.ts.clone();
    channel::take(env, bot, &place, &id, Item::Heard(heard)).await
}

fn is_revision(subtype: &str) -> bool {
    matches!(subtype, "message_changed" | "message_deleted")
}

async fn revised(env: &Env, bot: &Bot, event: &str, message: Message) -> Result<(), Error> {
    let place = message.channel.clone();
    let Some(revised) = message.revised(bot) else {
        return Ok(());
    };
    let may_be_ours = revised.heard.is_addressed || revised.heard.root != revised.heard.ts;
    if !may_be_ours || !is_channel(&place) {
        return Ok(());
    }
    let id = format!("revised:{event}");
    channel::take(env, bot, &place, &id, Item::Revised(revised)).await
}

async fn pressed_in(env: &Env, bot: &Bot, id: &str, pressed: &Pressed) -> Result<(), Error> {
    let is_here = pressed
        .team
        .as_ref()
        .is_some_and(|team| bot.listens_to(&team.id));
    let Some(place) = pressed
        .channel
        .as_ref()
        .filter(|place| is_here && is_channel(&place.id))
    else {
        return Ok(());
    };
    let container = &pressed.container;
    let root = container
        .thread_ts
        .as_ref()
        .or(container.message_ts.as_ref());
    let Some(root) = root.filter(|root| is_timestamp(root)) else {
        return Ok(());
    };
    for (at, action) in pressed.actions.iter().enumerate() {
        if let Some(item) = meant(action, root, &pressed.user.id) {
            channel::take(env, bot, &place.id, &format!("{id}:{at}"), item).await?;
        }
    }
    Ok(())
}

/// What a pressed button asks for.
fn meant(action: &Action, root: &str, user: &str) -> Option<Item> {
    let (root, user) = (root.to_owned(), user.to_owned());
    match action.action_id.as_str() {
        "stop" => Some(Item::Stopped { root, user }),
        "correct" => Some(Item::Doubted { root, user }),
        "always" => Some(Item::Associated {
            root,
            user,
            repository: Repository::parse(action.value.as_deref()?).ok()?,
        }),
        "undo" => Some(Item::Dissociated {
            root,
            user,
            repository: Repository::parse(action.value.as_deref()?).ok()?,
        }),
        name if name == "choose_any" || name.starts_with("choose:") => {
            let repository = Repository::parse(action.chosen()?).ok()?;
            Some(Item::Chose {
                root,
                user,
                repository,
            })
        }
        _ => None,
    }
}

/// "Work on this": whoever asked for it asks for what the message says.
async fn asked_for(env: &Env, bot: &Bot, shortcut: Shortcut) -> Result<(), Error> {
    let is_here = shortcut
        .team
        .as_ref()
        .is_some_and(|team| bot.listens_to(&team.id));
    let (message, place) = (shortcut.message, shortcut.channel.id);
    let is_whole = is_timestamp(&message.ts) && is_channel(&place);
    if !is_here || !is_whole || shortcut.callback_id != WORK_ON_THIS {
        return Ok(());
    }
    let id = format!("shortcut:{}", message.ts);
    let root = message.thread_ts.filter(|root| is_timestamp(root));
    let heard = Heard {
        root: root.unwrap_or_else(|| message.ts.clone()),
        ts: message.ts,
        user: shortcut.user.id,
        text: message.text.unwrap_or_default(),
        files: message.files,
        is_addressed: true,
    };
    channel::take(env, bot, &place, &id, Item::Heard(heard)).await
}

/// Something was chosen in the app's home.
async fn set_at_home(
    env: &Env,
    settings: &Slack,
    bot: &Bot,
    pressed: &Pressed,
) -> Result<(), Error> {
    let is_here = pressed
        .team
        .as_ref()
        .is_some_and(|team| team.id == bot.team);
    for action in pressed.actions.iter().filter(|_| is_here) {
        tab::set(env, settings, bot, &pressed.user.id, action).await?;
    }
    Ok(())
}

thread_local! {
    /// It changes about never, and every event asks for it.
    static KNOWN: RefCell<Option<(String, Bot)>> = const { RefCell::new(None) };
}

/// Who we are in the workspace that the token is for.
pub async fn bot(settings: &Slack) -> Result<Bot, Error> {
    let place = format!("{} {}", settings.api_url, settings.bot_token);
    let known = KNOWN.with_borrow(|known| {
        let known = known.as_ref().filter(|(at, _)| *at == place);
        known.map(|(_, bot)| bot.clone())
    });
    if let Some(bot) = known {
        return Ok(bot);
    }
    let mut bot = settings.client().bot().await?;
    bot.workspaces.clone_from(&settings.workspaces);
    KNOWN.set(Some((place, bot.clone())));
    Ok(bot)
}

/// Whether it has the form of a channel's identifier: it becomes a part of names and addresses.
pub fn is_channel(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn buttons_mean_what_they_say() {
        let action = |name: &str, value: &str| -> Action {
            serde_json::from_value(json!({ "action_id": name, "value": value })).unwrap()
        };
        let chosen = meant(&action("choose:3", "acme/api"), "1.2", "U1").unwrap();
        assert!(matches!(chosen, Item::Chose { repository, .. } if repository.name() == "api"));
        assert!(matches!(
            meant(&action("stop", "ses_1"), "1.2", "U1"),
            Some(Item::Stopped { .. })
        ));
        assert!(matches!(
            meant(&action("always", "acme/api"), "1.2", "U1"),
            Some(Item::Associated { .. })
        ));
        assert!(matches!(
            meant(&action("undo", "acme/api"), "1.2", "U1"),
            Some(Item::Dissociated { .. })
        ));
        for name in ["choose_any", "always", "undo"] {
            assert_eq!(meant(&action(name, "../api"), "1.2", "U1"), None);
        }
        assert_eq!(meant(&action("open", ""), "1.2", "U1"), None);
    }

    #[test]
    fn only_identifiers_are_channels() {
        assert!(is_channel("C0123ABC"));
        for other in ["", "C1/../x", "C1?x=1", "é"] {
            assert!(!is_channel(other), "{other}");
        }
    }
}
