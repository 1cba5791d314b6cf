//! Slack's Web API, as far as we use it. Every call has a deadline, and every failure says whether
//! another try may succeed and when.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::blocks::Said;
use super::event::{Bot, Message};
use crate::github::oauth::encode_component;
use crate::platform::http::{self, HttpError};

const DEADLINE: Duration = Duration::from_secs(10);
const UPLOAD_DEADLINE: Duration = Duration::from_secs(60);

/// If Slack does not say when to try again.
const RETRY_AFTER_SECONDS: i64 = 5;

/// What marks our messages, so that one whose answer was lost is found again.
pub const EVENT_TYPE: &str = "hosted_agents";

#[derive(Debug, thiserror::Error)]
pub enum SlackError {
    #[error("Slack could not be reached")]
    Http(#[from] HttpError),
    #[error("Slack wants {method} to be tried again in {seconds} s")]
    Limited { method: &'static str, seconds: i64 },
    #[error("Slack failed at {method}: {status}")]
    Failed { method: &'static str, status: u16 },
    #[error("Slack refused {method}: {code}")]
    Refused { method: &'static str, code: String },
    #[error("Slack's answer to {method} is of another form")]
    Form {
        method: &'static str,
        #[source]
        source: serde_json::Error,
    },
}

impl SlackError {
    /// Whether another try may succeed.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Http(_) | Self::Limited { .. } | Self::Failed { .. } => true,
            Self::Refused { code, .. } => matches!(
                code.as_str(),
                "internal_error"
                    | "fatal_error"
                    | "service_unavailable"
                    | "ratelimited"
                    | "request_timeout"
            ),
            Self::Form { .. } => false,
        }
    }

    /// Milliseconds for which nothing of this kind is to be asked.
    pub fn wait_ms(&self) -> Option<i64> {
        match self {
            Self::Limited { seconds, .. } => Some(seconds.saturating_mul(1000)),
            _ => None,
        }
    }

    pub fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            _ => "",
        }
    }
}

/// How Slack is reached, and as whom.
#[derive(Clone)]
pub struct Slack {
    pub api_url: String,
    pub token: String,
}

/// Where a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place<'a> {
    pub channel: &'a str,
    pub root: Option<&'a str>,
}

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

    /// Says something new; answers its time stamp. `key` is found again by [`said`](Self::said).
    pub async fn post(
        &self,
        place: &Place<'_>,
        key: &str,
        said: &Said,
    ) -> Result<String, SlackError> {
        #[derive(Deserialize)]
        struct Answer {
            ts: String,
        }
        let answer: Answer = self
            .call("chat.postMessage", &posted(place, key, said))
            .await?;
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

    /// Brings the bytes of a file to Slack; answers its name there. Nobody sees it yet.
    pub async fn upload(
        &self,
        name: &str,
        shows: &str,
        bytes: Vec<u8>,
    ) -> Result<String, SlackError> {
        const METHOD: &str = "files.getUploadURLExternal";
        #[derive(Deserialize)]
        struct Answer {
            upload_url: String,
            file_id: String,
        }
        let length = bytes.len().to_string();
        let fields = [
            ("filename", name),
            ("length", length.as_str()),
            ("alt_text", shows),
        ];
        let answer: Answer = self.ask(METHOD, &fields).await?;
        // The address is the permission: the token is nobody's business there.
        let request = reqwest::Client::new()
            .post(&answer.upload_url)
            .header("content-type", "application/octet-stream")
            .body(bytes);
        let uploaded = http::send(request, "Slack's files", UPLOAD_DEADLINE).await?;
        match uploaded.status {
            200..=299 => Ok(answer.file_id),
            status => Err(SlackError::Failed {
                method: METHOD,
                status,
            }),
        }
    }

    /// Shows a file that was brought to Slack.
    pub async fn show_file(
        &self,
        place: &Place<'_>,
        file: &str,
        title: &str,
    ) -> Result<(), SlackError> {
        let body = json!({
            "files": [{ "id": file, "title": title }],
            "channel_id": place.channel, "thread_ts": place.root,
        });
        self.call::<Value>("files.completeUploadExternal", &body)
            .await
            .map(drop)
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

    /// The bytes of a file. The token goes to Slack's own hosts and nowhere else.
    pub async fn file(&self, url: &str) -> Result<Option<Vec<u8>>, SlackError> {
        if !self.is_own(url) {
            return Ok(None);
        }
        let request = reqwest::Client::new().get(url).bearer_auth(&self.token);
        let answer = http::send(request, "Slack's files", DEADLINE).await?;
        let kind = answer
            .headers
            .get("content-type")
            .and_then(|value| value.to_str().ok());
        // Without the right scope Slack answers with a page to sign in on.
        let is_page = kind.is_some_and(|kind| kind.starts_with("text/html"));
        Ok((answer.status == 200 && !is_page).then_some(answer.body))
    }

    fn is_own(&self, url: &str) -> bool {
        is_slack(url) || origin(url).is_some_and(|it| origin(&self.api_url) == Some(it))
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        body: &Value,
    ) -> Result<T, SlackError> {
        let request = reqwest::Client::new()
            .post(format!("{}/{method}", self.api_url))
            .header("content-type", "application/json; charset=utf-8")
            .bearer_auth(&self.token)
            .body(body.to_string());
        self.exchange(method, request).await
    }

    /// Methods that read do not take JSON.
    async fn ask<T: DeserializeOwned>(
        &self,
        method: &'static str,
        fields: &[(&str, &str)],
    ) -> Result<T, SlackError> {
        let body: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", encode_component(value)))
            .collect();
        let request = reqwest::Client::new()
            .post(format!("{}/{method}", self.api_url))
            .header("content-type", "application/x-www-form-urlencoded")
            .bearer_auth(&self.token)
            .body(body.join("&"));
        self.exchange(method, request).await
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        method: &'static str,
        request: reqwest::RequestBuilder,
    ) -> Result<T, SlackError> {
        let answer = http::send(request, "Slack", DEADLINE).await?;
        let wait = answer
            .headers
            .get("retry-after")
            .and_then(|value| value.to_str().ok());
        read(method, answer.status, wait, &answer.body)
    }
}

/// What Slack's answer says.
fn read<T: DeserializeOwned>(
    method: &'static str,
    status: u16,
    retry_after: Option<&str>,
    body: &[u8],
) -> Result<T, SlackError> {
    #[derive(Deserialize)]
    struct Verdict {
        ok: bool,
        error: Option<String>,
    }
    if status == 429 {
        let seconds = retry_after.and_then(|text| text.trim().parse().ok());
        let seconds = seconds.unwrap_or(RETRY_AFTER_SECONDS).clamp(1, 3600);
        return Err(SlackError::Limited { method, seconds });
    }
    let form = |source| SlackError::Form { method, source };
    match serde_json::from_slice::<Verdict>(body) {
        Ok(Verdict { ok: true, .. }) => serde_json::from_slice(body).map_err(form),
        Ok(Verdict { error, .. }) => {
            let code = error.unwrap_or_default();
            Err(SlackError::Refused { method, code })
        }
        // How a server that stands in for Slack says that it has no such method.
        Err(_) if status == 404 => Err(SlackError::Refused {
            method,
            code: "unknown_method".to_owned(),
        }),
        Err(_) if !(200..300).contains(&status) => Err(SlackError::Failed { method, status }),
        Err(error) => Err(form(error)),
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

pub fn posted(place: &Place<'_>, key: &str, said: &Said) -> Value {
    let mut body = with_said(
        json!({ "channel": place.channel, "metadata": metadata(key) }),
        said,
    );
    if let (Some(root), Some(fields)) = (place.root, body.as_object_mut()) {
        fields.insert("thread_ts".to_owned(), root.into());
    }
    body
}

pub fn updated(channel: &str, ts: &str, key: &str, said: &Said) -> Value {
    with_said(
        json!({ "channel": channel, "ts": ts, "metadata": metadata(key) }),
        said,
    )
}

pub fn whispered(place: &Place<'_>, user: &str, said: &Said) -> Value {
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

/// A person as a workspace knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    pub name: String,
    /// The workspace that they are of.
    pub team: Option<String>,
    /// Only with the scope `users:read.email`.
    pub email: Option<String>,
}

fn is_slack(url: &str) -> bool {
    url.starts_with("https://files.slack.com/") || url.starts_with("https://slack-files.com/")
}

/// Scheme and host of an address.
fn origin(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    (!host.contains('@') && !host.contains('\\')).then_some((scheme, host))
}

#[cfg(test)]
#[allow(clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    fn verdict(status: u16, wait: Option<&str>, body: &str) -> SlackError {
        match read::<Value>("chat.update", status, wait, body.as_bytes()) {
            Err(error) => error,
            Ok(value) => panic!("{value}"),
        }
    }

    #[test]
    fn a_failure_says_whether_and_when_to_try_again() {
        let limited = verdict(429, Some("30"), "");
        assert_eq!(
            (limited.is_passing(), limited.wait_ms()),
            (true, Some(30_000))
        );
        assert_eq!(verdict(429, None, "x").wait_ms(), Some(5000));
        assert!(verdict(500, None, "oops").is_passing());
        assert!(verdict(200, None, r#"{"ok":false,"error":"internal_error"}"#).is_passing());
        let refused = verdict(200, None, r#"{"ok":false,"error":"channel_not_found"}"#);
        assert_eq!(
            (refused.is_passing(), refused.code()),
            (false, "channel_not_found")
        );
        assert!(!verdict(200, None, "<html>").is_passing());
    }

    #[test]
    fn the_token_goes_to_slacks_hosts_only() {
        let slack = Slack {
            api_url: "http://127.0.0.1:4003/api".to_owned(),
            token: String::new(),
        };
        for own in ["https://files.slack.com/a", "http://127.0.0.1:4003/files/a"] {
            assert!(slack.is_own(own), "{own}");
        }
        for other in [
            "https://files.slack.com.evil.example/a",
            "http://files.slack.com/a",
            "http://127.0.0.1:4003@evil.example/a",
            "https://127.0.0.1:4003/a",
            "files.slack.com/a",
        ] {
            assert!(!slack.is_own(other), "{other}");
        }
    }
}
