//! All that a user reaches, asked of GitHub with their own token, and how long that is believed.

use protocol::UserId;
use protocol::api::RepositorySummary;

use crate::database::users::ACCESS_MS;
use crate::database::{self, Database};
use crate::error::Error;
use crate::github::Github;
use crate::platform::clock;

/// How long a list is shown again without asking: a page asks for it in several places at once.
const LIST_MS: i64 = 30_000;

/// What the user reaches, last pushed first.
pub async fn repositories(
    database: &Database,
    github: &Github,
    user: UserId,
) -> Result<Vec<RepositorySummary>, Error> {
    let since = clock::now().plus(-LIST_MS);
    match database::reach::list(database, user, since).await? {
        Some(known) => Ok(known),
        None => ask(database, github, user).await,
    }
}

/// Sees to it that GitHub's word on this user is recent enough to make lists from.
pub async fn refresh(database: &Database, github: &Github, user: UserId) -> Result<(), Error> {
    let since = clock::now().plus(-ACCESS_MS);
    let listed_at = database::reach::listed_at(database, user).await?;
    if listed_at.is_none_or(|at| at < since) {
        ask(database, github, user).await?;
    }
    Ok(())
}

/// Asks GitHub now, and writes down what it said.
pub async fn ask(
    database: &Database,
    github: &Github,
    user: UserId,
) -> Result<Vec<RepositorySummary>, Error> {
    let repositories = github
        .as_user(user, async |token| github.repositories(token).await)
        .await?;
    let now = clock::now();
    database::reach::remember(database, user, &repositories, now).await?;
    Ok(repositories)
}
