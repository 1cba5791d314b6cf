//! Answers in the form of Anthropic's messages.

use serde_json::{Value, json};

use super::conversation::Conversation;
use super::prose::tokens;
use super::script::Turn;
use super::server::{Frames, Gone, answer_tokens, call_id, prompt_tokens, send, speak};

pub(super) fn whole(conversation: &Conversation, turn: &Turn) -> Value {
    let mut content = Vec::new();
    if !turn.text.is_empty() {
        content.push(json!({"type": "text", "text": turn.text}));
    }
    for (index, call) in turn.tool_calls.iter().enumerate() {
        content.push(json!({
            "type": "tool_use",
            "id": call_id("toolu", conversation, index),
            "name": call.name,
            "input": call.arguments,
        }));
    }
    message(conversation, &content, Some(turn))
}

pub(super) async fn stream(
    frames: &Frames,
    conversation: &Conversation,
    turn: &Turn,
) -> Result<(), Gone> {
    let start = json!({"message": message(conversation, &[], None)});
    send(frames, event("message_start", start)).await?;
    let mut index = 0;
    if !turn.text.is_empty() || turn.tool_calls.is_empty() {
        let block = json!({"type": "text", "text": ""});
        send(frames, block_start(index, block)).await?;
        speak(frames, turn, |token| {
            block_delta(index, json!({"type": "text_delta", "text": token}))
        })
        .await?;
        send(frames, event("content_block_stop", json!({"index": index}))).await?;
        index += 1;
    } else {
        speak(frames, turn, str::to_owned).await?;
    }
    for (number, call) in turn.tool_calls.iter().enumerate() {
        let id = call_id("toolu", conversation, number);
        let block = json!({"type": "tool_use", "id": id, "name": call.name, "input": {}});
        send(frames, block_start(index, block)).await?;
        for token in tokens(&call.arguments.to_string()) {
            let delta = json!({"type": "input_json_delta", "partial_json": token});
            send(frames, block_delta(index, delta)).await?;
        }
        send(frames, event("content_block_stop", json!({"index": index}))).await?;
        index += 1;
    }
    let end = json!({
        "delta": {"stop_reason": stop_reason(turn), "stop_sequence": null},
        "usage": {"output_tokens": answer_tokens(turn)},
    });
    send(frames, event("message_delta", end)).await?;
    send(frames, event("message_stop", json!({}))).await
}

/// The whole message, or without a turn its beginning.
fn message(conversation: &Conversation, content: &[Value], turn: Option<&Turn>) -> Value {
    json!({
        "id": format!("msg_{}", conversation.answers()),
        "type": "message",
        "role": "assistant",
        "model": conversation.model,
        "content": content,
        "stop_reason": turn.map(stop_reason),
        "stop_sequence": null,
        "usage": {
            "input_tokens": prompt_tokens(conversation),
            "output_tokens": turn.map_or(1, answer_tokens),
        },
    })
}

fn block_start(index: usize, block: Value) -> String {
    let body = json!({"index": index, "content_block": block});
    event("content_block_start", body)
}

fn block_delta(index: usize, delta: Value) -> String {
    event(
        "content_block_delta",
        json!({"index": index, "delta": delta}),
    )
}

fn event(name: &str, mut body: Value) -> String {
    if let Some(body) = body.as_object_mut() {
        body.insert("type".to_owned(), json!(name));
    }
    format!("event: {name}\ndata: {body}\n\n")
}

fn stop_reason(turn: &Turn) -> &'static str {
    if turn.tool_calls.is_empty() {
        "end_turn"
    } else {
        "tool_use"
    }
}
