//! What keeps a deployment in order: tokens, secrets, limits, the audit log, and the description of
//! the HTTP surface.

mod schemathesis;

use std::path::Path;
use std::time::Duration;

use protocol::api::{
    ApiTokenList, AuditPage, CreateApiToken, CreatedApiToken, Deed, ErrorBody, Me, Role,
    SecretList, SecretScope, SetSecret, TokenScope,
};
use protocol::callback::{Secrets, SecretsRequest};
use protocol::egress::HostPattern;
use protocol::event::{Fact, Mode, Source};
use protocol::frame::ClientFrame;
use protocol::{Seq, SessionId};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use support::client::Client;
use support::stack::Stack;

use crate::stage::{ALICE, BOB, CAROL, LIMIT, Outcome, Played, PlayedStack, REPOSITORY, wanted};
use crate::tests;
use crate::world::{Group, World};
use support::forge::ORGANIZATION;

pub fn group(group: &mut Group<'_>) {
    tests!(group;
        a_token_does_what_its_scopes_allow_until_it_is_revoked,
        a_token_manages_no_tokens_and_a_cookie_beside_it_counts_for_nothing,
        a_secret_is_told_to_the_gateway_and_to_nobody_else,
        what_others_must_know_of_is_in_the_audit_log,
        signing_out_everywhere_ends_every_browser,
        answers_carry_the_headers_that_keep_them_apart,
        a_path_that_is_there_says_which_methods_it_takes,
        too_many_changes_are_told_to_wait,
        what_a_user_has_left_is_the_same_in_every_session_and_after_a_restart,
        a_new_key_opens_what_the_old_one_sealed_and_seals_it_anew,
        a_variable_is_in_the_programs_of_a_sandbox_and_in_no_file,
    );
    schemathesis::group(group);
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("the Worker answers");
    let status = response.status().as_u16();
    let text = response.text().await.expect("an answer has a body");
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

async fn code(request: RequestBuilder) -> (u16, String) {
    let (status, body) = answer(request).await;
    let body: ErrorBody = serde_json::from_value(body).expect("an error has its form");
    (status, body.error.code)
}

async fn token(client: &Client, scopes: &[TokenScope]) -> CreatedApiToken {
    let wanted = CreateApiToken {
        name: "test".to_owned(),
        scopes: scopes.to_vec(),
        expires_in_days: Some(1),
    };
    let made = client.send(Method::POST, "/api/tokens", Some(&wanted));
    made.await.expect("a token")
}

/// As a program asks: with the token alone.
fn with(stack: &Stack, secret: &str, method: Method, path: &str) -> RequestBuilder {
    reqwest::Client::new()
        .request(method, format!("{}{path}", stack.url()))
        .bearer_auth(secret)
}

async fn a_token_does_what_its_scopes_allow_until_it_is_revoked(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let stack = &world.played().await.stack;
    let read = token(&played.client, &[TokenScope::Read]).await;
    let write = token(&played.client, &[TokenScope::Write]).await;
    assert!(read.secret.starts_with("hat_") && read.secret.len() > 60);

    let session = format!("/api/sessions/{}", played.session);
    let prompts = format!("{session}/prompts");
    let body = json!({ "text": "from a program" });
    let look = |token: &CreatedApiToken| with(stack, &token.secret, Method::GET, &session);
    let prompt =
        |token: &CreatedApiToken| with(stack, &token.secret, Method::POST, &prompts).json(&body);
    assert_eq!(answer(look(&read)).await.0, 200);
    assert_eq!(code(prompt(&read)).await, (403, "forbidden".to_owned()));
    assert_eq!(code(look(&write)).await, (403, "forbidden".to_owned()));
    assert_eq!(answer(prompt(&write)).await.0, 201);
    let events = played.client.events(&played.session, Seq(0)).await?.events;
    let source = events.iter().find_map(|event| match &event.fact {
        Fact::PromptQueued { prompt } => Some(prompt.source),
        _ => None,
    });
    assert_eq!(source, Some(Source::Api));

    // Also over a socket that a program opened.
    let both = token(&played.client, &[TokenScope::Read, TokenScope::Write]).await;
    let tickets = format!("{session}/ws-ticket");
    let (status, ticket) = answer(with(stack, &both.secret, Method::POST, &tickets)).await;
    assert_eq!(status, 201);
    let ticket = ticket["ticket"].as_str().expect("a ticket");
    let mut viewer = played.client.open(&played.session, ticket).await?;
    viewer.subscribe(Seq(0)).await?;
    viewer
        .send(&ClientFrame::Prompt {
            text: "from a program's socket".to_owned(),
            mode: Mode::Queue,
            client_request_id: None,
            attachments: Vec::new(),
        })
        .await?;
    let source = viewer
        .wait_for_fact("its prompt", LIMIT, |fact| match fact {
            Fact::PromptQueued { prompt } if prompt.text.contains("socket") => Some(prompt.source),
            _ => None,
        })
        .await?;
    assert_eq!(source, Source::Api);

    let path = format!("/api/tokens/{}", write.token.id);
    let revoked = played.client.request(Method::DELETE, &path);
    assert_eq!(answer(revoked).await.0, 204);
    assert_eq!(code(prompt(&write)).await, (401, "bad_token".to_owned()));
    let listed: ApiTokenList = played
        .client
        .send(Method::GET, "/api/tokens", None::<&()>)
        .await?;
    assert!(listed.tokens.iter().all(|one| one.id != write.token.id));
    let used = listed.tokens.iter().find(|one| one.id == read.token.id);
    assert!(used.is_some_and(|one| one.last_used_at.is_some()));
    Ok(())
}

async fn a_token_manages_no_tokens_and_a_cookie_beside_it_counts_for_nothing(
    world: &World,
) -> Outcome {
    let stack = world.played().await;
    let alice = stack.client(ALICE).await?;
    let all = [TokenScope::Read, TokenScope::Write, TokenScope::Admin];
    let made = token(&alice, &all).await;
    for (method, path) in [
        (Method::GET, "/api/tokens".to_owned()),
        (Method::DELETE, format!("/api/tokens/{}", made.token.id)),
        (Method::DELETE, "/api/logins".to_owned()),
    ] {
        let request = with(&stack.stack, &made.secret, method, &path);
        assert_eq!(code(request).await, (403, "forbidden".to_owned()), "{path}");
    }
    let bob = stack.client(BOB).await?;
    let path = format!("/api/tokens/{}", made.token.id);
    let request = bob.request(Method::DELETE, &path);
    assert_eq!(code(request).await, (404, "not_found".to_owned()));
    let request = alice
        .request(Method::GET, "/api/me")
        .bearer_auth("hat_unknown");
    assert_eq!(code(request).await, (401, "bad_token".to_owned()));
    Ok(())
}

fn secrets_path(secret: &str) -> String {
    format!("/api/repositories/{ORGANIZATION}/{REPOSITORY}/secrets{secret}")
}

fn header_scope() -> SecretScope {
    SecretScope::Header {
        hosts: vec![HostPattern::parse("npm.example.com").expect("a host")],
        header: "authorization".to_owned(),
        prefix: "Bearer ".to_owned(),
    }
}

async fn a_secret_is_told_to_the_gateway_and_to_nobody_else(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let stack = world.played().await;
    let value = "value-c4f1d2-of-a-secret";
    let set = SetSecret {
        value: value.to_owned(),
        scope: header_scope(),
    };
    let path = secrets_path("/NPM_TOKEN");
    let request = played.client.request(Method::PUT, &path).json(&set);
    assert_eq!(answer(request).await.0, 204);
    let listed = played
        .client
        .request(Method::GET, &secrets_path(""))
        .send()
        .await?
        .text()
        .await?;
    let list: SecretList = serde_json::from_str(&listed)?;
    assert!(list.secrets.iter().any(|one| one.name == "NPM_TOKEN"));
    assert!(!listed.contains(value));
    // Whoever may not see the repository is told of nothing; whoever may not push sets nothing.
    let carol = stack.client(CAROL).await?;
    let request = carol.request(Method::PUT, &path).json(&set);
    assert_eq!(code(request).await, (404, "not_found".to_owned()));

    let asked = SecretsRequest {
        session: played.session.clone(),
    };
    let body = reqwest::Client::new()
        .post(format!("{}/runner/secrets", stack.stack.url()))
        .json(&asked);
    assert_eq!(code(body).await, (401, "missing_signature".to_owned()));
    let told = played.puppet.post("/runner/secrets", &asked).await?;
    let told: Secrets = serde_json::from_str(&told)?;
    assert!(told.secrets.iter().any(|one| one.value == value));
    assert_eq!(occurrences(stack.stack.directory(), value), [""; 0]);

    let request = played.client.request(Method::DELETE, &path);
    assert_eq!(answer(request).await.0, 204);
    let told = played.puppet.post("/runner/secrets", &asked).await?;
    assert!(!told.contains(value));
    let request = played.client.request(Method::DELETE, &path);
    assert_eq!(code(request).await, (404, "not_found".to_owned()));
    for (name, scope) in [
        ("PATH", SecretScope::Sandbox),
        ("lower", SecretScope::Sandbox),
    ] {
        let scope = serde_json::to_value(scope)?;
        let request = played
            .client
            .request(Method::PUT, &secrets_path(&format!("/{name}")))
            .json(&json!({ "value": "x", "scope": scope }));
        assert_eq!(
            code(request).await,
            (400, "bad_secret".to_owned()),
            "{name}"
        );
    }
    Ok(())
}

/// Files under `directory` that contain `text`.
fn occurrences(directory: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries.flatten() {
            let (path, kind) = (entry.path(), entry.file_type());
            if kind.as_ref().is_ok_and(std::fs::FileType::is_dir) {
                waiting.push(path);
            } else if kind.is_ok_and(|kind| kind.is_file()) {
                let bytes = std::fs::read(&path).unwrap_or_default();
                if bytes
                    .windows(text.len())
                    .any(|window| window == text.as_bytes())
                {
                    found.push(path.display().to_string());
                }
            }
        }
    }
    found
}

async fn what_others_must_know_of_is_in_the_audit_log(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let stack = world.played().await;
    let (alice, carol) = (stack.client(ALICE).await?, stack.client(CAROL).await?);
    let me: Me = alice.send(Method::GET, "/api/me", None::<&()>).await?;
    assert_eq!(me.role, Role::Administrator);
    let refused = carol.request(Method::GET, "/api/audit");
    assert_eq!(code(refused).await, (403, "forbidden".to_owned()));
    let path = format!("/api/sessions/{}", played.session);
    assert_eq!(answer(carol.request(Method::GET, &path)).await.0, 404);
    alice.archive(&played.session).await?;
    let made = token(&alice, &[TokenScope::Read]).await;

    let mut entries = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/audit{cursor}");
        let page: AuditPage = alice.send(Method::GET, &path, None::<&()>).await?;
        entries.extend(page.entries);
        match page.cursor {
            Some(next) => cursor = format!("?cursor={next}"),
            None => break,
        }
    }
    let has = |login: &str, deed: Deed, subject: &str| {
        entries
            .iter()
            .any(|one| one.login == login && one.deed == deed && one.subject == subject)
    };
    let session = played.session.as_str();
    assert!(has(ALICE, Deed::SignedIn, ""));
    assert!(has(ALICE, Deed::AuditRead, ""));
    assert!(has(ALICE, Deed::SessionArchived, session));
    assert!(has(ALICE, Deed::TokenCreated, made.token.id.as_str()));
    assert!(has(CAROL, Deed::AccessRefused, "audit"));
    assert!(has(CAROL, Deed::AccessRefused, session));
    Ok(())
}

async fn signing_out_everywhere_ends_every_browser(world: &World) -> Outcome {
    let stack = &world.played().await.stack;
    let here = Client::sign_in(&stack.url(), &stack.forge, CAROL).await?;
    let there = Client::sign_in(&stack.url(), &stack.forge, CAROL).await?;
    let out = here.request(Method::DELETE, "/api/logins").send().await?;
    assert_eq!(out.status().as_u16(), 204);
    for client in [&here, &there] {
        let request = client.request(Method::GET, "/api/me");
        assert_eq!(code(request).await, (401, "not_signed_in".to_owned()));
    }
    Ok(())
}

async fn answers_carry_the_headers_that_keep_them_apart(world: &World) -> Outcome {
    let stack = &world.played().await.stack;
    let answer = reqwest::get(format!("{}/api/me", stack.url())).await?;
    let header = |name: &str| answer.headers().get(name).and_then(|one| one.to_str().ok());
    assert_eq!(header("x-content-type-options"), Some("nosniff"));
    assert_eq!(header("cache-control"), Some("no-store"));
    assert_eq!(header("cross-origin-opener-policy"), Some("same-origin"));
    assert_eq!(header("cross-origin-resource-policy"), Some("same-origin"));
    assert_eq!(header("www-authenticate"), Some("Bearer"));
    assert!(header("content-security-policy").is_some_and(|one| one.contains("'none'")));
    assert_eq!(header("access-control-allow-origin"), None);
    Ok(())
}

async fn a_path_that_is_there_says_which_methods_it_takes(world: &World) -> Outcome {
    let stack = &world.played().await.stack;
    let url = format!("{}/api/tokens", stack.url());
    let answer = reqwest::Client::new().put(url).send().await?;
    assert_eq!(answer.status().as_u16(), 405);
    let allowed = answer
        .headers()
        .get("allow")
        .and_then(|one| one.to_str().ok());
    let allowed = allowed.unwrap_or_default().to_owned();
    assert!(
        allowed.contains("GET") && allowed.contains("POST"),
        "{allowed}"
    );
    let body: ErrorBody = answer.json().await?;
    assert_eq!(body.error.code, "method_not_allowed");
    Ok(())
}

async fn too_many_changes_are_told_to_wait(_: &World) -> Outcome {
    let few = [("CHANGES_PER_MINUTE", "20")];
    let stack = Stack::start_with_variables("e2e-limits", &few).await?;
    let client = Client::sign_in(&stack.url(), &stack.forge, ALICE).await?;
    let path = format!("/api/sessions/{}/stop", SessionId::from_random([1; 16]));
    let mut answers = Vec::new();
    for _ in 0..25 {
        answers.push(client.request(Method::POST, &path).send().await?);
    }
    let limited: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status().as_u16() == 429)
        .collect();
    assert!((1..=5).contains(&limited.len()), "{}", limited.len());
    assert!(answers[..20].iter().all(|one| one.status().as_u16() == 404));
    let wait = limited[0].headers().get("retry-after");
    let wait: u64 = wait
        .and_then(|one| one.to_str().ok())
        .unwrap_or("")
        .parse()?;
    assert!((1..=3).contains(&wait), "{wait}");
    // Looking has a bucket of its own, and so has everybody else.
    assert_eq!(answer(client.request(Method::GET, "/api/me")).await.0, 200);
    let bob = Client::sign_in(&stack.url(), &stack.forge, BOB).await?;
    assert_eq!(answer(bob.request(Method::POST, &path)).await.0, 404);
    stack.stop().await;
    Ok(())
}

async fn what_a_user_has_left_is_the_same_in_every_session_and_after_a_restart(
    _: &World,
) -> Outcome {
    let stack = Stack::start_with_variables("e2e-one-bucket", &[]).await?;
    let mut stack = PlayedStack::of(stack).await;
    let (alice, bob) = (stack.client(ALICE).await?, stack.client(BOB).await?);
    let one = alice.create_session(&wanted(None)).await?.id;
    let other = alice.create_session(&wanted(None)).await?.id;
    // A minute's is one, so nothing comes back while the Worker restarts.
    let few = [("CHANGES_PER_MINUTE", "1")];
    stack.stack.restart_with_variables(&few).await?;
    let stop = |client: &Client, session: &SessionId| {
        client.request(Method::POST, &format!("/api/sessions/{session}/stop"))
    };
    let idle = (409, "nothing_runs".to_owned());
    assert_eq!(code(stop(&alice, &one)).await, idle);
    // What is counted in an isolate ends with it.
    stack.stack.kill_worker().await;
    stack.stack.start_worker().await?;
    let refused = stop(&alice, &other).send().await?;
    assert_eq!(refused.status().as_u16(), 429);
    let wait = refused.headers().get("retry-after");
    let wait: u64 = wait
        .and_then(|one| one.to_str().ok())
        .unwrap_or("")
        .parse()?;
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(code(stop(&bob, &other)).await, idle);
    Ok(())
}

async fn a_new_key_opens_what_the_old_one_sealed_and_seals_it_anew(_: &World) -> Outcome {
    let stack = Stack::start_with_variables("e2e-keys", &[]).await?;
    let mut stack = PlayedStack::of(stack).await;
    let played = Played::ready_on(&stack).await?;
    let (client, session) = (played.client.clone(), played.session.clone());
    let set = SetSecret {
        value: "kept over the change".to_owned(),
        scope: SecretScope::Sandbox,
    };
    let request = client
        .request(Method::PUT, &secrets_path("/KEPT"))
        .json(&set);
    assert_eq!(answer(request).await.0, 204);
    // Fresh for the test; nothing else is sealed with it.
    let key = format!("next:{}=", "k".repeat(42) + "g");
    stack
        .stack
        .restart_with_variables(&[("ENCRYPTION_KEYS", &key)])
        .await?;
    let asked = SecretsRequest { session };
    let told = stack.puppet.post("/runner/secrets", &asked).await?;
    let told: Secrets = serde_json::from_str(&told)?;
    assert_eq!(told.secrets[0].value, set.value);
    // GitHub is asked with the token of before.
    let repositories = client.request(Method::GET, "/api/repositories");
    assert_eq!(answer(repositories).await.0, 200);
    // With the old key gone, all that was used meanwhile still opens.
    stack
        .stack
        .restart_with_variables(&[("ENCRYPTION_KEY", "")])
        .await?;
    let told = stack.puppet.post("/runner/secrets", &asked).await?;
    assert!(told.contains(&set.value));
    let repositories = client.request(Method::GET, "/api/repositories");
    assert_eq!(answer(repositories).await.0, 200);
    Ok(())
}

async fn a_variable_is_in_the_programs_of_a_sandbox_and_in_no_file(world: &World) -> Outcome {
    let (stage, client) = world.whole().await;
    let repository = stage.wanted(None).repository;
    let set = async |name: &str, value: &str, scope: SecretScope| {
        let path = format!("/api/repositories/{repository}/secrets/{name}");
        let value = value.to_owned();
        let set = SetSecret { value, scope };
        answer(client.request(Method::PUT, &path).json(&set))
            .await
            .0
    };
    let (meant, kept) = ("variable-7d1f0b", "header-5e2a9c");
    assert_eq!(set("DEPLOY_KEY", meant, SecretScope::Sandbox).await, 204);
    assert_eq!(set("NPM_TOKEN", kept, header_scope()).await, 204);
    // Digests, so that the log of the session does not have the values either.
    let command = "printf %s \\\"$DEPLOY_KEY\\\" | sha256sum; env | grep -c header-5e2a9[c]; true";
    let wanted = stage.wanted(Some(&format!("[[bash command=\"{command}\"]]")));
    let id = client.create_session(&wanted).await?.id;
    let mut viewer = client.watch(&id, Seq(0)).await?;
    viewer
        .wait_for_fact("the prompt's end", Duration::from_secs(240), |fact| {
            matches!(fact, Fact::PromptFinished { .. }).then_some(())
        })
        .await?;
    // Of the variable's value.
    let digest = "46488e57";
    let outputs: Vec<_> = viewer.finished.values().collect();
    assert!(
        outputs.iter().any(|text| text.contains(digest)),
        "{outputs:?}"
    );
    viewer
        .wait_for_fact("the snapshot", LIMIT, |fact| {
            matches!(fact, Fact::Snapshotted { .. }).then_some(())
        })
        .await?;
    for value in [meant, kept] {
        assert_eq!(
            occurrences(stage.stack.state_dir(), value),
            [""; 0],
            "{value}"
        );
        assert_eq!(
            occurrences(stage.stack.directory(), value),
            [""; 0],
            "{value}"
        );
    }
    client.archive(&id).await?;
    Ok(())
}
