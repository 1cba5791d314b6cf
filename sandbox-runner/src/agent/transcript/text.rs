//! Texts by what is needed of them: how much was told, and whether a longer one goes on from it.

use protocol::callback::MAX_TEXT;
use serde::{Deserialize, Serialize};

/// How much of a running command's output is told live: what a cut output begins with.
pub(super) const LIVE_OUTPUT: usize = MAX_TEXT / 2;

/// Bytes that are left for the mark where something was left out.
const MARK: usize = 64;

/// A text that was told, without the text: its state is stored after every delta.
///
/// The digest is FNV-1a (64 bits, Fowler, Noll, Vo). It tells apart what one agent said at two
/// times; whoever made it collide would only garble what is shown of their own session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Streamed {
    bytes: usize,
    units: u64,
    digest: u64,
}

impl Default for Streamed {
    fn default() -> Self {
        Self {
            bytes: 0,
            units: 0,
            digest: 0xcbf2_9ce4_8422_2325,
        }
    }
}

impl Streamed {
    pub(super) fn push(&mut self, text: &str) {
        self.bytes += text.len();
        self.units += text.encode_utf16().count() as u64;
        for byte in text.bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// UTF-16 code units.
    pub(super) fn units(&self) -> u64 {
        self.units
    }

    pub(super) fn is_prefix_of(&self, text: &str) -> bool {
        text.get(..self.bytes).is_some_and(|prefix| {
            let mut streamed = Self::default();
            streamed.push(prefix);
            streamed == *self
        })
    }

    pub(super) fn is(&self, text: &str) -> bool {
        text.len() == self.bytes && self.is_prefix_of(text)
    }
}

/// A tool's input or output as it is reported.
pub(super) fn cut_output(text: &str) -> String {
    cut(text, MAX_TEXT)
}

/// At most `longest` bytes of a text: where it is longer, a mark stands in its middle.
pub(super) fn cut(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let start = head(text, longest / 2);
    let tail = (longest / 2).saturating_sub(MARK);
    let end = text
        .get(text.ceil_char_boundary(text.len() - tail)..)
        .unwrap_or_default();
    let left_out = text.len() - start.len() - end.len();
    format!("{start}\n… {left_out} bytes are left out …\n{end}")
}

/// At most `longest` bytes of a text's beginning.
pub(super) fn head(text: &str, longest: usize) -> &str {
    text.get(..text.floor_char_boundary(longest))
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cut_text_goes_on_from_all_that_was_told_live(text in "[aé€𝄞\n]{0,400}", longest in 130..600_usize) {
            let cut = cut(&text, longest);
            prop_assert!(cut.len() <= longest);
            let mut streamed = Streamed::default();
            streamed.push(head(&text, longest / 2));
            prop_assert!(streamed.is_prefix_of(&cut));
        }

        #[test]
        fn another_text_does_not_go_on_from_what_was_told(told in "[a-c𝄞]{1,9}", other in "[a-c𝄞]{0,12}") {
            let mut streamed = Streamed::default();
            streamed.push(&told);
            prop_assert_eq!(streamed.is_prefix_of(&other), other.starts_with(&told));
        }
    }
}
