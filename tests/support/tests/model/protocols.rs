//! Both protocols, the scripts and the markers.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use reqwest::StatusCode;
use serde_json::{Value, json};
use support::model::{Step, Turn};

use crate::client::{KEY, chat, client, events, message, openai, prompt, start};

#[tokio::test]
async fn openai_streams_text_one_token_at_a_time() {
    let model = start().await;
    let text = "One two three, and a-very-long-word-at-the-end.";
    model.script("count", [Turn::say(text)]);
    let said = openai(chat(&model, prompt("[[count]]")).await).await;
    assert_eq!(said.tokens.concat(), text);
    assert!(
        said.tokens.len() >= 8 && said.tokens.iter().all(|token| token.len() <= 9),
        "{:?}",
        said.tokens
    );
    assert_eq!(said.finish, "stop");
    assert_eq!(said.usage["completion_tokens"], json!(said.tokens.len()));
}

#[tokio::test]
async fn openai_streams_tool_calls_in_pieces() {
    let model = start().await;
    let turn = Turn::say("Look.")
        .call("bash", json!({"command": "ls -la \"$HOME\""}))
        .call("read", json!({"filePath": "/a"}));
    model.script("look", [turn]);
    let said = openai(chat(&model, prompt("[[look]]")).await).await;
    assert_eq!(said.finish, "tool_calls");
    assert_eq!(said.calls[0].1, "bash");
    assert_eq!(said.calls[0].2, json!({"command": "ls -la \"$HOME\""}));
    assert_eq!(said.calls[1].2, json!({"filePath": "/a"}));
    assert_ne!(said.calls[0].0, said.calls[1].0);
}

#[tokio::test]
async fn anthropic_streams_blocks_in_order() {
    let model = start().await;
    model.script(
        "look",
        [Turn::say("I look.").call("bash", json!({"command": "ls"}))],
    );
    let mut blocks: Vec<(String, String)> = Vec::new();
    let mut order = Vec::new();
    for (_, event, data) in events(message(&model, prompt("[[look]]")).await).await {
        let data: Value = serde_json::from_str(&data).unwrap();
        let event = event.unwrap();
        assert_eq!(data["type"], json!(event));
        match event.as_str() {
            "content_block_start" => {
                assert_eq!(data["index"], json!(blocks.len()));
                blocks.push((
                    data["content_block"]["type"].as_str().unwrap().to_owned(),
                    String::new(),
                ));
            }
            "content_block_delta" => {
                let delta = &data["delta"];
                let piece = delta["text"]
                    .as_str()
                    .or(delta["partial_json"].as_str())
                    .unwrap();
                blocks.last_mut().unwrap().1.push_str(piece);
            }
            "message_delta" => assert_eq!(data["delta"]["stop_reason"], "tool_use"),
            _ => {}
        }
        if order.last() != Some(&event) {
            order.push(event);
        }
    }
    assert_eq!(blocks[0], ("text".to_owned(), "I look.".to_owned()));
    assert_eq!(
        blocks[1],
        ("tool_use".to_owned(), r#"{"command":"ls"}"#.to_owned())
    );
    let block = [
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
    ];
    let expected = [
        &["message_start"],
        &block[..],
        &block[..],
        &["message_delta", "message_stop"],
    ]
    .concat();
    assert_eq!(order, expected);
}

#[tokio::test]
async fn without_streaming_the_answer_is_one_json_document() {
    let model = start().await;
    model.script(
        "look",
        [Turn::say("I look.").call("bash", json!({"command": "ls"}))],
    );
    let body = json!({"model": "m", "messages": prompt("[[look]]")});
    let ask = |path: &str| client().post(format!("{}{path}", model.url())).json(&body);
    let answer = ask("/v1/chat/completions")
        .bearer_auth(KEY)
        .send()
        .await
        .unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "I look.");
    assert_eq!(
        answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"],
        r#"{"command":"ls"}"#
    );
    let answer = ask("/v1/messages")
        .header("x-api-key", KEY)
        .send()
        .await
        .unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["content"][1]["input"], json!({"command": "ls"}));
    assert_eq!(answer["stop_reason"], "tool_use");
}

#[tokio::test]
async fn only_the_right_key_gets_an_answer_and_every_request_is_recorded() {
    let model = start().await;
    let url = |path: &str| format!("{}{path}", model.url());
    let body = json!({"model": "m", "messages": prompt("hello")});
    let refused = client()
        .post(url("/v1/chat/completions"))
        .bearer_auth("sk-other")
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let refused = client()
        .post(url("/v1/messages"))
        .bearer_auth(KEY)
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let asked = client()
        .post(url("/v1/messages"))
        .header("x-api-key", KEY)
        .header("X-Session-Id", "s1")
        .json(&body);
    assert_eq!(asked.send().await.unwrap().status(), StatusCode::OK);
    let requests = model
        .wait_for_requests(3, Duration::from_secs(5))
        .await
        .unwrap();
    assert_eq!(
        requests
            .iter()
            .map(|request| request.status)
            .collect::<Vec<_>>(),
        [401, 401, 200]
    );
    assert_eq!(
        (
            requests[2].path.as_str(),
            requests[2].header("x-session-id")
        ),
        ("/v1/messages", Some("s1"))
    );
    assert_eq!(requests[2].body, body);
}

#[tokio::test]
async fn the_turn_follows_from_the_conversation_alone() {
    let model = start().await;
    model.script_for(
        "greet",
        "GOOD morning",
        [Turn::say("first"), Turn::say("second")],
    );
    let answered = json!([
        {"role": "user", "content": "[[say text=old]]"}, {"role": "assistant", "content": "old"},
        {"role": "user", "content": "good morning to you"},
        {"role": "assistant", "content": "first", "tool_calls": []},
        {"role": "tool", "tool_call_id": "call_1_0", "content": "output"},
    ]);
    for _retry in 0..2 {
        assert_eq!(
            openai(chat(&model, answered.clone()).await)
                .await
                .tokens
                .concat(),
            "second"
        );
    }
    assert_eq!(
        openai(chat(&model, prompt("Good morning")).await)
            .await
            .tokens
            .concat(),
        "first"
    );
    let unknown = openai(chat(&model, prompt("[[nobody-knows]] what?")).await).await;
    assert!(unknown.tokens.concat().starts_with("Hello!"));
}

#[tokio::test]
async fn tool_results_of_anthropic_are_no_new_prompt() {
    let model = start().await;
    let messages = json!([
        {"role": "user", "content": [{"type": "text", "text": "[[bash command=\"ls\"]] [[say text=\"It is there.\"]]"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_0_0", "name": "bash", "input": {"command": "ls"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_0_0", "content": [{"type": "text", "text": "a.txt"}]}]},
    ]);
    let said: String = events(message(&model, messages).await)
        .await
        .iter()
        .filter_map(|(_, _, data)| {
            serde_json::from_str::<Value>(data).unwrap()["delta"]["text"]
                .as_str()
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(said, "It is there.");
}

#[tokio::test]
async fn a_rate_spreads_the_tokens_over_time() {
    let model = start().await;
    let begun = Instant::now();
    let said = openai(chat(&model, prompt("[[stream tokens=41 rate=100 delay=200]]")).await).await;
    assert_eq!(said.tokens.len(), 41);
    assert!(said.at[0] - begun >= Duration::from_millis(200));
    let spread = said.at[40] - said.at[0];
    assert!(spread >= Duration::from_millis(350), "{spread:?}");
    let gaps = said
        .at
        .windows(2)
        .filter(|pair| pair[1] - pair[0] >= Duration::from_millis(4))
        .count();
    assert!(gaps >= 30, "the tokens came in lumps: {gaps} gaps");
}

#[tokio::test]
async fn a_failure_goes_away_after_the_given_number_of_tries() {
    let model = start().await;
    let text = "[[fail status=529 times=2]] [[say text=\"back again\"]]";
    for _ in 0..2 {
        assert_eq!(message(&model, prompt(text)).await.status().as_u16(), 529);
    }
    let body = events(message(&model, prompt(text)).await).await;
    assert!(body.iter().any(|(_, _, data)| data.contains("back")));
    assert_eq!(
        chat(&model, prompt("[[fail status=400]]")).await.status(),
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn a_hanging_model_says_its_tokens_and_keeps_the_connection() {
    let model = start().await;
    let response = chat(&model, prompt("[[hang after=2]]")).await;
    let mut chunks = response.bytes_stream();
    let mut text = String::new();
    while let Ok(chunk) = tokio::time::timeout(Duration::from_millis(300), chunks.next()).await {
        text.push_str(std::str::from_utf8(&chunk.expect("the connection ended").unwrap()).unwrap());
    }
    assert_eq!(text.matches("\"content\":").count(), 3, "{text}");
    assert!(!text.contains("[DONE]"));
}

#[tokio::test]
async fn a_request_for_a_title_gets_a_short_one() {
    let model = start().await;
    let messages = json!([
        {"role": "system", "content": "You are a title generator. You output ONLY a thread title."},
        {"role": "user", "content": "[[stream tokens=500]] the tests fail, find out why and fix it"},
    ]);
    let title = openai(chat(&model, messages).await).await.tokens.concat();
    assert_eq!(title, "the tests find out why");
}

#[tokio::test]
async fn a_computed_turn_sees_what_the_tool_said() {
    let model = start().await;
    let count = |conversation: &support::model::Conversation| {
        Turn::say(format!(
            "{} lines",
            conversation.last_output().lines().count()
        ))
    };
    model.script(
        "count",
        [
            Turn::default()
                .call("bash", json!({"command": "ls"}))
                .into(),
            Step::computed(count),
        ],
    );
    let messages = json!([
        {"role": "user", "content": "[[count]]"}, {"role": "assistant", "content": ""},
        {"role": "tool", "tool_call_id": "x", "content": "a\nb\nc"},
    ]);
    assert_eq!(
        openai(chat(&model, messages).await).await.tokens.concat(),
        "3 lines"
    );
}
