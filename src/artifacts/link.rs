//! Capability URLs: whoever has one gets one file, until it expires. Nothing is looked up for it: the
//! signature covers what it names, and its key is drawn from the deployment's own.

use hmac::{Hmac, KeyInit as _, Mac as _};
use protocol::{ArtifactId, Millis, SessionId};
use sha2::Sha256;

use crate::platform::random::hex;
use crate::platform::sealing::KeyRing;

/// Keeps this use of the key apart from any other.
const USE: &[u8] = b"artifact link, version 1";

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    #[error("this link has expired: open the file from its session again")]
    Expired,
    #[error("this link was changed: open the file from its session again")]
    Forged,
}

/// What a link leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub session: SessionId,
    pub artifact: ArtifactId,
    pub expires_at: Millis,
}

impl Link {
    /// Absolute path with its query.
    pub fn path(&self, keys: &KeyRing) -> String {
        let Self {
            session,
            artifact,
            expires_at,
        } = self;
        let newest = keys.secrets().next();
        let signature = newest
            .and_then(|key| self.mac(key))
            .map(|mac| hex(&mac.finalize().into_bytes()))
            .unwrap_or_default();
        format!(
            "/artifacts/{artifact}?session={session}&expires={expires_at}&signature={signature}"
        )
    }

    /// Whether one of the keys made the signature, and the link is still good.
    pub fn verify(&self, keys: &KeyRing, signature: &str, now: Millis) -> Result<(), LinkError> {
        let given = bytes(signature).ok_or(LinkError::Forged)?;
        let made = |key| {
            let mac = self.mac(key);
            mac.is_some_and(|mac| mac.verify_slice(&given).is_ok())
        };
        if !keys.secrets().any(made) {
            return Err(LinkError::Forged);
        }
        if now >= self.expires_at {
            return Err(LinkError::Expired);
        }
        Ok(())
    }

    fn mac(&self, key: &[u8; 32]) -> Option<Hmac<Sha256>> {
        let mut drawn = Hmac::<Sha256>::new_from_slice(key).ok()?;
        drawn.update(USE);
        let drawn = drawn.finalize().into_bytes();
        let mut mac = Hmac::<Sha256>::new_from_slice(&drawn).ok()?;
        let text = format!("{}\n{}\n{}", self.session, self.artifact, self.expires_at);
        mac.update(text.as_bytes());
        Some(mac)
    }
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|one| u8::try_from(one).ok())
    };
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn keys() -> KeyRing {
        KeyRing::of(7)
    }

    fn link() -> Link {
        Link {
            session: SessionId::parse("ses_a").unwrap(),
            artifact: ArtifactId::parse("art_a").unwrap(),
            expires_at: Millis(1000),
        }
    }

    fn signature(link: &Link) -> String {
        let path = link.path(&keys());
        path.rsplit_once('=').unwrap().1.to_owned()
    }

    #[test]
    fn a_link_is_good_until_it_expires() {
        let signature = signature(&link());
        assert_eq!(link().verify(&keys(), &signature, Millis(999)), Ok(()));
        let late = link().verify(&keys(), &signature, Millis(1000));
        assert_eq!(late, Err(LinkError::Expired));
    }

    #[test]
    fn a_link_is_good_for_what_it_names_only() {
        let signature = signature(&link());
        let others = [
            Link {
                session: SessionId::parse("ses_b").unwrap(),
                ..link()
            },
            Link {
                artifact: ArtifactId::parse("art_b").unwrap(),
                ..link()
            },
            Link {
                expires_at: Millis(2000),
                ..link()
            },
        ];
        for other in others {
            let verified = other.verify(&keys(), &signature, Millis(1));
            assert_eq!(verified, Err(LinkError::Forged));
        }
        for spoiled in ["", "0", "zz", &signature.replace(char::is_numeric, "0")] {
            let verified = link().verify(&keys(), spoiled, Millis(1));
            assert_eq!(verified, Err(LinkError::Forged), "{spoiled}");
        }
        let other = link().verify(&KeyRing::of(8), &signature, Millis(1));
        assert_eq!(other, Err(LinkError::Forged));
    }
}
