//! Unguessable strings for tokens and secrets.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// `length` characters of the URL-safe alphabet, from the operating system's generator.
pub(crate) fn token(length: usize) -> Result<String, getrandom::Error> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes)?;
    Ok(bytes
        .into_iter()
        .filter_map(|byte| ALPHABET.get(usize::from(byte % 64)))
        .map(|&letter| char::from(letter))
        .collect())
}
