//! Files, either way.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{DEADLINE, Place, Slack, SlackError};
use crate::platform::http;

const UPLOAD_DEADLINE: Duration = Duration::from_secs(60);

impl Slack {
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
mod tests {
    use super::Slack;

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
