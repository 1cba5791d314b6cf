//! Text and its tokens.
//!
//! A token here is a word with the space before it, or a piece of a long word: about five bytes of
//! English, as with the real models. The tokens of a text joined together are the text.

/// The longest word that is one token.
const LONGEST: usize = 9;

const SENTENCES: &[&str] = &[
    "The failing case comes from the way the input is read, not from the way it is kept.",
    "We look at one line at a time, so a value that spans two lines is cut in half.",
    "That is easy to miss, since each half looks like a good value on its own.",
    "The fix is to ask for the next line before we decide that the value is done.",
    "It costs one more look at the buffer and no more memory than we use now.",
    "All of the old tests still pass, and a new one holds the case that broke.",
    "If you want to try it by hand, run the tool on the small file in the docs.",
    "The second half of the change is only a new name for the thing we count.",
];

/// Deterministic English in Markdown of exactly `count` tokens.
pub fn prose(count: usize) -> String {
    let mut text = String::with_capacity(count * 6);
    let mut left = count;
    for paragraph in 0.. {
        let block = block(paragraph);
        for token in tokens(&block) {
            if left == 0 {
                return text;
            }
            text.push_str(token);
            left -= 1;
        }
    }
    text
}

/// The tokens of a text, in order.
pub fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = token_end(rest);
        let (token, after) = rest.split_at_checked(end)?;
        rest = after;
        (!token.is_empty()).then_some(token)
    })
}

/// Begins with a space and ends with a word, so that its tokens are its own.
fn block(paragraph: usize) -> String {
    let sentence = |n: usize| SENTENCES.get(n % SENTENCES.len()).copied().unwrap_or("");
    match paragraph % 4 {
        0 => format!("\n\n## Part {}\n\nIn short:", paragraph / 4 + 1),
        1 => (0..4)
            .map(|n| format!(" {}", sentence(paragraph + n)))
            .collect(),
        2 => (0..3)
            .map(|n| format!("\n- {}", sentence(paragraph + n)))
            .collect(),
        _ => format!(
            "\n\n```rust\nlet total = parts.iter().map(|part| part.len()).sum::<usize>() + {paragraph};\n```"
        ),
    }
}

fn token_end(text: &str) -> usize {
    let mut in_word = false;
    for (length, (at, letter)) in text.char_indices().enumerate() {
        let space = letter.is_whitespace();
        if (space && in_word) || length == LONGEST {
            return at;
        }
        in_word |= !space;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_joined_are_the_text() {
        for text in [
            "",
            " ",
            "one",
            "  a\n\nlong-word-that-goes-on é漢字 end \n",
            &prose(500),
        ] {
            assert_eq!(tokens(text).collect::<String>(), text);
        }
    }

    #[test]
    fn prose_has_about_five_bytes_a_token() {
        let text = prose(8000);
        assert_eq!(tokens(&text).count(), 8000);
        assert!(
            (4.5..5.5).contains(&(text.len() as f64 / 8000.0)),
            "{}",
            text.len()
        );
    }
}
