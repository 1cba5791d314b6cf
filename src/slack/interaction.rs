//! Buttons, menus and shortcuts: the form field `payload` of a post to `/slack/interactions`.

use serde::Deserialize;

use super::event::Message;

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Interaction {
    BlockActions(Pressed),
    /// What a searchable menu is to offer; answered at once.
    BlockSuggestion(Suggestion),
    /// "Work on this" on a message.
    MessageAction(Box<Shortcut>),
    #[serde(other)]
    Other,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Named {
    pub id: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Pressed {
    pub user: Named,
    #[serde(default)]
    pub team: Option<Named>,
    #[serde(default)]
    pub channel: Option<Named>,
    #[serde(default)]
    pub container: Container,
    #[serde(default)]
    pub actions: Vec<Action>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Container {
    pub message_ts: Option<String>,
    pub thread_ts: Option<String>,
    /// `view` in the app's home, `message` everywhere else.
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

impl Pressed {
    pub fn is_at_home(&self) -> bool {
        self.channel.is_none() && self.container.kind.as_deref() == Some("view")
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Action {
    pub action_id: String,
    /// When it was pressed: with the user, what tells one press from another.
    #[serde(default)]
    pub action_ts: String,
    #[serde(default)]
    pub value: Option<String>,
    #[serde(default)]
    pub selected_option: Option<Choice>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Choice {
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Suggestion {
    pub user: Named,
    #[serde(default)]
    pub team: Option<Named>,
    #[serde(default)]
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Shortcut {
    pub callback_id: String,
    pub user: Named,
    #[serde(default)]
    pub team: Option<Named>,
    pub channel: Named,
    pub message: Message,
}

impl Action {
    /// What was chosen, by whichever kind of element.
    pub fn chosen(&self) -> Option<&str> {
        let option = self
            .selected_option
            .as_ref()
            .map(|option| option.value.as_str());
        option.or(self.value.as_deref())
    }
}

/// Reads the form. `None` if it is none of Slack's.
pub fn parse(body: &[u8]) -> Option<Interaction> {
    let payload = super::form::field(body, "payload")?;
    serde_json::from_str(&payload).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_pressed_button_is_read_from_the_form() {
        let body = b"payload=%7B%22type%22%3A%22block_actions%22%2C%22user%22%3A%7B%22id%22%3A%22U1%22%7D%2C%22container%22%3A%7B%22message_ts%22%3A%221.2%22%7D%2C%22actions%22%3A%5B%7B%22action_id%22%3A%22stop%22%2C%22value%22%3A%22a+b%22%7D%5D%7D";
        let Some(Interaction::BlockActions(pressed)) = parse(body) else {
            panic!("not read");
        };
        assert_eq!(pressed.user.id, "U1");
        assert_eq!(pressed.actions.first().unwrap().chosen(), Some("a b"));
        assert_eq!(
            parse(b"payload=%7B%22type%22%3A%22new%22%7D"),
            Some(Interaction::Other)
        );
        for other in [&b"payload=%7B"[..], b"", b"pay=1", b"payload=%zz"] {
            assert_eq!(parse(other), None);
        }
    }
}
