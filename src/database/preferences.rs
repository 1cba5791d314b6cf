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

/// Prefers a model; `None` is the deployment's.
pub async fn set_model(
    database: &Database,
    user: UserId,
    model: Option<&str>,
) -> Result<(), DatabaseError> {
    database
        .run(
            "INSERT INTO preferences (user, model) VALUES (?, ?)
             ON CONFLICT (user) DO UPDATE SET model = excluded.model",
            &[Number(user.0), Optional(model)],
        )
        .await
}

/// Prefers a branch, in repositories that have it; `None` is each repository's own.
pub async fn set_branch(
    database: &Database,
    user: UserId,
    branch: Option<&str>,
) -> Result<(), DatabaseError> {
    database
        .run(
            "INSERT INTO preferences (user, branch) VALUES (?, ?)
             ON CONFLICT (user) DO UPDATE SET branch = excluded.branch",
            &[Number(user.0), Optional(branch)],
        )
        .await
}
