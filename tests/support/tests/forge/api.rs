//! Who may see and do what through the API.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::bench::Bench;

#[tokio::test]
async fn the_api_knows_no_token_that_it_did_not_hand_out() {
    let bench = Bench::new().await;
    for token in ["", "gho_made_up", "ghs_made_up", "eyJhbGciOiJub25lIn0.e30."] {
        let (status, _) = bench.get("/user", token).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{token}");
    }
    let alice = bench.user("alice").await;
    let (status, user) = bench.get("/user", &alice).await;
    assert_eq!((status, &user["login"]), (StatusCode::OK, &json!("alice")));
    let (_, emails) = bench.get("/user/emails", &alice).await;
    assert_eq!(emails[0]["email"], "alice@example.com");
    bench.forge.expire_user_tokens("alice");
    assert_eq!(bench.get("/user", &alice).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_request_without_a_user_agent_is_refused() {
    let bench = Bench::new().await;
    let alice = bench.user("alice").await;
    let nameless = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = nameless
        .get(format!("{}/user", bench.forge.url()))
        .bearer_auth(&alice)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_private_repository_exists_only_for_those_with_access() {
    let bench = Bench::new().await;
    let (alice, bob, carol) = (
        bench.user("alice").await,
        bench.user("bob").await,
        bench.user("carol").await,
    );
    let permissions = |repository: &Value| {
        let may = |name: &str| repository["permissions"][name] == json!(true);
        (may("pull"), may("push"), may("admin"))
    };
    let (_, repository) = bench.get("/repos/acme/widget", &alice).await;
    assert_eq!(permissions(&repository), (true, true, true));
    let (_, repository) = bench.get("/repos/acme/widget", &bob).await;
    assert_eq!(permissions(&repository), (true, true, false));
    let paths = [
        "/repos/acme/widget",
        "/repos/acme/widget/pulls",
        "/repos/acme/widget/commits",
        "/repos/acme/nothing",
    ];
    for path in paths {
        assert_eq!(
            bench.get(path, &carol).await.0,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    let (_, repository) = bench.get("/repos/bob/open", &carol).await;
    assert_eq!(permissions(&repository), (true, false, false));
    let names = |listed: &Value| -> Vec<String> {
        let listed = listed.as_array().unwrap().iter();
        listed
            .map(|item| item["full_name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        names(&bench.get("/user/repos", &alice).await.1),
        ["acme/gadget", "acme/widget"]
    );
    assert_eq!(names(&bench.get("/user/repos", &carol).await.1), [""; 0]);
    bench
        .forge
        .set_permission("acme", "widget", "bob", None)
        .await
        .unwrap();
    assert_eq!(
        bench.get("/repos/acme/widget", &bob).await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn an_installation_token_reaches_its_repositories_with_its_permissions() {
    let bench = Bench::new().await;
    let reader = bench
        .forge
        .installation_token("acme", &["widget"], &[("contents", "read")])
        .await
        .unwrap();
    assert_eq!(
        bench.get("/repos/acme/widget", &reader).await.0,
        StatusCode::OK
    );
    assert_eq!(
        bench
            .get("/repos/acme/widget/commits/main", &reader)
            .await
            .0,
        StatusCode::OK
    );
    assert_eq!(
        bench.get("/repos/acme/gadget", &reader).await.0,
        StatusCode::NOT_FOUND
    );
    assert_eq!(bench.get("/user", &reader).await.0, StatusCode::FORBIDDEN);
    let base = bench
        .forge
        .branch("acme", "widget", "main")
        .await
        .unwrap()
        .unwrap();
    let body = json!({"ref": "refs/heads/x", "sha": base});
    assert_eq!(
        bench
            .call(Method::POST, "/repos/acme/widget/git/refs", &reader, body)
            .await
            .0,
        StatusCode::FORBIDDEN
    );
    let blind = bench
        .forge
        .installation_token("acme", &["widget"], &[("metadata", "read")])
        .await
        .unwrap();
    assert_eq!(
        bench.get("/repos/acme/widget/commits/main", &blind).await.0,
        StatusCode::FORBIDDEN
    );
    let (_, listed) = bench.get("/installation/repositories", &reader).await;
    assert_eq!(
        (&listed["total_count"], &listed["repositories"][0]["name"]),
        (&json!(1), &json!("widget"))
    );
}

#[tokio::test]
async fn the_app_finds_its_installation_with_its_own_token_alone() {
    let bench = Bench::new().await;
    let app = bench.forge.app_token().await.unwrap();
    let (status, installation) = bench.get("/repos/acme/widget/installation", &app).await;
    assert_eq!(
        (status, &installation["account"]["login"]),
        (StatusCode::OK, &json!("acme"))
    );
    assert_eq!(
        bench.get("/repos/bob/open/installation", &app).await.0,
        StatusCode::NOT_FOUND
    );
    let alice = bench.user("alice").await;
    assert_eq!(
        bench.get("/repos/acme/widget/installation", &alice).await.0,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        bench.get("/repos/acme/widget", &app).await.0,
        StatusCode::FORBIDDEN
    );
    let (header, rest) = app.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    let mut claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    claims["iss"] = json!("1");
    let forged = format!(
        "{header}.{}.{signature}",
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    assert_eq!(bench.get("/app", &forged).await.0, StatusCode::UNAUTHORIZED);
    let bot = bench.get("/users/hosted-agents%5Bbot%5D", &alice).await.1;
    assert_eq!(
        (&bot["id"], &bot["type"]),
        (&json!(bench.forge.app().bot_user_id), &json!("Bot"))
    );
}

#[tokio::test]
async fn what_the_forge_cannot_do_truthfully_it_refuses_openly() {
    let bench = Bench::new().await;
    let alice = bench.user("alice").await;
    let body = json!({"message": "m", "content": "YQ=="});
    let (status, _) = bench
        .call(
            Method::PUT,
            "/repos/acme/widget/contents/a.txt",
            &alice,
            body,
        )
        .await;
    assert_eq!(status, StatusCode::NOT_IMPLEMENTED);
    let (status, _) = bench
        .call(Method::POST, "/user/repos", &alice, json!({"name": "x"}))
        .await;
    assert_eq!(status, StatusCode::NOT_IMPLEMENTED);
}
#[tokio::test]
async fn a_branch_is_deleted_however_its_slash_is_written() {
    let bench = Bench::new().await;
    bench.pushed("agent/one", "a.txt", "a").await;
    bench.pushed("agent/two", "b.txt", "b").await;
    let token = bench.writer().await;
    for name in ["agent/one", "agent%2Ftwo"] {
        let path = format!("/repos/acme/widget/git/refs/heads/{name}");
        let (status, _) = bench.call(Method::DELETE, &path, &token, Value::Null).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{name}");
    }
    let (_, branches) = bench.get("/repos/acme/widget/branches", &token).await;
    assert_eq!(branches.as_array().unwrap().len(), 1);
    assert_eq!(
        bench
            .forge
            .branch("acme", "widget", "agent/two")
            .await
            .unwrap(),
        None
    );
}
