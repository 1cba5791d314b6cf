//! What somebody said, whatever kind of event told it.

use crate::error::Error;
use crate::github::app::{Level, Permissions};
use crate::github::event::{
    Account, IssueComment, IssueEvent, ReviewComment, ReviewEvent, ReviewState,
};
use crate::github::review::State;
use crate::github::wake::{self, Beside, Place};

use super::Scene;

/// Something that calls for work.
pub(super) struct Said {
    /// Names it for good: a delivery that comes twice is one prompt.
    pub(super) id: String,
    pub(super) by: Account,
    /// Of the issue or the pull request.
    pub(super) number: u64,
    pub(super) on_pull_request: bool,
    /// What a session that knows what it is about is asked.
    pub(super) prompt: String,
    /// What a session that begins with it is asked.
    pub(super) call: String,
}

impl Said {
    pub(super) async fn comment(
        scene: &Scene<'_>,
        event: &IssueComment,
    ) -> Result<Option<Self>, Error> {
        let (issue, comment) = (&event.issue, &event.comment);
        let Some(by) = scene.caller(comment.user.as_ref(), &comment.body).await? else {
            return Ok(None);
        };
        let on_pull_request = issue.is_pull_request();
        let name = name(on_pull_request, issue.number);
        let place = Place {
            name: &name,
            url: &comment.html_url,
        };
        Ok(Some(Self {
            id: format!("github:issue_comment:{}", comment.id),
            number: issue.number,
            on_pull_request,
            prompt: wake::comment(&by.login, place, &comment.body, None),
            call: wake::call(&by.login, place, &issue.title, &issue.body, &comment.body),
            by,
        }))
    }

    pub(super) async fn line_comment(
        scene: &Scene<'_>,
        event: &ReviewComment,
    ) -> Result<Option<Self>, Error> {
        let (pull, comment) = (&event.pull_request, &event.comment);
        let Some(by) = scene.caller(comment.user.as_ref(), &comment.body).await? else {
            return Ok(None);
        };
        // A review that asks for changes is told as a whole, with all of its comments.
        if let Some(review) = comment.pull_request_review_id
            && scene.asks_for_changes(pull.number, review).await?
        {
            return Ok(None);
        }
        let name = name(true, pull.number);
        let place = Place {
            name: &name,
            url: &comment.html_url,
        };
        let beside = Beside {
            path: comment.path.as_deref().unwrap_or_default(),
            line: comment.line,
            hunk: comment.diff_hunk.as_deref(),
        };
        let prompt = wake::comment(&by.login, place, &comment.body, Some(&beside));
        Ok(Some(Self {
            id: format!("github:review_comment:{}", comment.id),
            number: pull.number,
            on_pull_request: true,
            call: prompt.clone(),
            prompt,
            by,
        }))
    }

    pub(super) async fn review(
        scene: &Scene<'_>,
        event: &ReviewEvent,
    ) -> Result<Option<Self>, Error> {
        let (pull, review) = (&event.pull_request, &event.review);
        let asks = review.state == ReviewState::ChangesRequested;
        let by = match asks {
            true => review.user.clone().filter(|user| !user.is_bot()),
            false => scene.caller(review.user.as_ref(), &review.body).await?,
        };
        let Some(by) = by else { return Ok(None) };
        // On somebody else's pull request a review is between people, unless it calls us.
        if asks && scene.session_of(&pull.head.branch).await?.is_none() {
            let called = scene.caller(review.user.as_ref(), &review.body).await?;
            if called.is_none() {
                return Ok(None);
            }
        }
        let name = name(true, pull.number);
        let place = Place {
            name: &name,
            url: &pull.html_url,
        };
        let prompt = if asks {
            let permissions = Permissions::default().pull_requests(Level::Read);
            let github = &scene.github;
            let token = github
                .installation_token(&scene.repository, permissions)
                .await?;
            let comments = github
                .review_comments(&token.token, &scene.repository, pull.number, review.id)
                .await?;
            let comments: Vec<_> = comments
                .iter()
                .map(|comment| {
                    let beside = Beside {
                        path: &comment.path,
                        line: comment.line,
                        hunk: comment.diff_hunk.as_deref(),
                    };
                    (comment.body.clone(), beside)
                })
                .collect();
            wake::review(&by.login, place, &review.body, &comments)
        } else {
            wake::comment(&by.login, place, &review.body, None)
        };
        Ok(Some(Self {
            id: format!("github:review:{}", review.id),
            number: pull.number,
            on_pull_request: true,
            call: prompt.clone(),
            prompt,
            by,
        }))
    }

    pub(super) async fn issue(
        scene: &Scene<'_>,
        event: &IssueEvent,
    ) -> Result<Option<Self>, Error> {
        let issue = &event.issue;
        let Some(by) = scene.caller(issue.user.as_ref(), &issue.body).await? else {
            return Ok(None);
        };
        let name = name(false, issue.number);
        let place = Place {
            name: &name,
            url: &issue.html_url,
        };
        let words = format!("{}\n\n{}", issue.title, issue.body);
        let prompt = wake::comment(&by.login, place, &words, None);
        Ok(Some(Self {
            id: format!("github:issue:{}", issue.number),
            number: issue.number,
            on_pull_request: false,
            call: prompt.clone(),
            prompt,
            by,
        }))
    }
}

impl Scene<'_> {
    /// Whoever wrote it, if it calls us and no bot wrote it.
    async fn caller(&self, user: Option<&Account>, text: &str) -> Result<Option<Account>, Error> {
        let Some(user) = user.filter(|user| !user.is_bot() && text.contains('@')) else {
            return Ok(None);
        };
        let app = self.github.app().await?;
        Ok(wake::mentions(text, &app.slug).then(|| user.clone()))
    }

    async fn asks_for_changes(&self, number: u64, review: i64) -> Result<bool, Error> {
        let permissions = Permissions::default().pull_requests(Level::Read);
        let token = self
            .github
            .installation_token(&self.repository, permissions)
            .await?;
        let review = self
            .github
            .review(&token.token, &self.repository, number, review)
            .await;
        match review {
            Ok(review) => Ok(review.state == State::ChangesRequested),
            // One that is not submitted is seen by nobody but its author.
            Err(error) if error.status() == Some(404) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn name(on_pull_request: bool, number: u64) -> String {
    match on_pull_request {
        true => format!("pull request #{number}"),
        false => format!("issue #{number}"),
    }
}
