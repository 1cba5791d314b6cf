#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]
//! The gateway with real git on both sides, and with what a hostile sandbox might send.

#[path = "gateway/ports.rs"]
mod ports;
#[path = "gateway/site.rs"]
mod site;

use protocol::event::Repository;
use sandbox_runner::gateway::billing::Billing;
use sandbox_runner::gateway::ledger::{Contact, ContactKind, Tokens, Verdict};
use serde_json::Value;

use site::{BRANCH, Policy, Site, USAGE, git};

const PRICES: &str = r#"{"anthropic/sonnet": {"input": 3, "output": 15}}"#;

#[tokio::test]
async fn a_clone_works_and_needs_no_credentials_inside() {
    let site = Site::start().await;
    let gateway = site.gateway(Policy::Session).await;
    git(&site.root, &["clone", "-q", &gateway.clone_url(), "copy"])
        .await
        .unwrap();
    assert_eq!(
        std::fs::read_to_string(site.root.join("copy/README")).unwrap(),
        "hello\n"
    );
    assert_eq!(site.credentials_asked(), 1);
    let contacts = gateway.serving.ledger().list();
    assert_eq!(contacts.len(), 1);
    assert_eq!(
        (contacts[0].kind, contacts[0].verdict),
        (ContactKind::Git, Verdict::Allowed)
    );
    assert!(contacts[0].bytes_up > 0 && contacts[0].bytes_down > 0);
}

#[tokio::test]
async fn a_push_to_the_work_branch_works_whatever_its_size() {
    let site = Site::start().await;
    let gateway = site.gateway(Policy::Session).await;
    let copy = site.work(&gateway).await;
    // Larger than git's post buffer: git probes first, then sends in chunks.
    let noise: Vec<u8> = (0..3_000_000_u64)
        .map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u8)
        .collect();
    for (name, content) in [("small", &noise[..10]), ("large", &noise[..])] {
        std::fs::write(copy.join(name), content).unwrap();
        git(&copy, &["add", "-A"]).await.unwrap();
        git(&copy, &["commit", "-qm", name]).await.unwrap();
        git(
            &copy,
            &["push", "-q", "origin", &format!("HEAD:refs/heads/{BRANCH}")],
        )
        .await
        .unwrap();
        let pushed = git(&site.bare, &["rev-parse", BRANCH]).await.unwrap();
        assert_eq!(pushed, git(&copy, &["rev-parse", "HEAD"]).await.unwrap());
    }
}

#[tokio::test]
async fn a_push_elsewhere_is_refused_with_words_that_git_shows() {
    let site = Site::start().await;
    let gateway = site.gateway(Policy::Session).await;
    let copy = site.work(&gateway).await;
    git(&copy, &["commit", "-q", "--allow-empty", "-m", "x"])
        .await
        .unwrap();
    let before = git(&site.bare, &["for-each-ref"]).await.unwrap();
    let work = format!("HEAD:refs/heads/{BRANCH}");
    for arguments in [
        &["push", "origin", "HEAD:refs/heads/main"][..],
        &["push", "origin", "HEAD:refs/tags/v1"],
        &["push", "origin", &work, "HEAD:refs/heads/other"],
        &["push", "--atomic", "origin", &work, "HEAD:refs/heads/other"],
        &["push", "origin", ":refs/heads/main"],
    ] {
        let shown = git(&copy, arguments).await.unwrap_err();
        let reason = format!("only {BRANCH} and {BRANCH}-<topic> may be pushed from this sandbox");
        assert!(shown.contains(&reason), "{arguments:?}: {shown}");
        assert_eq!(git(&site.bare, &["for-each-ref"]).await.unwrap(), before);
    }
    let shown = git(&copy, &["push", "-o", "ci.skip", "origin", &work])
        .await
        .unwrap_err();
    assert!(!shown.is_empty());
    assert_eq!(git(&site.bare, &["for-each-ref"]).await.unwrap(), before);
}

#[tokio::test]
async fn an_image_build_reads_and_never_writes() {
    let site = Site::start().await;
    let gateway = site.gateway(Policy::Image).await;
    let copy = site.work(&gateway).await;
    let shown = git(
        &copy,
        &["push", "origin", &format!("HEAD:refs/heads/{BRANCH}")],
    )
    .await
    .unwrap_err();
    assert!(
        shown.contains("Nothing may be pushed while there is no session"),
        "{shown}"
    );
}

#[tokio::test]
async fn another_repository_is_out_of_reach() {
    let site = Site::start().await;
    let gateway = site.gateway(Policy::Session).await;
    let other = Repository::new("acme", "secret").unwrap();
    let shown = git(&site.root, &["clone", &gateway.url_of(&other), "copy"])
        .await
        .unwrap_err();
    assert!(shown.contains("may only reach acme/widget"), "{shown}");
    for path in [
        "/git/acme/widget.git/../secret.git/info/refs?service=git-upload-pack",
        "/git/acme/widget.git/%2e%2e/secret.git/info/refs?service=git-upload-pack",
        "/git/acme/secret.git/acme/widget.git/info/refs?service=git-upload-pack",
        "/git/acme/widget.git/info/refs",
        "/git/acme/widget.git/info/refs?service=git-upload-pack&service=git-receive-pack",
        "/git/acme/widget.git/objects/info/packs",
        "/git/acme/widget",
        "/etc/passwd",
        "/",
    ] {
        let (status, _) = gateway.get(path).await;
        assert!(matches!(status, 403 | 404), "{path}: {status}");
    }
    assert_eq!(site.credentials_asked(), 0);
}

#[tokio::test]
async fn a_refused_token_is_not_asked_of_the_user() {
    let site = Site::start().await;
    site.refuse_tokens();
    let gateway = site.gateway(Policy::Session).await;
    let shown = git(&site.root, &["clone", &gateway.clone_url(), "copy"])
        .await
        .unwrap_err();
    assert!(
        shown.contains("The forge refused this with status 401"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_model_request_goes_on_with_the_key_and_without_what_the_sandbox_added() {
    let site = Site::start().await;
    let gateway = site.gateway(Policy::Session).await;
    for (path, key) in [
        ("/llm/anthropic/v1/messages", ("x-api-key", "anthropic-key")),
        (
            "/llm/openai/v1/chat/completions",
            ("authorization", "Bearer openai-key"),
        ),
    ] {
        let headers = [
            ("authorization", "Bearer stolen"),
            ("x-api-key", "stolen"),
            ("openai-organization", "other"),
            ("cookie", "a=b"),
            ("anthropic-version", "2023-06-01"),
        ];
        let sent = r#"{ "model": "a", "messages": [] }"#;
        let (status, echoed) = gateway.post(path, &headers, sent).await;
        assert_eq!(status, 200);
        let echoed: Value = serde_json::from_str(&echoed).unwrap();
        assert_eq!(echoed["headers"][key.0], key.1);
        assert_eq!(echoed["headers"]["anthropic-version"], "2023-06-01");
        assert_eq!(echoed["body"], sent);
        let text = echoed.to_string();
        assert!(!text.contains("stolen") && !text.contains("other") && !text.contains("a=b"));
    }
}

#[tokio::test]
async fn only_what_an_agent_needs_of_a_provider_is_offered() {
    let site = Site::start().await;
    let gateway = site.gateway(Policy::Session).await;
    for path in [
        "/llm/openai/v1/files",
        "/llm/openai/v1/../admin",
        "/llm/openai/v1/models",
        "/llm/anthropic/v1/messages/batches",
        "/llm/anthropic/v1/",
        "/llm/anthropic",
        "/llm/elsewhere/v1/messages",
    ] {
        let (status, _) = gateway.post(path, &[], "{}").await;
        assert!(matches!(status, 403 | 404), "{path}: {status}");
    }
    assert_eq!(gateway.get("/llm/openai/v1/models").await.0, 200);
    let (status, _) = gateway
        .post("/llm/openai/v1/responses", &[], &"x".repeat(33 << 20))
        .await;
    assert_eq!(status, 413);
}

/// The policy on hosts would be for nothing if a provider went there instead.
#[tokio::test]
async fn a_provider_is_no_way_to_other_hosts() {
    let site = Site::start().await;
    let gateway = site.gateway(Policy::Session).await;
    for (path, body) in [
        (
            "/llm/anthropic/v1/messages",
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://example.com/"}}]}]}"#,
        ),
        (
            "/llm/openai/v1/chat/completions",
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://example.com/"}}]}]}"#,
        ),
        (
            "/llm/openai/v1/responses",
            r#"{"model":"m","input":"x","tools":[{"type":"mcp","server_url":"https://example.com/"}]}"#,
        ),
    ] {
        let (status, answer) = gateway.post(path, &[], body).await;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(
            (status, &answer["error"]["type"]),
            (403, &Value::from("permission_error")),
            "{path}"
        );
        let (status, answer) = gateway.post(path, &[], "not JSON").await;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(
            (status, &answer["error"]["type"]),
            (400, &Value::from("invalid_request_error")),
            "{path}"
        );
    }
    // The provider would have been a contact.
    let contacts = gateway.serving.ledger().list();
    let denied: u64 = contacts.iter().map(|contact| contact.requests).sum();
    assert_eq!(denied, 6);
    let is_denied = |contact: &Contact| {
        (contact.kind, contact.verdict) == (ContactKind::Model, Verdict::Denied)
    };
    assert!(contacts.iter().all(is_denied), "{contacts:?}");
}

#[tokio::test]
async fn a_provider_reads_a_request_as_the_gateway_did() {
    let site = Site::start().await;
    let gateway = site.gateway(Policy::Session).await;
    let headers = [
        ("content-type", "application/json; charset=utf-7"),
        ("content-encoding", "gzip"),
        (
            "anthropic-beta",
            "mcp-client-2025-04-04,interleaved-thinking-2025-05-14",
        ),
        ("anthropic-beta", "web-fetch-2025-09-10"),
    ];
    let (status, echoed) = gateway
        .post("/llm/anthropic/v1/messages", &headers, "{}")
        .await;
    assert_eq!(status, 200);
    let echoed: Value = serde_json::from_str(&echoed).unwrap();
    let told = &echoed["headers"];
    assert_eq!(told["content-type"], "application/json");
    assert_eq!(told.get("content-encoding"), None);
    assert_eq!(told["anthropic-beta"], "interleaved-thinking-2025-05-14");
}

#[tokio::test]
async fn a_provider_without_a_key_says_so_in_its_own_way() {
    let site = Site::start().await;
    let gateway = site.gateway(Policy::SessionWithoutKeys).await;
    let (status, anthropic) = gateway.post("/llm/anthropic/v1/messages", &[], "{}").await;
    let anthropic: Value = serde_json::from_str(&anthropic).unwrap();
    assert_eq!((status, &anthropic["type"]), (401, &Value::from("error")));
    assert!(
        anthropic["error"]["message"]
            .as_str()
            .unwrap()
            .contains("ANTHROPIC_API_KEY")
    );
    let (status, openai) = gateway
        .post("/llm/openai/v1/chat/completions", &[], "{}")
        .await;
    let openai: Value = serde_json::from_str(&openai).unwrap();
    assert_eq!(status, 401);
    assert!(
        openai["error"]["message"]
            .as_str()
            .unwrap()
            .contains("OPENAI_API_KEY")
    );
}

#[tokio::test]
async fn a_sandbox_is_told_how_far_its_workspace_is_and_tells_what_waited() {
    let site = Site::start().await;
    let gateway = site.gateway(Policy::Session).await;
    let gate = gateway.serving.gate();
    gate.changing(Some(&["a".to_owned()]));
    let (status, told) = gateway.get("/workspace/sync?seen=").await;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((status, &told["state"]), (200, &Value::from("changed")));
    assert_eq!(
        (&told["paths"][0], &told["done"]),
        (&Value::from("a"), &Value::from(false))
    );

    let again = format!("/workspace/sync?seen={}", told["tag"].as_str().unwrap());
    let (held, ()) = tokio::join!(gateway.get(&again), async { gate.up_to_date() });
    let told: Value = serde_json::from_str(&held.1).unwrap();
    assert_eq!(told["done"], true);

    for (body, expected) in [
        (r#"{"ms":70,"tool":"write","path":"a"}"#, 204),
        (r#"{"ms":-1,"tool":"write"}"#, 400),
        (r#"{"ms":"70"}"#, 400),
        ("", 400),
        (
            &format!(r#"{{"ms":1,"tool":"{}"}}"#, "x".repeat(20_000)),
            400,
        ),
    ] {
        assert_eq!(
            gateway.post("/workspace/waits", &[], body).await.0,
            expected
        );
    }
    assert_eq!(gate.waited().await.ms, 70);
    let kept = async {
        let upto = gate.writes().after(0).await;
        gate.writes().safe(upto);
    };
    let (held, ()) = tokio::join!(gateway.post("/workspace/wrote", &[], ""), kept);
    assert_eq!((held.0, held.1.as_str()), (200, r#"{"kept":"safe"}"#));
    assert_eq!(gateway.get("/workspace/else").await.0, 404);
    assert!(gateway.serving.ledger().take_changes().is_empty());
}

#[tokio::test]
async fn an_image_build_has_no_sync() {
    let site = Site::start().await;
    let gateway = site.gateway(Policy::Image).await;
    assert_eq!(gateway.get("/workspace/sync").await.0, 404);
}

#[tokio::test]
async fn the_first_token_is_handed_on_before_the_second_exists() {
    let site = Site::start().await;
    let gateway = site.gateway(Policy::Session).await;
    let mut answer = gateway.open("/llm/openai/v1/chat/completions?slow").await;
    assert_eq!(answer.next().await, "data: 1\n\n");
    site.release_second_token();
    assert_eq!(answer.next().await, "data: 2\n\n");
}

#[tokio::test]
async fn a_streamed_answer_is_untouched_and_its_tokens_and_cost_are_in_the_ledger() {
    let site = Site::start().await;
    let billing = Billing::parse(Some(PRICES), None).unwrap();
    let gateway = site.gateway_with(Policy::Session, billing).await;
    let asked = r#"{"model":"sonnet","stream":true}"#;
    for _ in 0..2 {
        let path = "/llm/anthropic/v1/messages?usage";
        assert_eq!(
            gateway.post(path, &[], asked).await,
            (200, USAGE.to_owned())
        );
    }
    // The account is closed once the answer has been handed on, which the client may see first.
    let contact = gateway
        .contact(|contact| contact.cost_microdollars == Some(2 * (25 * 3 + 15 * 15)))
        .await;
    let tokens = Tokens {
        input: 50,
        output: 30,
        ..Tokens::default()
    };
    assert_eq!((contact.kind, contact.requests), (ContactKind::Model, 2));
    assert_eq!(contact.tokens, Some(tokens));
    assert_eq!(contact.bytes_up, 2 * asked.len() as u64);
    assert_eq!(contact.bytes_down, 2 * USAGE.len() as u64);
}

#[tokio::test]
async fn a_model_without_a_price_has_tokens_and_no_cost() {
    let site = Site::start().await;
    let gateway = site.gateway(Policy::Session).await;
    let path = "/llm/anthropic/v1/messages?usage";
    gateway.post(path, &[], r#"{"model":"sonnet"}"#).await;
    let contact = gateway.contact(|contact| contact.tokens.is_some()).await;
    assert_eq!(contact.cost_microdollars, None);
}

#[tokio::test]
async fn a_session_that_has_spent_its_budget_is_told_so_in_the_providers_way() {
    let site = Site::start().await;
    let billing = Billing::parse(Some(PRICES), Some("0.0003")).unwrap();
    let gateway = site.gateway_with(Policy::Session, billing).await;
    let path = "/llm/anthropic/v1/messages?usage";
    let asked = r#"{"model":"sonnet","stream":true}"#;
    assert_eq!(gateway.post(path, &[], asked).await.0, 200);
    gateway
        .contact(|contact| contact.cost_microdollars == Some(300))
        .await;
    let (status, answer) = gateway.post(path, &[], asked).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(
        (status, &answer["error"]["type"]),
        (402, &Value::from("billing_error"))
    );
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("SESSION_BUDGET_USD"), "{message}");
    assert_eq!(gateway.serving.ledger().exhausted().await, message);

    let (status, answer) = gateway
        .post("/llm/openai/v1/responses", &[], r#"{"model":"free"}"#)
        .await;
    assert_eq!(status, 402);
    assert!(answer.contains("SESSION_BUDGET_USD"), "{answer}");
}

#[tokio::test]
async fn with_a_budget_a_model_without_a_price_is_not_asked() {
    let site = Site::start().await;
    let billing = Billing::parse(Some(PRICES), Some("5")).unwrap();
    let gateway = site.gateway_with(Policy::Session, billing).await;
    for body in [r#"{"model":"opus"}"#, "{}", "not JSON"] {
        let (status, answer) = gateway.post("/llm/anthropic/v1/messages", &[], body).await;
        assert_eq!(status, 402);
        assert!(answer.contains("MODEL_PRICES"), "{answer}");
    }
}

#[tokio::test]
async fn no_model_is_asked_while_an_image_is_built() {
    let site = Site::start().await;
    let gateway = site.gateway(Policy::Image).await;
    let (status, _) = gateway.post("/llm/anthropic/v1/messages", &[], "{}").await;
    assert_eq!(status, 403);
    let warmup = "/llm/warmup/v1/chat/completions";
    assert_eq!(gateway.post(warmup, &[], "{}").await.0, 200);
}
