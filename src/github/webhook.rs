//! Whether it is GitHub that posts to us. Source: GitHub's "Validating webhook deliveries". What it
//! says is read by [`event`](super::event).

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

pub const SIGNATURE_HEADER: &str = "x-hub-signature-256";
pub const DELIVERY_HEADER: &str = "x-github-delivery";
pub const EVENT_HEADER: &str = "x-github-event";
/// Number of the App whose webhook it is.
pub const TARGET_HEADER: &str = "x-github-hook-installation-target-id";

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
