//! `[[name key=value …]]` in a prompt, and the turns that the built-in names stand for.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::prose::prose;
use super::script::{Ending, Turn};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) name: String,
    values: BTreeMap<String, String>,
}

/// All markers of a prompt, in order. What is no marker is text.
pub(super) fn markers(prompt: &str) -> Vec<Marker> {
    let mut found = Vec::new();
    let mut rest = prompt;
    while let Some((_, inside)) = rest.split_once("[[") {
        let Some((marker, after)) = parse(inside) else {
            rest = inside;
            continue;
        };
        found.push(marker);
        rest = after;
    }
    found
}

impl Marker {
    /// The turn of a built-in marker; `None` for a name that only a registered script can have.
    pub(super) fn turn(&self) -> Option<Turn> {
        let turn = match self.name.as_str() {
            "say" => Turn::say(self.text("text")),
            "stream" => Turn::say(prose(self.number("tokens").unwrap_or(100))),
            "bash" => {
                let command = self.text("command");
                let description = self.values.get("description").unwrap_or(&command);
                let arguments = json!({"command": command, "description": description});
                Turn::default().call("bash", arguments)
            }
            "write" => {
                let (path, content) = (self.text("path"), self.text("content"));
                Turn::default().call("write", json!({"filePath": path, "content": content}))
            }
            "read" => Turn::default().call("read", json!({"filePath": self.text("path")})),
            "edit" => Turn::default().call(
                "edit",
                json!({
                    "filePath": self.text("path"),
                    "oldString": self.text("old"),
                    "newString": self.text("new"),
                }),
            ),
            "fail" => Turn {
                ending: Ending::Status {
                    code: self.number("status").unwrap_or(500),
                    times: self.number("times").unwrap_or(usize::MAX),
                },
                ..Turn::default()
            },
            "hang" => Turn {
                text: prose(self.number("after").unwrap_or(0)),
                ending: Ending::Silence,
                ..Turn::default()
            },
            _ => return None,
        };
        let delay = Duration::from_millis(self.number("delay").unwrap_or(0));
        Some(
            turn.after(delay)
                .at_rate(self.number("rate").unwrap_or(0.0)),
        )
    }

    fn text(&self, key: &str) -> String {
        self.values.get(key).cloned().unwrap_or_default()
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.values.get(key)?.parse().ok()
    }
}

/// The marker at the start of `inside`, and what follows its `]]`.
fn parse(inside: &str) -> Option<(Marker, &str)> {
    let is_word = |letter: char| letter.is_alphanumeric() || "-_.".contains(letter);
    let (name, mut rest) = split_while(inside, is_word);
    if name.is_empty() {
        return None;
    }
    let mut values = BTreeMap::new();
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix("]]") {
            let name = name.to_owned();
            return Some((Marker { name, values }, after));
        }
        let (key, after) = split_while(rest, is_word);
        let after = after.strip_prefix('=')?;
        let (value, after) = if after.starts_with('"') {
            let mut strings = serde_json::Deserializer::from_str(after).into_iter::<String>();
            let value = strings.next()?.ok()?;
            (value, after.get(strings.byte_offset()..)?)
        } else {
            let (value, after) = split_while(after, is_word);
            (value.to_owned(), after)
        };
        values.insert(key.to_owned(), value);
        rest = after;
    }
}

fn split_while(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|letter| !keep(letter)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn values_may_be_bare_or_quoted_with_the_escapes_of_json() {
        let found = markers(r#"please [[write path="/a b/[[c]].txt" content="one\n\"two\""]] now"#);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].text("path"), "/a b/[[c]].txt");
        assert_eq!(found[0].text("content"), "one\n\"two\"");
        let found = markers("[[stream tokens=8000 rate=12.5]]");
        assert_eq!(
            (found[0].number("tokens"), found[0].number("rate")),
            (Some(8000), Some(12.5))
        );
    }

    #[test]
    fn several_markers_keep_their_order() {
        let found = markers("[[read path=a.txt]] and then [[repair]]");
        assert_eq!(
            found.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(),
            ["read", "repair"]
        );
    }

    #[test]
    fn what_is_no_marker_is_text() {
        for text in [
            "[[",
            "[[ ]]",
            "[[a b]]",
            "[[a b=",
            "[[a b=\"x]]",
            "if [[ -f x ]]; then",
        ] {
            assert_eq!(markers(text), [], "{text}");
        }
    }

    #[test]
    fn a_streamed_answer_has_exactly_as_many_tokens_as_asked() {
        let turn = markers("[[stream tokens=321 rate=50]]")[0].turn().unwrap();
        assert_eq!(crate::model::tokens(&turn.text).count(), 321);
        assert_eq!(turn.rate, Some(50.0));
    }
}
