//! What Slack tells us, as far as we act on it. Everything else is passed over: Slack adds fields
//! and kinds of events at will, and what is of another form than we expect is no event of ours.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The body of a post to `/slack/events`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Envelope {
    UrlVerification {
        challenge: String,
    },
    EventCallback(Callback),
    /// We asked for more than Slack delivers; there is nothing in it to act on.
    AppRateLimited {},
    #[serde(other)]
    Other,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Callback {
    pub team_id: String,
    /// The same in every try of one delivery.
    pub event_id: String,
    event: Value,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    AppMention(Message),
    Message(Message),
    ReactionAdded(Reaction),
    AppHomeOpened {
        user: String,
    },
    LinkShared(Shared),
    /// Somebody pressed the button that Slack shows while a session works.
    AgentSessionStopped(StoppedSession),
    /// The app was removed from a workspace.
    AppUninstalled {},
    /// Tokens of the app's, or of people's for it, work no more.
    TokensRevoked {},
    #[serde(other)]
    Other,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Message {
    pub channel: String,
    pub ts: String,
    pub thread_ts: Option<String>,
    pub user: Option<String>,
    pub text: Option<String>,
    pub subtype: Option<String>,
    pub bot_id: Option<String>,
    pub channel_type: Option<String>,
    pub files: Vec<File>,
    /// Of whoever wrote it.
    pub team: Option<String>,
    pub user_team: Option<String>,
    pub metadata: Option<Value>,
    /// Somebody edited it.
    pub edited: Option<Value>,
    /// Of what tells that a message was changed: the message now, and before.
    pub message: Option<Box<Message>>,
    pub previous_message: Option<Box<Message>>,
    pub deleted_ts: Option<String>,
}

/// A file of a message; its bytes need the bot's token.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct File {
    pub id: String,
    pub name: Option<String>,
    pub mimetype: Option<String>,
    pub size: u64,
    pub url_private_download: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Reaction {
    pub user: String,
    pub reaction: String,
    pub item: Item,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Item {
    pub channel: String,
    pub ts: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct StoppedSession {
    pub channel: String,
    #[serde(default)]
    pub thread_ts: Option<String>,
    pub user: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Shared {
    pub user: String,
    pub channel: String,
    pub message_ts: String,
    #[serde(default)]
    pub links: Vec<Link>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Link {
    pub url: String,
}

impl Callback {
    pub fn event(&self) -> Event {
        serde_json::from_value(self.event.clone()).unwrap_or(Event::Other)
    }
}

impl Event {
    /// Whether a bot said or changed it, as we do all the time: nothing follows from that.
    pub fn is_of_a_bot(&self) -> bool {
        let (Self::AppMention(message) | Self::Message(message)) = self else {
            return false;
        };
        let inner = [&message.message, &message.previous_message];
        let mut inner = inner.into_iter().flatten();
        message.bot_id.is_some() || inner.any(|message| message.bot_id.is_some())
    }
}

/// Who we are in a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bot {
    pub team: String,
    pub user: String,
    #[serde(default)]
    pub bot_id: Option<String>,
    /// Others whose people are listened to, in channels that are shared with them.
    #[serde(default)]
    pub workspaces: Vec<String>,
}

impl Bot {
    /// Whether people of a workspace are listened to.
    pub fn listens_to(&self, team: &str) -> bool {
        team == self.team || self.workspaces.iter().any(|other| other == team)
    }
}

/// What somebody wrote where we listen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    pub ts: String,
    /// The first message of its thread: itself, if it begins one.
    pub root: String,
    pub user: String,
    pub text: String,
    #[serde(default)]
    pub files: Vec<File>,
    /// It speaks to us; in a thread of ours nobody has to.
    pub is_addressed: bool,
}

/// A message that somebody edited or deleted after they had said it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Revised {
    /// As it is now; if it was deleted, as it was.
    pub heard: Heard,
    /// When: of two revisions of a message the later counts.
    pub at: String,
    pub is_deleted: bool,
}

impl Message {
    /// The message as something to act on. Nothing of what we or another bot said is, nor what only
    /// tells that a message was changed, nor what comes from a workspace that is not listened to.
    pub fn heard(self, bot: &Bot, is_mention: bool) -> Option<Heard> {
        let user = self.user?;
        let is_bot = self.bot_id.is_some() || user == bot.user;
        let is_said = matches!(
            self.subtype.as_deref(),
            None | Some("file_share" | "thread_broadcast")
        );
        let is_ours = |team: &String| bot.listens_to(team);
        let is_listened_to = self.user_team.iter().chain(&self.team).all(is_ours);
        if is_bot || !is_said || !is_listened_to || !is_timestamp(&self.ts) {
            return None;
        }
        let text = self.text.unwrap_or_default();
        let is_addressed = is_mention
            || self.channel_type.as_deref() == Some("im")
            || text.contains(&format!("<@{}>", bot.user));
        let root = self.thread_ts.filter(|root| is_timestamp(root));
        Some(Heard {
            root: root.unwrap_or_else(|| self.ts.clone()),
            ts: self.ts,
            user,
            text,
            files: self.files,
            is_addressed,
        })
    }
}

impl Message {
    /// What tells that a message was edited or deleted, as something to act on. Slack changes messages
    /// itself, to show what links lead to: what they say stays the same then.
    pub fn revised(self, bot: &Bot) -> Option<Revised> {
        let before = self.previous_message.map(|message| *message);
        let after = match self.subtype.as_deref() {
            Some("message_changed") => Some(*self.message?),
            Some("message_deleted") => None,
            _ => return None,
        };
        // What is deleted and has replies stays as an empty message.
        let after = after.filter(|after| after.subtype.as_deref() != Some("tombstone"));
        let is_same = match (&after, &before) {
            (Some(after), Some(before)) => after.text == before.text,
            (Some(after), None) => after.edited.is_none(),
            (None, _) => false,
        };
        if is_same || !is_timestamp(&self.ts) {
            return None;
        }
        let is_deleted = after.is_none();
        let call = format!("<@{}>", bot.user);
        let said_before = before.as_ref().and_then(|before| before.text.as_ref());
        let was_addressed = said_before.is_some_and(|text| text.contains(&call));
        let mut message = after.or(before)?;
        message.channel_type = self.channel_type;
        let mut heard = message.heard(bot, false)?;
        heard.is_addressed |= was_addressed;
        Some(Revised {
            heard,
            at: self.ts,
            is_deleted,
        })
    }
}

/// Whether it has the form of a message's identifier: seconds, a point, six digits.
pub fn is_timestamp(text: &str) -> bool {
    let is_number = |part: &str| {
        (1..=16).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    text.split_once('.')
        .is_some_and(|(seconds, rest)| is_number(seconds) && is_number(rest))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    fn bot() -> Bot {
        Bot {
            team: "T1".to_owned(),
            user: "UBOT".to_owned(),
            bot_id: Some("B1".to_owned()),
            workspaces: vec!["T_ALLOWED".to_owned()],
        }
    }

    fn heard(event: Value) -> Option<Heard> {
        let envelope = json!({
            "type": "event_callback", "team_id": "T1", "event_id": "Ev1", "event": event,
        });
        let Envelope::EventCallback(callback) = serde_json::from_value(envelope).unwrap() else {
            return None;
        };
        match callback.event() {
            Event::AppMention(message) => message.heard(&bot(), true),
            Event::Message(message) => message.heard(&bot(), false),
            _ => None,
        }
    }

    #[test]
    fn a_mention_a_direct_message_and_a_reply_are_heard() {
        let mention = heard(json!({
            "type": "app_mention", "channel": "C1", "ts": "1.000001", "user": "U1",
            "text": "<@UBOT> fix it", "unknown": [1],
        }))
        .unwrap();
        assert_eq!(
            (mention.root.as_str(), mention.is_addressed),
            ("1.000001", true)
        );
        let direct = json!({
            "type": "message", "channel": "D1", "channel_type": "im", "ts": "2.000001",
            "user": "U1", "text": "fix it",
        });
        assert!(heard(direct).unwrap().is_addressed);
        let reply = heard(json!({
            "type": "message", "channel": "C1", "ts": "3.000001", "thread_ts": "1.000001",
            "user": "U1", "text": "and the tests", "subtype": "thread_broadcast",
        }))
        .unwrap();
        assert_eq!(
            (reply.root.as_str(), reply.is_addressed),
            ("1.000001", false)
        );
    }

    #[test]
    fn bots_edits_and_strangers_are_not_heard() {
        let base = json!({
            "type": "message", "channel": "C1", "ts": "1.000001", "user": "U1", "text": "<@UBOT> x",
        });
        assert!(heard(base.clone()).is_some());
        let mut allowed = base.clone();
        allowed["user_team"] = json!("T_ALLOWED");
        assert!(heard(allowed).is_some());
        for (name, value) in [
            ("user", json!("UBOT")),
            ("user", json!(null)),
            ("bot_id", json!("B7")),
            ("subtype", json!("bot_message")),
            ("subtype", json!("message_changed")),
            ("subtype", json!("channel_join")),
            ("user_team", json!("T2")),
            ("team", json!("T2")),
            ("ts", json!("../1")),
            ("ts", json!(7)),
        ] {
            let mut event = base.clone();
            event[name] = value.clone();
            assert_eq!(heard(event), None, "{name}: {value}");
        }
    }

    #[test]
    fn an_edit_and_a_deletion_are_told_from_what_slack_changes_itself() {
        let said = json!({
            "type": "message", "user": "U1", "text": "<@UBOT> fix it", "ts": "1.000001",
        });
        let revised = |changes: Value| {
            let mut event = json!({
                "type": "message", "subtype": "message_changed", "hidden": true, "channel": "C1",
                "ts": "9.000001", "message": said, "previous_message": said,
            });
            for (name, value) in changes.as_object().unwrap() {
                event[name] = value.clone();
            }
            serde_json::from_value::<Message>(event)
                .unwrap()
                .revised(&bot())
        };
        // A link is shown.
        assert_eq!(revised(json!({})), None);
        let mut edited = said.clone();
        edited["text"] = json!("no, leave it");
        let edit = revised(json!({ "message": edited })).unwrap();
        assert_eq!(
            (edit.heard.text.as_str(), edit.is_deleted),
            ("no, leave it", false)
        );
        assert!(edit.heard.is_addressed, "it was");
        assert_eq!(edit.at, "9.000001");
        edited["edited"] = json!({ "user": "U1", "ts": "9.000001" });
        let alone = json!({ "message": edited, "previous_message": null });
        assert_eq!(revised(alone).map(|found| found.is_deleted), Some(false));
        let alone = json!({ "message": said, "previous_message": null });
        assert_eq!(revised(alone), None);
        let tombstone = json!({ "message": {
            "subtype": "tombstone", "user": "USLACKBOT", "text": "This message was deleted.",
            "ts": "1.000001", "thread_ts": "1.000001",
        }});
        let deletion = json!({
            "subtype": "message_deleted", "message": null, "deleted_ts": "1.000001",
        });
        for gone in [tombstone, deletion] {
            let gone = revised(gone).unwrap();
            assert!(gone.is_deleted);
            assert_eq!(
                (gone.heard.ts.as_str(), gone.heard.user.as_str()),
                ("1.000001", "U1")
            );
        }
        // Of a bot's, and of what is said in other ways, nothing follows.
        edited["bot_id"] = json!("B1");
        assert_eq!(revised(json!({ "message": edited })), None);
        assert_eq!(revised(json!({ "subtype": "channel_topic" })), None);
    }

    #[test]
    fn what_a_bot_says_and_edits_is_known_before_anything_is_done() {
        let of = |event: Value| {
            let event: Event = serde_json::from_value(event).unwrap();
            event.is_of_a_bot()
        };
        let (person, bot) = (
            json!({ "user": "U1" }),
            json!({ "user": "UBOT", "bot_id": "B1" }),
        );
        let edited = |now: &Value, before: &Value| {
            json!({
                "type": "message", "subtype": "message_changed", "message": now,
                "previous_message": before,
            })
        };
        assert!(of(json!({ "type": "message", "bot_id": "B1" })));
        assert!(of(edited(&bot, &bot)) && of(edited(&person, &bot)));
        assert!(!of(edited(&person, &person)));
        assert!(!of(json!({ "type": "app_mention", "user": "U1" })));
        assert!(!of(json!({ "type": "app_uninstalled" })));
    }

    #[test]
    fn what_is_not_known_is_passed_over() {
        let other: Envelope = serde_json::from_value(json!({ "type": "new_thing" })).unwrap();
        assert_eq!(other, Envelope::Other);
        let limited =
            json!({ "type": "app_rate_limited", "team_id": "T1", "minute_rate_limited": 1 });
        let limited: Envelope = serde_json::from_value(limited).unwrap();
        assert_eq!(limited, Envelope::AppRateLimited {});
        assert_eq!(heard(json!({ "type": "pin_added" })), None);
        assert_eq!(heard(json!("hello")), None);
    }
}
