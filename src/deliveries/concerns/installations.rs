//! Which installation reaches which repository, and under which name.

use protocol::event::Repository;
use worker::Env;

use crate::database::{self, Database};
use crate::deliveries::Delivery;
use crate::error::Error;
use crate::github::event::{Installation, InstallationAction, RepositoryAction, Subject};
use crate::tokens;

pub async fn follow(env: &Env, database: &Database, delivery: &Delivery) -> Result<(), Error> {
    let event = &delivery.event;
    match &event.subject {
        Subject::Installation(installation) => changed(env, database, installation).await,
        Subject::Repository(change) => {
            let Some(now) = &event.repository else {
                return Ok(());
            };
            if let Some(before) = change
                .moved
                .as_ref()
                .and_then(|moved| moved.from(&now.name))
            {
                database::pull_requests::moved(database, &before, &now.name).await?;
                gone(env, database, std::slice::from_ref(&before)).await?;
            }
            if change.action == RepositoryAction::Deleted {
                return gone(env, database, std::slice::from_ref(&now.name)).await;
            }
            match event.installation {
                Some(known) => {
                    Ok(database::installations::remember(database, known, &now.name).await?)
                }
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

async fn changed(env: &Env, database: &Database, installation: &Installation) -> Result<(), Error> {
    let names = |listed: &[(_, Repository)]| -> Vec<Repository> {
        listed.iter().map(|(_, name)| name.clone()).collect()
    };
    match installation.action {
        InstallationAction::Deleted | InstallationAction::Suspend => {
            let known = database::installations::remove(database, installation.id).await?;
            gone(env, database, &known).await
        }
        _ => {
            let added = names(&installation.added);
            database::installations::remember_all(database, installation.id, &added).await?;
            gone(env, database, &names(&installation.removed)).await
        }
    }
}

/// The App reaches these no more, or not under these names: what it held for them is void.
async fn gone(env: &Env, database: &Database, repositories: &[Repository]) -> Result<(), Error> {
    database::installations::forget_all(database, repositories).await?;
    for repository in repositories {
        tokens::forget(env, repository).await?;
    }
    Ok(())
}
