//! Says on a pull request of the session whether somebody has approved it who had no part in it.
//!
//! What is said is checked again after it was said: of two who look at once, the last to write has
//! seen everything.

use std::collections::BTreeSet;

use protocol::UserId;
use protocol::event::Repository;

use crate::error::Error;
use crate::github::app::{Level, Permissions};
use crate::github::independence::{self, Verdict};
use crate::github::{Github, GithubError};
use crate::session::Core;
use crate::session::effects::Failure;
use crate::session::machine::Input;

/// Reviews that never stop changing are looked at again when the next one comes.
const MOST_LOOKS: usize = 4;

impl Core {
    pub(super) async fn check_reviews(&self, number: u64) -> Result<Option<Input>, Failure> {
        let github = Github::new(&self.env).map_err(Error::from)?;
        let mut said = None;
        for _ in 0..MOST_LOOKS {
            let state = self.session()?;
            let permissions = Permissions::default()
                .checks(Level::Write)
                .pull_requests(Level::Read)
                .contents(Level::Read);
            let token = github
                .installation_token(&state.repository, permissions)
                .await?;
            let place = Place {
                github: &github,
                token: &token.token,
                repository: &state.repository,
                number,
            };
            let pull = github
                .pull_request(&token.token, &state.repository, number)
                .await?;
            // What is merged or closed needs no word of ours any more.
            if !pull.is_open() {
                break;
            }
            let seen = Some((
                pull.head.sha.clone(),
                place
                    .verdict(&pull.head.sha, &state.forge.prompters)
                    .await?,
            ));
            if seen == said {
                break;
            }
            if let Some((head, verdict)) = &seen {
                let url = self.session_url(&state.session)?;
                github
                    .say_review(&token.token, &state.repository, head, verdict, &url)
                    .await?;
            }
            said = seen;
        }
        Ok(None)
    }
}

struct Place<'a> {
    github: &'a Github,
    token: &'a str,
    repository: &'a Repository,
    number: u64,
}

impl Place<'_> {
    async fn verdict(
        &self,
        head: &str,
        prompters: &[protocol::event::Person],
    ) -> Result<Verdict, GithubError> {
        let (token, repository) = (self.token, self.repository);
        let reviews = self.github.reviews(token, repository, self.number).await?;
        let commits = self
            .github
            .commits_of_pull_request(token, repository, self.number)
            .await?;
        let involved: BTreeSet<UserId> = independence::involved(prompters, &commits);
        let mut approvers = Vec::new();
        for approver in independence::approvers(&reviews, head) {
            // Anybody can approve in a public repository; it counts of those who may write.
            if self
                .github
                .may_write(token, repository, &approver.login)
                .await?
            {
                approvers.push(approver);
            }
        }
        Ok(independence::verdict(&approvers, &involved))
    }
}
