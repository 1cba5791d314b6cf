//! Who reaches what may have changed: what GitHub said before is believed no longer, and sessions
//! in which somebody is look at everybody's access anew.

use protocol::UserId;
use protocol::event::Repository;
use worker::Env;

use crate::api;
use crate::database::{self, Database};
use crate::deliveries::Delivery;
use crate::error::Error;
use crate::github::event::{AuthorizationAction, InstallationAction, RepositoryAction, Subject};
use crate::platform::clock;
use crate::session::request::Request;
use crate::{lobby, user};

/// Sessions that nothing happened in for so long have nobody in them who was not asked about
/// meanwhile.
const RECENT_MS: i64 = 24 * 3_600_000;

/// Most sessions that are told of one change; the others look by themselves every ten minutes.
const MAX_SESSIONS: i64 = 200;

pub async fn drop(env: &Env, database: &Database, delivery: &Delivery) -> Result<(), Error> {
    let event = &delivery.event;
    match &event.subject {
        Subject::Authorization(revoked) if revoked.action == AuthorizationAction::Revoked => {
            let Some(sender) = &event.sender else {
                return Ok(());
            };
            user::unlink(env, sender.id).await?;
            database::users::revoked(database, sender.id).await?;
            recheck(env, database, &Scope::All, Some(sender.id)).await
        }
        Subject::Member(member) => {
            let person = member.person().map(|person| person.id);
            let scope = match (&member.repository, &member.organization) {
                (Some(repository), _) => Scope::These(vec![repository.name.clone()]),
                (None, Some(organization)) => Scope::Owner(organization.login.clone()),
                (None, None) => return Ok(()),
            };
            forget(env, database, &scope, person).await
        }
        Subject::Installation(installation) => {
            // A suspension tells of no repository, and neither does one that reaches all.
            let scope = match installation.action {
                InstallationAction::Added | InstallationAction::Removed => {
                    let changed = installation.added.iter().chain(&installation.removed);
                    Scope::These(changed.map(|(_, name)| name.clone()).collect())
                }
                _ => Scope::Owner(installation.account.login.clone()),
            };
            forget(env, database, &scope, None).await
        }
        Subject::Repository(change) if change.action != RepositoryAction::Created => {
            let Some(now) = &event.repository else {
                return Ok(());
            };
            let before = change
                .moved
                .as_ref()
                .and_then(|moved| moved.from(&now.name));
            let names = std::iter::once(now.name.clone()).chain(before);
            forget(env, database, &Scope::These(names.collect()), None).await
        }
        _ => Ok(()),
    }
}

/// Of which repositories something changed.
enum Scope {
    All,
    Owner(String),
    These(Vec<Repository>),
}

async fn forget(
    env: &Env,
    database: &Database,
    scope: &Scope,
    person: Option<UserId>,
) -> Result<(), Error> {
    match scope {
        Scope::All => {}
        Scope::Owner(owner) => database::users::forget_owner(database, owner, person).await?,
        Scope::These(names) => {
            database::users::forget_repositories(database, names, person).await?;
        }
    }
    recheck(env, database, scope, person).await
}

/// Has the lobby, and sessions that somebody may be in, look at access again, of one person or all.
async fn recheck(
    env: &Env,
    database: &Database,
    scope: &Scope,
    user: Option<UserId>,
) -> Result<(), Error> {
    lobby::look_again(env, user).await;
    let since = clock::now().plus(-RECENT_MS);
    let sessions = match scope {
        Scope::All => database::sessions::recent(database, since, MAX_SESSIONS).await?,
        Scope::Owner(owner) => {
            database::sessions::recent_of_owner(database, owner, since, MAX_SESSIONS).await?
        }
        Scope::These(names) => {
            database::sessions::recent_of(database, names, since, MAX_SESSIONS).await?
        }
    };
    for session in sessions {
        let asked = api::ask_session(env, &session, &Request::Recheck { user }).await?;
        if asked.status().is_server_error() {
            worker::console_warn!("a session did not look at access again: session={session}");
        }
    }
    Ok(())
}
