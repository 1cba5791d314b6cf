//! Bad input gets a clear error and changes nothing.

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, stream};
use protocol::api::{CreateSession, ErrorBody, MAX_PROMPT};
use protocol::callback::Report;
use protocol::frame::ClientFrame;
use protocol::signature::Signature;
use protocol::{Millis, Seq, SessionId};
use reqwest::Method;
use serde_json::json;

use crate::stage::{ALICE, CAROL, LIMIT, Outcome, Played, wanted};
use crate::tests;
use crate::world::{Group, World};

pub fn group(group: &mut Group<'_>) {
    tests!(group;
        an_unknown_repository_is_not_there,
        a_repository_without_access_is_not_there_either,
        a_session_of_a_closed_repository_is_not_there,
        an_empty_or_endless_prompt_is_refused,
        malformed_json_is_refused,
        a_request_from_another_site_is_refused,
        without_signing_in_nothing_is_shown,
        a_forged_signature_changes_nothing,
        an_old_timestamp_is_refused,
        who_is_refused_before_they_are_heard_out_gets_the_answer,
        a_replayed_message_is_refused,
        a_frame_of_a_wrong_type_is_answered_and_the_socket_lives_on,
        a_ticket_opens_one_socket,
        a_ticket_is_void_on_another_page,
        a_reused_client_request_id_is_one_prompt_or_an_error,
    );
}

async fn refused(request: reqwest::RequestBuilder) -> (u16, String) {
    let response = request.send().await.expect("the Worker answers");
    let status = response.status().as_u16();
    let text = response.text().await.expect("an answer has a body");
    let body: ErrorBody =
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: {text}"));
    assert!(
        !body.error.message.is_empty(),
        "an error says what happened"
    );
    (status, body.error.code)
}

async fn an_unknown_repository_is_not_there(world: &World) -> Outcome {
    let client = world.played().await.client(ALICE).await?;
    let body = json!({ "repository": "acme/nothing", "prompt": "hello" });
    let request = client.request(Method::POST, "/api/sessions").json(&body);
    assert_eq!(refused(request).await, (404, "not_found".to_owned()));
    let body = json!({ "repository": "../etc", "prompt": "hello" });
    let request = client.request(Method::POST, "/api/sessions").json(&body);
    assert_eq!(refused(request).await, (400, "malformed".to_owned()));
    Ok(())
}

async fn a_repository_without_access_is_not_there_either(world: &World) -> Outcome {
    let client = world.played().await.client(CAROL).await?;
    let request = client
        .request(Method::POST, "/api/sessions")
        .json(&wanted(Some("hello")));
    assert_eq!(refused(request).await, (404, "not_found".to_owned()));
    Ok(())
}

async fn a_session_of_a_closed_repository_is_not_there(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let carol = world.played().await.client(CAROL).await?;
    let path = format!("/api/sessions/{}", played.session);
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::GET, format!("{path}/events")),
        (Method::POST, format!("{path}/ws-ticket")),
        (Method::POST, format!("{path}/stop")),
        (Method::DELETE, path.clone()),
    ] {
        let answer = refused(carol.request(method.clone(), &path).body("{}")).await;
        assert_eq!(answer, (404, "not_found".to_owned()), "{method} {path}");
    }
    Ok(())
}

async fn an_empty_or_endless_prompt_is_refused(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let path = format!("/api/sessions/{}/prompts", played.session);
    let before = played
        .client
        .events(&played.session, Seq(0))
        .await?
        .head_seq;
    for (text, status, code) in [
        (" \n ".to_owned(), 400, "prompt_empty"),
        ("x".repeat(100 * 1024), 413, "prompt_too_long"),
        ("😀".repeat(MAX_PROMPT / 2 + 1), 413, "prompt_too_long"),
        ("x".repeat(1024 * 1024), 413, "body_too_large"),
    ] {
        let request = played
            .client
            .request(Method::POST, &path)
            .json(&json!({ "text": text }));
        assert_eq!(refused(request).await, (status, code.to_owned()));
        let body = json!({ "repository": wanted(None).repository, "prompt": text });
        let request = played
            .client
            .request(Method::POST, "/api/sessions")
            .json(&body);
        assert_eq!(refused(request).await, (status, code.to_owned()));
    }
    let after = played
        .client
        .events(&played.session, Seq(0))
        .await?
        .head_seq;
    assert_eq!(before, after);
    Ok(())
}

async fn malformed_json_is_refused(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let path = format!("/api/sessions/{}/prompts", played.session);
    for body in [
        "",
        "{",
        "[]",
        r#"{"text":1}"#,
        r#"{"text":"a","surprise":1}"#,
        "\u{0}",
    ] {
        let request = played.client.request(Method::POST, &path).body(body);
        assert_eq!(
            refused(request).await,
            (400, "malformed".to_owned()),
            "{body:?}"
        );
    }
    let request = played
        .client
        .request(Method::GET, "/api/sessions/ses_nothing");
    assert_eq!(refused(request).await, (404, "not_found".to_owned()));
    let request = played.client.request(Method::GET, "/api/nothing");
    assert_eq!(refused(request).await, (404, "not_found".to_owned()));
    Ok(())
}

async fn a_request_from_another_site_is_refused(world: &World) -> Outcome {
    let client = world.played().await.client(ALICE).await?;
    let request = client
        .request(Method::POST, "/api/sessions")
        .header("origin", "https://evil.example")
        .json(&wanted(Some("hello")));
    assert_eq!(refused(request).await, (403, "cross_site".to_owned()));
    Ok(())
}

async fn without_signing_in_nothing_is_shown(world: &World) -> Outcome {
    let url = world.played().await.stack.url();
    let http = reqwest::Client::new();
    for path in ["/api/me", "/api/repositories", "/api/sessions"] {
        let answer = refused(http.get(format!("{url}{path}"))).await;
        assert_eq!(answer, (401, "not_signed_in".to_owned()), "{path}");
    }
    let stranger = http
        .get(format!("{url}/api/me"))
        .header("cookie", "__Host-session=0");
    assert_eq!(refused(stranger).await, (401, "not_signed_in".to_owned()));
    Ok(())
}

/// Sends a batch with a spoiled signature and sees that the log stays as it was.
async fn spoiled(
    world: &World,
    code: &str,
    status: u16,
    spoil: impl Fn(&Played, &str, &[u8]) -> Signature,
) -> Outcome {
    let played = Played::ready(world).await?;
    let before = played
        .client
        .events(&played.session, Seq(0))
        .await?
        .head_seq;
    let path = format!("/runner/callbacks/{}", played.session);
    let reports = vec![Report::Notice {
        message: "forged".to_owned(),
    }];
    let batch = support::puppet::Puppet::batch(&played.start, 2, reports);
    let body = serde_json::to_vec(&batch)?;
    let signature = spoil(&played, &path, &body);
    let (got, text) = played.puppet.post_with(&path, body, &signature).await?;
    let error: ErrorBody = serde_json::from_str(&text)?;
    assert_eq!((got, error.error.code.as_str()), (status, code));
    let after = played
        .client
        .events(&played.session, Seq(0))
        .await?
        .head_seq;
    assert_eq!(before, after);
    Ok(())
}

async fn a_forged_signature_changes_nothing(world: &World) -> Outcome {
    spoiled(world, "bad_signature", 401, |played, path, body| {
        let mut signature = played.puppet.sign("POST", path, body).expect("a signature");
        signature.signature = format!("v1,{}=", "A".repeat(43));
        signature
    })
    .await?;
    // A signature of another session's path is void here.
    spoiled(world, "bad_signature", 401, |played, _, body| {
        let other = format!("/runner/callbacks/{}", SessionId::from_random([9; 16]));
        played
            .puppet
            .sign("POST", &other, body)
            .expect("a signature")
    })
    .await?;
    spoiled(world, "bad_signature", 401, |played, path, _| {
        played
            .puppet
            .sign("POST", path, b"other body")
            .expect("a signature")
    })
    .await
}

async fn an_old_timestamp_is_refused(world: &World) -> Outcome {
    // What is of the future comes nearer to now while it is on its way.
    for offset in [-301_000, 330_000] {
        spoiled(world, "stale_timestamp", 401, |played, path, body| {
            let at = Millis(support::puppet::now().0 + offset);
            played
                .puppet
                .sign_at(at, "POST", path, body)
                .expect("a signature")
        })
        .await?;
    }
    Ok(())
}

async fn who_is_refused_before_they_are_heard_out_gets_the_answer(world: &World) -> Outcome {
    let url = format!(
        "{}/runner/callbacks/ses_0",
        world.played().await.stack.url()
    );
    // Each on a connection of its own, as from a runner that has just started.
    let ask = async |_| {
        let client = reqwest::Client::new();
        refused(client.post(&url).body("x".repeat(60_000))).await
    };
    let answers = stream::iter(0..200).map(ask).buffer_unordered(4);
    let answers: BTreeSet<_> = answers.collect().await;
    assert_eq!(
        answers,
        BTreeSet::from([(401, "missing_signature".to_owned())])
    );
    Ok(())
}

async fn a_replayed_message_is_refused(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let path = format!("/runner/callbacks/{}", played.session);
    let reports = vec![Report::Notice {
        message: "once".to_owned(),
    }];
    let body = serde_json::to_vec(&support::puppet::Puppet::batch(&played.start, 2, reports))?;
    let signature = played.puppet.sign("POST", &path, &body)?;
    let (status, _) = played
        .puppet
        .post_with(&path, body.clone(), &signature)
        .await?;
    assert_eq!(status, 200);
    let (status, text) = played.puppet.post_with(&path, body, &signature).await?;
    let error: ErrorBody = serde_json::from_str(&text)?;
    assert_eq!((status, error.error.code.as_str()), (409, "replayed"));
    Ok(())
}

async fn a_frame_of_a_wrong_type_is_answered_and_the_socket_lives_on(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let mut viewer = played.client.watch(&played.session, Seq(0)).await?;
    for text in [
        "{",
        "[]",
        r#"{"type":"become_root"}"#,
        r#"{"type":"subscribe","since":-1}"#,
    ] {
        viewer.send_text(text.to_owned()).await?;
        let code = viewer.error(LIMIT).await?;
        assert_eq!(code, "malformed", "{text}");
    }
    viewer
        .send(&ClientFrame::Subscribe {
            since: Seq(1_000_000),
        })
        .await?;
    let code = viewer.error(LIMIT).await?;
    assert_eq!(code, "unknown_seq");
    // The automatic answer, exactly as clients send it.
    viewer.send_text(r#"{"type":"ping"}"#.to_owned()).await?;
    viewer
        .wait_for("a pong", LIMIT, |_, frame| {
            matches!(frame, protocol::frame::ServerFrame::Pong).then_some(())
        })
        .await?;
    Ok(())
}

async fn a_ticket_opens_one_socket(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let ticket = played.client.ticket(&played.session).await?;
    let _first = played.client.open(&played.session, &ticket).await?;
    assert!(played.client.open(&played.session, &ticket).await.is_err());
    assert!(
        played
            .client
            .open(&played.session, "made-up")
            .await
            .is_err()
    );
    Ok(())
}

async fn a_ticket_is_void_on_another_page(world: &World) -> Outcome {
    let played = Played::ready(world).await?;
    let ticket = played.client.ticket(&played.session).await?;
    let other = Played::ready(world).await?;
    assert!(other.client.open(&other.session, &ticket).await.is_err());
    Ok(())
}

async fn a_reused_client_request_id_is_one_prompt_or_an_error(world: &World) -> Outcome {
    let client = world.played().await.client(ALICE).await?;
    let body = CreateSession {
        environment: None,
        client_request_id: Some("once".to_owned()),
        ..wanted(Some("a"))
    };
    let first = client.create_session(&body).await?;
    let again = client.create_session(&body).await?;
    assert_eq!(first.id, again.id);
    let queued = client.events(&first.id, Seq(0)).await?.events;
    let prompts = queued
        .iter()
        .filter(|event| matches!(event.fact, protocol::Fact::PromptQueued { .. }));
    assert_eq!(prompts.count(), 1);
    let other = CreateSession {
        prompt: Some("b".to_owned()),
        ..body
    };
    let request = client.request(Method::POST, "/api/sessions").json(&other);
    assert_eq!(
        refused(request).await,
        (409, "conflicting_request".to_owned())
    );
    Ok(())
}
