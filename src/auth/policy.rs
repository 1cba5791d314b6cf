//! Who may do what: one function, asked for everything.
//!
//! Access to a repository is the precondition, and asked of GitHub elsewhere: what somebody cannot
//! read does not exist for them. What is decided here is what those inside may do.

use protocol::api::{Role, TokenScope};
use protocol::event::Person;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// See a session, a repository, an image: everything but secrets.
    View,
    /// Open a socket, on which one sees, prompts and stops.
    Join,
    /// Look into a sandbox by a terminal, and type there.
    UseTerminal,
    /// Begin a session, give it prompts, attachments, an order and a title.
    Prompt,
    Stop,
    Archive,
    /// Ask for images and environments, and delete the latter.
    ManageImages,
    /// What sandboxes hold and reach.
    ManageSettings,
    ManageSecrets,
    /// One's own tokens and signed-in browsers.
    ManageAccount,
    ReadAudit,
}

/// What is acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Somebody's own account, or what is everybody's.
    Deployment,
    /// A repository that the actor reads, its sessions and images.
    Repository { may_write: bool },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    pub role: Role,
    pub means: Means,
}

/// How somebody comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Means {
    Browser,
    Token { scopes: Vec<TokenScope> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("this token lacks a scope that this needs: make one with it")]
    Scope,
    #[error("tokens cannot do this: sign in with a browser")]
    BrowserOnly,
    #[error("only administrators of this deployment may do this")]
    NoAdministrator,
    #[error("this needs the right to push to the repository")]
    NoWriter,
}

/// Whether `actor` may do `action` with `subject`, and if not, why.
pub fn can(actor: &Actor, action: Action, subject: Subject) -> Result<(), Denied> {
    if let Means::Token { scopes } = &actor.means {
        let needed = scopes_for(action).ok_or(Denied::BrowserOnly)?;
        if !needed.iter().all(|scope| scopes.contains(scope)) {
            return Err(Denied::Scope);
        }
    }
    let administers = actor.role == Role::Administrator;
    match (action, subject) {
        (Action::ReadAudit, _) if !administers => Err(Denied::NoAdministrator),
        (
            Action::ManageSettings | Action::ManageSecrets,
            Subject::Repository { may_write: false } | Subject::Deployment,
        ) if !administers => Err(Denied::NoWriter),
        _ => Ok(()),
    }
}

/// What a token needs for an action; `None` if no token is enough.
fn scopes_for(action: Action) -> Option<&'static [TokenScope]> {
    Some(match action {
        Action::View => &[TokenScope::Read],
        Action::Join | Action::UseTerminal => &[TokenScope::Read, TokenScope::Write],
        Action::Prompt | Action::Stop | Action::Archive | Action::ManageImages => {
            &[TokenScope::Write]
        }
        Action::ManageSettings | Action::ManageSecrets | Action::ReadAudit => &[TokenScope::Admin],
        Action::ManageAccount => return None,
    })
}

/// People by GitHub's numeric id or by login. A login can be given to somebody else; an id cannot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People(Vec<String>);

impl People {
    /// Separated by spaces or commas.
    pub fn parse(text: &str) -> Self {
        let names = text.split(|letter: char| letter == ',' || letter.is_whitespace());
        Self(
            names
                .filter(|name| !name.is_empty())
                .map(str::to_ascii_lowercase)
                .collect(),
        )
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, person: &Person) -> bool {
        let (id, login) = (person.id.to_string(), person.login.to_ascii_lowercase());
        self.0.iter().any(|name| *name == id || *name == login)
    }
}

#[cfg(test)]
mod tests {
    use protocol::UserId;

    use super::*;

    const READ: &[TokenScope] = &[TokenScope::Read];
    const WRITE: &[TokenScope] = &[TokenScope::Write];
    const BOTH: &[TokenScope] = &[TokenScope::Read, TokenScope::Write];
    const ADMIN: &[TokenScope] = &[TokenScope::Admin];
    const READER: Subject = Subject::Repository { may_write: false };
    const WRITER: Subject = Subject::Repository { may_write: true };

    fn browser(role: Role) -> Actor {
        Actor {
            role,
            means: Means::Browser,
        }
    }

    fn token(role: Role, scopes: &[TokenScope]) -> Actor {
        let scopes = scopes.to_vec();
        Actor {
            role,
            means: Means::Token { scopes },
        }
    }

    #[test]
    fn every_actor_may_do_what_the_table_says_and_nothing_else() {
        use Denied::*;
        let all = [
            Action::View,
            Action::Join,
            Action::UseTerminal,
            Action::Prompt,
            Action::Stop,
            Action::Archive,
            Action::ManageImages,
            Action::ManageSettings,
            Action::ManageSecrets,
            Action::ManageAccount,
            Action::ReadAudit,
        ];
        let (ok, scope, no_writer, no_admin, browsers) = (
            Ok(()),
            Err(Scope),
            Err(NoWriter),
            Err(NoAdministrator),
            Err(BrowserOnly),
        );
        let member = Role::Member;
        let administrator = Role::Administrator;
        #[rustfmt::skip]
        let table = [
            // who, what of                       View   Join   Termin Prompt Stop   Archiv Images Settin     Secret     Account   Audit
            (browser(member), READER,           [ok,    ok,    ok,    ok,    ok,    ok,    ok,    no_writer, no_writer, ok,       no_admin]),
            (browser(member), WRITER,           [ok,    ok,    ok,    ok,    ok,    ok,    ok,    ok,        ok,        ok,       no_admin]),
            (browser(administrator), READER,    [ok,    ok,    ok,    ok,    ok,    ok,    ok,    ok,        ok,        ok,       ok]),
            (token(member, &[]), WRITER,        [scope, scope, scope, scope, scope, scope, scope, scope,     scope,     browsers, scope]),
            (token(member, READ), WRITER,       [ok,    scope, scope, scope, scope, scope, scope, scope,     scope,     browsers, scope]),
            (token(member, WRITE), WRITER,      [scope, scope, scope, ok,    ok,    ok,    ok,    scope,     scope,     browsers, scope]),
            (token(member, BOTH), WRITER,       [ok,    ok,    ok,    ok,    ok,    ok,    ok,    scope,     scope,     browsers, scope]),
            (token(member, ADMIN), READER,      [scope, scope, scope, scope, scope, scope, scope, no_writer, no_writer, browsers, no_admin]),
            (token(member, ADMIN), WRITER,      [scope, scope, scope, scope, scope, scope, scope, ok,        ok,        browsers, no_admin]),
            (token(administrator, READ), READER,[ok,    scope, scope, scope, scope, scope, scope, scope,     scope,     browsers, scope]),
            (token(administrator, ADMIN), READER,[scope,scope, scope, scope, scope, scope, scope, ok,        ok,        browsers, ok]),
        ];
        for (actor, subject, wanted) in table {
            for (action, wanted) in all.into_iter().zip(wanted) {
                let decided = can(&actor, action, subject);
                assert_eq!(decided, wanted, "{actor:?} {action:?} {subject:?}");
            }
        }
    }

    #[test]
    fn people_are_found_by_id_and_by_login_in_any_case() {
        let people = People::parse("Alice, 7\n8");
        let person = |id, login: &str| Person {
            id: UserId(id),
            login: login.to_owned(),
            name: String::new(),
            avatar: String::new(),
        };
        assert!(people.contains(&person(1, "alice")));
        assert!(people.contains(&person(7, "bob")));
        assert!(!people.contains(&person(1, "bob")));
        assert!(!people.contains(&person(78, "ali")));
        assert!(People::parse(" , ").is_empty());
    }
}
