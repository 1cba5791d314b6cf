//! A layer as one file: a compressed tar archive, whose digest is the layer's content address.
//!
//! Two layers with the same content give the same bytes: entries are sorted, the owner is a number
//! that is always the same, and nothing but what a layer means is kept: names, modes, times,
//! contents, links and the attributes of the user's namespace.
//!
//! A whiteout is a character device 0:0, as in the layer itself, and an opaque directory has its
//! attribute. The `.wh.` names of OCI images would make something else of a file that is called so,
//! which whoever writes in a sandbox could use; nobody but this module reads the archives.
//!
//! [`unpack`] accepts what [`pack`] makes and refuses everything else, before it touches the disk.

use std::fmt;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub(super) use self::attributes::{extended, extended_of};
pub use self::pack::pack;
pub use self::unpack::unpack;

mod attributes;
mod pack;
mod unpack;

/// Fast, and within a tenth of what level 3 saves.
const LEVEL: i32 = 1;
/// A tree that is deeper can be kept on this machine and not sent to another.
const MAX_DEPTH: usize = 128;
const MAX_PATH: usize = 3072;
const BUFFER: usize = 128 * 1024;

/// `sha256` of an archive, as 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a sha256 digest")]
pub struct InvalidDigest;

/// What an archive is and holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed {
    pub digest: Digest,
    /// Bytes of the archive.
    pub size: u64,
    /// Bytes of the files in it.
    pub content: u64,
}

/// The most that an archive may hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub content: u64,
    pub entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            content: 32 << 30,
            entries: 2_000_000,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("failed to read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path} cannot be part of an archive: {reason}")]
    Unsupported { path: PathBuf, reason: &'static str },
    #[error("failed to write the archive")]
    Write(#[source] io::Error),
    #[error("the archive holds more than {} bytes or {} entries", .0.content, .0.entries)]
    TooLarge(Limits),
    #[error("the archive is damaged")]
    Damaged(#[source] io::Error),
    #[error("the archive's entry {path:?} is refused: {reason}")]
    Refused { path: String, reason: &'static str },
    #[error("failed to create {path}")]
    Create {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the archive is {found}, and {expected} was expected")]
    OtherDigest { expected: Digest, found: Digest },
}

impl Digest {
    pub fn parse(text: &str) -> Result<Self, InvalidDigest> {
        let valid = text.len() == 64
            && text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        valid.then(|| Self(text.to_owned())).ok_or(InvalidDigest)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, InvalidDigest> {
        Self::parse(&text)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

/// Counts and digests what passes through.
struct Measured<T> {
    inner: T,
    hash: Sha256,
    size: u64,
}

impl<T> Measured<T> {
    fn new(inner: T) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            size: 0,
        }
    }

    fn digest(self) -> Digest {
        let bytes = self.hash.finalize();
        Digest(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn saw(&mut self, bytes: Option<&[u8]>) {
        let bytes = bytes.unwrap_or_default();
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
    }
}

impl<T: Read> Read for Measured<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.saw(buffer.get(..count));
        Ok(count)
    }
}

impl<T: Write> Write for Measured<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.saw(bytes.get(..count));
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]
mod tests;
