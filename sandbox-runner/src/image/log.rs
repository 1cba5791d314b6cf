//! What the making of an image printed, line by line, with a bound on each line and on the whole.

/// Longest line that is kept; progress bars are one endless line.
const MAX_LINE: usize = 4 << 10;
/// The beginning of this length is kept.
const MAX_TEXT: usize = 1 << 20;

#[derive(Default)]
pub(super) struct Log {
    text: String,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
}

impl Log {
    pub(super) fn heading(&mut self, text: &str) {
        self.end_line();
        self.append(&format!("## {text}"));
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' | b'\r' => self.end_line(),
                _ if self.line.len() < MAX_LINE => self.line.push(*byte),
                _ => {}
            }
        }
    }

    pub(super) fn text(&mut self) -> &str {
        self.end_line();
        &self.text
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.append(&String::from_utf8_lossy(&line));
        }
    }

    fn append(&mut self, line: &str) {
        tracing::debug!(line, "image");
        if self.text.len() + line.len() < MAX_TEXT {
            self.text.push_str(line);
            self.text.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_from_pieces() {
        let mut log = Log::default();
        log.heading("clone");
        log.bytes(b"half a");
        log.bytes(b" line\nand another");
        log.heading("test");
        assert_eq!(log.text(), "## clone\nhalf a line\nand another\n## test\n");
    }

    #[test]
    fn neither_a_line_nor_the_whole_grows_without_end() {
        let mut log = Log::default();
        for _ in 0..2000 {
            log.bytes(&[b'x'; 2 * MAX_LINE]);
            log.bytes(b"\n");
        }
        assert!(log.text().len() <= MAX_TEXT);
        assert!(log.text().lines().all(|line| line.len() <= MAX_LINE));
    }
}
