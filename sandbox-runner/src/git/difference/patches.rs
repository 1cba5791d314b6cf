//! The patches that git prints, taken apart as they come and bounded.
//!
//! A line that begins with `diff --git ` begins a file: lines of a file's content have a mark before
//! them.

use protocol::api::{MAX_PATCH, MAX_PATCHES};

use super::Entry;

const BEGINNING: &[u8] = b"diff --git ";

pub(super) struct Patches {
    /// Of each entry: how many sections are still to come of it.
    left: Vec<usize>,
    hunks: Vec<Option<Vec<u8>>>,
    /// The entry that is being read; none before the first.
    place: Option<usize>,
    in_hunks: bool,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    /// Bytes of all finished patches, as JSON has them.
    total: usize,
    full: bool,
}

impl Patches {
    pub(super) fn of(entries: &[Entry]) -> Self {
        Self {
            left: entries.iter().map(|entry| entry.sections).collect(),
            hunks: vec![Some(Vec::new()); entries.len()],
            place: None,
            in_hunks: false,
            line: Vec::new(),
            total: 0,
            full: false,
        }
    }

    /// There is nothing more to be read.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    pub(super) fn take(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            // What is too long for a patch ends it, wherever its line ends.
            if self.line.len() <= MAX_PATCH {
                self.line.extend_from_slice(piece);
            }
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.read(&line);
            }
            if self.full {
                return;
            }
        }
    }

    pub(super) fn finish(mut self) -> Vec<Option<String>> {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() && !self.full {
            self.read(&line);
        }
        self.close();
        let reached = self.place.map_or(0, |place| place + 1);
        let text = |hunks: Vec<u8>| String::from_utf8_lossy(&hunks).into_owned();
        let numbered = self.hunks.into_iter().enumerate();
        numbered
            .map(|(place, hunks)| hunks.filter(|_| place < reached).map(text))
            .collect()
    }

    fn read(&mut self, line: &[u8]) {
        if line.starts_with(BEGINNING) {
            return self.begin();
        }
        self.in_hunks |= line.starts_with(b"@@");
        let Some(place) = self.place.filter(|_| self.in_hunks) else {
            return;
        };
        if let Some(slot) = self.hunks.get_mut(place)
            && let Some(hunks) = slot
        {
            if hunks.len() + line.len() > MAX_PATCH {
                *slot = None;
            } else {
                hunks.extend_from_slice(line);
            }
        }
    }

    fn begin(&mut self) {
        self.in_hunks = false;
        let goes_on = self
            .place
            .and_then(|place| self.left.get_mut(place))
            .filter(|left| **left > 0);
        if let Some(left) = goes_on {
            *left -= 1;
            return;
        }
        self.close();
        let next = self.place.map_or(0, |place| place + 1);
        match self.left.get_mut(next) {
            Some(left) if !self.full => {
                *left = left.saturating_sub(1);
                self.place = Some(next);
            }
            _ => self.full = true,
        }
    }

    /// The patch that was read is whole: it counts, or there is no room for it.
    fn close(&mut self) {
        let slot = self.place.and_then(|place| self.hunks.get_mut(place));
        let Some(slot) = slot else { return };
        let bytes = slot.as_ref().map_or(0, |hunks| written(hunks));
        if self.total + bytes > MAX_PATCHES {
            *slot = None;
            self.full = true;
        } else {
            self.total += bytes;
        }
    }
}

/// How many bytes of JSON a text takes.
fn written(text: &[u8]) -> usize {
    let bytes = text.iter().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\t' | b'\r' => 2,
        // Three bytes stand for one that is no UTF-8.
        0..0x20 => 6,
        0x80.. => 3,
        _ => 1,
    });
    bytes.sum()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use protocol::api::Change;

    use super::*;

    fn entry(sections: usize) -> Entry {
        Entry {
            path: String::new(),
            previous: None,
            change: Change::Modified,
            additions: Some(1),
            deletions: Some(1),
            before: String::new(),
            after: String::new(),
            sections,
        }
    }

    fn read(entries: &[Entry], text: &str, step: usize) -> Vec<Option<String>> {
        let mut patches = Patches::of(entries);
        for piece in text.as_bytes().chunks(step) {
            patches.take(piece);
        }
        patches.finish()
    }

    const TWO: &str = "diff --git \"a/x\\n\" \"b/x\\n\"\nindex 1..2\n--- a\n+++ b\n@@ -1 +1 @@\n-diff --git a b\n+@@ odd\ndiff --git a/mode b/mode\nold mode 100644\nnew mode 100755\n";

    #[test]
    fn patches_are_told_apart_however_they_arrive() {
        for step in [1, 3, 1000] {
            let patches = read(&[entry(1), entry(1)], TWO, step);
            let hunks = "@@ -1 +1 @@\n-diff --git a b\n+@@ odd\n";
            assert_eq!(patches, [Some(hunks.to_owned()), Some(String::new())]);
        }
    }

    #[test]
    fn a_file_that_became_a_link_is_one_entry() {
        let text = "diff --git a/l b/l\ndeleted file mode 100644\n@@ -1 +0,0 @@\n-x\ndiff --git a/l b/l\nnew file mode 120000\n@@ -0,0 +1 @@\n+y\ndiff --git a/m b/m\n@@ -1 +1 @@\n-1\n+2\n";
        let patches = read(&[entry(2), entry(1)], text, 7);
        let first = "@@ -1 +0,0 @@\n-x\n@@ -0,0 +1 @@\n+y\n".to_owned();
        assert_eq!(
            patches,
            [Some(first), Some("@@ -1 +1 @@\n-1\n+2\n".to_owned())]
        );
    }

    #[test]
    fn one_patch_that_is_too_large_takes_no_other_with_it() {
        let long = format!("+{}\n", "x".repeat(MAX_PATCH + 10));
        let text = format!("diff --git a b\n@@ -0,0 +1 @@\n{long}{TWO}");
        let patches = read(&[entry(1), entry(1), entry(1)], &text, 4096);
        assert_eq!(patches.first().unwrap(), &None);
        assert!(patches.get(1).unwrap().is_some());
    }

    #[test]
    fn all_patches_together_are_bounded_and_reading_ends() {
        let many = 2 * MAX_PATCHES / MAX_PATCH + 4;
        let one = format!(
            "diff --git a b\n@@ -0,0 +1 @@\n+{}\n",
            "x".repeat(MAX_PATCH - 100)
        );
        let entries: Vec<Entry> = (0..many).map(|_| entry(1)).collect();
        let mut patches = Patches::of(&entries);
        for _ in 0..many {
            patches.take(one.as_bytes());
        }
        assert!(patches.is_full());
        let kept = patches.finish();
        let bytes: usize = kept.iter().flatten().map(String::len).sum();
        assert!(bytes <= MAX_PATCHES && bytes > MAX_PATCHES / 2, "{bytes}");
        assert_eq!(kept.last().unwrap(), &None);
    }
}
