//! Standard Webhooks signatures, bound to method and path, with an injected clock.
//!
//! Source: the Standard Webhooks specification 1.0 (`webhook-id`, `webhook-timestamp`,
//! `webhook-signature: v1,<base64>`; HMAC-SHA256 over `id.timestamp.payload`). For requests between
//! Worker and runner the payload is the request line `METHOD /path` and a newline before the body,
//! so that a signature for one endpoint is void at another. Several keys are accepted while keys
//! are rotated; the first one signs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::id::Millis;

pub const ID_HEADER: &str = "webhook-id";
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// How far the sender's clock may be from ours, either way.
pub const TOLERANCE_SECONDS: i64 = 5 * 60;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("no signing key is given")]
    None,
    #[error("a signing key is whsec_ and base64 of 24 to 64 bytes")]
    Form,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("the request is not signed")]
    Missing,
    #[error("the signature's timestamp is not within five minutes of now")]
    Timestamp,
    #[error("the signature does not match")]
    Mismatch,
}

/// The keys in force, newest first.
#[derive(Clone)]
pub struct Keys(Vec<Vec<u8>>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Keys({})", self.0.len())
    }
}

/// The three headers of a signed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    pub id: String,
    /// Seconds since 1970.
    pub timestamp: String,
    pub signature: String,
}

impl Signature {
    /// Reads the headers by a lookup, since each side has a header type of its own.
    pub fn from_headers<'a>(
        header: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<Self, SignatureError> {
        let get = |name| {
            header(name)
                .map(str::to_owned)
                .ok_or(SignatureError::Missing)
        };
        Ok(Self {
            id: get(ID_HEADER)?,
            timestamp: get(TIMESTAMP_HEADER)?,
            signature: get(SIGNATURE_HEADER)?,
        })
    }

    pub fn headers(&self) -> [(&'static str, &str); 3] {
        [
            (ID_HEADER, &self.id),
            (TIMESTAMP_HEADER, &self.timestamp),
            (SIGNATURE_HEADER, &self.signature),
        ]
    }
}

/// What a signature covers besides its own id and time.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    pub method: &'a str,
    /// Path and query, as the receiver sees them.
    pub path: &'a str,
    pub body: &'a [u8],
}

impl Signed<'_> {
    fn payload(&self) -> Vec<u8> {
        let mut payload = format!("{} {}\n", self.method, self.path).into_bytes();
        payload.extend_from_slice(self.body);
        payload
    }
}

impl Keys {
    /// Reads keys separated by spaces, each `whsec_<base64>`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let keys = text
            .split_whitespace()
            .map(|key| {
                let encoded = key.strip_prefix("whsec_").ok_or(KeyError::Form)?;
                let bytes = STANDARD.decode(encoded).map_err(|_| KeyError::Form)?;
                if (24..=64).contains(&bytes.len()) {
                    Ok(bytes)
                } else {
                    Err(KeyError::Form)
                }
            })
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            Err(KeyError::None)
        } else {
            Ok(Self(keys))
        }
    }

    /// Signs a request. `id` is new for every attempt: a receiver takes each once.
    pub fn sign_request(&self, id: &str, now: Millis, request: Signed<'_>) -> Signature {
        self.sign(id, now, &request.payload())
    }

    pub fn verify_request(
        &self,
        signature: &Signature,
        now: Millis,
        request: Signed<'_>,
    ) -> Result<(), SignatureError> {
        self.verify(signature, now, &request.payload())
    }

    fn sign(&self, id: &str, now: Millis, payload: &[u8]) -> Signature {
        let timestamp = now.0.div_euclid(1000).to_string();
        let signature = self
            .0
            .first()
            .and_then(|key| digest(key, id, &timestamp, payload))
            .map(|mac| format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
            .unwrap_or_default();
        Signature {
            id: id.to_owned(),
            timestamp,
            signature,
        }
    }

    fn verify(
        &self,
        signature: &Signature,
        now: Millis,
        payload: &[u8],
    ) -> Result<(), SignatureError> {
        // A dot in the id could move bytes between id and timestamp under the same digest.
        if signature.id.is_empty() || signature.id.len() > 128 || signature.id.contains('.') {
            return Err(SignatureError::Mismatch);
        }
        let timestamp: i64 = signature
            .timestamp
            .parse()
            .map_err(|_| SignatureError::Timestamp)?;
        let distance = now
            .0
            .div_euclid(1000)
            .saturating_sub(timestamp)
            .saturating_abs();
        if distance > TOLERANCE_SECONDS {
            return Err(SignatureError::Timestamp);
        }
        let offered = signature
            .signature
            .split(' ')
            .filter_map(|one| one.strip_prefix("v1,"))
            .filter_map(|encoded| STANDARD.decode(encoded).ok());
        for candidate in offered {
            for key in &self.0 {
                let mac = digest(key, &signature.id, &signature.timestamp, payload);
                if mac.is_some_and(|mac| mac.verify_slice(&candidate).is_ok()) {
                    return Ok(());
                }
            }
        }
        Err(SignatureError::Mismatch)
    }
}

fn digest(key: &[u8], id: &str, timestamp: &str, payload: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(id.as_bytes());
    mac.update(b".");
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(payload);
    Some(mac)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const OTHER: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
    const NOW: Millis = Millis(1_614_265_330_000);

    fn request(body: &[u8]) -> Signed<'_> {
        Signed {
            method: "POST",
            path: "/commands",
            body,
        }
    }

    #[test]
    fn the_published_vector_is_reproduced() {
        let keys = Keys::parse(KEY).unwrap();
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let signature = keys.sign(id, NOW, br#"{"test": 2432232314}"#);
        assert_eq!(signature.timestamp, "1614265330");
        assert_eq!(
            signature.signature,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    proptest! {
        #[test]
        fn the_reference_implementation_agrees(id in "[a-zA-Z0-9_]{1,40}", body in ".*") {
            let keys = Keys::parse(KEY).unwrap();
            let reference = standardwebhooks::Webhook::new(KEY).unwrap();
            let ours = keys.sign_request(&id, NOW, request(body.as_bytes()));
            let payload = format!("POST /commands\n{body}");
            let theirs = reference.sign(&id, NOW.0 / 1000, payload.as_bytes()).unwrap();
            prop_assert_eq!(ours.signature, theirs);
        }

        #[test]
        fn any_change_to_what_was_signed_is_refused(body: Vec<u8>, at: usize, bit in 0..8u8) {
            let keys = Keys::parse(KEY).unwrap();
            let signature = keys.sign_request("a", NOW, request(&body));
            prop_assert_eq!(keys.verify_request(&signature, NOW, request(&body)), Ok(()));
            let mut changed = body.clone();
            match changed.get_mut(at % (body.len() + 1)) {
                Some(byte) => *byte ^= 1 << bit,
                None => changed.push(bit),
            }
            let verdict = keys.verify_request(&signature, NOW, request(&changed));
            prop_assert_eq!(verdict, Err(SignatureError::Mismatch));
        }
    }

    #[test]
    fn a_signature_for_one_endpoint_is_void_at_another() {
        let keys = Keys::parse(KEY).unwrap();
        let signature = keys.sign_request("a", NOW, request(b"{}"));
        for (method, path) in [
            ("PUT", "/commands"),
            ("POST", "/other"),
            ("POST", "/commands?x"),
        ] {
            let other = Signed {
                method,
                path,
                body: b"{}",
            };
            let verdict = keys.verify_request(&signature, NOW, other);
            assert_eq!(verdict, Err(SignatureError::Mismatch), "{method} {path}");
        }
    }

    #[test]
    fn a_clock_more_than_five_minutes_off_is_refused_either_way() {
        let keys = Keys::parse(KEY).unwrap();
        let signature = keys.sign_request("a", NOW, request(b""));
        let at = |millis| keys.verify_request(&signature, NOW.plus(millis), request(b""));
        assert_eq!(at(300_000), Ok(()));
        assert_eq!(at(-300_000), Ok(()));
        assert_eq!(at(301_000), Err(SignatureError::Timestamp));
        assert_eq!(at(-301_000), Err(SignatureError::Timestamp));
    }

    #[test]
    fn both_keys_are_accepted_during_a_rotation() {
        let old = Keys::parse(KEY).unwrap();
        let both = Keys::parse(&format!("{OTHER} {KEY}")).unwrap();
        let signature = old.sign_request("a", NOW, request(b"x"));
        assert_eq!(both.verify_request(&signature, NOW, request(b"x")), Ok(()));
        let new = both.sign_request("a", NOW, request(b"x"));
        assert_eq!(
            old.verify_request(&new, NOW, request(b"x")),
            Err(SignatureError::Mismatch)
        );
    }

    #[test]
    fn keys_of_another_form_are_refused() {
        assert_eq!(Keys::parse(" ").err(), Some(KeyError::None));
        assert_eq!(Keys::parse("secret").err(), Some(KeyError::Form));
        assert_eq!(Keys::parse("whsec_c2hvcnQ=").err(), Some(KeyError::Form));
    }

    #[test]
    fn a_dot_in_the_id_is_refused() {
        let keys = Keys::parse(KEY).unwrap();
        let signature = keys.sign_request("a.b", NOW, request(b""));
        let verdict = keys.verify_request(&signature, NOW, request(b""));
        assert_eq!(verdict, Err(SignatureError::Mismatch));
    }
}
