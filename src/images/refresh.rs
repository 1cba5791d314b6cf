//! What the cron does every half hour: gives up builds that nobody works on, asks GitHub where the
//! branches are, has built what moved and what was made on an earlier system, and takes away what is
//! old.
//!
//! A tick's work is bounded. Bases are asked for in turn, those that waited longest first, so the
//! next tick goes on where this one ended.

use protocol::callback::Register;
use protocol::event::Repository;
use protocol::image::Base;
use protocol::{Millis, RunnerId};
use worker::Env;

use super::decision::{self, Fate};
use super::{dispatch, fail, take_back, want};
use crate::database::{self, Database};
use crate::error::Error;
use crate::fleet;
use crate::github::app::{Level, Permissions};
use crate::github::{Github, GithubError};
use crate::platform::clock;

/// Bases that one tick asks GitHub for. Each costs up to three requests.
const BASES_AT_ONCE: i64 = 100;

const DAY_MS: i64 = 24 * 3_600_000;

/// A base that nothing started from for so long is looked after no more.
const UNUSED_MS: i64 = 14 * DAY_MS;

/// What is no base's current image is kept so long.
const IMAGE_MS: i64 = 7 * DAY_MS;

pub async fn refresh_all(env: &Env) -> Result<(), Error> {
    let database = Database::new(env)?;
    let present = fleet::present_runners(env).await?;
    sweep(&database, &present).await?;
    let now = clock::now();
    database::bases::expire(&database, now.plus(-UNUSED_MS)).await?;
    database::images::expire(&database, now.plus(-IMAGE_MS)).await?;
    let bases = database::bases::least_recently_checked(&database, BASES_AT_ONCE).await?;
    let github = Github::new(env)?;
    for (repository, bases) in by_repository(bases) {
        // One that cannot be asked for is in the way of no other.
        if let Err(error) = refresh(&database, &github, &repository, &bases, &present, now).await {
            error.log();
        }
    }
    dispatch(env, &database).await;
    Ok(())
}

async fn sweep(database: &Database, present: &[Register]) -> Result<(), Error> {
    let present: Vec<RunnerId> = present.iter().map(|known| known.runner.clone()).collect();
    for row in database::images::building(database).await? {
        match decision::fate(&row, &present, clock::now()) {
            Fate::GoesOn => {}
            Fate::Unheard => take_back(database, &row, row.attempts, "it was not heard of").await?,
            Fate::Lost(message) => fail(database, &row.id, message.to_owned()).await?,
        }
    }
    Ok(())
}

fn by_repository(mut bases: Vec<Base>) -> Vec<(Repository, Vec<Base>)> {
    bases.sort();
    bases
        .chunk_by(|one, other| one.repository == other.repository)
        .filter_map(|bases| Some((bases.first()?.repository.clone(), bases.to_vec())))
        .collect()
}

/// Asks for the images of one repository's bases; one token is good for all.
async fn refresh(
    database: &Database,
    github: &Github,
    repository: &Repository,
    bases: &[Base],
    present: &[Register],
    now: Millis,
) -> Result<(), Error> {
    let permissions = Permissions::default().contents(Level::Read);
    let token = github.installation_token(repository, permissions).await;
    let token = match token {
        Ok(token) => token.token,
        Err(error) => {
            // It takes its turn again like the others.
            for base in bases {
                let branch = &base.branch;
                database::bases::checked(database, repository, branch, None, now).await?;
            }
            return Err(error);
        }
    };
    for bases in bases.chunk_by(|one, other| one.branch == other.branch) {
        let Some(branch) = bases.first().map(|base| base.branch.as_str()) else {
            continue;
        };
        let head = match github.head(&token, repository, branch).await {
            Ok(Some(head)) => head,
            Ok(None) => {
                database::bases::forget_branch(database, repository, branch).await?;
                continue;
            }
            Err(error) => {
                database::bases::checked(database, repository, branch, None, now).await?;
                log(error);
                continue;
            }
        };
        for base in bases {
            let rows = database::images::of_base(database, base).await?;
            let is_stale = fleet::is_stale(present, base);
            want(database, base, &head, &rows, is_stale, now).await?;
        }
        database::bases::checked(database, repository, branch, Some(&head), now).await?;
    }
    Ok(())
}

fn log(error: GithubError) {
    Error::from(error).log();
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_asked_for_once_with_all_its_bases() {
        let base = |name: &str, branch: &str| Base {
            repository: Repository::new("acme", name).unwrap(),
            branch: branch.to_owned(),
            environment: None,
        };
        let bases = vec![base("b", "main"), base("a", "main"), base("b", "dev")];
        let grouped: Vec<(String, usize)> = by_repository(bases)
            .into_iter()
            .map(|(repository, bases)| (repository.to_string(), bases.len()))
            .collect();
        assert_eq!(
            grouped,
            [("acme/a".to_owned(), 1), ("acme/b".to_owned(), 2)]
        );
    }
}
