//! GitHub's own record of what it delivered to our webhook, for three days back.

use protocol::Millis;
use reqwest::Method;
use serde::Deserialize;

use super::event::time;
use super::pages::next_path;
use super::{Github, GithubError};

/// One try of GitHub's to deliver something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub id: u64,
    /// The delivery's identifier, the same with each attempt.
    pub delivery: String,
    pub delivered_at: Millis,
    pub succeeded: bool,
}

/// A page of the record, the newest attempt first.
pub struct Page {
    pub attempts: Vec<Attempt>,
    /// Path of the page that follows.
    pub next: Option<String>,
}

#[derive(Deserialize)]
struct AttemptAnswer {
    id: u64,
    guid: String,
    #[serde(deserialize_with = "time")]
    delivered_at: Millis,
    #[serde(default)]
    status_code: u16,
}

impl Github {
    /// A page of the record: the first one, or that at `path`. `None` if the API has no record.
    pub async fn hook_deliveries(&self, path: Option<&str>) -> Result<Option<Page>, GithubError> {
        let jwt = self.jwt().await?;
        let path = path.unwrap_or("/app/hook/deliveries?per_page=100");
        let answer: Result<(Vec<AttemptAnswer>, _), _> = self
            .call_with_headers(Method::GET, path, &jwt, None::<&()>)
            .await;
        let (attempts, headers) = match answer {
            Ok(answer) => answer,
            Err(error) if error.status() == Some(404) => return Ok(None),
            Err(error) => return Err(error),
        };
        let attempts = attempts.into_iter().map(|answer| Attempt {
            id: answer.id,
            delivery: answer.guid,
            delivered_at: answer.delivered_at,
            succeeded: (200..300).contains(&answer.status_code),
        });
        Ok(Some(Page {
            attempts: attempts.collect(),
            next: next_path(&headers, self.api_url()),
        }))
    }

    pub async fn deliver_again(&self, attempt: u64) -> Result<(), GithubError> {
        let jwt = self.jwt().await?;
        let path = format!("/app/hook/deliveries/{attempt}/attempts");
        let _: serde_json::Value = self.call(Method::POST, &path, &jwt, None::<&()>).await?;
        Ok(())
    }
}
