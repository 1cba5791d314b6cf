//! What is said and shown: messages, edits, whispers, reactions, cards and the app's home.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Place, Slack, SlackError};
use crate::slack::blocks::Said;

/// What marks our messages, so that one whose answer was lost is found again.
const EVENT_TYPE: &str = "hosted_agents";

impl Slack {
    /// Says something new; answers its time stamp. `key` is found again by [`said`](Self::said). What
    /// is said in a thread can be shown to its whole channel.
    pub async fn post(
        &self,
        place: &Place<'_>,
        key: &str,
        said: &Said,
        is_shown: bool,
    ) -> Result<String, SlackError> {
        #[derive(Deserialize)]
        struct Answer {
            ts: String,
        }
        let body = posted(place, key, said, is_shown);
        let answer: Answer = self.call("chat.postMessage", &body).await?;
        Ok(answer.ts)
    }

    pub async fn update(
        &self,
        channel: &str,
        ts: &str,
        key: &str,
        said: &Said,
    ) -> Result<(), SlackError> {
        let body = updated(channel, ts, key, said);
        self.call::<Value>("chat.update", &body).await.map(drop)
    }

    /// Says something that only one person sees, and that nobody finds again.
    pub async fn whisper(
        &self,
        place: &Place<'_>,
        user: &str,
        said: &Said,
    ) -> Result<(), SlackError> {
        let body = whispered(place, user, said);
        self.call::<Value>("chat.postEphemeral", &body)
            .await
            .map(drop)
    }

    pub async fn react(&self, channel: &str, ts: &str, name: &str) -> Result<(), SlackError> {
        let body = json!({ "channel": channel, "timestamp": ts, "name": name });
        match self.call::<Value>("reactions.add", &body).await {
            Err(error) if error.code() == "already_reacted" => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    pub async fn unfurl(&self, channel: &str, ts: &str, unfurls: &Value) -> Result<(), SlackError> {
        let body = json!({ "channel": channel, "ts": ts, "unfurls": unfurls });
        self.call::<Value>("chat.unfurl", &body).await.map(drop)
    }

    pub async fn publish_home(&self, user: &str, blocks: &[Value]) -> Result<(), SlackError> {
        let view = json!({ "type": "home", "blocks": blocks });
        let body = json!({ "user_id": user, "view": view });
        self.call::<Value>("views.publish", &body).await.map(drop)
    }
}

fn posted(place: &Place<'_>, key: &str, said: &Said, is_shown: bool) -> Value {
    let mut body = with_said(
        json!({ "channel": place.channel, "metadata": metadata(key) }),
        said,
    );
    if let (Some(root), Some(fields)) = (place.root, body.as_object_mut()) {
        fields.insert("thread_ts".to_owned(), root.into());
        if is_shown {
            fields.insert("reply_broadcast".to_owned(), true.into());
        }
    }
    body
}

fn updated(channel: &str, ts: &str, key: &str, said: &Said) -> Value {
    with_said(
        json!({ "channel": channel, "ts": ts, "metadata": metadata(key) }),
        said,
    )
}

fn whispered(place: &Place<'_>, user: &str, said: &Said) -> Value {
    let mut body = with_said(json!({ "channel": place.channel, "user": user }), said);
    if let (Some(root), Some(fields)) = (place.root, body.as_object_mut()) {
        fields.insert("thread_ts".to_owned(), root.into());
    }
    body
}

fn metadata(key: &str) -> Value {
    json!({ "event_type": EVENT_TYPE, "event_payload": { "key": key } })
}

fn with_said(mut body: Value, said: &Said) -> Value {
    if let Some(fields) = body.as_object_mut() {
        fields.insert("text".to_owned(), said.text.clone().into());
        fields.insert("blocks".to_owned(), Value::Array(said.blocks.clone()));
        if !fields.contains_key("ts") && !fields.contains_key("user") {
            fields.insert("unfurl_links".to_owned(), false.into());
            fields.insert("unfurl_media".to_owned(), false.into());
        }
    }
    body
}
