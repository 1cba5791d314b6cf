//! HTTPS: the greeting is read, the rest is handed on as it is.

use std::sync::Arc;

use protocol::egress::HostName;
use tokio::io::{AsyncWriteExt as _, copy_bidirectional_with_sizes};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::flow::Watched;
use super::hello::{self, Hello};
use super::{ContactKind, Way};

const BUFFER: usize = 64 * 1024;

/// A fatal alert, `access_denied`: the only words that a TLS client takes from a stranger. Most
/// show it as "access denied"; the reason itself is in the ledger.
const ACCESS_DENIED: [u8; 7] = [21, 3, 3, 0, 2, 2, 49];

pub(super) async fn serve(way: Arc<Way>, mut client: TcpStream) {
    let Some((hello, host)) = admit(&way, &mut client).await else {
        // It may be gone; then there is nobody to tell.
        let _ = client.write_all(&ACCESS_DENIED).await;
        let _ = client.shutdown().await;
        return;
    };
    let known = host.clone();
    tokio::select! {
        () = lead(&way, client, hello, host) => {}
        () = way.excluded(ContactKind::Https, || Some(known.clone())) => {}
    }
}

async fn lead(way: &Way, mut client: TcpStream, hello: Hello, host: HostName) {
    let mut upstream = match way.dial(ContactKind::Https, &host).await {
        Ok(upstream) => upstream,
        Err(super::DialError::Forbidden(_)) => {
            let _ = client.write_all(&ACCESS_DENIED).await;
            let _ = client.shutdown().await;
            return;
        }
        Err(_) => return,
    };
    let ledger = Arc::clone(&way.ledger);
    let sent = hello.bytes.len() as u64;
    ledger.bytes(ContactKind::Https, host.as_str(), sent, 0);
    let count = move |up, down| ledger.bytes(ContactKind::Https, host.as_str(), up, down);
    let (mut client, silence) = Watched::new(client, Box::new(count));
    let copied = async {
        upstream.write_all(&hello.bytes).await?;
        copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER, BUFFER).await
    };
    tokio::select! {
        copied = copied => {
            if let Err(error) = copied {
                tracing::debug!(%error, "a sandbox's connection broke");
            }
        }
        () = silence.of(way.egress.limits.idle) => tracing::debug!("a sandbox's connection was idle"),
    }
}

async fn admit(way: &Way, client: &mut TcpStream) -> Option<(Hello, HostName)> {
    let address = client.local_addr().ok()?.ip();
    let denied = |reason: &str| {
        let host = match way.name_at(address) {
            Some(name) => name.as_str().to_owned(),
            None => address.to_string(),
        };
        way.ledger.denied(ContactKind::Https, &host, reason);
        None
    };
    let hello = match timeout(way.egress.limits.head, hello::read(client)).await {
        Ok(Ok(hello)) => hello,
        Ok(Err(error)) => return denied(&error.to_string()),
        Err(_) => return denied("the greeting took too long"),
    };
    let Some(said) = hello.host.as_deref() else {
        return denied("the greeting names no host");
    };
    let host = way.admit(ContactKind::Https, address, said).ok()?;
    Some((hello, host))
}
