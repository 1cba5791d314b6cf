//! What somebody's sessions begin with where nothing else is said.

use protocol::UserId;
use serde::Deserialize;

use super::Parameter::{Number, Optional};
use super::{Database, DatabaseError};

/// `provider/name` of a model, and a branch's name; either may be nothing to go by any more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Preferences {
    pub model: Option<String>,
    pub branch: Option<String>,
}

pub async fn of(database: &Database, user: UserId) -> Result<Preferences, DatabaseError> {
    let found = database
        .first(
            "SELECT model, branch FROM preferences WHERE user = ?",
            &[Number(user.0)],
        )
        .await?;
    Ok(found.unwrap_or_default())
}

/// One thing that somebody prefers; `None` is what there is without a preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preference<'a> {
    Model(Option<&'a str>),
    /// In repositories that have it.
    Branch(Option<&'a str>),
}

pub async fn set(
    database: &Database,
    user: UserId,
    preference: Preference<'_>,
) -> Result<(), DatabaseError> {
    let (column, value) = match preference {
        Preference::Model(model) => ("model", model),
        Preference::Branch(branch) => ("branch", branch),
    };
    let statement = format!(
        "INSERT INTO preferences (user, {column}) VALUES (?, ?)
         ON CONFLICT (user) DO UPDATE SET {column} = excluded.{column}"
    );
    let parameters = [Number(user.0), Optional(value)];
    database.run(&statement, &parameters).await
}
