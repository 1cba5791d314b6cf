//! Who has an account on the forge.

/// A seeded user.
#[derive(Debug, Clone, Copy)]
pub struct Person {
    pub login: &'static str,
    pub name: &'static str,
    pub email: &'static str,
    /// Whether the organization's repositories are theirs to read and write.
    pub member: bool,
}

/// Alice, Bob and Dana work at the organization; Carol does not.
pub const PEOPLE: &[Person] = &[
    Person {
        login: "alice",
        name: "Alice Martin",
        email: "alice@example.com",
        member: true,
    },
    Person {
        login: "bob",
        name: "Bob Okafor",
        email: "bob@example.com",
        member: true,
    },
    Person {
        login: "carol",
        name: "Carol Nguyen",
        email: "carol@example.com",
        member: false,
    },
    Person {
        login: "dana",
        name: "Dana Silva",
        email: "dana@example.com",
        member: true,
    },
];

pub const ORGANIZATION: &str = "acme";

/// Where the App is installed, and under which id. Bob and Carol have not installed it.
pub(super) const ACCOUNTS_WITH_APP: &[(&str, u64)] = &[(ORGANIZATION, 7_001), ("alice", 7_002)];

pub(super) fn is_person(login: &str) -> bool {
    PEOPLE.iter().any(|person| person.login == login)
}

pub(super) fn has_app(account: &str) -> bool {
    ACCOUNTS_WITH_APP.iter().any(|(name, _)| *name == account)
}
