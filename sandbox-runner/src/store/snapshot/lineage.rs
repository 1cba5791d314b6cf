//! What a session may ask for when it means the files of a sandbox that is gone.
//!
//! A session asks for the newest snapshot that it was told of. A sandbox may have gone beyond that:
//! its last reports can be lost with it. So whatever is kept of a sandbox says under which names its
//! files may be asked for: what it started from, and each snapshot that it made since.

use protocol::SnapshotId;
use serde::{Deserialize, Serialize};

/// More are not remembered: reports are late by moments, not by this many prompts.
const MOST: usize = 16;

/// Oldest first; `None` stands for the image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage(Vec<Option<SnapshotId>>);

impl Lineage {
    /// Of a sandbox that was to start from `asked`, and started from `found` if there was anything.
    pub fn new(asked: Option<&SnapshotId>, found: Option<&SnapshotId>) -> Self {
        let mut lineage = Self(vec![asked.cloned()]);
        if let Some(found) = found.filter(|found| asked != Some(*found)) {
            lineage.grow(found.clone());
        }
        lineage
    }

    /// The files have become this snapshot.
    pub fn grow(&mut self, snapshot: SnapshotId) {
        self.0.push(Some(snapshot));
        if self.0.len() > MOST {
            self.0.remove(0);
        }
    }

    /// Whether files of this lineage are those that were `asked` for, or came out of them.
    pub fn follows(&self, asked: Option<&SnapshotId>) -> bool {
        self.0.iter().any(|known| known.as_ref() == asked)
    }

    /// What the files are, as far as they were kept.
    pub fn newest(&self) -> Option<&SnapshotId> {
        self.0.last().and_then(Option::as_ref)
    }

    /// All snapshots, newest first.
    pub fn snapshots(&self) -> impl Iterator<Item = &SnapshotId> {
        self.0.iter().rev().flatten()
    }
}
