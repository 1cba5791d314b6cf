//! Identifiers and counters as types of their own, so that one cannot be passed for another.
//!
//! String identifiers are a prefix and 26 characters of lower-case Crockford base32 (128 bits).
//! They are parsed at every edge: what is held here is safe in a path, a branch name or a log.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An identifier that does not have the form of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind} identifier")]
pub struct InvalidId {
    kind: &'static str,
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Longest suffix that is accepted: identifiers of other makers (image digests) are longer than ours.
const MAX_SUFFIX: usize = 64;

fn encode(prefix: &str, bytes: [u8; 16]) -> String {
    let mut value = u128::from_be_bytes(bytes);
    let mut suffix = [b'0'; 26];
    for slot in suffix.iter_mut().rev() {
        let digit = ALPHABET.get((value & 31) as usize).copied();
        *slot = digit.unwrap_or(b'0');
        value >>= 5;
    }
    let suffix: String = suffix.into_iter().map(char::from).collect();
    format!("{prefix}_{suffix}")
}

fn is_valid(prefix: &str, text: &str) -> bool {
    text.strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'))
        .is_some_and(|suffix| {
            (1..=MAX_SUFFIX).contains(&suffix.len())
                && suffix
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        })
}

macro_rules! string_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        #[cfg_attr(test, derive(ts_rs::TS), ts(as = "String"))]
        #[cfg_attr(
            feature = "schema",
            derive(schemars::JsonSchema),
            schemars(
                with = "String",
                extend("pattern" = concat!("^", $prefix, "_[0-9a-z]{1,64}$"))
            )
        )]
        pub struct $name(String);

        impl $name {
            /// Makes an identifier from 128 random bits.
            pub fn from_random(bytes: [u8; 16]) -> Self {
                Self(encode($prefix, bytes))
            }

            /// Accepts only the form that this kind of identifier has.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                if is_valid($prefix, text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidId { kind: $prefix })
                }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

string_id!(
    /// A session: one task, one log, one Durable Object.
    SessionId, "ses"
);
string_id!(
    /// One request of one person inside a session.
    PromptId, "pmt"
);
string_id!(
    /// An isolated process tree with a workspace; a session may go through several.
    SandboxId, "sbx"
);
string_id!(
    /// A repository at a commit with its caches, from which sandboxes start.
    ImageId, "img"
);
string_id!(
    /// What a sandbox's files were at one moment, from which another sandbox goes on.
    SnapshotId, "snp"
);
string_id!(
    /// A file that a person gave to a session or that its agent made.
    ArtifactId, "art"
);
string_id!(
    /// A personal API token; not its secret.
    TokenId, "tok"
);
string_id!(
    /// A machine that runs sandboxes.
    RunnerId, "run"
);

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        #[cfg_attr(test, derive(ts_rs::TS), ts(as = "u32"))]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }
    };
}

number!(
    /// Place of an event in its session's log: 1, 2, 3…, no gaps. 0 is "before the first".
    Seq, u64
);
number!(
    /// A text or tool call inside a session, numbered upwards over all its sandboxes.
    PartId, u64
);
number!(
    /// How many sandboxes the session has had: reports of an earlier one are void.
    Epoch, u32
);
number!(
    /// GitHub's numeric user id: logins can be reassigned, this cannot. A negative one is ours, of
    /// somebody who prompts from elsewhere and is linked to nobody at GitHub.
    UserId, i64
);
number!(
    /// Milliseconds since 1970-01-01 UTC.
    Millis, i64
);

impl Seq {
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl PartId {
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Millis {
    /// Milliseconds from `earlier` to `self`, 0 when the clock went backwards.
    pub fn since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    #[must_use]
    pub fn plus(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_identifier_made_from_random_bits_is_accepted_again(bytes: [u8; 16]) {
            let id = SessionId::from_random(bytes);
            prop_assert_eq!(SessionId::parse(id.as_str()), Ok(id.clone()));
            let json = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(serde_json::from_str::<SessionId>(&json).unwrap(), id);
        }

        #[test]
        fn different_bits_make_different_identifiers(a: [u8; 16], b: [u8; 16]) {
            prop_assert_eq!(a == b, PromptId::from_random(a) == PromptId::from_random(b));
        }

        #[test]
        fn nothing_that_could_leave_a_path_is_an_identifier(text in ".*[/.\\\\ \\x00].*") {
            prop_assert!(SessionId::parse(&text).is_err());
        }
    }

    #[test]
    fn an_identifier_of_another_kind_is_refused() {
        assert!(SessionId::parse("pmt_01h").is_err());
        assert!(SessionId::parse("ses_").is_err());
        assert!(SessionId::parse("ses_UPPER").is_err());
        assert!(serde_json::from_str::<SessionId>("\"../etc\"").is_err());
    }
}
