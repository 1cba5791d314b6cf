//! Environments of a repository: asked for by specification, told about, deleted.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::api::{self, CreateEnvironment, EnvironmentList, EnvironmentStatus, ImageState};
use protocol::image::{Base, EnvironmentName, Specification};

use super::Caller;
use super::extract::{Input, Path};
use crate::auth::policy::Action;
use crate::database::environments::{Environment, Member};
use crate::database::images::{Row, Wish};
use crate::error::Error;
use crate::images::{checks, decision};
use crate::platform::clock;
use crate::{database, images};

const MAX_MEMBERS: usize = 50;

/// `POST /api/repositories/{owner}/{name}/environments`: the same again changes nothing, but has
/// one that failed tried again; another specification is built.
#[worker::send]
pub async fn create(
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
    Input(wanted): Input<CreateEnvironment>,
) -> Result<Response, Error> {
    let (repository, branch) = caller
        .repository(&owner, &name, Action::ManageImages)
        .await?;
    let CreateEnvironment {
        name,
        runtime,
        packages,
        setup,
        members,
    } = wanted;
    let specification = Specification {
        runtime,
        packages,
        setup,
    };
    checks::check_specification(&specification)?;
    let members = find_members(&caller, &members).await?;
    let (database, now) = (&caller.database, clock::now());
    let known = database::environments::list(database, &repository).await?;
    let full = known.len() >= database::environments::MOST;
    let before = known.into_iter().find(|known| known.name == name);
    match &before {
        Some(before) if !before.is_open_to(&caller.person) => {
            let message = "there is an environment of this name, which is not open to you: choose \
                           another name";
            return Err(Error::invalid("bad_environment", message));
        }
        None if full => {
            let message = "this repository has as many environments as there can be: delete one";
            return Err(Error::invalid("bad_environment", message));
        }
        _ => {}
    }
    let same = before
        .as_ref()
        .filter(|before| before.specification == specification && before.base.branch == branch);
    let environment = Environment {
        base: Base {
            repository,
            branch,
            environment: Some(name.clone()),
        },
        name,
        members,
        specified_at: same.map_or(now, |same| same.specified_at),
        created_by: before.as_ref().map_or_else(
            || Member {
                id: caller.person.id,
                login: caller.person.login.clone(),
            },
            |before| before.created_by.clone(),
        ),
        specification,
    };
    let rows = database::images::of_base(database, &environment.base).await?;
    let (status, _) = decision::status(&rows, environment.specified_at);
    database::environments::set(database, &environment, now).await?;
    database::bases::used(database, &environment.base, now).await?;
    if same.is_none() || status == EnvironmentStatus::Failed {
        let reason = match (&before, same) {
            (None, _) => "the environment is new",
            (Some(_), None) => "the specification changed",
            (Some(_), Some(_)) => "the environment was asked for again",
        };
        let wish = Wish {
            behind: true,
            ..images::wish(&environment.base, reason, &caller.person.login, now)
        };
        images::request(database, &wish).await?;
        images::dispatch(&caller.env, database).await;
    }
    let answer = describe(&caller, &environment).await?;
    let location = [(header::LOCATION, answer.url.clone())];
    Ok((StatusCode::ACCEPTED, location, Json(answer)).into_response())
}

/// Looks logins up at GitHub, so that nobody is let in who takes one later.
async fn find_members(caller: &Caller, logins: &[String]) -> Result<Vec<Member>, Error> {
    if logins.len() > MAX_MEMBERS {
        let message = format!("an environment has at most {MAX_MEMBERS} members");
        return Err(Error::invalid("bad_environment", message));
    }
    if logins.is_empty() {
        return Ok(Vec::new());
    }
    let github = &caller.github;
    let mut members: Vec<Member> = Vec::new();
    for login in logins {
        let found = match is_login(login) {
            true => {
                let ask = async |token: &str| github.account(token, login).await;
                github.as_user(caller.person.id, ask).await?
            }
            false => None,
        };
        let Some((id, login)) = found else {
            let message = format!("there is no {login:?} on GitHub: members are GitHub logins");
            return Err(Error::invalid("unknown_member", message));
        };
        if members.iter().all(|member| member.id != id) {
            members.push(Member { id, login });
        }
    }
    Ok(members)
}

/// GitHub's own limits; nothing else gets into the path of a request.
fn is_login(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=39).contains(&text.len()) && text.bytes().all(fits)
}

async fn describe(caller: &Caller, environment: &Environment) -> Result<api::Environment, Error> {
    let rows = database::images::of_base(&caller.database, &environment.base).await?;
    let (status, row) = decision::status(&rows, environment.specified_at);
    let url = format!(
        "{}/api/repositories/{}/environments/{}",
        caller.public_url, environment.base.repository, environment.name
    );
    let built = rows.iter().find(|row| row.state == ImageState::Ready);
    let built = built.filter(|_| status == EnvironmentStatus::Ready);
    let runtime = built.map(Row::image).transpose()?;
    let message = match status {
        EnvironmentStatus::Failed => Some(
            row.and_then(|row| row.message.clone())
                .unwrap_or_else(|| "it was not built: ask for it again".to_owned()),
        ),
        EnvironmentStatus::Building | EnvironmentStatus::Ready => None,
    };
    let members = environment.members.iter();
    Ok(api::Environment {
        status,
        name: environment.name.clone(),
        url,
        runtime: runtime.map(|image| image.runtime).unwrap_or_default(),
        message,
        specification: environment.specification.clone(),
        members: members.map(|member| member.login.clone()).collect(),
        created_by: environment.created_by.login.clone(),
        image: row.map(|row| row.id.clone()),
    })
}

/// `GET /api/repositories/{owner}/{name}/environments`
#[worker::send]
pub async fn list(
    caller: Caller,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Response, Error> {
    let (repository, _) = caller.repository(&owner, &name, Action::View).await?;
    let mut environments = Vec::new();
    for environment in database::environments::list(&caller.database, &repository).await? {
        if environment.is_open_to(&caller.person) {
            environments.push(describe(&caller, &environment).await?);
        }
    }
    Ok(Json(EnvironmentList { environments }).into_response())
}

/// `GET /api/repositories/{owner}/{name}/environments/{environment}`
#[worker::send]
pub async fn show(
    caller: Caller,
    Path((owner, name, environment)): Path<(String, String, String)>,
) -> Result<Response, Error> {
    let environment = find(&caller, &owner, &name, &environment, Action::View).await?;
    Ok(Json(describe(&caller, &environment).await?).into_response())
}

/// `DELETE /api/repositories/{owner}/{name}/environments/{environment}`: sessions that started from
/// it go on.
#[worker::send]
pub async fn remove(
    caller: Caller,
    Path((owner, name, environment)): Path<(String, String, String)>,
) -> Result<Response, Error> {
    let action = Action::ManageImages;
    let environment = find(&caller, &owner, &name, &environment, action).await?;
    let (database, repository) = (&caller.database, &environment.base.repository);
    database::bases::forget_environment(database, repository, &environment.name).await?;
    database::images::forget_environment(database, repository, &environment.name).await?;
    database::environments::remove(database, repository, &environment.name).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn find(
    caller: &Caller,
    owner: &str,
    name: &str,
    environment: &str,
    action: Action,
) -> Result<Environment, Error> {
    let (repository, _) = caller.repository(owner, name, action).await?;
    let name = EnvironmentName::parse(environment).map_err(|_| Error::NotFound("environment"))?;
    caller.environment(&repository, &name).await
}

#[cfg(test)]
mod tests {
    use super::is_login;

    #[test]
    fn what_leaves_a_path_is_no_login() {
        for good in ["alice", "a-b", "octo_corp"] {
            assert!(is_login(good), "{good}");
        }
        for bad in ["", "a/b", "..", "a?b", "a b", "é"] {
            assert!(!is_login(bad), "{bad}");
        }
    }
}
