//! Who and what is in the workspace at first.

use serde_json::{Value, json};

use super::PEOPLE;

pub(super) const BOT_TOKEN: &str = "xoxb-hosted-agents";
/// Of the same app, once it was installed again.
pub const RENEWED_TOKEN: &str = "xoxb-installed-again";
/// Of the app as well, for what people do before it works.
pub(super) const SETUP_TOKEN: &str = "xoxb-invited";
const BOT_NAME: &str = "agent";

pub(super) fn person_token(name: &str) -> String {
    format!("xoxp-{name}")
}

pub(super) fn seed_of(channels: &[&str], scopes: &[&str]) -> Value {
    let users: Vec<Value> = PEOPLE
        .iter()
        .map(|name| json!({ "name": name, "email": format!("{name}@example.com") }))
        .collect();
    let everything =
        "chat:write channels:read channels:history channels:join users:read im:history";
    let tokens = PEOPLE
        .iter()
        .map(|name| json!({ "token": person_token(name), "user": name, "scopes": everything }));
    let bot = json!({
        "token": BOT_TOKEN, "user": "UAGENT", "type": "bot", "scopes": scopes.join(" "),
        "app_id": "A1", "bot_id": "BAGENT", "bot_user_id": "UAGENT",
    });
    let mut renewed = bot.clone();
    renewed["token"] = RENEWED_TOKEN.into();
    let setup = json!({
        "token": SETUP_TOKEN, "user": "UAGENT", "type": "bot", "scopes": "channels:join im:write",
        "app_id": "A1", "bot_id": "BAGENT", "bot_user_id": "UAGENT",
    });
    json!({ "slack": {
        "team": { "name": "Acme", "domain": "acme" },
        "users": users,
        "oauth_apps": [{
            "client_id": "1.1", "client_secret": "unused", "app_id": "A1", "name": "Agent",
            "redirect_uris": ["http://127.0.0.1/unused"], "scopes": scopes,
            "bot_id": "BAGENT", "bot_user_id": "UAGENT", "bot_name": BOT_NAME,
        }],
        "channels": channels.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>(),
        "tokens": tokens.chain([bot, renewed, setup]).collect::<Vec<_>>(),
        "strict_scopes": true,
    }})
}
