//! What a layer is called: the sandbox it comes from and how many layers came from it before.
//!
//! The text is a single path component that cannot be hidden, relative or ambiguous: every layer
//! has exactly one text, and whatever else somebody sends is refused.

use std::fmt;

use protocol::SandboxId;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LayerId(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid layer identifier")]
pub struct InvalidLayerId;

impl LayerId {
    /// The layer that a sandbox's changes become; `ordinal` counts the ones it has become already.
    pub fn of(sandbox: &SandboxId, ordinal: u32) -> Self {
        Self(format!("{sandbox}.{ordinal}"))
    }

    /// A layer that is made of several, the `number`th for this sandbox. Counted from the other end,
    /// since it is none of those that the sandbox becomes.
    pub fn flat(sandbox: &SandboxId, number: u32) -> Self {
        Self::of(sandbox, u32::MAX - number)
    }

    /// Accepts only what [`LayerId::of`] makes.
    pub fn parse(text: &str) -> Result<Self, InvalidLayerId> {
        let (sandbox, ordinal) = text.split_once('.').ok_or(InvalidLayerId)?;
        let sandbox = SandboxId::parse(sandbox).map_err(|_| InvalidLayerId)?;
        let ordinal = ordinal.parse().map_err(|_| InvalidLayerId)?;
        let id = Self::of(&sandbox, ordinal);
        // Numbers can be written in more than one way.
        if id.as_str() == text {
            Ok(id)
        } else {
            Err(InvalidLayerId)
        }
    }

    /// The how-manieth layer of this sandbox it is; `None` if it is another's, or made of several.
    pub fn ordinal_of(&self, sandbox: &SandboxId) -> Option<u32> {
        let (owner, ordinal) = self.0.split_once('.')?;
        let ordinal = ordinal.parse().ok()?;
        (owner == sandbox.as_str() && ordinal < u32::MAX / 2).then_some(ordinal)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LayerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for LayerId {
    type Error = InvalidLayerId;

    fn try_from(text: String) -> Result<Self, InvalidLayerId> {
        Self::parse(&text)
    }
}

impl From<LayerId> for String {
    fn from(id: LayerId) -> Self {
        id.0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_identifier_is_its_text_and_nothing_else(bytes: [u8; 16], ordinal: u32) {
            let id = LayerId::of(&SandboxId::from_random(bytes), ordinal);
            prop_assert_eq!(LayerId::parse(id.as_str()), Ok(id.clone()));
            let json = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(serde_json::from_str::<LayerId>(&json).unwrap(), id);
        }

        #[test]
        fn nothing_that_could_leave_a_path_is_an_identifier(text in ".*[/\\\\\\x00 ].*") {
            prop_assert_eq!(LayerId::parse(&text), Err(InvalidLayerId));
        }
    }

    #[test]
    fn other_texts_of_the_same_meaning_are_refused() {
        for text in [
            "",
            ".",
            "..",
            "sbx_1",
            "sbx_1.",
            ".1",
            "sbx_1.01",
            "sbx_1.+1",
            "sbx_1.-1",
            "sbx_1.4294967296",
            "sbx_1.1.1",
            "img_1.1",
            "sbx_1.1/",
            "../sbx_1.1",
            "sbx_1.1\n",
        ] {
            assert_eq!(LayerId::parse(text), Err(InvalidLayerId), "{text:?}");
        }
        assert!(serde_json::from_str::<LayerId>("\"../../etc\"").is_err());
    }
}
