//! Our one comment on an issue or a pull request, edited in place.

use protocol::event::Repository;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{Github, GithubError};

/// Marks the comment as ours.
pub const MARK: &str = "<!-- hosted-agents:status -->";

#[derive(Deserialize)]
struct Comment {
    id: i64,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    user: Option<Author>,
}

#[derive(Deserialize)]
struct Author {
    login: String,
}

impl Github {
    /// Writes our comment, or writes it anew: `known` is its identifier, if it is remembered.
    /// Answers the identifier.
    pub async fn say(
        &self,
        token: &str,
        repository: &Repository,
        number: u64,
        known: Option<i64>,
        text: &str,
    ) -> Result<i64, GithubError> {
        let body = json!({ "body": format!("{MARK}\n{text}") });
        let known = match known {
            Some(known) => Some(known),
            None => self.find_ours(token, repository, number).await?,
        };
        if let Some(known) = known {
            let path = format!("/repos/{repository}/issues/comments/{known}");
            let changed: Result<Comment, _> =
                self.call(Method::PATCH, &path, token, Some(&body)).await;
            match changed {
                Ok(changed) => return Ok(changed.id),
                // Somebody deleted it: another one takes its place.
                Err(error) if error.status() == Some(404) => {}
                Err(error) => return Err(error),
            }
        }
        let path = format!("/repos/{repository}/issues/{number}/comments");
        let made: Comment = self.call(Method::POST, &path, token, Some(&body)).await?;
        Ok(made.id)
    }

    /// One that was written by a life that ended before it could be remembered. What others wrote
    /// is not ours, whatever is in it.
    async fn find_ours(
        &self,
        token: &str,
        repository: &Repository,
        number: u64,
    ) -> Result<Option<i64>, GithubError> {
        let bot = format!("{}[bot]", self.app().await?.slug);
        let path = format!("/repos/{repository}/issues/{number}/comments?per_page=100");
        let comments: Vec<Comment> = self.call(Method::GET, &path, token, None::<&()>).await?;
        let is_ours = |comment: &&Comment| {
            let author = comment.user.as_ref().map(|user| user.login.as_str());
            let body = comment.body.as_deref().unwrap_or_default();
            author == Some(bot.as_str()) && body.starts_with(MARK)
        };
        Ok(comments.iter().find(is_ours).map(|comment| comment.id))
    }
}
