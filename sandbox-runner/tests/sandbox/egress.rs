//! Ordinary programs in a real sandbox reach allowed hosts by their names, and nothing else.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use futures_util::future::BoxFuture;
use protocol::egress::{EgressPolicy, HostPattern};
use protocol::event::Repository;
use sandbox_runner::config::Upstream;
use sandbox_runner::gateway::egress::{Egress, Reach, Resolve};
use sandbox_runner::gateway::ledger::{ContactKind, Verdict};
use sandbox_runner::gateway::{Access, Gateway, GatewayPolicy, Serving};
use sandbox_runner::sandbox::{Ports, Sandbox};
use tokio::net::TcpListener;

use crate::fixture::Fixture;

const HOST: &str = "api.example.com";

/// Every host outside is this one.
struct Peer(SocketAddr);

impl Resolve for Peer {
    fn resolve<'a>(&'a self, _: &'a str, _: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async { Ok(vec![self.0]) })
    }
}

async fn serve(ports: Ports) -> Serving {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = Peer(listener.local_addr().unwrap());
    let router = Router::new().fallback(|| async { "from outside" });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let nobody = Upstream {
        base_url: "http://127.0.0.1:9".to_owned(),
        key: None,
    };
    let source =
        Arc::new(|_| Box::pin(async { Err("nobody asks".into()) }) as BoxFuture<'static, _>);
    let gateway = Gateway::new(&nobody.base_url, &nobody, &nobody, source).unwrap();
    let egress = Egress::new(Arc::new(peer), Arc::new(|_| Reach::Public), BTreeSet::new());
    let policy = GatewayPolicy {
        repository: Repository::parse("octo/hello").unwrap(),
        access: Access::Image,
        egress: EgressPolicy {
            allow: vec![HostPattern::parse(HOST).unwrap()],
            defaults: false,
        },
        spent_microdollars: 0,
    };
    gateway.with_egress(egress).serve(policy, ports)
}

/// Fetches an address, or says why not.
fn fetch(url: &str) -> String {
    format!(
        r#"python3 -c "
import urllib.request
try:
    print(urllib.request.urlopen('{url}', timeout=10).read().decode())
except Exception as error:
    print(error)
""#
    )
}

#[tokio::test]
async fn a_program_needs_no_settings_to_reach_an_allowed_host() {
    let fixture = Fixture::new();
    let Sandbox { id, ports } = fixture.create(&[]).await;
    let serving = serve(ports).await;
    let fetched = fixture.text(&id, &fetch("http://api.example.com/")).await;
    assert_eq!(fetched, "from outside");
    let contacts = serving.ledger().list();
    assert_eq!(contacts.len(), 1, "{contacts:?}");
    assert_eq!(
        (contacts[0].host.as_str(), contacts[0].kind),
        (HOST, ContactKind::Http)
    );
}

#[tokio::test]
async fn a_program_is_told_at_once_that_there_is_nothing_else() {
    let fixture = Fixture::new();
    let Sandbox { id, ports } = fixture.create(&[]).await;
    let serving = serve(ports).await;
    for (url, answer) in [
        ("https://example.org/", "Name or service not known"),
        ("http://169.254.169.254/latest/meta-data/", "unreachable"),
        ("http://10.0.0.1/", "unreachable"),
        ("https://1.1.1.1/", "unreachable"),
        ("http://api.example.com:8080/", "refused"),
    ] {
        let told = fixture.text(&id, &fetch(url)).await;
        assert!(told.contains(answer), "{url}: {told}");
    }
    let denied = serving.ledger().list();
    assert_eq!(denied.len(), 1, "{denied:?}");
    assert_eq!(
        (denied[0].host.as_str(), denied[0].verdict),
        ("example.org", Verdict::Denied)
    );
}
