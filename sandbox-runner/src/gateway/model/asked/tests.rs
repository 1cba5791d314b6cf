use serde_json::{Value, json};

use super::*;

fn refusal(form: Form, body: &Value) -> Option<Refusal> {
    read(body.to_string().as_bytes(), form).refusal
}

/// A request for each form in which one of the messages has this piece of content.
fn saying(piece: &Value) -> [(Form, Value); 3] {
    let message = json!({ "role": "user", "content": [{ "type": "text", "text": "x" }, piece] });
    let result = json!({ "role": "user", "content": [
        { "type": "tool_result", "tool_use_id": "t", "content": [piece] },
    ]});
    [
        (
            Form::Anthropic,
            json!({ "model": "m", "messages": [result] }),
        ),
        (
            Form::Openai,
            json!({ "model": "m", "messages": [message.clone()] }),
        ),
        (Form::Openai, json!({ "model": "m", "input": [message] })),
    ]
}

#[test]
fn what_the_agent_sends_goes_on() {
    let schema = json!({ "type": "object", "properties": {
        "url": { "type": "string" }, "type": { "type": "string", "enum": ["web_search"] },
    }});
    for (form, body) in [
        (
            Form::Openai,
            json!({
                "model": "gpt", "stream": true, "stream_options": { "include_usage": true },
                "max_tokens": 8192, "reasoningEffort": "high", "promptCacheKey": "ses_1", "store": false,
                "messages": [
                    { "role": "system", "content": "See https://example.com/" },
                    { "role": "user", "content": [
                        { "type": "text", "text": "{\"image_url\": \"https://example.com/\"}" },
                        { "type": "image_url", "image_url": { "url": "data:image/png;base64,AA==" } },
                        { "type": "file", "file": { "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA==" } },
                        { "type": "input_audio", "input_audio": { "data": "AA==", "format": "mp3" } },
                    ]},
                    { "role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [
                        { "id": "c", "type": "function", "function": { "name": "fetch", "arguments": "{\"url\":\"https://example.com\"}" } },
                    ]},
                    { "role": "tool", "tool_call_id": "c", "content": "ok" },
                ],
                "tools": [{ "type": "function", "function": { "name": "fetch", "description": "d", "parameters": schema } }],
                "tool_choice": "auto",
            }),
        ),
        (
            Form::Anthropic,
            json!({
                "model": "claude", "stream": true, "max_tokens": 8192, "thinking": { "type": "enabled", "budget_tokens": 1 },
                "system": [{ "type": "text", "text": "x", "cache_control": { "type": "ephemeral" } }],
                "messages": [
                    { "role": "user", "content": [
                        { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "AA==" } },
                        { "type": "document", "title": "https://example.com", "source": { "type": "text", "media_type": "text/plain", "data": "https://example.com" } },
                    ]},
                    { "role": "assistant", "content": [
                        { "type": "thinking", "thinking": "hm", "signature": "s" },
                        { "type": "tool_use", "id": "t", "name": "fetch", "input": { "url": "https://example.com", "type": "url", "source": { "type": "url" } } },
                    ]},
                    { "role": "user", "content": [
                        { "type": "tool_result", "tool_use_id": "t", "content": [
                            { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "AA==" } },
                        ]},
                    ]},
                ],
                "tools": [
                    { "name": "fetch", "description": "d", "input_schema": schema },
                    { "type": "custom", "name": "other", "input_schema": schema },
                    { "type": "bash_20250124", "name": "bash" },
                    { "type": "text_editor_20250728", "name": "str_replace_based_edit_tool" },
                ],
            }),
        ),
        (
            Form::Openai,
            json!({
                "model": "gpt", "instructions": "x", "background": false, "store": false,
                "include": ["reasoning.encrypted_content"], "reasoning": { "effort": "high" },
                "input": [
                    { "role": "user", "content": [{ "type": "input_image", "image_url": "data:image/png;base64,AA==" }] },
                    { "type": "message", "role": "assistant", "content": [
                        { "type": "output_text", "text": "x", "annotations": [{ "type": "url_citation", "url": "https://example.com" }] },
                    ]},
                    { "type": "reasoning", "summary": [], "encrypted_content": "AA" },
                    { "type": "function_call", "call_id": "c", "name": "fetch", "arguments": "{\"url\":\"https://example.com\"}" },
                    { "type": "function_call_output", "call_id": "c", "output": "https://example.com" },
                ],
                "tools": [
                    { "type": "function", "name": "fetch", "parameters": schema, "strict": true },
                    { "type": "custom", "name": "patch", "format": { "type": "text" } },
                    { "type": "local_shell" },
                ],
            }),
        ),
        (
            Form::Openai,
            json!({ "model": "m", "input": "https://example.com" }),
        ),
    ] {
        assert_eq!(refusal(form, &body), None, "{body}");
    }
}

#[test]
fn content_at_an_address_is_refused_wherever_it_is() {
    for piece in [
        json!({ "type": "image_url", "image_url": { "url": "https://example.com/?data" } }),
        json!({ "type": "image_url", "image_url": "https://example.com/?data" }),
        json!({ "type": "image_url", "imageUrl": { "URL": "https://example.com/?data" } }),
        json!({ "type": "image_url", "image_url": { "url": " data:image/png,https://example.com" } }),
        json!({ "type": "input_image", "image_url": "http://example.com" }),
        json!({ "type": "input_image", "image_url": "//example.com" }),
        json!({ "type": "input_file", "file_url": "https://example.com" }),
        json!({ "type": "input_file", "file_data": "https://example.com" }),
        json!({ "type": "file", "file": { "file_data": "//example.com" } }),
        json!({ "type": "image", "source": { "url": "https://example.com" } }),
        json!({ "type": "document", "source": { "type": "content", "content": [
            { "type": "image", "source": { "type": "base64", "url": "https://example.com" } },
        ]}}),
        json!({ "image": "https://example.com" }),
    ] {
        for (form, body) in saying(&piece) {
            assert_eq!(refusal(form, &body), Some(Refusal::Address), "{body}");
        }
    }
}

#[test]
fn content_that_a_provider_fetches_keeps_or_runs_is_refused() {
    for kind in [
        "url",
        "video_url",
        "container_upload",
        "server_tool_use",
        "mcp_tool_use",
        "mcp_approval_response",
        "web_search_call",
        "web_search_tool_result",
        "computer_call_output",
        "tool_addition",
        "Image",
    ] {
        for piece in [
            json!({ "type": kind }),
            json!({ "type": "image", "source": { "type": kind } }),
        ] {
            for (form, body) in saying(&piece) {
                let refused = refusal(form, &body);
                assert_eq!(
                    refused,
                    Some(Refusal::Kind(format!("\"{kind}\""))),
                    "{body}"
                );
            }
        }
    }
    for name in ["file_id", "fileId", "file_ids"] {
        for (form, body) in saying(&json!({ "type": "input_file", (name): "file-1" })) {
            let refused = refusal(form, &body);
            assert_eq!(
                refused,
                Some(Refusal::Field(format!("\"{name}\""))),
                "{body}"
            );
        }
    }
}

#[test]
fn instructions_are_content_as_well() {
    let image = json!([{ "type": "image", "source": { "url": "https://example.com" } }]);
    for name in ["system", "instructions", "prediction", "input", "Messages"] {
        let body = json!({ "model": "m", (name): image });
        assert_eq!(
            refusal(Form::Anthropic, &body),
            Some(Refusal::Address),
            "{name}"
        );
    }
}

#[test]
fn tools_that_a_provider_runs_are_refused() {
    for kind in [
        "mcp",
        "mcp_toolset",
        "web_search",
        "web_search_preview",
        "web_search_20250305",
        "web_fetch_20250910",
        "code_interpreter",
        "code_execution_20250825",
        "file_search",
        "computer_use_preview",
        "image_generation",
        "shell",
        "tool_search_tool_regex_20251119",
        "Function",
        "",
    ] {
        for form in [Form::Anthropic, Form::Openai] {
            let tools = json!([{ "type": "custom", "name": "a" }, { "type": kind, "name": "b" }]);
            let body = json!({ "model": "m", "tools": tools });
            let expected = Some(Refusal::Tool(format!("\"{kind}\"")));
            assert_eq!(refusal(form, &body), expected, "{kind}");
        }
    }
    for tool in [
        json!({ "type": "function", "name": "a", "server_url": "https://example.com" }),
        json!({ "google_search": {} }),
    ] {
        for form in [Form::Anthropic, Form::Openai] {
            let refused = refusal(form, &json!({ "model": "m", "tools": [tool] }));
            assert!(matches!(refused, Some(Refusal::Tool(_))), "{tool}");
        }
    }
    let without = json!({ "model": "m", "tools": [{ "name": "a" }] });
    assert!(refusal(Form::Openai, &without).is_some());
    assert_eq!(refusal(Form::Anthropic, &without), None);
}

#[test]
fn fields_that_nobody_knows_are_refused() {
    for name in [
        "mcp_servers",
        "container",
        "web_search_options",
        "search_parameters",
        "enable_search",
        "plugins",
        "prompt",
        "conversation",
        "extra_body",
        "anthropic_beta",
        "models",
        "webhook",
        "mes\u{17f}ages",
    ] {
        for form in [Form::Anthropic, Form::Openai] {
            let refused = refusal(form, &json!({ "model": "m", (name): {} }));
            assert!(matches!(refused, Some(Refusal::Field(_))), "{name}");
        }
    }
    let background = json!({ "model": "m", "background": true });
    assert!(refusal(Form::Openai, &background).is_some());
}

#[test]
fn models_that_search_are_refused() {
    for model in [
        "gpt-4o-search-preview",
        "o3-deep-research",
        "openai/gpt-4o:online",
    ] {
        let refused = refusal(Form::Openai, &json!({ "model": model }));
        assert_eq!(refused, Some(Refusal::Model(format!("\"{model}\""))));
    }
}

#[test]
fn a_field_that_is_there_twice_is_looked_at_twice() {
    for body in [
        r#"{"model":"m","tools":[],"tools":[{"type":"mcp"}]}"#,
        r#"{"model":"m","tools":[{"type":"mcp"}],"tools":[]}"#,
        r#"{"model":"m","\u0074ools":[{"type":"\u006dcp"}]}"#,
        r#"{"model":"m","tools":[{"type":"mcp","type":"function"}]}"#,
        r#"{"model":"m","messages":[{"content":"x","content":[{"url":"https://example.com"}]}]}"#,
        r#"{"model":"m","messages":[{"content":[{"url":"dat\u0061:","url":"data:"}]}]}"#,
    ] {
        assert!(
            read(body.as_bytes(), Form::Openai).refusal.is_some(),
            "{body}"
        );
    }
    // Neither of them is billed.
    let asked = read(br#"{"model":"cheap","model":"dear"}"#, Form::Openai);
    assert_eq!(
        (asked.model.as_str(), asked.refusal),
        ("", Some(Refusal::Malformed))
    );
}

#[test]
fn what_is_not_of_the_form_is_refused() {
    let deep = format!(
        r#"{{"model":"m","messages":{}1{}}}"#,
        r#"[{"content":"#.repeat(200_000),
        "}]".repeat(200_000)
    );
    for body in [
        "",
        "not JSON",
        "[]",
        "\u{feff}{}",
        r#"{"model":"m"} {"tools":[{"type":"mcp"}]}"#,
        r#"{"model":7}"#,
        r#"{"model":"m","tools":{"type":"mcp"}}"#,
        r#"{"model":"m","tools":[["mcp"]]}"#,
        r#"{"model":"m","tools":[{"type":["mcp"]}]}"#,
        r#"{"model":"m","messages":[["x"]]}"#,
        r#"{"model":"m","messages":[{"type":null}]}"#,
        &deep,
    ] {
        let refused = read(body.as_bytes(), Form::Openai).refusal;
        let start: String = body.chars().take(60).collect();
        assert_eq!(refused, Some(Refusal::Malformed), "{start}");
    }
    // Half a character, as programs leave it where they cut a text, is the provider's matter.
    let cut = r#"{"model":"m","messages":[{"content":"\ud83d"}]}"#;
    assert_eq!(read(cut.as_bytes(), Form::Openai).refusal, None);
}

#[test]
fn a_name_without_end_is_told_in_short() {
    let body = json!({ "model": "m", (format!("a\n{}", "b".repeat(1000))): 1 });
    let refused = refusal(Form::Openai, &body).map(|refusal| refusal.to_string());
    let message = refused.unwrap_or_default();
    assert!(message.len() < 200 && !message.contains('\n'), "{message}");
}

#[test]
fn only_features_of_the_answer_itself_are_switched_on() {
    let asked = [
        "interleaved-thinking-2025-05-14, mcp-client-2025-04-04",
        "web-fetch-2025-09-10,fine-grained-tool-streaming-2025-05-14,",
    ];
    let kept = "interleaved-thinking-2025-05-14,fine-grained-tool-streaming-2025-05-14";
    assert_eq!(betas(asked.into_iter()).as_deref(), Some(kept));
    assert_eq!(betas(["files-api-2025-04-14"].into_iter()), None);
    assert_eq!(betas(std::iter::empty()), None);
}
