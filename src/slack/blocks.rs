//! What we say, as blocks and as the text beside them, within Slack's limits. Nothing here fails:
//! what is too long is split or cut.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::message::{self, MAX_SECTION};

const MAX_BLOCKS: usize = 50;
/// Of the text of a notification; Slack takes 40,000.
const MAX_TEXT: usize = 4000;
const MAX_BUTTON: usize = 75;
const MAX_VALUE: usize = 2000;
const MAX_ACTIONS: usize = 25;
pub const MAX_OPTIONS: usize = 100;

/// One message: what clients without blocks and screen readers get, and what all others see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    pub text: String,
    pub blocks: Vec<Value>,
}

impl Said {
    /// `text` is what the message says in one line, in Slack's markup.
    pub fn new(text: &str) -> Self {
        Self {
            text: message::cut(text, MAX_TEXT),
            blocks: Vec::new(),
        }
    }

    /// The same, with the line as its first section.
    pub fn line(text: &str) -> Self {
        Self::new(text).section(text)
    }

    #[must_use]
    pub fn section(mut self, text: &str) -> Self {
        for piece in message::pieces(text, MAX_SECTION) {
            self.push(json!({ "type": "section", "text": { "type": "mrkdwn", "text": piece } }));
        }
        self
    }

    #[must_use]
    pub fn context(mut self, text: &str) -> Self {
        let text = message::cut(text, MAX_SECTION);
        if !text.is_empty() {
            let element = json!({ "type": "mrkdwn", "text": text });
            self.push(json!({ "type": "context", "elements": [element] }));
        }
        self
    }

    #[must_use]
    pub fn actions(mut self, elements: Vec<Value>) -> Self {
        let elements: Vec<Value> = elements.into_iter().take(MAX_ACTIONS).collect();
        if !elements.is_empty() {
            self.push(json!({ "type": "actions", "elements": elements }));
        }
        self
    }

    /// A line that somebody can fill in; what they wrote is sent when they press Enter.
    #[must_use]
    pub fn input(mut self, action: &str, label: &str, value: &str) -> Self {
        let mut element = json!({
            "type": "plain_text_input",
            "action_id": action,
            "max_length": 200,
            "dispatch_action_config": { "trigger_actions_on": ["on_enter_pressed"] },
        });
        if let (Some(fields), false) = (element.as_object_mut(), value.is_empty()) {
            fields.insert("initial_value".to_owned(), message::cut(value, 200).into());
        }
        self.push(json!({
            "type": "input",
            "dispatch_action": true,
            "optional": true,
            "label": { "type": "plain_text", "text": message::cut(label, MAX_VALUE) },
            "element": element,
        }));
        self
    }

    fn push(&mut self, block: Value) {
        if self.blocks.len() < MAX_BLOCKS {
            self.blocks.push(block);
        }
    }
}

/// A button that comes back to us.
pub fn button(action: &str, label: &str, value: &str) -> Value {
    json!({
        "type": "button",
        "action_id": message::cut(action, 255),
        "text": { "type": "plain_text", "text": message::cut(label, MAX_BUTTON) },
        "value": message::cut(value, MAX_VALUE),
    })
}

/// A button that opens a page.
pub fn link_button(action: &str, label: &str, url: &str) -> Value {
    json!({
        "type": "button",
        "action_id": action,
        "text": { "type": "plain_text", "text": message::cut(label, MAX_BUTTON) },
        "url": url,
    })
}

/// A menu whose options are asked for while somebody types.
pub fn search_menu(action: &str, placeholder: &str) -> Value {
    json!({
        "type": "external_select",
        "action_id": action,
        "min_query_length": 0,
        "placeholder": { "type": "plain_text", "text": message::cut(placeholder, 150) },
    })
}

/// A menu of a few options.
pub fn select_menu(
    action: &str,
    placeholder: &str,
    options: &[Value],
    initial: Option<&Value>,
) -> Value {
    let mut menu = json!({
        "type": "static_select",
        "action_id": action,
        "placeholder": { "type": "plain_text", "text": message::cut(placeholder, 150) },
        "options": options,
    });
    if let (Some(fields), Some(initial)) = (menu.as_object_mut(), initial) {
        fields.insert("initial_option".to_owned(), initial.clone());
    }
    menu
}

/// One option of a menu, which reads as its value; what does not fit is none.
pub fn choice(value: &str) -> Option<Value> {
    labelled(value, value)
}

/// One option of a menu; what does not fit is none.
pub fn labelled(label: &str, value: &str) -> Option<Value> {
    let label = message::cut(label, MAX_BUTTON);
    (!label.is_empty() && value.chars().count() <= 150)
        .then(|| json!({ "text": { "type": "plain_text", "text": label }, "value": value }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_split_or_cut() {
        let said = Said::line(&"word ".repeat(60_000))
            .context(&"x".repeat(9000))
            .actions(
                (0..40)
                    .map(|_| button("a", &"b".repeat(200), "c"))
                    .collect(),
            );
        assert!(said.blocks.len() <= MAX_BLOCKS);
        assert!(said.text.chars().count() <= MAX_TEXT);
        for block in &said.blocks {
            let text = block.pointer("/text/text").and_then(Value::as_str);
            assert!(text.unwrap_or_default().chars().count() <= MAX_SECTION);
        }
        let many = Said::new("x").actions(
            (0..40)
                .map(|_| button("a", &"b".repeat(200), "c"))
                .collect(),
        );
        let elements = many
            .blocks
            .first()
            .and_then(|block| block["elements"].as_array());
        assert_eq!(elements.map(Vec::len), Some(MAX_ACTIONS));
    }
}
