//! Pull requests, opened with the prompting user's token, once per branch.

use std::fmt::Write as _;

use protocol::api::PullRequest;
use protocol::event::{FileChange, Person, PullRequestState, Repository, Step};
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::oauth::encode_component;
use super::{Github, GithubError};

/// Most files that the body lists.
const MAX_FILES: usize = 50;

pub struct Branches<'a> {
    pub head: &'a str,
    pub base: &'a str,
}

/// What a pull request says. The platform writes it, so that every one says it.
pub struct Content<'a> {
    pub title: &'a str,
    /// The agent's words: what changed and why.
    pub summary: &'a str,
    pub files: &'a [FileChange],
    pub author: &'a Person,
    pub session_url: &'a str,
    pub steps: &'a [Step],
}

#[derive(Deserialize)]
struct PullAnswer {
    number: u64,
    html_url: String,
    title: String,
    head: Head,
    #[serde(default)]
    draft: bool,
}

#[derive(Deserialize)]
struct Head {
    r#ref: String,
}

impl From<PullAnswer> for PullRequest {
    fn from(answer: PullAnswer) -> Self {
        Self {
            number: answer.number,
            url: answer.html_url,
            title: answer.title,
            branch: answer.head.r#ref,
            state: match answer.draft {
                true => PullRequestState::Draft,
                false => PullRequestState::Open,
            },
        }
    }
}

/// Opens the branch's pull request, or brings the open one's text up to date.
pub async fn open_or_update(
    github: &Github,
    token: &str,
    repository: &Repository,
    branches: Branches<'_>,
    content: &Content<'_>,
) -> Result<PullRequest, GithubError> {
    let body = body(content);
    if let Some(open) = find(github, token, repository, branches.head).await? {
        let path = format!("/repos/{repository}/pulls/{}", open.number);
        let change = json!({ "body": body });
        let answer: PullAnswer = github
            .call(Method::PATCH, &path, token, Some(&change))
            .await?;
        return Ok(answer.into());
    }
    let path = format!("/repos/{repository}/pulls");
    let request = json!({
        "title": content.title, "head": branches.head, "base": branches.base, "body": body,
    });
    let answer: PullAnswer = github
        .call(Method::POST, &path, token, Some(&request))
        .await?;
    Ok(answer.into())
}

async fn find(
    github: &Github,
    token: &str,
    repository: &Repository,
    head: &str,
) -> Result<Option<PullAnswer>, GithubError> {
    let filter = encode_component(&format!("{}:{head}", repository.owner()));
    let path = format!("/repos/{repository}/pulls?state=open&head={filter}");
    let open: Vec<PullAnswer> = github.call(Method::GET, &path, token, None::<&()>).await?;
    // An API that does not know the filter must not make us change somebody else's.
    Ok(open.into_iter().find(|pull| pull.head.r#ref == head))
}

/// What changed and why, who asked, where to see all of it, where the time went.
fn body(content: &Content<'_>) -> String {
    let mut text = String::new();
    let summary = content.summary.trim();
    if !summary.is_empty() {
        let _ = writeln!(text, "{summary}\n");
    }
    let _ = writeln!(text, "### Changed files\n");
    for file in content.files.iter().take(MAX_FILES) {
        // A back-tick would end the code span, and the path is the repository's to choose.
        let path = file.path.replace('`', "'");
        let _ = match (file.additions, file.deletions) {
            (Some(added), Some(removed)) => writeln!(text, "- `{path}` (+{added} −{removed})"),
            _ => writeln!(text, "- `{path}` (binary)"),
        };
    }
    if content.files.len() > MAX_FILES {
        let _ = writeln!(text, "- and {} more", content.files.len() - MAX_FILES);
    }
    let _ = writeln!(
        text,
        "\n---\nAsked for by @{} in [this session]({}).",
        content.author.login, content.session_url
    );
    let waterfall = content
        .steps
        .iter()
        .map(|step| format!("{} {} ms", step.name.label(), step.ms));
    let waterfall = waterfall.collect::<Vec<_>>().join(" · ");
    if !waterfall.is_empty() {
        let _ = writeln!(text, "\n<sub>{waterfall}</sub>");
    }
    text
}

#[cfg(test)]
mod tests {
    use protocol::event::StepName;
    use protocol::{Millis, UserId};

    use super::*;

    #[test]
    fn the_body_says_what_why_who_and_where() {
        let author = Person {
            id: UserId(7),
            login: "alice".to_owned(),
            name: "Alice".to_owned(),
            avatar: String::new(),
        };
        let text = body(&Content {
            title: "Fix it",
            summary: "The bound was off by one.",
            files: &[
                FileChange {
                    path: "src/a`b.rs".to_owned(),
                    additions: Some(1),
                    deletions: Some(2),
                },
                FileChange {
                    path: "logo.png".to_owned(),
                    additions: None,
                    deletions: None,
                },
            ],
            author: &author,
            session_url: "https://agents.example/sessions/ses_1",
            steps: &[Step {
                name: StepName::Claim,
                started_at: Millis(0),
                ms: 3,
                detail: None,
            }],
        });
        assert_eq!(
            text,
            "The bound was off by one.\n\n### Changed files\n\n- `src/a'b.rs` (+1 −2)\n\
             - `logo.png` (binary)\n\n---\nAsked for by @alice in \
             [this session](https://agents.example/sessions/ses_1).\n\n<sub>claim 3 ms</sub>\n"
        );
    }
}
