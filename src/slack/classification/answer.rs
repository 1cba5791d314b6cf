//! What a model says of a message, read from the call of the tool that it was made to call.

use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Answer {
    /// `None` is "unknown".
    pub repository: Option<String>,
    pub confidence: Confidence,
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub alternatives: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    High,
    Medium,
    Low,
}

/// Longest reason that is shown.
const MAX_REASON: usize = 200;

/// Reads what either kind of API answers. `None` if the tool was not called as it has to be.
pub fn parse(body: &[u8]) -> Option<Answer> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let mut answer: Answer =
        match body.pointer("/choices/0/message/tool_calls/0/function/arguments") {
            Some(arguments) => serde_json::from_str(arguments.as_str()?).ok()?,
            None => {
                let content = body.get("content")?.as_array()?;
                let called = content.iter().find(|part| part["type"] == "tool_use")?;
                serde_json::from_value(called.get("input")?.clone()).ok()?
            }
        };
    answer.repository = answer.repository.filter(|name| name != "unknown");
    answer.reason = crate::slack::message::cut(answer.reason.trim(), MAX_REASON);
    Some(answer)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_kinds_of_answers_are_read_and_nothing_else() {
        let input = json!({ "repository": "acme/api", "confidence": "high", "reason": "named" });
        let anthropic = json!({ "content": [
            { "type": "text", "text": "well" },
            { "type": "tool_use", "name": "choose", "input": input },
        ]});
        let openai = json!({ "choices": [{ "message": { "tool_calls": [{
            "function": { "name": "choose", "arguments": input.to_string() },
        }]}}]});
        for body in [anthropic, openai] {
            let answer = parse(body.to_string().as_bytes()).unwrap();
            assert_eq!(answer.repository.as_deref(), Some("acme/api"));
            assert_eq!(answer.confidence, Confidence::High);
        }
        for other in [
            json!({ "content": [{ "type": "text", "text": "acme/api" }] }),
            json!({ "content": [{ "type": "tool_use", "input": { "confidence": "sure" } }] }),
            json!({ "choices": [] }),
            json!(null),
        ] {
            assert_eq!(parse(other.to_string().as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn unknown_is_no_repository() {
        let body = json!({ "content": [{ "type": "tool_use", "input": {
            "repository": "unknown", "confidence": "low",
        }}]});
        assert_eq!(parse(body.to_string().as_bytes()).unwrap().repository, None);
    }
}
