//! What GitHub posts to us. Source: GitHub's "Validating webhook deliveries" and the payload of
//! `push`.

use hmac::{Hmac, KeyInit as _, Mac as _};
use protocol::event::Repository;
use serde::Deserialize;
use sha2::Sha256;

pub const SIGNATURE_HEADER: &str = "x-hub-signature-256";
pub const DELIVERY_HEADER: &str = "x-github-delivery";
pub const EVENT_HEADER: &str = "x-github-event";

/// Whether `signature` (`sha256=` and hexadecimal digits) is the body's. Takes the same time for
/// every wrong one.
pub fn is_signed(secret: &str, body: &[u8], signature: &str) -> bool {
    let Some(offered) = signature.strip_prefix("sha256=").and_then(bytes_of_hex) else {
        return false;
    };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return false;
    };
    mac.update(body);
    mac.verify_slice(&offered).is_ok()
}

fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| {
            digit
                .to_digit(16)
                .and_then(|value| u8::try_from(value).ok())
        })
        .collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    let pairs = digits.chunks_exact(2);
    Some(
        pairs
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
            .collect(),
    )
}

/// A branch that has a new head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    pub repository: Repository,
    pub branch: String,
    pub head: String,
}

impl Push {
    /// `None` for tags, and for branches that were deleted.
    pub fn parse(body: &[u8]) -> Result<Option<Self>, serde_json::Error> {
        #[derive(Deserialize)]
        struct Payload {
            #[serde(rename = "ref")]
            reference: String,
            after: String,
            #[serde(default)]
            deleted: bool,
            repository: Named,
        }
        #[derive(Deserialize)]
        struct Named {
            full_name: Repository,
        }
        let payload: Payload = serde_json::from_slice(body)?;
        let branch = payload.reference.strip_prefix("refs/heads/");
        let is_commit = payload.after.bytes().any(|digit| digit != b'0');
        Ok(branch
            .filter(|_| is_commit && !payload.deleted)
            .map(|branch| Self {
                repository: payload.repository.full_name,
                branch: branch.to_owned(),
                head: payload.after.clone(),
            }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    const SIGNATURE: &str =
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    #[test]
    fn githubs_published_vector_is_accepted() {
        assert!(is_signed(SECRET, BODY, SIGNATURE));
    }

    #[test]
    fn any_other_signature_is_refused() {
        assert!(!is_signed("another", BODY, SIGNATURE));
        assert!(!is_signed(SECRET, b"Hello, World", SIGNATURE));
        for spoiled in [
            "",
            "sha256=",
            "sha256=75",
            "sha1=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e1",
            "sha256=857107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            "sha256=é",
        ] {
            assert!(!is_signed(SECRET, BODY, spoiled), "{spoiled}");
        }
    }

    fn push(reference: &str, after: &str, deleted: bool) -> Option<Push> {
        let body = serde_json::json!({
            "ref": reference, "before": "1", "after": after, "deleted": deleted,
            "repository": { "id": 1, "full_name": "acme/api" }, "commits": [],
        });
        Push::parse(body.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_push_tells_the_new_head_of_a_branch() {
        let push = push("refs/heads/feature/a", "5d6e7f8", false).unwrap();
        assert_eq!(
            (push.branch.as_str(), push.head.as_str()),
            ("feature/a", "5d6e7f8")
        );
        assert_eq!(push.repository, Repository::new("acme", "api").unwrap());
    }

    #[test]
    fn tags_and_deleted_branches_are_passed_over() {
        assert_eq!(push("refs/tags/v1", "5d6e7f8", false), None);
        assert_eq!(push("refs/heads/main", "0000000", true), None);
        assert_eq!(push("refs/heads/main", "0000000", false), None);
        assert!(Push::parse(b"{}").is_err());
    }
}
