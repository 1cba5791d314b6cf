//! Whether it is GitHub that posts to us. Source: GitHub's "Validating webhook deliveries". What it
//! says is read by [`event`](super::event).

use crate::mac;

pub const SIGNATURE_HEADER: &str = "x-hub-signature-256";
pub const DELIVERY_HEADER: &str = "x-github-delivery";
pub const EVENT_HEADER: &str = "x-github-event";
/// Number of the App whose webhook it is.
pub const TARGET_HEADER: &str = "x-github-hook-installation-target-id";

/// Whether `signature` (`sha256=` and hexadecimal digits) is the body's. Takes the same time for
/// every wrong one.
pub fn is_signed(secret: &str, body: &[u8], signature: &str) -> bool {
    let offered = signature.strip_prefix("sha256=");
    offered.is_some_and(|offered| mac::is_right(secret, &[body], offered))
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
}
