//! The OAuth web flow.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Method, StatusCode, Url};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::bench::Bench;

const CALLBACK: &str = "http://127.0.0.1:4567/auth/github/callback";

impl Bench {
    /// Goes to the button and back; answers the code.
    async fn code(&self, challenge: &str) -> String {
        let app = self.forge.app();
        let url = Url::parse_with_params(
            &format!("{}/login/oauth/authorize", self.forge.url()),
            [
                ("client_id", app.client_id.as_str()),
                ("redirect_uri", CALLBACK),
                ("state", "st&te\""),
                ("code_challenge", challenge),
                ("code_challenge_method", "S256"),
            ],
        )
        .unwrap();
        let back = self.forge.authorize(url.as_str(), "alice").await.unwrap();
        assert!(back.starts_with(CALLBACK), "{back}");
        let back = Url::parse(&back).unwrap();
        let value = |name| {
            back.query_pairs()
                .find(|(key, _)| key == name)
                .unwrap()
                .1
                .into_owned()
        };
        assert_eq!(value("state"), "st&te\"");
        value("code")
    }

    async fn exchange(&self, fields: Value) -> Value {
        let app = self.forge.app();
        let mut body = json!({"client_id": app.client_id, "client_secret": app.client_secret});
        body.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        self.call(Method::POST, "/login/oauth/access_token", "", body)
            .await
            .1
    }
}

fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

#[tokio::test]
async fn a_code_is_good_once_and_only_with_its_verifier() {
    let bench = Bench::new().await;
    let verifier = "v".repeat(64);
    let code = bench.code(&challenge_of(&verifier)).await;
    let refused = bench
        .exchange(json!({"code": code, "code_verifier": "w".repeat(64)}))
        .await;
    assert_eq!(refused["error"], "bad_verification_code");
    let refused = bench
        .exchange(json!({"code": code, "code_verifier": verifier}))
        .await;
    assert_eq!(refused["error"], "bad_verification_code");

    let code = bench.code(&challenge_of(&verifier)).await;
    let token = bench
        .exchange(json!({"code": code, "code_verifier": verifier, "redirect_uri": CALLBACK}))
        .await;
    let access = token["access_token"].as_str().unwrap();
    assert!(access.starts_with("ghu_"));
    assert_eq!(bench.get("/user", access).await.1["login"], "alice");
    let again = bench
        .exchange(json!({"code": code, "code_verifier": verifier}))
        .await;
    assert_eq!(again["error"], "bad_verification_code");
}

#[tokio::test]
async fn a_code_without_its_verifier_or_for_another_redirect_is_worth_nothing() {
    let bench = Bench::new().await;
    let verifier = "v".repeat(64);
    let code = bench.code(&challenge_of(&verifier)).await;
    assert_eq!(
        bench.exchange(json!({"code": code})).await["error"],
        "bad_verification_code"
    );
    let code = bench.code(&challenge_of(&verifier)).await;
    let other = json!({"code": code, "code_verifier": verifier, "redirect_uri": "http://127.0.0.1/auth/github/callback"});
    assert_eq!(
        bench.exchange(other).await["error"],
        "redirect_uri_mismatch"
    );
}

#[tokio::test]
async fn sign_in_sends_nobody_to_a_foreign_address() {
    let bench = Bench::new().await;
    let url = format!(
        "{}/login/oauth/authorize?client_id={}&redirect_uri=http%3A%2F%2Fevil.example%2Fauth%2Fgithub%2Fcallback&state=s",
        bench.forge.url(),
        bench.forge.app().client_id
    );
    let response = bench.client.get(url).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_refresh_token_works_once_and_ends_the_old_pair() {
    let bench = Bench::new().await;
    let old = bench.forge.sign_in("bob").await.unwrap();
    let renewed = bench
        .exchange(json!({"grant_type": "refresh_token", "refresh_token": old.refresh_token}))
        .await;
    let access = renewed["access_token"].as_str().unwrap();
    assert_eq!(bench.get("/user", access).await.1["login"], "bob");
    assert_eq!(
        bench.get("/user", &old.access_token).await.0,
        StatusCode::UNAUTHORIZED
    );
    let again = bench
        .exchange(json!({"grant_type": "refresh_token", "refresh_token": old.refresh_token}))
        .await;
    assert_eq!(again["error"], "bad_refresh_token");
}
