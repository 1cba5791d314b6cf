//! Opens the pull request of a branch in the name of whoever prompted, or brings it up to date.
//!
//! It is found by its branch first, so a repetition changes what the first try opened. Without a
//! link of that person's the App opens it, and the session is told.

use protocol::callback::PullRequestWish;
use protocol::event::{Artifact, Opener, Person, Repository, Step, StepName};
use serde_json::{Map, Value, json};

use crate::artifacts::link::Link;
use crate::config;
use crate::error::Error;
use crate::github::app::{Level, Permissions};
use crate::github::pull_request::body::{self, Content, TestRun};
use crate::github::pull_request::pictures::Picture;
use crate::github::pull_request::{Found, New};
use crate::github::{Github, GithubError};
use crate::platform::clock;
use crate::session::Core;
use crate::session::effects::Failure;
use crate::session::machine::forge::Push;
use crate::session::machine::{Input, State};

/// GitHub's limit.
const MAX_TITLE: usize = 256;
const MOST_PICTURES: usize = 8;
/// How long links to pictures are good: a pull request is looked at long after it was merged. Each
/// push gives it new ones.
const PICTURE_MS: i64 = 365 * 24 * 3600 * 1000;

/// What a pull request says, but for what its branch has.
struct Account {
    session_url: String,
    tests: Vec<TestRun>,
    steps: Vec<Step>,
    pictures: Vec<Picture>,
}

impl Core {
    pub(super) async fn open_pull_request(
        &self,
        author: &Person,
        push: &Push,
    ) -> Result<Option<Input>, Failure> {
        let started_at = clock::now();
        let state = self.session()?;
        let github = Github::new(&self.env).map_err(Error::from)?;
        let account = self.account(&state)?;
        let own = github
            .as_user(author.id, async |token: &str| {
                publish(&github, token, &state, push, &account).await
            })
            .await;
        let (found, by) = match own {
            Ok(found) => {
                let person = author.clone();
                (found, Opener::User { person })
            }
            // They have no link, or it does not reach this: the work is to be seen all the same.
            Err(error) if is_denied(&error) => {
                let token = self.app_token(&github, &state).await?;
                let found = publish(&github, &token, &state, push, &account).await?;
                (found, Opener::App)
            }
            Err(error) => return Err(failure(error)),
        };
        let number = found.number;
        self.note_opened(&state, &push.prompt, number, &push.branch)
            .await?;
        let is_new = !state
            .pull_requests
            .iter()
            .any(|known| known.number == number);
        let notice = (is_new && by == Opener::App).then(|| {
            let url = config::public_url(&self.env).unwrap_or_default();
            format!(
                "{} has no link to GitHub that may open pull requests here, so the App opened \
                 #{number}. To open the next one yourself, sign in at {url}/auth/github/login.",
                author.login
            )
        });
        let step = Step {
            name: StepName::PullRequest,
            started_at,
            ms: clock::now().since(started_at),
            detail: Some(format!("#{number}")),
        };
        Ok(Some(Input::PullRequestOpened {
            prompt: push.prompt.clone(),
            pull_request: found.summary(),
            by,
            step,
            notice,
        }))
    }

    /// Makes an open pull request as it was wished. Without one nothing is done: the wish waits.
    pub(super) async fn adjust_pull_request(
        &self,
        author: &Person,
        branch: &str,
    ) -> Result<Option<Input>, Failure> {
        let state = self.session()?;
        let Some(wish) = state.forge.wishes.get(branch) else {
            return Ok(None);
        };
        let github = Github::new(&self.env).map_err(Error::from)?;
        let repository = &state.repository;
        let own = github
            .as_user(author.id, async |token: &str| {
                adjust(&github, token, repository, branch, wish).await
            })
            .await;
        match own {
            Err(error) if is_denied(&error) => {
                let token = self.app_token(&github, &state).await?;
                adjust(&github, &token, repository, branch, wish).await?;
            }
            outcome => outcome.map_err(failure)?,
        }
        Ok(None)
    }

    async fn app_token(&self, github: &Github, state: &State) -> Result<String, Error> {
        let permissions = Permissions::default()
            .contents(Level::Read)
            .pull_requests(Level::Write);
        let token = github
            .installation_token(&state.repository, permissions)
            .await?;
        Ok(token.token)
    }

    fn account(&self, state: &State) -> Result<Account, Error> {
        let store = self.store()?;
        Ok(Account {
            session_url: self.session_url(&state.session)?,
            tests: store.test_runs()?,
            steps: store.steps()?,
            pictures: self.pictures(state)?,
        })
    }

    /// What the agent showed and said what it is of: the newest few, oldest first.
    fn pictures(&self, state: &State) -> Result<Vec<Picture>, Error> {
        let keys = config::encryption_keys(&self.env)?;
        let origin = match config::artifacts_url(&self.env) {
            Some(url) => url,
            None => config::public_url(&self.env)?,
        };
        let expires_at = clock::now().plus(PICTURE_MS);
        let shown = self.store()?.artifacts()?.into_iter().rev();
        let shown = shown.filter(Artifact::is_picture).filter_map(|artifact| {
            let caption = artifact.caption?;
            let link = Link {
                session: state.session.clone(),
                artifact: artifact.id,
                expires_at,
            };
            let url = format!("{origin}{}", link.path(&keys));
            Some(Picture { caption, url })
        });
        let mut newest: Vec<_> = shown.take(MOST_PICTURES).collect();
        newest.reverse();
        Ok(newest)
    }
}

async fn publish(
    github: &Github,
    token: &str,
    state: &State,
    push: &Push,
    account: &Account,
) -> Result<Found, GithubError> {
    let repository = &state.repository;
    let wish = state.forge.wishes.get(&push.branch);
    let wish = wish.cloned().unwrap_or_default();
    let known = github
        .pull_request_of(token, repository, &push.branch)
        .await?;
    let existing = known.as_ref().and_then(|known| known.body.as_deref());
    let content = Content {
        summary: wish.body.as_deref().unwrap_or(&push.summary),
        files: &push.files,
        prompters: &state.forge.prompters,
        session_url: &account.session_url,
        tests: &account.tests,
        pictures: &account.pictures,
        steps: &account.steps,
    };
    let body = body::merged(existing.unwrap_or_default(), &content);
    let Some(known) = known else {
        let title = wish.title.clone().unwrap_or_else(|| title(state, push));
        let new = New {
            title: &title,
            head: &push.branch,
            base: push.base.as_deref().unwrap_or(&state.branch),
            body: &body,
            draft: wish.draft == Some(true),
        };
        return github.open_pull_request(token, repository, &new).await;
    };
    let mut change = Map::new();
    change.insert("body".to_owned(), json!(body));
    if let Some(title) = &wish.title {
        change.insert("title".to_owned(), json!(title));
    }
    let change = Value::Object(change);
    let changed = github
        .change_pull_request(token, repository, known.number, &change)
        .await?;
    match set_draft(github, token, &changed, &wish).await? {
        true => github.pull_request(token, repository, known.number).await,
        false => Ok(changed),
    }
}

async fn adjust(
    github: &Github,
    token: &str,
    repository: &Repository,
    branch: &str,
    wish: &PullRequestWish,
) -> Result<(), GithubError> {
    let Some(found) = github.pull_request_of(token, repository, branch).await? else {
        return Ok(());
    };
    if let Some(title) = wish.title.as_ref().filter(|title| **title != found.title) {
        let change = json!({ "title": title });
        github
            .change_pull_request(token, repository, found.number, &change)
            .await?;
    }
    set_draft(github, token, &found, wish).await.map(drop)
}

/// Whether anything had to be done.
async fn set_draft(
    github: &Github,
    token: &str,
    found: &Found,
    wish: &PullRequestWish,
) -> Result<bool, GithubError> {
    match wish.draft {
        Some(draft) if draft != found.draft => {
            github.set_draft(token, found, draft).await?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// A branch beside the work branch is named after its part of the work.
fn title(state: &State, push: &Push) -> String {
    let topic = push
        .branch
        .strip_prefix(state.work_branch.as_str())
        .and_then(|rest| rest.strip_prefix('-'));
    let title = match topic {
        Some(topic) => format!("{} ({})", state.title, topic.replace(['-', '_'], " ")),
        None => state.title.clone(),
    };
    title.chars().take(MAX_TITLE).collect()
}

/// Whether a person's token does not reach it, rather than that it cannot be.
fn is_denied(error: &Error) -> bool {
    match error {
        Error::LinkBroken => true,
        Error::Github(error) => matches!(error.status(), Some(401 | 403 | 404)),
        _ => false,
    }
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Github(error) => error.into(),
        error => error.into(),
    }
}
