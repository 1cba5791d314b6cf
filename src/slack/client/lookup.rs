//! What Slack knows: who we are, who others are, what was said.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Slack, SlackError};
use crate::slack::event::{Bot, Message};

impl Slack {
    /// Who we are.
    pub async fn bot(&self) -> Result<Bot, SlackError> {
        #[derive(Deserialize)]
        struct Answer {
            team_id: String,
            user_id: String,
            bot_id: Option<String>,
        }
        let answer: Answer = self.call("auth.test", &json!({})).await?;
        Ok(Bot {
            team: answer.team_id,
            user: answer.user_id,
            bot_id: answer.bot_id,
            workspaces: Vec::new(),
        })
    }

    /// The name of a channel, without its sign; direct messages have none.
    pub async fn channel_name(&self, channel: &str) -> Result<String, SlackError> {
        #[derive(Deserialize)]
        struct Answer {
            channel: Channel,
        }
        #[derive(Deserialize)]
        struct Channel {
            #[serde(default)]
            name: String,
        }
        let answer: Answer = self
            .ask("conversations.info", &[("channel", channel)])
            .await?;
        Ok(answer.channel.name)
    }

    /// The newest messages of a thread after `oldest`, at most 100, oldest first.
    pub async fn replies(
        &self,
        channel: &str,
        root: &str,
        oldest: &str,
    ) -> Result<Vec<Message>, SlackError> {
        #[derive(Deserialize)]
        struct Answer {
            messages: Vec<Value>,
        }
        let oldest = if oldest.is_empty() { "0" } else { oldest };
        let fields = [
            ("channel", channel),
            ("ts", root),
            ("oldest", oldest),
            ("limit", "100"),
            ("include_all_metadata", "true"),
        ];
        let answer: Answer = self.ask("conversations.replies", &fields).await?;
        // One that is of another form is in the way of no other.
        let messages = answer.messages.into_iter();
        Ok(messages
            .filter_map(|message| serde_json::from_value(message).ok())
            .collect())
    }

    /// The time stamp of what was said under `key`, if it was.
    pub async fn said(
        &self,
        channel: &str,
        root: &str,
        key: &str,
    ) -> Result<Option<String>, SlackError> {
        let replies = self.replies(channel, root, "").await?;
        let is_it = |message: &Message| {
            let found = message
                .metadata
                .as_ref()
                .and_then(|known| known.pointer("/event_payload/key"));
            found.and_then(Value::as_str) == Some(key)
        };
        Ok(replies.into_iter().find(is_it).map(|message| message.ts))
    }

    /// Who a person is in Slack.
    pub async fn profile(&self, user: &str) -> Result<Profile, SlackError> {
        #[derive(Deserialize)]
        struct Answer {
            user: User,
        }
        #[derive(Deserialize)]
        struct User {
            #[serde(default)]
            name: String,
            #[serde(default)]
            team_id: Option<String>,
            #[serde(default)]
            real_name: Option<String>,
            #[serde(default)]
            profile: Inner,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Inner {
            display_name: Option<String>,
            real_name: Option<String>,
            email: Option<String>,
        }
        let answer: Answer = self.ask("users.info", &[("user", user)]).await?;
        let user = answer.user;
        let names = [
            user.profile.display_name,
            user.profile.real_name,
            user.real_name,
        ];
        let name = names.into_iter().flatten().find(|name| !name.is_empty());
        Ok(Profile {
            name: name.unwrap_or_else(|| user.name.clone()),
            team: user.team_id,
            email: user.profile.email.filter(|email| !email.is_empty()),
        })
    }
}

/// A person as a workspace knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    pub name: String,
    /// The workspace that they are of.
    pub team: Option<String>,
    /// Only with the scope `users:read.email`.
    pub email: Option<String>,
}
