//! What a request asks of a provider, and whether it may.
//!
//! A provider can be made to call other hosts: by an address where content is expected, by a tool
//! that it runs itself, by a model that searches. Each would carry a repository's data around what its
//! sandbox may reach. So a request goes on only if all of it is known to concern nobody but the
//! provider: its fields, its tools and its kinds of content are on the lists below. Names count
//! in any spelling, since some servers ignore case, and each time they are there, since servers differ
//! in which of two they take. What an agent's tools take and the text are free, and are not looked at.
//!
//! Values are looked at where they lie in the body: nothing long is copied.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Fields of a request by any of the ways, without those that are looked into.
const FIELDS: [&str; 52] = [
    "cache_control",
    "chat_template_args",
    "chat_template_kwargs",
    "context_management",
    "enable_thinking",
    "frequency_penalty",
    "function_call",
    "functions",
    "include",
    "inference_geo",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_output_tokens",
    "max_tokens",
    "max_tool_calls",
    "metadata",
    "min_p",
    "modalities",
    "n",
    "output_config",
    "output_format",
    "parallel_tool_calls",
    "presence_penalty",
    "previous_response_id",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning",
    "reasoning_effort",
    "reasoning_summary",
    "repetition_penalty",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "stop_sequences",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "text_verbosity",
    "thinking",
    "tool_choice",
    "top_k",
    "top_logprobs",
    "top_p",
    "truncation",
    "usage",
    "user",
    "verbosity",
];

/// Fields of a request that hold what a model reads.
const CONTENT: [&str; 5] = ["messages", "input", "system", "instructions", "prediction"];

/// Kinds of messages, of what they are made of, and of where that comes from.
const KINDS: [&str; 33] = [
    "apply_patch_call",
    "apply_patch_call_output",
    "base64",
    "compaction",
    "content",
    "custom_tool_call",
    "custom_tool_call_output",
    "document",
    "file",
    "function_call",
    "function_call_output",
    "image",
    "image_url",
    "input_audio",
    "input_file",
    "input_image",
    "input_text",
    "item_reference",
    "local_shell_call",
    "local_shell_call_output",
    "message",
    "output_text",
    "reasoning",
    "reasoning_text",
    "redacted_thinking",
    "refusal",
    "search_result",
    "summary_text",
    "text",
    "thinking",
    "tool_reference",
    "tool_result",
    "tool_use",
];

/// Fields of a tool.
const TOOL_FIELDS: [&str; 13] = [
    "cache_control",
    "custom",
    "defer_loading",
    "description",
    "eager_input_streaming",
    "format",
    "function",
    "input_examples",
    "input_schema",
    "max_characters",
    "name",
    "parameters",
    "strict",
];

/// Tools that whoever asks runs.
const TOOLS: [&str; 4] = ["function", "custom", "local_shell", "apply_patch"];
const DATED_TOOLS: [&str; 2] = ["bash_", "text_editor_"];

/// What the agent may switch on at Anthropic: none of it has the provider do anything but answer.
const BETAS: [&str; 13] = [
    "compact-",
    "context-1m-",
    "context-management-",
    "effort-",
    "extended-cache-ttl-",
    "fine-grained-tool-streaming-",
    "interleaved-thinking-",
    "mid-conversation-system-",
    "pdfs-",
    "prompt-caching-",
    "structured-outputs-",
    "task-budgets-",
    "thinking-binding-controls-",
];

/// How far content is nested in other content at most: a file in a tool's result is at four.
const DEEPEST: usize = 12;

/// Longest name that is repeated in a refusal.
const LONGEST_NAME: usize = 40;

/// Whose form a request has.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Form {
    Anthropic,
    Openai,
}

pub(super) struct Asked {
    /// Empty if it cannot be told.
    pub(super) model: String,
    pub(super) refusal: Option<Refusal>,
}

/// Why a request does not go on.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("The request is not JSON of the provider's form.")]
    Malformed,
    #[error(
        "The gateway does not let the field {0} go to the provider, which could reach other hosts by it."
    )]
    Field(String),
    #[error("The gateway does not let content of the kind {0} go to the provider.")]
    Kind(String),
    #[error("The gateway lets only tools go to the provider that run in the sandbox, not {0}.")]
    Tool(String),
    #[error(
        "The gateway lets no address of content go to the provider, which would fetch it: send the content itself, as a data: URL."
    )]
    Address,
    #[error("The gateway does not let the model {0} be asked: it searches the web.")]
    Model(String),
}

pub(super) fn read(body: &[u8], form: Form) -> Asked {
    let mut asked = Asked {
        model: String::new(),
        refusal: None,
    };
    let Ok(Fields(fields)) = serde_json::from_slice(body) else {
        asked.refusal = Some(Refusal::Malformed);
        return asked;
    };
    let mut models = fields.iter().filter(|(name, _)| is_name(name, "model"));
    if let Some((_, model)) = models.next()
        && models.next().is_none()
    {
        asked.model = serde_json::from_str(model.get()).unwrap_or_default();
    }
    asked.refusal = request(&fields, &asked.model, form).err();
    asked
}

/// Those of the features that are asked for that may be, as a header has them.
pub(super) fn betas<'a>(asked: impl Iterator<Item = &'a str>) -> Option<String> {
    let kept: Vec<&str> = asked
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|beta| BETAS.iter().any(|known| beta.starts_with(known)))
        .collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

/// An object's fields as they are there.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

fn request(fields: &[(String, &RawValue)], model: &str, form: Form) -> Result<(), Refusal> {
    for (name, value) in fields {
        if is_name(name, "model") {
            // Not a string, or there twice: a server could take it for another than is billed.
            if model.is_empty() {
                return Err(Refusal::Malformed);
            }
        } else if is_one_of(name, &CONTENT) {
            content(value, 0)?;
        } else if is_name(name, "tools") {
            tools(value, form)?;
        } else if is_name(name, "background") {
            // What goes on after its connection has ended is counted by nobody.
            if !matches!(value.get(), "false" | "null") {
                return Err(Refusal::Field(shown(name)));
            }
        } else if !is_one_of(name, &FIELDS) {
            return Err(Refusal::Field(shown(name)));
        }
    }
    let lower = model.to_ascii_lowercase();
    if lower.contains("search") || lower.ends_with(":online") {
        return Err(Refusal::Model(shown(model)));
    }
    Ok(())
}

/// What a model reads: a text, an object, or a list of them.
fn content(value: &RawValue, depth: usize) -> Result<(), Refusal> {
    if depth > DEEPEST {
        return Err(Refusal::Malformed);
    }
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'[') => {
            let pieces: Vec<Fields<'_>> = parsed(text)?;
            pieces.iter().try_for_each(|piece| part(piece, depth))
        }
        Some(b'{') => part(&parsed(text)?, depth),
        _ => Ok(()),
    }
}

fn part(Fields(fields): &Fields<'_>, depth: usize) -> Result<(), Refusal> {
    for (name, value) in fields {
        let text = value.get();
        let is_text = text.starts_with('"');
        if !name.is_ascii() {
            // None has a meaning, but some servers take a letter for another.
            return Err(Refusal::Field(shown(name)));
        } else if is_name(name, "type") {
            let kind: String = parsed(text)?;
            if !KINDS.contains(&kind.as_str()) {
                return Err(Refusal::Kind(shown(&kind)));
            }
        } else if is_one_of(name, &["file_id", "file_ids"]) {
            return Err(Refusal::Field(shown(name)));
        } else if is_one_of(name, &["file_data", "file", "image", "audio", "video"]) {
            if is_text && !is_data(text) && !is_base64(text) {
                return Err(Refusal::Address);
            }
            content(value, depth + 1)?;
        } else if is_address(name) {
            if is_text && !is_data(text) {
                return Err(Refusal::Address);
            }
            content(value, depth + 1)?;
        } else if is_one_of(name, &["content", "output", "source"]) {
            content(value, depth + 1)?;
        }
    }
    Ok(())
}

fn tools(value: &RawValue, form: Form) -> Result<(), Refusal> {
    let tools: Option<Vec<Fields<'_>>> = parsed(value.get())?;
    for Fields(fields) in tools.unwrap_or_default() {
        let mut is_typed = false;
        for (name, value) in &fields {
            if is_name(name, "type") {
                let kind: String = parsed(value.get())?;
                let is_dated = DATED_TOOLS.iter().any(|known| kind.starts_with(known));
                if !TOOLS.contains(&kind.as_str()) && !is_dated {
                    return Err(Refusal::Tool(shown(&kind)));
                }
                is_typed = true;
            } else if !is_one_of(name, &TOOL_FIELDS) {
                return Err(Refusal::Tool(shown(name)));
            }
        }
        // Anthropic's form alone has tools without a type, which are those of whoever asks.
        if !is_typed && form == Form::Openai {
            return Err(Refusal::Tool("one without a type".to_owned()));
        }
    }
    Ok(())
}

fn parsed<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Refusal> {
    serde_json::from_str(text).map_err(|_| Refusal::Malformed)
}

/// Of a string as JSON has it.
fn is_data(text: &str) -> bool {
    text.starts_with("\"data:")
}

/// Of a string as JSON has it, in which a slash may be escaped.
fn is_base64(text: &str) -> bool {
    let is_letter =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=');
    let text = text.trim_matches('"');
    !text.starts_with("//")
        && !text.contains("\\u")
        && text.bytes().all(|byte| is_letter(byte) || byte == b'\\')
}

fn is_address(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.contains("url") || lower.contains("uri")
}

fn is_one_of(name: &str, known: &[&str]) -> bool {
    known.iter().any(|known| is_name(name, known))
}

/// `promptCacheKey` is `prompt_cache_key`.
fn is_name(name: &str, known: &str) -> bool {
    letters(name).eq(letters(known))
}

fn letters(name: &str) -> impl Iterator<Item = u8> {
    let bytes = name.bytes().filter(|byte| *byte != b'_');
    bytes.map(|byte| byte.to_ascii_lowercase())
}

/// Of what a sandbox wrote, as much as helps to find it.
fn shown(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_graphic);
    format!("\"{}\"", letters.take(LONGEST_NAME).collect::<String>())
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Fields<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(All)
    }
}

#[cfg(test)]
mod tests;
