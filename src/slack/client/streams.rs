//! Messages that grow, and whether a thread's session works.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Place, Slack, SlackError};

impl Slack {
    /// Begins a message that grows; answers its time stamp. `recipient` is a workspace and somebody in
    /// it whose question is answered.
    pub async fn start_stream(
        &self,
        place: &Place<'_>,
        recipient: (&str, &str),
        chunks: &[Value],
    ) -> Result<String, SlackError> {
        #[derive(Deserialize)]
        struct Answer {
            ts: String,
        }
        let body = stream(place, recipient, chunks);
        let answer: Answer = self.call("chat.startStream", &body).await?;
        Ok(answer.ts)
    }

    pub async fn append_stream(
        &self,
        channel: &str,
        ts: &str,
        chunks: &[Value],
    ) -> Result<(), SlackError> {
        let body = json!({ "channel": channel, "ts": ts, "chunks": chunks });
        self.call::<Value>("chat.appendStream", &body)
            .await
            .map(drop)
    }

    pub async fn stop_stream(
        &self,
        channel: &str,
        ts: &str,
        chunks: &[Value],
    ) -> Result<(), SlackError> {
        let mut body = json!({ "channel": channel, "ts": ts });
        if let (false, Some(fields)) = (chunks.is_empty(), body.as_object_mut()) {
            fields.insert("chunks".to_owned(), chunks.into());
        }
        self.call::<Value>("chat.stopStream", &body).await.map(drop)
    }

    /// Says whether the agent's session in a thread works; it begins if there is none.
    pub async fn set_session(
        &self,
        place: &Place<'_>,
        is_working: bool,
        title: &str,
        user: &str,
    ) -> Result<(), SlackError> {
        let status = if is_working { "processing" } else { "active" };
        let mut body = json!({ "channel_id": place.channel, "status": status });
        if let Some(fields) = body.as_object_mut() {
            let optional = [
                ("thread_ts", place.root.unwrap_or_default()),
                ("title", title),
                ("initiator_user_id", user),
            ];
            for (name, value) in optional.into_iter().filter(|(_, value)| !value.is_empty()) {
                fields.insert(name.to_owned(), value.into());
            }
        }
        self.call::<Value>("agents.sessions.setStatus", &body)
            .await
            .map(drop)
    }

    /// The older way to say it, without a button.
    pub async fn set_status(&self, place: &Place<'_>, is_working: bool) -> Result<(), SlackError> {
        let status = if is_working { "is working…" } else { "" };
        let body = json!({
            "channel_id": place.channel, "thread_ts": place.root, "status": status,
        });
        self.call::<Value>("assistant.threads.setStatus", &body)
            .await
            .map(drop)
    }
}

fn stream(place: &Place<'_>, (team, user): (&str, &str), chunks: &[Value]) -> Value {
    let mut body = json!({
        "channel": place.channel, "thread_ts": place.root, "chunks": chunks,
        "task_display_mode": "plan",
    });
    // Direct messages have one recipient.
    let is_direct = place.channel.starts_with('D');
    if let (false, false, Some(fields)) = (is_direct, user.is_empty(), body.as_object_mut()) {
        fields.insert("recipient_team_id".to_owned(), team.into());
        fields.insert("recipient_user_id".to_owned(), user.into());
    }
    body
}
