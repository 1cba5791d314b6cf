//! Environments: named specifications of a repository, and who may use each.

use protocol::event::{Person, Repository};
use protocol::image::{Base, EnvironmentName, Specification};
use protocol::{Millis, UserId};
use serde::{Deserialize, Serialize};

use super::Parameter::{Number, Text};
use super::{Database, DatabaseError};

/// Environments in one list, and the most that a repository can have.
pub const MOST: usize = 100;

/// Somebody who may use an environment, by the id that stays when a login is reassigned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub id: UserId,
    pub login: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// What its status is about.
    pub base: Base,
    pub name: EnvironmentName,
    pub specification: Specification,
    pub members: Vec<Member>,
    pub created_by: Member,
    /// Images that were started earlier are of another specification.
    pub specified_at: Millis,
}

impl Environment {
    /// Access to the repository is asked for elsewhere; this narrows it.
    pub fn is_open_to(&self, person: &Person) -> bool {
        self.members.is_empty()
            || self.created_by.id == person.id
            || self.members.iter().any(|member| member.id == person.id)
    }
}

#[derive(Deserialize)]
struct Row {
    repository: Repository,
    name: EnvironmentName,
    branch: String,
    specification: String,
    members: String,
    created_by: i64,
    created_by_login: String,
    specified_at: i64,
}

impl TryFrom<Row> for Environment {
    type Error = DatabaseError;

    fn try_from(row: Row) -> Result<Self, DatabaseError> {
        Ok(Self {
            base: Base {
                repository: row.repository,
                branch: row.branch,
                environment: Some(row.name.clone()),
            },
            name: row.name,
            specification: serde_json::from_str(&row.specification)?,
            members: serde_json::from_str(&row.members)?,
            created_by: Member {
                id: UserId(row.created_by),
                login: row.created_by_login,
            },
            specified_at: Millis(row.specified_at),
        })
    }
}

const COLUMNS: &str = "SELECT repository, name, branch, specification, members, created_by,
    created_by_login, specified_at FROM environments";

pub async fn find(
    database: &Database,
    repository: &Repository,
    name: &EnvironmentName,
) -> Result<Option<Environment>, DatabaseError> {
    let row: Option<Row> = database
        .first(
            &format!("{COLUMNS} WHERE repository = ? AND name = ?"),
            &[Text(&repository.to_string()), Text(name.as_str())],
        )
        .await?;
    row.map(TryInto::try_into).transpose()
}

pub async fn list(
    database: &Database,
    repository: &Repository,
) -> Result<Vec<Environment>, DatabaseError> {
    let rows: Vec<Row> = database
        .all(
            &format!("{COLUMNS} WHERE repository = ? ORDER BY name LIMIT {MOST}"),
            &[Text(&repository.to_string())],
        )
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Writes an environment; what made it, and when, stays if it is there already.
pub async fn set(
    database: &Database,
    environment: &Environment,
    now: Millis,
) -> Result<(), DatabaseError> {
    database
        .run(
            "INSERT INTO environments (repository, name, branch, specification, members,
                created_by, created_by_login, created_at, specified_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (repository, name) DO UPDATE SET branch = excluded.branch,
                specification = excluded.specification, members = excluded.members,
                specified_at = excluded.specified_at",
            &[
                Text(&environment.base.repository.to_string()),
                Text(environment.name.as_str()),
                Text(&environment.base.branch),
                Text(&serde_json::to_string(&environment.specification)?),
                Text(&serde_json::to_string(&environment.members)?),
                Number(environment.created_by.id.0),
                Text(&environment.created_by.login),
                Number(now.0),
                Number(environment.specified_at.0),
            ],
        )
        .await
}

pub async fn remove(
    database: &Database,
    repository: &Repository,
    name: &EnvironmentName,
) -> Result<(), DatabaseError> {
    database
        .run(
            "DELETE FROM environments WHERE repository = ? AND name = ?",
            &[Text(&repository.to_string()), Text(name.as_str())],
        )
        .await
}
