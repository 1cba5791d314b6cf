//! The real clock and randomness, for the shells: everything below them is given its time.

use std::time::{SystemTime, UNIX_EPOCH};

use protocol::Millis;

pub(crate) fn now() -> Millis {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Millis(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
}

/// 128 random bits. Without the kernel's randomness no identifier may be made, so this ends the
/// process.
pub(crate) fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    if let Err(error) = getrandom::fill(&mut bytes) {
        tracing::error!(%error, "the kernel gives no random bytes");
        std::process::abort();
    }
    bytes
}
