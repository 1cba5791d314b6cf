//! A conversation, whichever protocol it came in.

use serde_json::Value;

/// What the model knows when it answers.
#[derive(Debug, Clone, Default)]
pub struct Conversation {
    pub model: String,
    pub system: String,
    /// Names of the tools on offer.
    pub tools: Vec<String>,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
enum Entry {
    Prompt(String),
    Answer,
    ToolResult(ToolResult),
}

/// What a tool gave back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolResult {
    pub call_id: String,
    pub output: String,
}

impl Conversation {
    /// The last thing that a user said.
    pub fn prompt(&self) -> &str {
        self.entries
            .iter()
            .rev()
            .find_map(|entry| match entry {
                Entry::Prompt(text) => Some(text.as_str()),
                _ => None,
            })
            .unwrap_or_default()
    }

    /// How often the model has answered since that prompt.
    pub fn answers_since_prompt(&self) -> usize {
        self.since_prompt()
            .filter(|entry| matches!(entry, Entry::Answer))
            .count()
    }

    /// How often it has answered at all.
    pub fn answers(&self) -> usize {
        self.entries
            .iter()
            .filter(|entry| matches!(entry, Entry::Answer))
            .count()
    }

    /// What tools gave back since that prompt, oldest first.
    pub fn tool_results(&self) -> Vec<&ToolResult> {
        let mut results: Vec<_> = self
            .since_prompt()
            .filter_map(|entry| match entry {
                Entry::ToolResult(result) => Some(result),
                _ => None,
            })
            .collect();
        results.reverse();
        results
    }

    /// What the last tool gave back, if one ran since the prompt.
    pub fn last_output(&self) -> &str {
        self.tool_results()
            .last()
            .map_or("", |result| result.output.as_str())
    }

    /// Newest first.
    fn since_prompt(&self) -> impl Iterator<Item = &Entry> {
        self.entries
            .iter()
            .rev()
            .take_while(|entry| !matches!(entry, Entry::Prompt(_)))
    }

    pub(super) fn from_openai(body: &Value) -> Self {
        let mut conversation = Self {
            model: text(body, "model"),
            tools: names(body, "/function/name"),
            ..Self::default()
        };
        for message in items(body, "messages") {
            let content = message.get("content").unwrap_or(&Value::Null);
            match message.get("role").and_then(Value::as_str) {
                Some("system" | "developer") => conversation.add_system(&plain(content)),
                Some("user") => conversation.entries.push(Entry::Prompt(plain(content))),
                Some("assistant") => conversation.entries.push(Entry::Answer),
                Some("tool") => conversation.entries.push(Entry::ToolResult(ToolResult {
                    call_id: text(message, "tool_call_id"),
                    output: plain(content),
                })),
                _ => {}
            }
        }
        conversation
    }

    pub(super) fn from_anthropic(body: &Value) -> Self {
        let mut conversation = Self {
            model: text(body, "model"),
            tools: names(body, "/name"),
            ..Self::default()
        };
        conversation.add_system(&plain(body.get("system").unwrap_or(&Value::Null)));
        for message in items(body, "messages") {
            let content = message.get("content").unwrap_or(&Value::Null);
            if message.get("role").and_then(Value::as_str) == Some("assistant") {
                conversation.entries.push(Entry::Answer);
                continue;
            }
            // Tool results travel in user messages here, with or without words of the user.
            for block in content.as_array().into_iter().flatten() {
                if block.get("type").and_then(Value::as_str) == Some("tool_result") {
                    conversation.entries.push(Entry::ToolResult(ToolResult {
                        call_id: text(block, "tool_use_id"),
                        output: plain(block.get("content").unwrap_or(&Value::Null)),
                    }));
                }
            }
            let words = plain(content);
            if !words.is_empty() {
                conversation.entries.push(Entry::Prompt(words));
            }
        }
        conversation
    }

    fn add_system(&mut self, words: &str) {
        if !self.system.is_empty() {
            self.system.push('\n');
        }
        self.system.push_str(words);
    }
}

/// The text of a content that is a string or a list of parts.
fn plain(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part.get("text").and_then(Value::as_str))
            .collect::<Vec<_>>()
            .join("\n"),
        _ => String::new(),
    }
}

fn text(value: &Value, name: &str) -> String {
    let text = value.get(name).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

fn items<'a>(body: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    body.get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn names(body: &Value, pointer: &str) -> Vec<String> {
    items(body, "tools")
        .filter_map(|tool| tool.pointer(pointer)?.as_str().map(str::to_owned))
        .collect()
}
