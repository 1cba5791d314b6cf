//! Whose a commit is: the names and addresses that go with a prompt. What somebody asked for who is
//! linked to nobody at GitHub is the bot's, with their name beside it.

use protocol::UserId;
use protocol::command::GitIdentity;
use protocol::event::Person;

use super::Core;
use crate::database::{self, Database};
use crate::error::Error;
use crate::github::Github;
use crate::github::app::{Level, Permissions};

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
        let mut beside: Vec<GitIdentity> = co_authors.iter().map(identity).collect();
        if author.id.0 >= 0 {
            return Ok((identity(author), beside));
        }
        beside.insert(0, identity(author));
        Ok((self.bot().await?, beside))
    }

    /// The App's own user, as GitHub knows it.
    async fn bot(&self) -> Result<GitIdentity, Error> {
        let github = Github::new(&self.env)?;
        let permissions = Permissions::default().contents(Level::Read);
        let repository = self.session()?.repository;
        let token = github.installation_token(&repository, permissions).await?;
        let name = format!("{}[bot]", github.app().await?.slug);
        let account = github.account(&token.token, &name).await?;
        let number = account.map_or_else(String::new, |(id, _)| format!("{id}+"));
        Ok(GitIdentity {
            email: format!("{number}{name}@users.noreply.github.com"),
            name,
        })
    }
}

fn identity(person: &Person, chosen: Option<&String>) -> GitIdentity {
    GitIdentity {
        name: if person.name.is_empty() {
            person.login.clone()
        } else {
            person.name.clone()
        },
        email: match chosen {
            Some(chosen) => chosen.clone(),
            // An address that is nobody's (RFC 2606).
            None if person.id.0 < 0 => format!("{}@slack.invalid", person.login),
            // GitHub attributes this one to the account, whatever its e-mail settings are.
            None => format!("{}+{}@users.noreply.github.com", person.id, person.login),
        },
    }
}
