//! Secrets that the gateway adds to requests.

use protocol::api::SecretScope;
use protocol::callback::Secret;
use protocol::egress::HostPattern;

use super::*;

/// A secret for HOST alone.
fn with_secret() -> Props {
    let secret = Secret {
        name: "NPM_TOKEN".to_owned(),
        value: "the-secret".to_owned(),
        scope: SecretScope::Header {
            hosts: vec![HostPattern::parse(HOST).unwrap()],
            header: "authorization".to_owned(),
            prefix: "Bearer ".to_owned(),
        },
    };
    Props {
        secrets: Some(vec![secret]),
        ..Props::default()
    }
}

#[tokio::test]
async fn a_header_secret_goes_to_its_host_by_https_in_place_of_the_sandboxs_own() {
    let scene = Scene::with(with_secret()).await;
    let request = "GET /pkg HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: mine\r\nConnection: close\r\n\r\n";
    let answer = scene.send(request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("private"), "{answer}");
    let heard = scene.heard_encrypted().join("");
    assert!(heard.starts_with("GET /pkg HTTP/1.1\r\n"), "{heard}");
    assert!(
        heard.contains("authorization: Bearer the-secret\r\n"),
        "{heard}"
    );
    assert!(!heard.contains("mine"), "{heard}");
    assert_eq!(scene.asked(), ["api.example.com:443"]);
    assert!(scene.heard().is_empty(), "nothing went out in the clear");
    assert_eq!(scene.contact(Verdict::Allowed).kind, ContactKind::Https);
}

#[tokio::test]
async fn a_host_that_a_secret_is_not_for_never_gets_it() {
    let props = Props {
        looked_up: Some("a.example.net"),
        ..with_secret()
    };
    let scene = Scene::with(props).await;
    let answer = scene
        .send("GET / HTTP/1.1\r\nHost: a.example.net\r\nConnection: close\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(scene.asked(), ["a.example.net:80"]);
    assert!(!scene.heard()[0].contains("the-secret"));
}

#[tokio::test]
async fn while_secrets_cannot_be_asked_nothing_goes_out_in_the_clear() {
    let props = Props {
        secrets: None,
        ..Props::default()
    };
    let scene = Scene::with(props).await;
    let answer = scene
        .send("GET / HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    assert!(scene.heard().is_empty() && scene.asked().is_empty());
}
