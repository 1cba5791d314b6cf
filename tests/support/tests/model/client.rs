//! A small client of its own for both protocols, which takes streams apart event by event.

use std::time::Instant;

use futures_util::StreamExt;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use support::model::{Model, ModelOptions};

pub(crate) const KEY: &str = "sk-test";

pub(crate) async fn start() -> Model {
    Model::start(ModelOptions {
        port: 0,
        api_key: KEY.to_owned(),
    })
    .await
    .unwrap()
}

pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

pub(crate) async fn chat(model: &Model, messages: Value) -> Response {
    let body = json!({
        "model": "scripted-1", "stream": true, "messages": messages,
        "stream_options": {"include_usage": true},
        "tools": [{"type": "function", "function": {"name": "bash"}}],
    });
    let url = format!("{}/v1/chat/completions", model.url());
    client()
        .post(url)
        .bearer_auth(KEY)
        .json(&body)
        .send()
        .await
        .unwrap()
}

pub(crate) async fn message(model: &Model, messages: Value) -> Response {
    let body =
        json!({"model": "scripted-1", "stream": true, "max_tokens": 100, "messages": messages});
    let url = format!("{}/v1/messages", model.url());
    client()
        .post(url)
        .header("x-api-key", KEY)
        .json(&body)
        .send()
        .await
        .unwrap()
}

pub(crate) fn prompt(text: &str) -> Value {
    json!([{"role": "user", "content": text}])
}

/// The data of each server-sent event, with the moment of its arrival.
pub(crate) async fn events(response: Response) -> Vec<(Instant, Option<String>, String)> {
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let (mut buffer, mut found) = (String::new(), Vec::new());
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        buffer.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        while let Some((event, rest)) = buffer
            .split_once("\n\n")
            .map(|(e, r)| (e.to_owned(), r.to_owned()))
        {
            buffer = rest;
            let field = |name: &str| {
                event
                    .lines()
                    .find_map(|line| line.strip_prefix(name))
                    .map(str::to_owned)
            };
            found.push((Instant::now(), field("event: "), field("data: ").unwrap()));
        }
    }
    assert_eq!(buffer, "");
    found
}

/// What an OpenAI stream said: tokens, calls as (id, name, arguments), the last finish, the usage.
pub(crate) struct Said {
    pub(crate) tokens: Vec<String>,
    pub(crate) at: Vec<Instant>,
    pub(crate) calls: Vec<(String, String, Value)>,
    pub(crate) finish: String,
    pub(crate) usage: Value,
}

pub(crate) async fn openai(response: Response) -> Said {
    let mut events = events(response).await;
    assert_eq!(events.pop().unwrap().2, "[DONE]");
    let mut said = Said {
        tokens: vec![],
        at: vec![],
        calls: vec![],
        finish: String::new(),
        usage: Value::Null,
    };
    let mut arguments: Vec<String> = Vec::new();
    for (at, _, data) in events {
        let chunk: Value = serde_json::from_str(&data).unwrap();
        assert_eq!(chunk["object"], "chat.completion.chunk");
        if chunk["usage"].is_object() {
            assert_eq!(chunk["choices"], json!([]));
            said.usage = chunk["usage"].clone();
            continue;
        }
        let choice = &chunk["choices"][0];
        if let Some(text) = choice["delta"]["content"]
            .as_str()
            .filter(|text| !text.is_empty())
        {
            said.tokens.push(text.to_owned());
            said.at.push(at);
        }
        for call in choice["delta"]["tool_calls"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            if let Some(id) = call["id"].as_str() {
                assert_eq!(index, said.calls.len());
                let name = call["function"]["name"].as_str().unwrap();
                said.calls
                    .push((id.to_owned(), name.to_owned(), Value::Null));
                arguments.push(String::new());
            }
            arguments[index].push_str(call["function"]["arguments"].as_str().unwrap());
        }
        if let Some(finish) = choice["finish_reason"].as_str() {
            said.finish = finish.to_owned();
        }
    }
    for (call, arguments) in said.calls.iter_mut().zip(arguments) {
        call.2 = serde_json::from_str(&arguments).unwrap();
    }
    said
}
