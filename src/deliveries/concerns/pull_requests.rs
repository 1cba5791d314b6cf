//! Pull requests: written down for figures, and told to the session that opened them.

use protocol::event::{Repository, ReviewVerdict};
use protocol::{Millis, SessionId};
use worker::Env;

use crate::api;
use crate::database::pull_requests::Known;
use crate::database::{self, Database};
use crate::deliveries::Delivery;
use crate::error::Error;
use crate::github::Github;
use crate::github::app::{Level, Permissions};
use crate::github::checks::CheckRun;
use crate::github::event::{
    Account, CheckAction, CheckEvent, CommentAction, PullRequestAction, PullRequestEvent,
    ReviewAction, ReviewEvent, ReviewState, Subject,
};
use crate::session::machine::pull_requests::PullRequestNews;
use crate::session::request::Request;

pub async fn follow(env: &Env, database: &Database, delivery: &Delivery) -> Result<(), Error> {
    let event = &delivery.event;
    let Some(repository) = event.repository.as_ref().map(|place| &place.name) else {
        return Ok(());
    };
    let sender = event.sender.as_ref();
    match &event.subject {
        Subject::PullRequest(event) => changed(env, database, repository, event, sender).await,
        Subject::Review(event) => reviewed(env, database, repository, event, delivery).await,
        Subject::ReviewComment(event) if event.action == CommentAction::Created => {
            database::pull_requests::write(database, repository, &event.pull_request).await?;
            let at = event.comment.created_at.unwrap_or(delivery.received_at);
            responded(database, repository, event.pull_request.number, sender, at).await
        }
        Subject::IssueComment(event)
            if event.action == CommentAction::Created && event.issue.is_pull_request() =>
        {
            let at = event.comment.created_at.unwrap_or(delivery.received_at);
            responded(database, repository, event.issue.number, sender, at).await
        }
        Subject::Check(event) => checked(env, database, repository, event).await,
        _ => Ok(()),
    }
}

async fn changed(
    env: &Env,
    database: &Database,
    repository: &Repository,
    event: &PullRequestEvent,
    sender: Option<&Account>,
) -> Result<(), Error> {
    let pull = &event.pull_request;
    database::pull_requests::write(database, repository, pull).await?;
    match event.action {
        PullRequestAction::Synchronize => {
            let head = event.after.as_deref().unwrap_or(&pull.head.sha);
            database::pull_requests::pushed(database, repository, pull, head).await?;
        }
        PullRequestAction::Closed => {
            let at = pull.closed_at.unwrap_or(pull.updated_at);
            responded(database, repository, pull.number, sender, at).await?;
        }
        _ => {}
    }
    let Some(known) = database::pull_requests::find(database, repository, pull.number).await?
    else {
        return Ok(());
    };
    // By the newest that is known, which need not be this.
    let news = PullRequestNews::Changed {
        number: known.number,
        state: known.state,
        by: sender
            .map(|sender| sender.login.clone())
            .unwrap_or_default(),
    };
    tell(env, &known.session, news).await?;
    if event.action == PullRequestAction::Synchronize
        && let Some(commit) = known.head
    {
        let number = known.number;
        let news = PullRequestNews::Pushed { number, commit };
        tell(env, &known.session, news).await?;
    }
    Ok(())
}

async fn reviewed(
    env: &Env,
    database: &Database,
    repository: &Repository,
    event: &ReviewEvent,
    delivery: &Delivery,
) -> Result<(), Error> {
    let (review, pull) = (&event.review, &event.pull_request);
    if review.state == ReviewState::Pending {
        return Ok(());
    }
    let at = review.submitted_at.unwrap_or(delivery.received_at);
    database::pull_requests::write(database, repository, pull).await?;
    database::pull_requests::reviewed(database, repository, pull.number, review, at).await?;
    responded(database, repository, pull.number, review.user.as_ref(), at).await?;
    let verdict = match review.state {
        ReviewState::Approved => Some(ReviewVerdict::Approved),
        ReviewState::ChangesRequested => Some(ReviewVerdict::ChangesRequested),
        ReviewState::Commented => Some(ReviewVerdict::Commented),
        ReviewState::Dismissed => None,
        ReviewState::Pending => return Ok(()),
    };
    let Some(known) = database::pull_requests::find(database, repository, pull.number).await?
    else {
        return Ok(());
    };
    let number = known.number;
    let news = match (verdict, event.action, &review.user) {
        (None, ..) => PullRequestNews::Dismissed {
            number,
            review: review.id,
        },
        (Some(verdict), ReviewAction::Submitted, Some(reviewer)) => PullRequestNews::Reviewed {
            number,
            review: review.id,
            verdict,
            by: reviewer.login.clone(),
        },
        _ => return Ok(()),
    };
    tell(env, &known.session, news).await
}

/// A person who is not the author did something about a pull request.
async fn responded(
    database: &Database,
    repository: &Repository,
    pull: u64,
    by: Option<&Account>,
    at: Millis,
) -> Result<(), Error> {
    match by.filter(|by| !by.is_bot()) {
        Some(by) => {
            Ok(database::pull_requests::responded(database, repository, pull, by.id, at).await?)
        }
        None => Ok(()),
    }
}

/// When a check of one of our heads has ended, looks whether all have.
async fn checked(
    env: &Env,
    database: &Database,
    repository: &Repository,
    event: &CheckEvent,
) -> Result<(), Error> {
    // GitHub tells of every run of Actions as a suite as well.
    let ended = event.check.status == "completed"
        && matches!(event.action, CheckAction::Completed | CheckAction::Created);
    let github = Github::new(env)?;
    let app = event.check.app.as_ref().map(|(_, id)| *id);
    if !ended || github.is_own_check(&event.check.name, app) {
        return Ok(());
    }
    let head = &event.check.head_sha;
    let known: Vec<Known> = database::pull_requests::at_head(database, repository, head).await?;
    if known.is_empty() {
        return Ok(());
    }
    let permissions = Permissions::default().checks(Level::Read);
    let token = github.installation_token(repository, permissions).await?;
    let runs = github.ended_checks(&token.token, repository, head).await?;
    let Some(runs) = runs.filter(|runs| !runs.is_empty()) else {
        return Ok(());
    };
    let failed = runs.into_iter().filter(CheckRun::has_failed);
    let failed: Vec<String> = failed.map(|run| run.name).collect();
    for known in known {
        let news = PullRequestNews::ChecksFinished {
            number: known.number,
            commit: head.clone(),
            failed: failed.clone(),
        };
        tell(env, &known.session, news).await?;
    }
    Ok(())
}

async fn tell(env: &Env, session: &SessionId, news: PullRequestNews) -> Result<(), Error> {
    let answer = api::ask_session(env, session, &Request::PullRequest { news }).await?;
    if answer.status().is_server_error() {
        return Err(Error::SessionAway);
    }
    Ok(())
}
