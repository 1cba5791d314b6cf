//! Pull requests as people deal with them: looked through, reviewed, merged.

use axum::http::Method;
use serde_json::json;

use super::json::text;
use super::{Forge, ForgeError, PullRequest, history, pull, visit};

impl Forge {
    /// All pull requests, newest first.
    pub async fn pull_requests(
        &self,
        owner: &str,
        name: &str,
    ) -> Result<Vec<PullRequest>, ForgeError> {
        let repository = self.find(owner, name)?;
        let token = self.site.emulator.acting(repository.administrator());
        let path = format!("{}/pulls?state=all&per_page=100", repository.api_path());
        let pulls = self
            .site
            .emulator
            .demand(Method::GET, &path, token, None)
            .await?;
        let mut found = Vec::new();
        for mut pull in pulls.as_array().cloned().unwrap_or_default() {
            pull::bring_up_to_date(&repository, &mut pull)
                .await
                .map_err(ForgeError::Git)?;
            found.push(PullRequest::from(&pull));
        }
        Ok(found)
    }

    /// What a pull request changes, as a unified diff.
    pub async fn pull_request_diff(
        &self,
        owner: &str,
        name: &str,
        number: u64,
    ) -> Result<String, ForgeError> {
        let repository = self.find(owner, name)?;
        let token = self.site.emulator.acting(repository.administrator());
        let path = format!("{}/pulls/{number}", repository.api_path());
        let pull = self
            .site
            .emulator
            .demand(Method::GET, &path, token, None)
            .await?;
        let (base, head) = pull::range(&repository, &pull)
            .await
            .map_err(ForgeError::Git)?;
        history::diff(&repository.git, &base, &head)
            .await
            .map_err(ForgeError::Git)
    }

    /// Merges a pull request as a user would, through the API; answers the new commit.
    pub async fn merge(
        &self,
        owner: &str,
        name: &str,
        number: u64,
        login: &str,
    ) -> Result<String, ForgeError> {
        let token = self.sign_in(login).await?;
        let path = format!("/repos/{owner}/{name}/pulls/{number}/merge");
        let body = visit::api(
            &self.site.url,
            Method::PUT,
            &path,
            &token.access_token,
            &json!({}),
        )
        .await?;
        Ok(text(&body, "/sha"))
    }

    /// Says yes to a pull request, or asks for changes, as a user would, through the API.
    pub async fn review(
        &self,
        owner: &str,
        name: &str,
        number: u64,
        login: &str,
        event: &str,
        body: &str,
    ) -> Result<(), ForgeError> {
        let path = format!("/repos/{owner}/{name}/pulls/{number}/reviews");
        let review = json!({"event": event, "body": body});
        self.act(Method::POST, &path, login, &review).await?;
        Ok(())
    }
}
