//! What the making of an image printed, line by line, with a bound on each line and on the whole.
//!
//! The text only grows, by whole lines, so whoever has its beginning needs only what follows.

use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::callback::MAX_LOG;
use tokio::sync::watch;

/// Longest line that is kept; progress bars are one endless line.
const MAX_LINE: usize = 4 << 10;
const END: &str = "## the log ends here, since it is longer than what is kept\n";

pub struct Log {
    inner: Mutex<Inner>,
    length: watch::Sender<usize>,
}

#[derive(Default)]
struct Inner {
    text: String,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    is_full: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            inner: Mutex::default(),
            length: watch::Sender::new(0),
        }
    }
}

impl Log {
    /// Says something of ours, between what programs print.
    pub(super) fn heading(&self, text: &str) {
        let mut inner = self.inner();
        inner.end_line();
        inner.append(&format!("## {text}"));
        self.length.send_replace(inner.text.len());
    }

    pub(super) fn bytes(&self, bytes: &[u8]) {
        let mut inner = self.inner();
        for byte in bytes {
            match byte {
                // A zero is no part of a text, and ends what git lists.
                b'\n' | b'\r' | 0 => inner.end_line(),
                _ if inner.line.len() < MAX_LINE => inner.line.push(*byte),
                _ => {}
            }
        }
        self.length.send_replace(inner.text.len());
    }

    /// All of it, with the line that has not ended.
    pub fn text(&self) -> String {
        let mut inner = self.inner();
        inner.end_line();
        self.length.send_replace(inner.text.len());
        inner.text.clone()
    }

    /// Goes on from an earlier text.
    pub(super) fn restore(&self, text: String) {
        let mut inner = self.inner();
        inner.text = text;
        self.length.send_replace(inner.text.len());
    }

    /// At most `most` bytes from `offset` on, and where they begin: between two characters.
    pub(super) fn piece(&self, offset: usize, most: usize) -> (usize, String) {
        let text = &self.inner().text;
        let start = text.floor_char_boundary(offset);
        let end = text.floor_char_boundary(start.saturating_add(most));
        (start, text.get(start..end).unwrap_or_default().to_owned())
    }

    /// How many bytes there are, as they become more.
    pub(super) fn length(&self) -> watch::Receiver<usize> {
        self.length.subscribe()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.append(&String::from_utf8_lossy(&line));
        }
    }

    fn append(&mut self, line: &str) {
        tracing::debug!(line, "image");
        if self.is_full {
            return;
        }
        if self.text.len() + line.len() + 1 + END.len() > MAX_LOG {
            self.is_full = true;
            self.text.push_str(END);
            return;
        }
        self.text.push_str(line);
        self.text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_from_pieces() {
        let log = Log::default();
        log.heading("clone");
        log.bytes(b"half a");
        log.bytes(b" line\nand\0another");
        log.heading("test");
        assert_eq!(log.text(), "## clone\nhalf a line\nand\nanother\n## test\n");
    }

    #[test]
    fn neither_a_line_nor_the_whole_grows_without_end() {
        let log = Log::default();
        for _ in 0..2000 {
            log.bytes(&[b'x'; 2 * MAX_LINE]);
            log.bytes(b"\n");
        }
        log.heading("late");
        let text = log.text();
        assert!(text.len() <= MAX_LOG && text.ends_with(END));
        assert!(text.lines().all(|line| line.len() <= MAX_LINE));
    }

    #[test]
    fn pieces_are_cut_between_characters_and_make_the_whole() {
        let log = Log::default();
        log.bytes("ä€😀\n".repeat(9).as_bytes());
        let (mut whole, mut offset) = (String::new(), 0);
        while offset < *log.length().borrow() {
            let (start, piece) = log.piece(offset, 5);
            assert_eq!(start, offset);
            assert!((1..=5).contains(&piece.len()));
            offset += piece.len();
            whole.push_str(&piece);
        }
        assert_eq!(whole, log.text());
        assert_eq!(log.piece(1, 100).0, 0);
    }
}
