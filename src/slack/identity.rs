//! Who somebody in Slack is at GitHub: whoever they signed in as, once they were asked in private.
//! An address that both sides know proves nothing: it is said as a hint, and nothing follows from it.

use protocol::event::Person;
use protocol::{Millis, UserId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::platform::crypto::CryptoError;
use crate::platform::sealing::KeyRing;

/// What an invitation is sealed for.
const PLACE: &str = "slack|invitation";

/// How long an invitation to link is good.
pub const INVITATION_MS: i64 = 30 * 60_000;

/// Says who is to be linked; sealed, so that only we can have made it, and good once by its `nonce`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    pub team: String,
    pub user: String,
    /// As people know them in Slack.
    pub name: String,
    pub nonce: String,
    pub expires_at: Millis,
}

impl Invitation {
    pub fn seal(&self, keys: &KeyRing) -> Result<String, CryptoError> {
        let text = serde_json::to_string(self).map_err(|_| CryptoError::Seal)?;
        keys.seal(PLACE, &text)
    }

    /// `None` if it is none of ours or has expired.
    pub fn open(keys: &KeyRing, sealed: &str, now: Millis) -> Option<Self> {
        let opened = keys.open(PLACE, sealed).ok()?;
        let invitation: Self = serde_json::from_str(&opened.text).ok()?;
        (invitation.expires_at >= now).then_some(invitation)
    }
}

/// Somebody who is linked to nobody: a person of ours, with a number that no GitHub user has.
pub fn unlinked(team: &str, user: &str, name: &str) -> Person {
    let digest = Sha256::digest(format!("{team}/{user}").as_bytes());
    // Six bytes stay far within what D1 holds exactly.
    let number = digest
        .iter()
        .take(6)
        .fold(0, |number, byte| number << 8 | i64::from(*byte));
    Person {
        id: UserId(-1 - number),
        login: format!("slack-{}", user.to_ascii_lowercase()),
        name: name.to_owned(),
        avatar: String::new(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_opens_for_half_an_hour_and_only_if_it_is_ours() {
        let (ours, others) = (KeyRing::of(1), KeyRing::of(2));
        let invitation = Invitation {
            team: "T1".to_owned(),
            user: "U1".to_owned(),
            name: "Ann".to_owned(),
            nonce: "n".to_owned(),
            expires_at: Millis(INVITATION_MS),
        };
        let sealed = invitation.seal(&ours).unwrap();
        let open = |keys, now| Invitation::open(keys, &sealed, Millis(now));
        assert_eq!(open(&ours, INVITATION_MS), Some(invitation));
        assert_eq!(open(&ours, INVITATION_MS + 1), None);
        assert_eq!(open(&others, 0), None);
        let elsewhere = ours.seal("cookie|login", "{}").unwrap();
        assert_eq!(Invitation::open(&ours, &elsewhere, Millis(0)), None);
    }

    #[test]
    fn who_is_linked_to_nobody_has_a_number_of_their_own() {
        let ann = unlinked("T1", "U1", "Ann");
        assert!(ann.id.0 < 0 && ann.id.0 > -(1 << 50));
        assert_eq!(ann.id, unlinked("T1", "U1", "Ann Other").id);
        assert_ne!(ann.id, unlinked("T2", "U1", "Ann").id);
    }
}
