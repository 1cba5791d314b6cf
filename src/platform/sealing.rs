//! Secrets at rest: AES-256-GCM with a ring of keys, so that a key can be replaced.
//!
//! A sealed text is `v1.<key id>.<nonce>.<ciphertext>`, the last two base64url. It opens with the
//! key that it names, in the place (table, row, column) that it was sealed for. Texts of the time
//! before keys had names, `v1.<nonce>.<ciphertext>`, open too, and count as stale.
//!
//! RustCrypto's rather than the runtime's: it is synchronous, and the tests run it natively.

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::crypto::CryptoError;
use super::random;

/// Name of the key that `ENCRYPTION_KEY` alone is.
const SINGLE: &str = "0";

/// The first key seals, all of them open.
pub struct KeyRing {
    keys: Vec<NamedKey>,
}

struct NamedKey {
    id: String,
    key: [u8; 32],
}

/// A text that was sealed, and whether it should be sealed again: its key is not the first one.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened {
    pub text: String,
    pub stale: bool,
}

impl KeyRing {
    /// `ring` is `id:base64 id:base64 …`, newest first; `single` one more key, or empty. `None` if
    /// there is no key at all or one is not of this form.
    pub fn parse(ring: &str, single: &str) -> Option<Self> {
        let named = ring.split_whitespace().map(|entry| entry.split_once(':'));
        let single = Some(single).filter(|key| !key.is_empty());
        let all = named.chain(single.map(|key| Some((SINGLE, key))));
        let keys = all
            .map(|entry| NamedKey::parse(entry?))
            .collect::<Option<Vec<_>>>()?;
        let is_new = |(at, key): (usize, &NamedKey)| keys.iter().take(at).all(|k| k.id != key.id);
        let valid = !keys.is_empty() && keys.iter().enumerate().all(is_new);
        valid.then_some(Self { keys })
    }

    #[cfg(test)]
    pub fn of(byte: u8) -> Self {
        let id = SINGLE.to_owned();
        Self {
            keys: vec![NamedKey {
                id,
                key: [byte; 32],
            }],
        }
    }

    /// The keys, the newest first, for what is signed rather than sealed.
    pub fn secrets(&self) -> impl Iterator<Item = &[u8; 32]> {
        self.keys.iter().map(|named| &named.key)
    }

    /// Seals `text` for one `place`: elsewhere it does not open.
    pub fn seal(&self, place: &str, text: &str) -> Result<String, CryptoError> {
        let NamedKey { id, key } = self.keys.first().ok_or(CryptoError::Seal)?;
        let nonce: [u8; 12] = random::bytes()?;
        let place = bound(place, id);
        let payload = Payload {
            msg: text.as_bytes(),
            aad: place.as_bytes(),
        };
        let sealed = cipher(key)
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| CryptoError::Seal)?;
        let (nonce, sealed) = (
            URL_SAFE_NO_PAD.encode(nonce),
            URL_SAFE_NO_PAD.encode(sealed),
        );
        Ok(format!("v1.{id}.{nonce}.{sealed}"))
    }

    /// Opens what was sealed for the same `place` with any of the keys.
    pub fn open(&self, place: &str, sealed: &str) -> Result<Opened, CryptoError> {
        let fields: Vec<&str> = sealed.split('.').collect();
        match fields.as_slice() {
            ["v1", id, nonce, text] => {
                let at = self.keys.iter().position(|key| key.id == *id);
                let key = at.and_then(|at| self.keys.get(at));
                let NamedKey { key, .. } = key.ok_or(CryptoError::Open)?;
                Ok(Opened {
                    text: decrypt(key, &bound(place, id), nonce, text)?,
                    stale: at != Some(0),
                })
            }
            ["v1", nonce, text] => {
                let mut opened = self
                    .keys
                    .iter()
                    .filter_map(|key| decrypt(&key.key, place, nonce, text).ok());
                let text = opened.next().ok_or(CryptoError::Open)?;
                Ok(Opened { text, stale: true })
            }
            _ => Err(CryptoError::Open),
        }
    }
}

impl NamedKey {
    fn parse((id, key): (&str, &str)) -> Option<Self> {
        let is_name = (1..=32).contains(&id.len())
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        let key = STANDARD.decode(key).ok()?.try_into().ok()?;
        is_name.then(|| Self {
            id: id.to_owned(),
            key,
        })
    }
}

/// What a ciphertext is bound to: a row cannot be swapped, and a key not be renamed.
fn bound(place: &str, id: &str) -> String {
    format!("{place}|{id}")
}

fn cipher(key: &[u8; 32]) -> Aes256Gcm {
    Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key))
}

fn decrypt(key: &[u8; 32], bound: &str, nonce: &str, text: &str) -> Result<String, CryptoError> {
    let decode = |field: &str| URL_SAFE_NO_PAD.decode(field).map_err(|_| CryptoError::Open);
    let nonce: [u8; 12] = decode(nonce)?.try_into().map_err(|_| CryptoError::Open)?;
    let payload = Payload {
        msg: &decode(text)?,
        aad: bound.as_bytes(),
    };
    let text = cipher(key)
        .decrypt(&Nonce::from(nonce), payload)
        .map_err(|_| CryptoError::Open)?;
    String::from_utf8(text).map_err(|_| CryptoError::Open)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    const PLACE: &str = "links|1|token";

    fn key(byte: u8) -> String {
        STANDARD.encode([byte; 32])
    }

    fn ring(text: &str) -> KeyRing {
        KeyRing::parse(text, "").unwrap()
    }

    #[test]
    fn what_was_sealed_opens_in_its_place_only() {
        let ring = ring(&format!("a:{}", key(7)));
        let sealed = ring.seal(PLACE, "gho_secret").unwrap();
        assert!(sealed.starts_with("v1.a.") && !sealed.contains("secret"));
        let opened = ring.open(PLACE, &sealed).unwrap();
        assert_eq!((opened.text.as_str(), opened.stale), ("gho_secret", false));
        assert!(ring.open("links|2|token", &sealed).is_err());
        assert_ne!(sealed, ring.seal(PLACE, "gho_secret").unwrap());
    }

    #[test]
    fn an_older_key_opens_and_says_that_it_is_stale() {
        let old = ring(&format!("a:{}", key(7)));
        let sealed = old.seal(PLACE, "text").unwrap();
        let new = ring(&format!("b:{} a:{}", key(8), key(7)));
        let opened = new.open(PLACE, &sealed).unwrap();
        assert_eq!((opened.text.as_str(), opened.stale), ("text", true));
        let again = new.seal(PLACE, &opened.text).unwrap();
        assert!(again.starts_with("v1.b."));
        assert!(!new.open(PLACE, &again).unwrap().stale);
        assert!(old.open(PLACE, &again).is_err());
    }

    #[test]
    fn a_key_cannot_be_passed_off_as_another_of_its_name() {
        let sealed = ring(&format!("a:{}", key(7))).seal(PLACE, "text").unwrap();
        assert!(ring(&format!("a:{}", key(8))).open(PLACE, &sealed).is_err());
        let renamed = sealed.replacen("v1.a.", "v1.b.", 1);
        let both = ring(&format!("b:{} a:{}", key(7), key(8)));
        assert!(both.open(PLACE, &renamed).is_err());
    }

    #[test]
    fn a_text_from_before_keys_had_names_opens_and_is_stale() {
        // Sealed as it was done then: the place alone is bound.
        let nonce = [3; 12];
        let payload = Payload {
            msg: b"text",
            aad: PLACE.as_bytes(),
        };
        let text = cipher(&[7; 32]).encrypt(&Nonce::from(nonce), payload);
        let sealed = format!(
            "v1.{}.{}",
            URL_SAFE_NO_PAD.encode(nonce),
            URL_SAFE_NO_PAD.encode(text.unwrap())
        );
        let ring = KeyRing::parse(&format!("n:{}", key(8)), &key(7)).unwrap();
        let opened = ring.open(PLACE, &sealed).unwrap();
        assert_eq!((opened.text.as_str(), opened.stale), ("text", true));
        assert!(ring.open("links|2|token", &sealed).is_err());
    }

    #[test]
    fn the_single_key_alone_seals_and_stays_accepted_behind_a_ring() {
        let single = KeyRing::parse("", &key(7)).unwrap();
        let sealed = single.seal(PLACE, "text").unwrap();
        let ring = KeyRing::parse(&format!("n:{}", key(8)), &key(7)).unwrap();
        assert!(ring.open(PLACE, &sealed).unwrap().stale);
    }

    #[test]
    fn what_is_no_ring_is_refused() {
        let (good, short) = (key(7), STANDARD.encode([7; 31]));
        for text in [
            String::new(),
            good.clone(),
            format!("a:{short}"),
            format!("a.b:{good}"),
            format!(":{good}"),
            format!("a:{good} a:{good}"),
        ] {
            assert!(KeyRing::parse(&text, "").is_none(), "{text}");
        }
        assert!(KeyRing::parse(&format!("0:{good}"), &good).is_none());
    }
}
