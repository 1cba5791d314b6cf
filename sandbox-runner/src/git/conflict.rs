//! A conflict outlives the sandbox in which it came about: the workspace's own git remembers to which
//! commit it did not come, so that who goes on from a snapshot knows of it until that is merged.

use std::collections::HashSet;

use super::sync::Conflict;
use super::{GitError, Workspace};

/// The commit to which the workspace did not come. It keeps the commit from being collected as well.
const NEWEST: &str = "refs/agent/newest";

impl Workspace<'_> {
    pub(super) async fn remember(&self, newest: &str) -> Result<(), GitError> {
        let noting = self.git(&["update-ref", NEWEST, newest]);
        noting.text().await.map(drop)
    }

    /// What keeps the workspace from a newer commit since it did not come to it, unless `head` has that
    /// commit by now.
    pub async fn unmerged(&self, head: &str) -> Result<Option<Conflict>, GitError> {
        let commit = format!("{NEWEST}^{{commit}}");
        let asked = self.git(&["rev-parse", "--verify", "--quiet", &commit]);
        let asked = asked.run().await?;
        let newest = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
        if !asked.exit.success() || self.is_ancestor(&newest, head).await? {
            return Ok(None);
        }
        let fork = self.git(&["merge-base", head, &newest]).text().await?;
        let theirs = self.differing(&[&fork, &newest]).await?;
        let theirs = theirs.map(HashSet::<String>::from_iter);
        let mut paths = self.differing(&[&fork]).await?.unwrap_or_default();
        paths.retain(|path| theirs.as_ref().is_none_or(|theirs| theirs.contains(path)));
        Ok(Some(Conflict { paths, newest }))
    }
}
