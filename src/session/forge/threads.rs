//! Tells an issue or a pull request how the session goes, in one comment that is edited in place.

use protocol::api::{PullRequest, SessionState};
use protocol::event::PullRequestState;

use crate::database::{self, Database};
use crate::error::Error;
use crate::session::Core;
use crate::session::effects::Failure;
use crate::session::machine::{Input, State};
use crate::wakes::thread::Thread;

impl Core {
    pub(super) async fn tell_thread(&self, number: u64) -> Result<Option<Input>, Failure> {
        let state = self.session()?;
        let database = Database::new(&self.env).map_err(Error::from)?;
        let url = self.session_url(&state.session)?;
        let thread = Thread {
            env: &self.env,
            database: &database,
            repository: &state.repository,
            number,
        };
        // Another session may have been called here since; the thread is that one's then.
        let owner = database::threads::session(&database, &state.repository, number)
            .await
            .map_err(Error::from)?;
        if owner.is_none_or(|owner| owner == state.session) {
            thread.say(&text(&state, number, &url)).await?;
        }
        Ok(None)
    }
}

fn text(state: &State, number: u64, url: &str) -> String {
    let session = format!("[session]({url})");
    let mut text = match state.activity() {
        SessionState::Working => format!("**Working on it** in this {session}."),
        SessionState::Failed => format!("**That failed.** The {session} says why."),
        SessionState::Archived => format!("The {session} is archived."),
        SessionState::Idle | SessionState::Warming => format!("**Done**, see the {session}."),
    };
    let is_open = |pull: &&PullRequest| {
        let open = matches!(pull.state, PullRequestState::Open | PullRequestState::Draft);
        open && pull.number != number
    };
    let pulls: Vec<_> = state
        .pull_requests
        .iter()
        .filter(is_open)
        .map(|pull| format!("#{}", pull.number))
        .collect();
    if !pulls.is_empty() {
        text.push_str(&format!("\n\nPull requests: {}.", pulls.join(", ")));
    }
    let own = state
        .pull_requests
        .iter()
        .find(|pull| pull.number == number);
    let head = own.and_then(|own| state.forge.heads.get(&own.branch));
    if let Some(commit) = head.and_then(|head| head.commit.get(..12)) {
        text.push_str(&format!("\n\nLast pushed: {commit}."));
    }
    text
}
