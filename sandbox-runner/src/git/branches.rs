//! The branches of a session in its workspace, and which one starts from which.

use protocol::branch::is_of_session;

use super::{GitError, Workspace, heads};

/// Most branches beside the work branch: each becomes a pull request that somebody has to review.
const MOST_BESIDE: usize = 16;

/// A branch of the session that has commits of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Branch {
    pub(super) name: String,
    pub(super) commit: String,
    /// Names of the session's other branches that are contained in this one.
    pub(super) contains: Vec<String>,
}

impl Branch {
    /// The branch that this one starts from: of those that it contains, the one that contains most
    /// of the others.
    pub(super) fn nearest<'a>(&self, branches: &'a [Self]) -> Option<&'a Self> {
        branches
            .iter()
            .filter(|other| other.commit != self.commit && self.contains.contains(&other.name))
            .max_by_key(|other| other.contains.len())
    }
}

impl Workspace<'_> {
    /// The session's branches with commits that `base` does not have, the work branch first. Of
    /// several at one commit only the first counts.
    pub(super) async fn branches(&self, work: &str, base: &str) -> Result<Vec<Branch>, GitError> {
        let beside = self.beside(work).await?;
        // Wherever the agent is, its work is the session's, unless it is on a branch beside.
        let is_beside = !beside.is_empty()
            && self
                .current()
                .await?
                .is_some_and(|current| beside.iter().any(|(name, _)| *name == current));
        let tip = match is_beside {
            true => self.tip(work).await?,
            false => Some(self.head().await?),
        };
        let own = tip.map(|commit| (work.to_owned(), commit));
        let mut branches: Vec<Branch> = Vec::new();
        for (name, commit) in own.into_iter().chain(beside) {
            let is_repeated = branches.iter().any(|known| known.commit == commit);
            if is_repeated || self.is_ancestor(&commit, base).await? {
                continue;
            }
            branches.push(Branch {
                name,
                commit,
                contains: Vec::new(),
            });
        }
        if branches.len() > 1 {
            self.relate(&mut branches).await?;
        }
        Ok(branches)
    }

    async fn relate(&self, branches: &mut [Branch]) -> Result<(), GitError> {
        let tips: Vec<_> = branches
            .iter()
            .map(|branch| (branch.name.clone(), branch.commit.clone()))
            .collect();
        for branch in branches {
            for (name, commit) in &tips {
                if *name != branch.name && self.is_ancestor(commit, &branch.commit).await? {
                    branch.contains.push(name.clone());
                }
            }
        }
        Ok(())
    }

    /// Branches beside the work branch, by name.
    pub(super) async fn beside(&self, work: &str) -> Result<Vec<(String, String)>, GitError> {
        let pattern = heads(&format!("{work}-*"));
        let format = "--format=%(objectname) %(refname:lstrip=2)";
        let listed = self.git(&["for-each-ref", format, &pattern]).text().await?;
        Ok(listed
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter(|(_, name)| is_of_session(work, name))
            .map(|(commit, name)| (name.to_owned(), commit.to_owned()))
            .take(MOST_BESIDE)
            .collect())
    }

    /// The branch that is checked out; `None` when a commit is.
    pub(super) async fn current(&self) -> Result<Option<String>, GitError> {
        let output = self
            .git(&["symbolic-ref", "--quiet", "--short", "HEAD"])
            .run()
            .await?;
        let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(Some(name).filter(|name| output.exit.success() && !name.is_empty()))
    }

    async fn tip(&self, branch: &str) -> Result<Option<String>, GitError> {
        let output = self
            .git(&["rev-parse", "--verify", "--quiet", &heads(branch)])
            .run()
            .await?;
        let commit = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(Some(commit).filter(|commit| output.exit.success() && !commit.is_empty()))
    }
}
