//! Answers in the form of OpenAI's chat completions.

use serde_json::{Value, json};

use super::conversation::Conversation;
use super::prose::tokens;
use super::script::Turn;
use super::server::{Frames, Gone, answer_tokens, call_id, prompt_tokens, send, speak};

/// A fixed moment: answers depend on the conversation alone.
const CREATED: u64 = 1_767_225_600;

pub(super) fn whole(conversation: &Conversation, turn: &Turn) -> Value {
    let calls: Vec<_> = turn
        .tool_calls
        .iter()
        .enumerate()
        .map(|(index, call)| {
            json!({
                "id": call_id("call", conversation, index),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments.to_string()},
            })
        })
        .collect();
    let mut message = json!({"role": "assistant", "content": turn.text});
    if let (Some(message), false) = (message.as_object_mut(), calls.is_empty()) {
        message.insert("tool_calls".to_owned(), Value::Array(calls));
    }
    json!({
        "id": id(conversation),
        "object": "chat.completion",
        "created": CREATED,
        "model": conversation.model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason(turn)}],
        "usage": usage(conversation, turn),
    })
}

pub(super) async fn stream(
    frames: &Frames,
    conversation: &Conversation,
    turn: &Turn,
    with_usage: bool,
) -> Result<(), Gone> {
    let choice = |delta: Value, finish: Option<&str>| {
        let choices = json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
        chunk(conversation, choices, None)
    };
    let first = json!({"role": "assistant", "content": ""});
    send(frames, choice(first, None)).await?;
    speak(frames, turn, |token| {
        choice(json!({"content": token}), None)
    })
    .await?;
    for (index, call) in turn.tool_calls.iter().enumerate() {
        let id = call_id("call", conversation, index);
        let function = json!({"name": call.name, "arguments": ""});
        let call_start = json!({
            "index": index, "id": id, "type": "function", "function": function,
        });
        send(frames, choice(json!({"tool_calls": [call_start]}), None)).await?;
        for token in tokens(&call.arguments.to_string()) {
            let piece = json!({"index": index, "function": {"arguments": token}});
            send(frames, choice(json!({"tool_calls": [piece]}), None)).await?;
        }
    }
    send(frames, choice(json!({}), Some(finish_reason(turn)))).await?;
    if with_usage {
        let usage = usage(conversation, turn);
        send(frames, chunk(conversation, json!([]), Some(usage))).await?;
    }
    send(frames, "data: [DONE]\n\n".to_owned()).await
}

fn chunk(conversation: &Conversation, choices: Value, usage: Option<Value>) -> String {
    let body = json!({
        "id": id(conversation),
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": conversation.model,
        "choices": choices,
        "usage": usage,
    });
    format!("data: {body}\n\n")
}

fn id(conversation: &Conversation) -> String {
    format!("chatcmpl-{}", conversation.answers())
}

fn finish_reason(turn: &Turn) -> &'static str {
    if turn.tool_calls.is_empty() {
        "stop"
    } else {
        "tool_calls"
    }
}

fn usage(conversation: &Conversation, turn: &Turn) -> Value {
    let (prompt, answer) = (prompt_tokens(conversation), answer_tokens(turn));
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
    })
}
