//! Whose a commit is: the names and addresses that go with a prompt.

use protocol::UserId;
use protocol::command::GitIdentity;
use protocol::event::Person;

use super::Core;
use crate::database::{self, Database};
use crate::error::Error;

impl Core {
    /// The author and the co-authors as git writes them.
    pub(super) async fn identities(
        &self,
        author: &Person,
        co_authors: &[Person],
    ) -> Result<(GitIdentity, Vec<GitIdentity>), Error> {
        let database = Database::new(&self.env)?;
        let people: Vec<UserId> = std::iter::once(author)
            .chain(co_authors)
            .map(|person| person.id)
            .collect();
        let chosen = database::commit_emails::of(&database, &people).await?;
        let identity = |person: &Person| identity(person, chosen.get(&person.id));
        Ok((identity(author), co_authors.iter().map(identity).collect()))
    }
}

fn identity(person: &Person, chosen: Option<&String>) -> GitIdentity {
    GitIdentity {
        name: if person.name.is_empty() {
            person.login.clone()
        } else {
            person.name.clone()
        },
        // GitHub attributes this address to the account, whatever its e-mail settings are.
        email: chosen
            .cloned()
            .unwrap_or_else(|| format!("{}+{}@users.noreply.github.com", person.id, person.login)),
    }
}
