//! What a turn leaves behind, committed and pushed: the work branch, and the branches beside it on
//! which the agent put parts of the work.

use std::collections::BTreeMap;

use protocol::PromptId;
use protocol::command::GitIdentity;
use protocol::event::FileChange;

use super::branches::Branch;
use super::{GitError, Marks, REMOTE, Workspace, heads, message};
use crate::cause;
use crate::init::wire::Exit;

/// What [`Workspace::publish`] is to do.
pub struct Publication<'a> {
    pub message: &'a str,
    /// What commits that the agent made by itself lack of a message of ours.
    pub marks: &'a Marks,
    pub author: &'a GitIdentity,
    pub committer: &'a GitIdentity,
    pub work_branch: &'a str,
    /// What the work branch is known to be at the forge.
    pub pushed: Option<&'a str>,
    /// What the branches beside it are known to be there.
    pub beside: &'a BTreeMap<String, String>,
    /// The newest commit of the branch that the work started from.
    pub base: &'a str,
    /// Whether what is pushed may be missing in the workspace: it must not be lost by this push.
    pub behind: bool,
    /// The prompt, if a sandbox that was lost may have pushed its work without a word of it.
    pub resumed: Option<&'a PromptId>,
}

/// One branch with new commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    pub branch: String,
    pub commit: String,
    /// Against the merge base with what the branch starts from.
    pub files: Vec<FileChange>,
    /// The session's other branch that this one starts from, if it does.
    pub base: Option<String>,
}

impl Workspace<'_> {
    /// Commits what changed and pushes it, with whatever the agent committed by itself, on every
    /// branch of the session that has new commits.
    pub async fn publish(&self, work: &Publication<'_>) -> Result<Vec<Published>, GitError> {
        self.commit(work).await?;
        self.mark(work).await?;
        let branches = self.branches(work.work_branch, work.base).await?;
        let mut published = Vec::new();
        for branch in &branches {
            if self.push(work, branch).await? {
                published.push(self.account(work, branch, &branches).await);
            }
        }
        Ok(published)
    }

    async fn commit(&self, work: &Publication<'_>) -> Result<(), GitError> {
        self.git(&["add", "--all"]).text().await?;
        let staged = self.git(&["diff", "--cached", "--quiet"]).exit().await?;
        if staged != Exit::Code(1) {
            return Ok(());
        }
        let commit = [
            "commit",
            "--quiet",
            "--no-verify",
            "--cleanup=whitespace",
            "--file=-",
        ];
        self.git(&commit)
            .input(work.message)
            .env("GIT_AUTHOR_NAME", &work.author.name)
            .env("GIT_AUTHOR_EMAIL", &work.author.email)
            .env("GIT_COMMITTER_NAME", &work.committer.name)
            .env("GIT_COMMITTER_EMAIL", &work.committer.email)
            .text()
            .await
            .map(drop)
    }

    /// Whether there was anything new.
    async fn push(&self, work: &Publication<'_>, branch: &Branch) -> Result<bool, GitError> {
        let is_work = branch.name == work.work_branch;
        let known = match is_work {
            true => work.pushed,
            false => work.beside.get(&branch.name).map(String::as_str),
        };
        let behind = is_work && work.behind;
        let is_known =
            (!behind && known == Some(&branch.commit)) || self.is_forked(&branch.commit).await?;
        if is_known && !(is_work && self.is_pushed_for(work, &branch.commit).await?) {
            return Ok(false);
        }
        if let Some(pushed) = known.filter(|_| behind)
            && !self.is_ancestor(pushed, &branch.commit).await?
        {
            return Err(GitError::Behind(pushed.to_owned()));
        }
        let target = heads(&branch.name);
        let refspec = format!("{}:{target}", branch.commit);
        let remote = self.remote();
        let lease = format!("--force-with-lease={target}:{}", known.unwrap_or_default());
        let mut push = vec!["push", "--no-verify"];
        // The lease lets an agent amend its own commits, and nobody lose theirs. Of a branch beside
        // the work branch an earlier sandbox may have pushed more than is known here.
        if is_work || known.is_some() {
            push.push(&lease);
        }
        push.extend([remote.as_str(), &refspec]);
        self.git(&push).within(REMOTE).text().await?;
        Ok(true)
    }

    /// Whether a commit at the forge is that of a prompt which another sandbox was at work on. It is
    /// pushed again, which changes nothing, and told again.
    async fn is_pushed_for(&self, work: &Publication<'_>, commit: &str) -> Result<bool, GitError> {
        let Some(prompt) = work.resumed.filter(|_| work.pushed == Some(commit)) else {
            return Ok(false);
        };
        let format = format!("--format=%(trailers:key={},valueonly)", message::PROMPT);
        let prompts = self.git(&["log", "-1", &format, commit]).text().await?;
        Ok(prompts.lines().any(|line| line.trim() == prompt.as_str()))
    }

    async fn account(
        &self,
        work: &Publication<'_>,
        branch: &Branch,
        branches: &[Branch],
    ) -> Published {
        let below = branch.nearest(branches);
        let base = below.map_or(work.base, |below| &below.commit);
        // What is pushed is pushed: a list that cannot be made is no failure of it.
        let files = self.changes(base, &branch.commit).await;
        let files = files.unwrap_or_else(|error| {
            tracing::warn!(error = cause::chain(&error), "a push has no list of files");
            Vec::new()
        });
        Published {
            branch: branch.name.clone(),
            commit: branch.commit.clone(),
            files,
            base: below.map(|below| below.name.clone()),
        }
    }
}
