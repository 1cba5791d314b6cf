//! The workspace of an image is brought to its branch's newest commit in two steps, while the agent
//! reads it already.
//!
//! [`Workspace::look`] fetches and tells which files are going to change; nothing in the working tree
//! moves. [`Workspace::advance`] is git's own checkout with the index and working tree that are there:
//! a file that both commits have alike keeps whatever was written to it, and if one that differs was
//! written, git refuses before it has touched any. Ignored files are expendable to it: set-up leaves
//! such files, and a newer commit may bring them.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{GitError, REMOTE, Workspace, heads};
use crate::init::wire::Exit;

/// How long git may be kept from the index by a git of the agent's.
const LOCKED: Duration = Duration::from_secs(10);
const LOCKED_PAUSE: Duration = Duration::from_millis(50);
/// More paths than this are not named.
const MOST_PATHS: usize = 10_000;

/// What there is to do, and nothing of it done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// The newest commit of the branch that the work starts from.
    pub base: String,
    /// The work branch at the forge, if an earlier sandbox of this session made it.
    pub pushed: Option<String>,
    /// What is checked out.
    pub head: String,
    /// The paths that differ between what is checked out and what is wanted, from the root of the
    /// workspace; `None` when they are too many to name.
    pub changed: Option<Vec<String>>,
    work_branch: String,
}

/// What the workspace stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synchronised {
    /// The commit that the work is compared with: the newest of the branch that it starts from, or
    /// where it left that branch.
    pub base: String,
    /// The commit that is checked out.
    pub head: String,
    /// The work branch at the forge, if an earlier sandbox of this session made it.
    pub pushed: Option<String>,
    /// Whether the workspace has moved to another commit.
    pub moved: bool,
    /// Whether what is pushed may be missing in the workspace.
    pub behind: bool,
    /// Present where it stayed at an older commit than it was to come to.
    pub conflict: Option<Conflict>,
}

/// What kept a workspace where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// They were written here, and are changed there.
    pub paths: Vec<String>,
    /// The commit that it was to come to. The workspace's git has it.
    pub newest: String,
}

impl Looked {
    /// The commit to work on: the work branch's if the session has one already, else its base's.
    pub fn wanted(&self) -> &str {
        self.pushed.as_deref().unwrap_or(&self.base)
    }

    pub fn is_unchanged(&self) -> bool {
        self.wanted() == self.head
    }
}

impl Workspace<'_> {
    /// Fetches what is new and tells what differs.
    pub async fn look(&self, branch: &str, work_branch: &str) -> Result<Looked, GitError> {
        let remote = self.remote();
        let (base_ref, work_ref) = (heads(branch), heads(work_branch));
        let listed = self
            .git(&["ls-remote", &remote, &base_ref, &work_ref])
            .within(REMOTE)
            .text()
            .await?;
        let find = |name: &str| {
            listed.lines().find_map(|line| {
                let (commit, reference) = line.split_once('\t')?;
                (reference == name).then(|| commit.to_owned())
            })
        };
        let base = find(&base_ref).ok_or_else(|| GitError::NoBranch(branch.to_owned()))?;
        let pushed = find(&work_ref);
        let head = self.head().await?;
        let mut looked = Looked {
            base,
            pushed,
            head,
            changed: Some(Vec::new()),
            work_branch: work_branch.to_owned(),
        };
        if !looked.is_unchanged() || !self.holds(&looked.base).await? {
            let mut fetch = vec!["fetch", "--no-tags", "--no-recurse-submodules", &remote];
            fetch.push(&base_ref);
            fetch.extend(looked.pushed.is_some().then_some(work_ref.as_str()));
            self.git(&fetch).within(REMOTE).text().await?;
        }
        if !looked.is_unchanged() {
            looked.changed = self.differing(&[&looked.head, looked.wanted()]).await?;
        }
        Ok(looked)
    }

    /// Checks the wanted commit out on the local work branch, keeping what was written meanwhile.
    /// Stays where it is if that is in the way.
    pub async fn advance(&self, looked: &Looked) -> Result<Synchronised, GitError> {
        let wanted = looked.wanted();
        let checkout = ["checkout", "--quiet", "-B", &looked.work_branch, wanted];
        let deadline = Instant::now() + LOCKED;
        let complaint = loop {
            let output = self.git(&checkout).unbroken().run().await?;
            if output.exit.success() {
                return Ok(Synchronised {
                    base: looked.base.clone(),
                    head: wanted.to_owned(),
                    pushed: looked.pushed.clone(),
                    moved: !looked.is_unchanged(),
                    behind: false,
                    conflict: None,
                });
            }
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            let is_locked = complaint.contains("index.lock");
            if !is_locked || output.exit == Exit::TimedOut || Instant::now() >= deadline {
                break complaint;
            }
            sleep(LOCKED_PAUSE).await;
        };
        let paths = in_the_way(&complaint);
        if paths.is_empty() {
            return Err(GitError::Failed {
                operation: "checkout".to_owned(),
                complaint: complaint
                    .trim()
                    .chars()
                    .take(super::MAX_COMPLAINT)
                    .collect(),
            });
        }
        let stayed = self.stay(looked).await?;
        self.remember(wanted).await?;
        Ok(Synchronised {
            conflict: Some(Conflict {
                paths,
                newest: wanted.to_owned(),
            }),
            ..stayed
        })
    }

    /// Whether the work branch at the forge has all that is checked out, and more.
    pub async fn is_overtaken(&self, looked: &Looked) -> Result<bool, GitError> {
        match &looked.pushed {
            Some(pushed) if *pushed != looked.head => self.is_ancestor(&looked.head, pushed).await,
            _ => Ok(false),
        }
    }

    /// Leaves the workspace as it is, with work in it, and names its branch.
    pub async fn stay(&self, looked: &Looked) -> Result<Synchronised, GitError> {
        let checkout = ["checkout", "--quiet", "-B", &looked.work_branch];
        self.git(&checkout).unbroken().text().await?;
        let head = self.head().await?;
        let fork = self.git(&["merge-base", &head, &looked.base]).text().await;
        let behind = match &looked.pushed {
            Some(pushed) => !self.is_ancestor(pushed, &head).await?,
            None => false,
        };
        Ok(Synchronised {
            // Without one, all of it is the work.
            base: fork.unwrap_or_else(|_| looked.base.clone()),
            head,
            pushed: looked.pushed.clone(),
            moved: false,
            behind,
            conflict: None,
        })
    }

    /// The paths that differ between two commits, or between one and the working tree; `None` when
    /// they are too many to name.
    pub(super) async fn differing(
        &self,
        commits: &[&str],
    ) -> Result<Option<Vec<String>>, GitError> {
        let mut diff = vec!["diff", "--name-only", "--no-renames", "--no-ext-diff", "-z"];
        diff.extend(commits);
        let output = self.git(&diff).run().await?;
        if !output.exit.success() {
            return Err(GitError::Failed {
                operation: "diff".to_owned(),
                complaint: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            });
        }
        let paths = output.stdout.split(|byte| *byte == 0);
        let paths: Vec<String> = paths
            .filter(|path| !path.is_empty())
            .map(|path| String::from_utf8_lossy(path).into_owned())
            .collect();
        Ok((!output.truncated && paths.len() <= MOST_PATHS).then_some(paths))
    }
}

/// The files that git names when a checkout would write over them.
fn in_the_way(complaint: &str) -> Vec<String> {
    let named = complaint.lines().filter_map(|line| line.strip_prefix('\t'));
    named.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_that_a_checkout_would_write_over_are_told_from_other_failures() {
        let complaint = "error: Your local changes to the following files would be overwritten by \
            checkout:\n\ta b.txt\n\tsrc/c.rs\nPlease commit your changes or stash them before you \
            switch branches.\nAborting\n";
        assert_eq!(in_the_way(complaint), ["a b.txt", "src/c.rs"]);
        assert!(in_the_way("fatal: unable to write new index file\n").is_empty());
    }
}
