//! An issue or a pull request on which we were called, and our one comment on it.

use protocol::event::Repository;
use worker::Env;

use crate::database::{self, Database};
use crate::error::Error;
use crate::github::Github;
use crate::github::app::{Level, Permissions};

pub struct Thread<'a> {
    pub env: &'a Env,
    pub database: &'a Database,
    pub repository: &'a Repository,
    pub number: u64,
}

impl Thread<'_> {
    /// Writes our comment, in place of what it said before.
    pub async fn say(&self, text: &str) -> Result<(), Error> {
        let github = Github::new(self.env)?;
        let permissions = Permissions::default()
            .issues(Level::Write)
            .pull_requests(Level::Write);
        let token = github
            .installation_token(self.repository, permissions)
            .await?;
        let (database, number) = (self.database, self.number);
        let known = database::threads::comment(database, self.repository, number).await?;
        let comment = github
            .say(&token.token, self.repository, number, known, text)
            .await?;
        if known != Some(comment) {
            database::threads::remember_comment(database, self.repository, number, comment).await?;
        }
        Ok(())
    }
}
