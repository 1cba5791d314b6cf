#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]
//! Connections of a sandbox to hosts: those that are allowed, and what a hostile one might try.

#[path = "gateway/ports.rs"]
mod ports;
#[path = "egress/requests.rs"]
mod requests;
#[path = "egress/scene.rs"]
mod scene;
#[path = "egress/secrets.rs"]
mod secrets;

use std::time::Duration;

use hickory_proto::op::ResponseCode;
use sandbox_runner::gateway::egress::{EgressLimits, Reach};
use sandbox_runner::gateway::ledger::{ContactKind, Verdict};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use scene::{DEADLINE, HOST, Props, Scene, echo, read_all};

/// For tests that wait until it has passed.
const SHORT: Duration = Duration::from_millis(50);

fn limits(change: impl FnOnce(&mut EgressLimits)) -> Props {
    let mut props = Props::default();
    change(&mut props.limits);
    props
}

#[tokio::test]
async fn an_allowed_host_is_reached_by_its_own_name_and_counted() {
    let scene = Scene::start().await;
    let mut stream = scene.greet(HOST).await.unwrap();
    assert_eq!(echo(&mut stream, "ping\n").await, "ping\n");
    assert_eq!(scene.asked(), ["api.example.com:443"]);
    let contact = scene.contact(Verdict::Allowed);
    assert_eq!(
        (contact.host.as_str(), contact.kind),
        (HOST, ContactKind::Https)
    );
    assert_eq!(contact.requests, 1);
    assert!(
        contact.bytes_up > 200 && contact.bytes_down > 200,
        "{contact:?}"
    );
}

#[tokio::test]
async fn a_host_below_an_allowed_star_is_looked_up_outside_only_to_connect() {
    let scene = Scene::with(Props {
        looked_up: Some("a.example.net"),
        ..Props::default()
    })
    .await;
    assert_eq!(scene.asked(), [""; 0]);
    assert!(scene.greet("a.example.net").await.is_ok());
    assert_eq!(scene.asked(), ["a.example.net:443"]);
}

#[tokio::test]
async fn a_name_that_is_not_allowed_does_not_exist_and_never_leaves() {
    let scene = Scene::start().await;
    for name in ["c2VjcmV0.evil.example.org", "example.com", "example.net"] {
        assert_eq!(scene.look_up(name).await, Err(ResponseCode::NXDomain));
    }
    assert_eq!(scene.asked(), [""; 0]);
    let denied = scene.serving.ledger().list();
    assert_eq!(denied.len(), 3);
    assert!(denied.iter().all(|contact| {
        contact.kind == ContactKind::Name
            && contact.verdict == Verdict::Denied
            && contact.reason.as_ref().unwrap().contains("egress.allow")
    }));
}

#[tokio::test]
async fn connecting_to_any_address_reaches_allowed_hosts_only() {
    let scene = Scene::with(Props {
        looked_up: None,
        ..Props::default()
    })
    .await;
    assert!(scene.greet("b.example.net").await.is_ok());
    let error = scene.greet("evil.example.org").await.unwrap_err();
    assert!(error.to_string().contains("AccessDenied"), "{error}");
    assert_eq!(scene.asked(), ["b.example.net:443"]);
    let denied = scene.contact(Verdict::Denied);
    assert_eq!(denied.host, "evil.example.org");
    assert!(denied.reason.unwrap().contains("egress.allow"));
}

#[tokio::test]
async fn a_greeting_for_another_host_than_was_looked_up_is_refused() {
    let scene = Scene::start().await;
    // Even for one that is allowed by itself.
    for name in ["b.example.net", "evil.example.org"] {
        let error = scene.greet(name).await.unwrap_err();
        assert!(error.to_string().contains("AccessDenied"), "{error}");
    }
    assert_eq!(scene.asked(), [""; 0]);
}

#[tokio::test]
async fn a_greeting_that_names_no_host_is_refused() {
    let scene = Scene::start().await;
    assert!(scene.greet("93.184.215.14").await.is_err());
    let denied = scene.contact(Verdict::Denied);
    assert_eq!(denied.host, HOST);
    assert!(denied.reason.unwrap().contains("names no host"));
}

#[tokio::test]
async fn what_leads_back_to_this_machine_its_networks_or_its_cloud_is_unreachable() {
    let scene = Scene::start().await;
    for address in [
        "127.0.0.2:443",
        "169.254.169.254:443",
        "[fd00:ec2::254]:443",
        "10.0.0.1:443",
        "172.16.0.1:443",
        "192.168.0.1:443",
        "100.64.0.1:443",
        "[::1]:443",
        "[fe80::1]:443",
        "[::ffff:127.0.0.2]:443",
        "[::ffff:169.254.169.254]:443",
        "[64:ff9b::a9fe:a9fe]:443",
        "[2002:a9fe:a9fe::1]:443",
        "0.0.0.0:443",
        "224.0.0.1:443",
    ] {
        scene.outside(HOST, 443, vec![vec![address.parse().unwrap()]]);
        let error = scene.greet(HOST).await.unwrap_err();
        assert!(
            error.to_string().contains("AccessDenied"),
            "{address}: {error}"
        );
        let denied = scene.contact(Verdict::Denied);
        assert!(denied.reason.unwrap().contains("EGRESS_INTERNAL_HOSTS"));
    }
    let contacts = scene.serving.ledger().list();
    assert_eq!(contacts.len(), 1, "{contacts:?}");
}

#[tokio::test]
async fn addresses_that_are_not_allowed_are_passed_over() {
    let scene = Scene::start().await;
    let metadata = "169.254.169.254:443".parse().unwrap();
    scene.outside(HOST, 443, vec![vec![metadata, scene.peer(443)]]);
    assert!(scene.greet(HOST).await.is_ok());
}

#[tokio::test]
async fn a_name_server_that_changes_its_mind_gains_nothing() {
    let scene = Scene::start().await;
    let first = vec![scene.peer(443)];
    let metadata = vec!["169.254.169.254:443".parse().unwrap()];
    scene.outside(HOST, 443, vec![first, metadata]);
    // What was checked is what is connected to: it is asked once for each connection.
    assert!(scene.greet(HOST).await.is_ok());
    assert_eq!(scene.asked().len(), 1);
    assert!(scene.greet(HOST).await.is_err());
    assert_eq!(scene.asked().len(), 2);
}

#[tokio::test]
async fn only_hosts_that_the_operator_named_may_be_internal() {
    let scene = Scene::with(Props {
        looked_up: None,
        peers: Reach::Internal,
        internal: &[HOST],
        ..Props::default()
    })
    .await;
    assert!(scene.greet(HOST).await.is_ok());
    assert!(scene.greet("b.example.net").await.is_err());
    let metadata = "169.254.169.254:443".parse().unwrap();
    scene.outside(HOST, 443, vec![vec![metadata]]);
    assert!(scene.greet(HOST).await.is_err());
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_is_told_apart_from_one_that_may_not() {
    let scene = Scene::with(Props {
        looked_up: None,
        ..Props::default()
    })
    .await;
    assert!(scene.greet("unknown.example.net").await.is_err());
    let failed = scene.contact(Verdict::Failed);
    assert_eq!(failed.host, "unknown.example.net");
    assert!(failed.reason.unwrap().contains("no such host"));
}

#[tokio::test]
async fn what_is_no_greeting_or_never_ends_is_cut_off() {
    let scene = Scene::with(limits(|limits| limits.head = SHORT * 10)).await;
    // A handshake record whose message would be longer than any greeting is.
    let mut endless = vec![22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff];
    endless.resize(64 * 1024, 0);
    let slow = [22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    let http = b"GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n";
    for bytes in [&endless[..], &slow, http, b"SSH-2.0-OpenSSH_9.2\r\n"] {
        let mut stream = TcpStream::connect(scene.https).await.unwrap();
        let _ = stream.write_all(bytes).await;
        read_all(&mut stream).await;
    }
    assert_eq!(scene.contact(Verdict::Denied).requests, 4);
    assert_eq!(scene.asked(), [""; 0]);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_refused_until_others_end() {
    let scene = Scene::with(limits(|limits| limits.connections = 2)).await;
    let first = scene.greet(HOST).await.unwrap();
    let mut second = TcpStream::connect(scene.http).await.unwrap();
    assert!(scene.greet(HOST).await.is_err());
    let denied = scene.contact(Verdict::Denied);
    assert!(denied.reason.unwrap().contains("too many connections"));
    drop(first);
    let greeted = async { while scene.greet(HOST).await.is_err() {} };
    timeout(DEADLINE, greeted).await.unwrap();
    // The one that only waits is still served.
    let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    second.write_all(request.as_bytes()).await.unwrap();
    assert!(read_all(&mut second).await.ends_with("hello"));
}

#[tokio::test]
async fn a_connection_on_which_nothing_happens_ends() {
    let scene = Scene::with(limits(|limits| limits.idle = SHORT)).await;
    let mut stream = scene.greet(HOST).await.unwrap();
    let mut nothing = [0; 1];
    let read = timeout(DEADLINE, stream.read(&mut nothing)).await.unwrap();
    assert!(!matches!(read, Ok(1..)));
}

#[tokio::test]
async fn connections_end_with_the_sandbox() {
    let scene = Scene::start().await;
    let mut stream = scene.greet(HOST).await.unwrap();
    let https = scene.https;
    drop(scene.serving);
    let mut nothing = [0; 1];
    let read = timeout(DEADLINE, stream.read(&mut nothing)).await.unwrap();
    assert!(!matches!(read, Ok(1..)));
    assert!(TcpStream::connect(https).await.is_err());
}

#[tokio::test]
async fn a_host_that_is_not_allowed_any_more_is_gone_at_once_with_its_connections() {
    let scene = Scene::with(Props {
        looked_up: None,
        ..Props::default()
    })
    .await;
    let mut ended = scene.greet(HOST).await.unwrap();
    let mut stays = scene.greet("a.example.net").await.unwrap();
    for stream in [&mut ended, &mut stays] {
        assert_eq!(echo(stream, "ping\n").await, "ping\n");
    }
    scene.allow(&["a.example.net"]);
    let read = timeout(DEADLINE, ended.read(&mut [0])).await.unwrap();
    assert!(!matches!(read, Ok(1..)));
    assert_eq!(echo(&mut stays, "pong\n").await, "pong\n");
    let denied = scene.contact(Verdict::Denied);
    assert_eq!((denied.host.as_str(), denied.requests), (HOST, 1));
    assert!(denied.reason.unwrap().contains("egress.allow"));
    assert!(scene.greet(HOST).await.is_err());
    assert_eq!(scene.look_up(HOST).await, Err(ResponseCode::NXDomain));
}

#[tokio::test]
async fn an_answer_that_is_under_way_ends_when_its_host_is_not_allowed_any_more() {
    let scene = Scene::start().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    scene.outside(HOST, 80, vec![vec![silent.local_addr().unwrap()]]);
    let mut client = TcpStream::connect(scene.http).await.unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let (mut peer, _) = timeout(DEADLINE, silent.accept()).await.unwrap().unwrap();
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun";
    peer.write_all(head.as_bytes()).await.unwrap();
    let mut seen = String::new();
    while !seen.ends_with("begun") {
        let mut bytes = [0; 256];
        let length = timeout(DEADLINE, client.read(&mut bytes)).await.unwrap();
        seen.push_str(std::str::from_utf8(&bytes[..length.unwrap()]).unwrap());
    }
    scene.allow(&["a.example.net"]);
    assert_eq!(read_all(&mut client).await, "");
    let rest = timeout(DEADLINE, async {
        let mut rest = Vec::new();
        let _ = peer.read_to_end(&mut rest).await;
    });
    rest.await.unwrap();
    assert_eq!(scene.contact(Verdict::Denied).host, HOST);
}

#[tokio::test]
async fn a_host_that_is_allowed_from_now_on_is_reached_at_once() {
    let scene = Scene::with(Props {
        looked_up: None,
        ..Props::default()
    })
    .await;
    let name = "evil.example.org";
    scene.outside(name, 443, vec![vec![scene.peer(443)]]);
    assert!(scene.greet(name).await.is_err());
    assert_eq!(scene.look_up(name).await, Err(ResponseCode::NXDomain));
    scene.allow(&[name]);
    assert!(scene.look_up(name).await.unwrap().is_some());
    let mut stream = scene.greet(name).await.unwrap();
    assert_eq!(echo(&mut stream, "ping\n").await, "ping\n");
}

#[tokio::test]
async fn bytes_are_told_while_they_pass() {
    let scene = Scene::start().await;
    let mut stream = scene.greet(HOST).await.unwrap();
    let line = format!("{}\n", "a".repeat(100_000));
    assert_eq!(echo(&mut stream, &line).await, line);
    // The connection is still open.
    scene
        .until(|contact| contact.bytes_up > 100_000 && contact.bytes_down > 100_000)
        .await;
}
