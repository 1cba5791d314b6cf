//! Which commit a line comes from. GitHub has this in GraphQL only.
//!
//! What a commit says of the session it comes from is in its trailers; a squash merge may have lost
//! them, and then the pull request's branch names the session.

use protocol::event::Repository;
use protocol::{PromptId, SessionId};
use serde::Deserialize;
use serde_json::json;

use super::pull_request::session_of;
use super::{Github, GithubError};

const QUERY: &str = "query($owner: String!, $name: String!, $ref: String!, $path: String!) {
  repository(owner: $owner, name: $name) {
    object(expression: $ref) {
      ... on Commit {
        blame(path: $path) {
          ranges {
            startingLine
            endingLine
            commit {
              oid
              message
              author { name email user { login } }
              associatedPullRequests(first: 1) { nodes { number headRefName } }
            }
          }
        }
      }
    }
  }
}";

/// The commit of one line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Commit {
    pub oid: String,
    pub message: String,
    #[serde(default)]
    pub author: Option<Author>,
    #[serde(default)]
    associated_pull_requests: Option<Nodes>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Author {
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub email: Option<String>,
    #[serde(default)]
    pub user: Option<User>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct User {
    pub login: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Nodes {
    #[serde(default)]
    nodes: Vec<PullRequest>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PullRequest {
    number: u64,
    head_ref_name: String,
}

/// Where a commit comes from, by its trailers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    pub session: Option<SessionId>,
    /// The last one: earlier ones are those that it went on from.
    pub prompt: Option<PromptId>,
    pub model: Option<String>,
    /// As git has them, `Name <address>`.
    pub co_authors: Vec<String>,
}

impl Commit {
    pub fn origin(&self) -> Origin {
        let mut origin = Origin::default();
        for line in self.message.lines() {
            // A squash merge puts a list mark before what was a line of one of its commits.
            let line = line.trim_start_matches(['*', '-', ' ']);
            let Some((name, value)) = line.split_once(": ") else {
                continue;
            };
            let value = value.trim();
            match name {
                "Session-Id" => origin.session = SessionId::parse(value).ok().or(origin.session),
                "Prompt-Id" => origin.prompt = PromptId::parse(value).ok().or(origin.prompt),
                "Model" => origin.model = Some(value.to_owned()),
                _ if name.eq_ignore_ascii_case("co-authored-by") => {
                    origin.co_authors.push(value.to_owned());
                }
                _ => {}
            }
        }
        if origin.session.is_none() {
            origin.session = self
                .pull_request()
                .and_then(|pull| session_of(&pull.head_ref_name));
        }
        origin
    }

    /// The pull request that it came by.
    pub fn pull_request_number(&self) -> Option<u64> {
        self.pull_request().map(|pull| pull.number)
    }

    fn pull_request(&self) -> Option<&PullRequest> {
        self.associated_pull_requests.as_ref()?.nodes.first()
    }
}

#[derive(Deserialize)]
struct Answer {
    repository: Option<Holder>,
}

#[derive(Deserialize)]
struct Holder {
    object: Option<Object>,
}

#[derive(Deserialize)]
struct Object {
    blame: Option<Blame>,
}

#[derive(Deserialize)]
struct Blame {
    ranges: Vec<Range>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Range {
    starting_line: u64,
    ending_line: u64,
    commit: Commit,
}

impl Github {
    /// The commit that a line of a file comes from, as it is at `reference`; `None` when there is
    /// no such line.
    pub async fn blame(
        &self,
        token: &str,
        repository: &Repository,
        reference: &str,
        path: &str,
        line: u64,
    ) -> Result<Option<Commit>, GithubError> {
        let variables = json!({
            "owner": repository.owner(), "name": repository.name(), "ref": reference, "path": path,
        });
        let answer: Answer = self.graphql(token, "blame", QUERY, variables).await?;
        let object = answer.repository.and_then(|repository| repository.object);
        let ranges = object
            .and_then(|object| object.blame)
            .map(|blame| blame.ranges);
        let is_it = |range: &Range| (range.starting_line..=range.ending_line).contains(&line);
        Ok(ranges
            .into_iter()
            .flatten()
            .find(is_it)
            .map(|range| range.commit))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn commit(message: &str, branch: Option<&str>) -> Commit {
        let nodes: Vec<_> = branch
            .map(|branch| json!({ "number": 3, "headRefName": branch }))
            .into_iter()
            .collect();
        let commit = json!({
            "oid": "c0ffee", "message": message,
            "author": { "name": "Ada", "email": "ada@x.org", "user": null },
            "associatedPullRequests": { "nodes": nodes },
        });
        serde_json::from_value(commit).unwrap()
    }

    #[test]
    fn trailers_tell_where_a_commit_comes_from() {
        let message = "Fix it\n\nSession-Id: ses_1\nPrompt-Id: pmt_1\nPrompt-Id: pmt_2\n\
                       Model: openai/x\nCo-authored-by: Bob <b@x.org>\n";
        let origin = commit(message, None).origin();
        assert_eq!(origin.session.unwrap().as_str(), "ses_1");
        assert_eq!(origin.prompt.unwrap().as_str(), "pmt_2");
        assert_eq!(origin.model.as_deref(), Some("openai/x"));
        assert_eq!(origin.co_authors, ["Bob <b@x.org>"]);
    }

    #[test]
    fn a_squash_merge_is_known_by_its_trailers_or_by_its_pull_request() {
        let squashed = "Fix it (#3)\n\n* Fix it\n\nSession-Id: ses_1\nPrompt-Id: pmt_1\n\n* More";
        assert_eq!(
            commit(squashed, None).origin().prompt.unwrap().as_str(),
            "pmt_1"
        );
        let bare = commit("Fix it (#3)", Some("agent/ses_2-docs"));
        assert_eq!(bare.origin().session.unwrap().as_str(), "ses_2");
        assert_eq!(bare.pull_request_number(), Some(3));
        assert_eq!(
            commit("Fix it", Some("feature")).origin(),
            Origin::default()
        );
    }
}
