//! Failed checks of a session's branch become one prompt, when all checks of the commit have ended.

use protocol::event::Repository;

use super::{Answer, Scene};
use crate::error::Error;
use crate::github::app::{Level, Permissions};
use crate::github::event::{CheckEvent, Conclusion};
use crate::github::pull_request::Found;
use crate::github::wake::{self, Place};
use crate::session::forge::ForgeRequest;

impl Scene<'_> {
    pub(super) async fn check(&self, event: &CheckEvent) -> Result<(), Error> {
        let check = &event.check;
        let is_failure = check.conclusion.is_some_and(Conclusion::is_failure);
        let app = check.app.as_ref().map(|(_, id)| *id);
        let is_own = self.github.is_own_check(&check.name, app);
        if is_own || (!is_failure && check.conclusion != Some(Conclusion::Success)) {
            return Ok(());
        }
        // Most checks are of branches that are nothing of ours, and cost nothing then.
        if let Some(branch) = &check.head_branch
            && self.session_of(branch).await?.is_none()
        {
            return Ok(());
        }
        let permissions = Permissions::default()
            .checks(Level::Read)
            .pull_requests(Level::Read)
            .contents(Level::Read)
            .read_actions();
        let token = self
            .github
            .installation_token(&self.repository, permissions)
            .await?;
        let token = &token.token;
        let Some(pull) = self.pull_request_at(token, check).await? else {
            return Ok(());
        };
        let Some(session) = self.session_of(&pull.head.branch).await? else {
            return Ok(());
        };
        let (github, repository) = (&self.github, &self.repository);
        // The last one to end tells of all.
        let commit = &check.head_sha;
        let Some(runs) = github.ended_checks(token, repository, commit).await? else {
            return Ok(());
        };
        let mut failed = Vec::new();
        for run in runs.iter().filter(|run| run.has_failed()) {
            let log = github.failure_of(token, repository, run).await?;
            failed.push((run.name.clone(), log));
        }
        if failed.is_empty() {
            return Ok(());
        }
        let name = format!("pull request #{}", pull.number);
        let place = Place {
            name: &name,
            url: &pull.html_url,
        };
        let ask = ForgeRequest::Repair {
            branch: pull.head.branch.clone(),
            commit: check.head_sha.clone(),
            text: wake::checks(place, &check.head_sha, &failed),
            client_request_id: format!("github:checks:{}", check.head_sha),
        };
        if let Answer::Refused { code, message } = self.ask(&session, ask).await? {
            worker::console_log!("passed over: session={session} code={code} {message}");
        }
        Ok(())
    }

    /// The open pull request whose head the commit is.
    async fn pull_request_at(
        &self,
        token: &str,
        check: &crate::github::event::Check,
    ) -> Result<Option<Found>, Error> {
        let repository: &Repository = &self.repository;
        let open = match &check.head_branch {
            Some(branch) => {
                let found = self
                    .github
                    .pull_request_of(token, repository, branch)
                    .await?;
                found.into_iter().collect()
            }
            None => self.github.open_pull_requests(token, repository).await?,
        };
        let is_it = |pull: &Found| pull.head.sha == check.head_sha && pull.is_within(repository);
        Ok(open.into_iter().find(is_it))
    }
}
