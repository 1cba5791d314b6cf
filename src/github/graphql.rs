//! GitHub's GraphQL API, for what REST does not have: drafts and blame.

use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Github, GithubError};

/// GraphQL answers 200 to what it refuses; this is what REST would have said.
const REFUSED: u16 = 422;

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    data: Value,
    #[serde(default)]
    errors: Vec<Complaint>,
}

#[derive(Deserialize)]
struct Complaint {
    #[serde(default)]
    message: String,
}

impl Github {
    /// `what` is for people, should it be refused.
    pub(super) async fn graphql<T: DeserializeOwned>(
        &self,
        token: &str,
        what: &str,
        query: &str,
        variables: Value,
    ) -> Result<T, GithubError> {
        let body = json!({ "query": query, "variables": variables });
        let url = endpoint(self.api_url());
        let answer: Answer = self.call_at(Method::POST, &url, token, &body).await?;
        if let Some(complaint) = answer.errors.first() {
            return Err(GithubError::Refused {
                what: what.to_owned(),
                status: REFUSED,
                message: complaint.message.clone(),
            });
        }
        serde_json::from_value(answer.data).map_err(|source| GithubError::Form {
            what: what.to_owned(),
            source,
        })
    }
}

/// GitHub Enterprise Server has its REST API under `/api/v3`, and this one beside it.
fn endpoint(api_url: &str) -> String {
    let base = api_url.strip_suffix("/v3").unwrap_or(api_url);
    format!("{base}/graphql")
}

#[cfg(test)]
mod tests {
    use super::endpoint;

    #[test]
    fn the_endpoint_is_beside_the_rest_api() {
        for (api_url, expected) in [
            ("https://api.github.com", "https://api.github.com/graphql"),
            (
                "https://git.acme.example/api/v3",
                "https://git.acme.example/api/graphql",
            ),
        ] {
            assert_eq!(endpoint(api_url), expected);
        }
    }
}
