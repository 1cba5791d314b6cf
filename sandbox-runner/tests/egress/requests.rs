//! Requests in the clear: each is checked, and written anew before it goes on.

use super::*;

#[tokio::test]
async fn a_plain_request_goes_on_without_what_concerns_the_connection() {
    let scene = Scene::start().await;
    let answer = scene
        .send(
            "POST /a?b=c HTTP/1.1\r\nHost: API.example.com:80\r\nAccept: */*\r\nTE: trailers\r\n\
             Upgrade: h2c\r\nX-Hop: 1\r\nConnection: close, X-Hop, Upgrade\r\nContent-Length: 6\r\n\r\nhello.",
        )
        .await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("hello"), "{answer}");
    let answer = answer.to_ascii_lowercase();
    assert!(
        answer.contains("x-end: 1") && !answer.contains("x-hop"),
        "{answer}"
    );
    let heard = scene.heard();
    assert_eq!(heard.len(), 1);
    assert!(
        heard[0].starts_with("POST /a?b=c HTTP/1.1\r\n"),
        "{heard:?}"
    );
    assert!(heard[0].ends_with("hello."), "{heard:?}");
    let heard = heard[0].to_ascii_lowercase();
    assert!(heard.contains("host: api.example.com\r\n"), "{heard}");
    for gone in ["x-hop", "upgrade", "te:", ":80"] {
        assert!(!heard.contains(gone), "{heard}");
    }
    let contact = scene.contact(Verdict::Allowed);
    assert_eq!(
        (contact.kind, contact.bytes_up, contact.bytes_down),
        (ContactKind::Http, 6, 5)
    );
}

#[tokio::test]
async fn requests_after_one_another_are_each_checked() {
    let scene = Scene::start().await;
    let answer = scene
        .send(
            "GET /1 HTTP/1.1\r\nHost: api.example.com\r\n\r\n\
             GET /2 HTTP/1.1\r\nHost: api.example.com\r\n\r\n\
             GET /3 HTTP/1.1\r\nHost: evil.example.org\r\n\r\n\
             GET /4 HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
        )
        .await;
    assert_eq!(answer.matches("200 OK").count(), 2, "{answer}");
    assert_eq!(answer.matches("403 Forbidden").count(), 1, "{answer}");
    let heard = scene.heard();
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert!(heard[0].starts_with("GET /1 ") && heard[1].starts_with("GET /2 "));
}

#[tokio::test]
async fn a_request_for_another_host_or_none_is_refused_with_a_reason() {
    let scene = Scene::start().await;
    for (request, reason) in [
        (
            "GET / HTTP/1.1\r\nHost: b.example.net\r\n\r\n",
            "for another host",
        ),
        (
            "GET / HTTP/1.1\r\nHost: evil.example.org\r\n\r\n",
            "for another host",
        ),
        (
            "GET / HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n",
            "not the full name",
        ),
        (
            "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "not the full name",
        ),
        ("GET / HTTP/1.1\r\n\r\n", "one Host header"),
        ("GET / HTTP/1.0\r\n\r\n", "one Host header"),
        (
            "GET / HTTP/1.1\r\nHost: api.example.com\r\nHost: evil.example.org\r\n\r\n",
            "one Host header",
        ),
        (
            "GET / HTTP/1.1\r\nHost: api.example.com:8080\r\n\r\n",
            "Only port 80",
        ),
        (
            "GET http://evil.example.org/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
            "more than one host",
        ),
        (
            "GET https://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
            "more than one host",
        ),
        (
            "GET http://u@api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
            "more than one host",
        ),
        (
            "CONNECT evil.example.org:443 HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
            "not a proxy",
        ),
    ] {
        let answer = scene.send(request).await;
        assert!(
            answer.starts_with("HTTP/1.1 403 ") || answer.starts_with("HTTP/1.0 403 "),
            "{request}: {answer}"
        );
        assert!(answer.contains(reason), "{request}: {answer}");
    }
    assert_eq!(scene.heard(), [""; 0]);
    assert_eq!(scene.asked(), [""; 0]);
}

#[tokio::test]
async fn a_request_to_a_host_that_is_not_allowed_names_the_setting() {
    let scene = Scene::with(Props {
        looked_up: None,
        ..Props::default()
    })
    .await;
    let answer = scene
        .send("GET / HTTP/1.1\r\nHost: evil.example.org\r\n\r\n")
        .await;
    assert!(answer.contains("text/plain"), "{answer}");
    assert!(
        answer.contains("evil.example.org is not in the egress policy"),
        "{answer}"
    );
    assert!(answer.contains("egress.allow"), "{answer}");
}

#[tokio::test]
async fn an_absolute_request_for_the_same_host_is_written_as_its_path() {
    let scene = Scene::start().await;
    let answer = scene
        .send("GET http://api.example.com/a HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n")
        .await;
    assert!(answer.ends_with("hello"), "{answer}");
    assert!(scene.heard()[0].starts_with("GET /a HTTP/1.1\r\n"));
}

#[tokio::test]
async fn no_request_can_be_hidden_in_another() {
    let scene = Scene::start().await;
    let hidden = "GET /hidden HTTP/1.1\r\nHost: evil.example.org\r\n\r\n";
    for head in [
        // The host would take the one, a careless gateway the other.
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Content-Length: 0\r\nContent-Length: 60\r\n\r\n",
        "Content-Length: +0\r\n\r\n",
        "Content-Length : 0\r\n\r\n",
        "Connection: content-length\r\nContent-Length: 1\r\n\r\n.",
        "X: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let request = format!("POST /1 HTTP/1.1\r\nHost: {HOST}\r\n{head}{hidden}");
        let answer = scene.send(&request).await;
        assert!(answer.matches("200 OK").count() <= 1, "{head}: {answer}");
    }
    let heard = scene.heard();
    assert!(
        heard.iter().all(|request| !request.contains("hidden")),
        "{heard:?}"
    );
    assert!(
        scene
            .asked()
            .iter()
            .all(|name| name == "api.example.com:80")
    );
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let scene = Scene::with(limits(|limits| limits.head = SHORT)).await;
    let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n");
    assert_eq!(scene.send(&request).await.matches("200 OK").count(), 0);
    let long = format!(
        "GET / HTTP/1.1\r\nHost: {HOST}\r\nX: {}",
        "a".repeat(1 << 20)
    );
    let mut stream = TcpStream::connect(scene.http).await.unwrap();
    let _ = stream.write_all(long.as_bytes()).await;
    assert!(!read_all(&mut stream).await.contains("200 OK"));
    assert_eq!(scene.heard(), [""; 0]);
}
