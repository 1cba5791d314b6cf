//! Whether it is Slack that posts to us. Source: Slack's "Verifying requests from Slack".
//!
//! What is signed is the time and the raw body, so nothing is parsed before this has been asked. A
//! request is good for five minutes, in both directions of the clock.

use protocol::Millis;
use protocol::signature::SignatureError;

use crate::mac;

pub const SIGNATURE_HEADER: &str = "x-slack-signature";
pub const TIMESTAMP_HEADER: &str = "x-slack-request-timestamp";

/// Seconds that the sender's clock and ours may differ by, the way included.
const TOLERANCE_SECONDS: u64 = 300;

/// Checks a request with each of `secrets`, of which there are two while one is replaced. Takes the
/// same time for every wrong signature.
pub fn check(
    secrets: &[String],
    timestamp: Option<&str>,
    signature: Option<&str>,
    body: &[u8],
    now: Millis,
) -> Result<(), SignatureError> {
    let timestamp = timestamp.ok_or(SignatureError::Missing)?;
    let signature = signature.ok_or(SignatureError::Missing)?;
    let is_plain = !timestamp.is_empty() && timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let sent_at: i64 = match timestamp.parse() {
        Ok(seconds) if is_plain => seconds,
        _ => return Err(SignatureError::Timestamp),
    };
    if sent_at.abs_diff(now.0.div_euclid(1000)) > TOLERANCE_SECONDS {
        return Err(SignatureError::Timestamp);
    }
    let offered = signature.strip_prefix("v0=");
    let offered = offered.ok_or(SignatureError::Mismatch)?;
    let head = format!("v0:{timestamp}:");
    let mut is_right = false;
    for secret in secrets {
        is_right |= mac::is_right(secret, &[head.as_bytes(), body], offered);
    }
    is_right.then_some(()).ok_or(SignatureError::Mismatch)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
    const BODY: &[u8] = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    const SENT: &str = "1531420618";

    fn at(offset: i64) -> Millis {
        Millis((1_531_420_618 + offset) * 1000)
    }

    fn checked(secrets: &[&str], signature: &str, body: &[u8], now: Millis) -> Option<String> {
        let secrets: Vec<String> = secrets.iter().map(|secret| (*secret).to_owned()).collect();
        let outcome = check(&secrets, Some(SENT), Some(signature), body, now);
        outcome.err().map(|error| error.to_string())
    }

    #[test]
    fn slacks_published_vector_is_accepted_for_five_minutes_before_and_after() {
        for offset in [-300, 0, 300] {
            assert_eq!(checked(&[SECRET], SIGNATURE, BODY, at(offset)), None);
        }
        for offset in [-301, 301] {
            let refused = checked(&[SECRET], SIGNATURE, BODY, at(offset));
            assert_eq!(refused, Some(SignatureError::Timestamp.to_string()));
        }
    }

    #[test]
    fn either_secret_is_good_while_one_is_replaced() {
        assert_eq!(checked(&["new", SECRET], SIGNATURE, BODY, at(0)), None);
        assert_eq!(checked(&[SECRET, "new"], SIGNATURE, BODY, at(0)), None);
        assert!(checked(&["new"], SIGNATURE, BODY, at(0)).is_some());
        assert!(checked(&[], SIGNATURE, BODY, at(0)).is_some());
    }

    #[test]
    fn anything_else_is_refused() {
        let other_body = BODY.get(1..).unwrap_or_default();
        assert!(checked(&[SECRET], SIGNATURE, other_body, at(0)).is_some());
        for spoiled in [
            "",
            "v0=",
            "v0=a2",
            "v0=é",
            "v1=a2114d57",
            &SIGNATURE.replace("v0=", ""),
        ] {
            assert!(
                checked(&[SECRET], spoiled, BODY, at(0)).is_some(),
                "{spoiled}"
            );
        }
        let secrets = [SECRET.to_owned()];
        for stamp in ["", "+1531420618", "1531420618.0", "now"] {
            assert!(check(&secrets, Some(stamp), Some(SIGNATURE), BODY, at(0)).is_err());
        }
        assert!(check(&secrets, None, Some(SIGNATURE), BODY, at(0)).is_err());
        assert!(check(&secrets, Some(SENT), None, BODY, at(0)).is_err());
    }
}
