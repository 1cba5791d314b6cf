//! The last output of a terminal. Places in it count all bytes that there ever were.

use std::collections::VecDeque;

/// How much is kept.
pub(super) const KEPT: usize = 256 << 10;

#[derive(Debug, Default)]
pub(super) struct Scrollback {
    bytes: VecDeque<u8>,
    /// Where the output ends.
    end: u64,
}

impl Scrollback {
    pub(super) fn push(&mut self, output: &[u8]) {
        let excess = (self.bytes.len() + output.len()).saturating_sub(KEPT);
        self.bytes.drain(..excess.min(self.bytes.len()));
        let kept = output.len().saturating_sub(KEPT);
        self.bytes.extend(output.get(kept..).unwrap_or_default());
        self.end += output.len() as u64;
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn start(&self) -> u64 {
        self.end - self.bytes.len() as u64
    }

    /// What follows `place`, at most `limit` bytes of it, and where that ends. Who has fallen behind
    /// what is kept goes on with the last `limit` bytes.
    pub(super) fn after(&self, place: u64, limit: usize) -> (Vec<u8>, u64) {
        let place = match place < self.start() {
            true => self.end.saturating_sub(limit as u64).max(self.start()),
            false => place,
        };
        let skipped = usize::try_from(place - self.start()).unwrap_or(usize::MAX);
        let (older, newer) = self.bytes.as_slices();
        let mut bytes = part(older, skipped, limit).to_vec();
        let left = limit - bytes.len();
        bytes.extend_from_slice(part(newer, skipped.saturating_sub(older.len()), left));
        let end = place + bytes.len() as u64;
        (bytes, end)
    }
}

/// What there is of `limit` bytes from `start` on.
fn part(bytes: &[u8], start: usize, limit: usize) -> &[u8] {
    let rest = bytes.get(start..).unwrap_or_default();
    rest.get(..limit).unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_output_is_kept_and_read_on_from_any_place() {
        let mut scrollback = Scrollback::default();
        scrollback.push(b"hello ");
        scrollback.push(b"world");
        assert_eq!(scrollback.after(0, 100), (b"hello world".to_vec(), 11));
        assert_eq!(scrollback.after(6, 3), (b"wor".to_vec(), 9));
        assert_eq!(scrollback.after(11, 3), (Vec::new(), 11));
    }

    #[test]
    fn whoever_falls_behind_what_is_kept_goes_on_near_the_end() {
        let mut scrollback = Scrollback::default();
        scrollback.push(b"lost");
        scrollback.push(&vec![b'x'; KEPT - 1]);
        scrollback.push(b"!");
        assert_eq!(scrollback.start(), 4);
        let (bytes, end) = scrollback.after(2, 3);
        assert_eq!((bytes.as_slice(), end), (&b"xx!"[..], scrollback.end()));
        scrollback.push(&vec![b'y'; 3 * KEPT]);
        let (bytes, end) = scrollback.after(0, usize::MAX);
        assert_eq!((bytes.len(), end), (KEPT, scrollback.end()));
    }
}
