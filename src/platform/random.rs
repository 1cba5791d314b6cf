//! Random bits from the runtime's generator.

use std::fmt::Write as _;

/// `N` random bytes. Should the generator fail the result is an error, never predictable bytes.
pub fn bytes<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// 256 random bits as 64 hexadecimal digits: a token that nobody can guess.
pub fn token() -> Result<String, getrandom::Error> {
    Ok(hex(&bytes::<32>()?))
}

pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
