//! Connections to allowed hosts, which programs in a sandbox make as if they were outside.
//!
//! The address that a program connected to tells which name it had looked up ([`super::names`]),
//! and the name that its connection then gives (in the TLS greeting, or in `Host`) has to be the
//! same. The name is looked up once, here, and every address that leads back to this machine, to
//! its networks or to its cloud's metadata is passed over; what is connected to is the very address
//! that was checked, so a name server that changes its mind gains nothing.
//!
//! A request to port 80 of a host for which the repository has a header secret is sent on by HTTPS,
//! with the secret in it: see `web.rs`.
//!
//! A connection goes on only while the policy allows its host: see [`super::bounds`].
//!
//! What is inside an HTTPS connection nobody but its ends can read: a host that serves many sites
//! under one name can be asked for any of them.

mod address;
mod flow;
mod hello;
mod tunnel;
mod web;

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use protocol::egress::HostName;
use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

pub use self::address::{Reach, reach};
use super::bounds::Bounds;
use super::ledger::{ContactKind, Ledger};
use super::names::Names;
use super::secrets::Vault;

/// Looks a host up, outside.
pub trait Resolve: Send + Sync {
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>>;
}

/// Says where an address leads.
pub type Survey = Arc<dyn Fn(IpAddr) -> Reach + Send + Sync>;

/// What all sandboxes of this runner have in common.
pub struct Egress {
    resolver: Arc<dyn Resolve>,
    survey: Survey,
    internal: BTreeSet<HostName>,
    limits: EgressLimits,
    /// Which hosts are believed to be who they say; read when it is first needed.
    tls: OnceLock<Arc<ClientConfig>>,
}

#[derive(Debug, Clone, Copy)]
pub struct EgressLimits {
    /// Of one sandbox at a time, to both ports together.
    pub connections: usize,
    /// From the connection to the end of its greeting or its request's head.
    pub head: Duration,
    /// Silence in both directions.
    pub idle: Duration,
}

impl Default for EgressLimits {
    fn default() -> Self {
        Self {
            connections: 256,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(300),
        }
    }
}

const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Addresses of a host that are tried.
const MOST_ADDRESSES: usize = 4;

struct System;

impl Resolve for System {
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

impl Egress {
    /// Looks up and connects as this machine does. Hosts in `internal` may be on its networks.
    pub fn system(internal: BTreeSet<HostName>) -> Self {
        Self::new(Arc::new(System), Arc::new(address::survey), internal)
    }

    pub fn new(resolver: Arc<dyn Resolve>, survey: Survey, internal: BTreeSet<HostName>) -> Self {
        Self {
            resolver,
            survey,
            internal,
            limits: EgressLimits::default(),
            tls: OnceLock::new(),
        }
    }

    pub fn with_limits(self, limits: EgressLimits) -> Self {
        Self { limits, ..self }
    }

    /// Believes other hosts than those that this machine does.
    pub fn with_tls(self, config: ClientConfig) -> Self {
        let tls = OnceLock::from(Arc::new(config));
        Self { tls, ..self }
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, rustls::Error> {
        if let Some(config) = self.tls.get() {
            return Ok(Arc::clone(config));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_platform_verifier()?
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::clone(self.tls.get_or_init(|| Arc::new(config))))
    }

    async fn dial(&self, host: &HostName, port: u16) -> Result<TcpStream, DialError> {
        let resolved = timeout(RESOLVE_TIMEOUT, self.resolver.resolve(host.as_str(), port));
        let addresses = match resolved.await {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(error)) => return Err(DialError::Unknown(error.to_string())),
            Err(_) => return Err(DialError::Unknown("it took too long".to_owned())),
        };
        let mut last = None;
        let may_be_internal = self.internal.contains(host);
        let open = addresses
            .iter()
            .filter(|address| match (self.survey)(address.ip()) {
                Reach::Public => true,
                Reach::Internal => may_be_internal,
                Reach::Forbidden => false,
            })
            .take(MOST_ADDRESSES);
        for address in open {
            match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // Greetings are small, and whoever waits for them is a person.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => last = Some(error.to_string()),
                Err(_) => last = Some("it took too long".to_owned()),
            }
        }
        match (last, addresses.first()) {
            (Some(error), _) => Err(DialError::Unreachable(error)),
            (None, Some(address)) => Err(DialError::Forbidden(address.ip())),
            (None, None) => Err(DialError::Unknown("it has no address".to_owned())),
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum DialError {
    #[error("the name could not be looked up: {0}")]
    Unknown(String),
    #[error(
        "its address {0} is not on the internet; an operator can allow that for a host by EGRESS_INTERNAL_HOSTS"
    )]
    Forbidden(IpAddr),
    #[error("it could not be connected to: {0}")]
    Unreachable(String),
}

/// One sandbox's way out.
pub(super) struct Way {
    egress: Arc<Egress>,
    bounds: Arc<Bounds>,
    names: Arc<Names>,
    ledger: Arc<Ledger>,
    vault: Arc<Vault>,
    room: Arc<Semaphore>,
}

impl Way {
    pub(super) fn new(
        egress: Arc<Egress>,
        bounds: Arc<Bounds>,
        names: Arc<Names>,
        ledger: Arc<Ledger>,
        vault: Arc<Vault>,
    ) -> Self {
        let room = Arc::new(Semaphore::new(egress.limits.connections));
        Self {
            egress,
            bounds,
            names,
            ledger,
            vault,
            room,
        }
    }

    /// Serves connections until it is dropped, and they end with it.
    pub(super) async fn serve_https(self: Arc<Self>, listener: TcpListener) {
        self.serve(listener, ContactKind::Https, |way, client| {
            Box::pin(tunnel::serve(way, client))
        })
        .await;
    }

    pub(super) async fn serve_http(self: Arc<Self>, listener: TcpListener) {
        self.serve(listener, ContactKind::Http, |way, client| {
            Box::pin(web::serve(way, client))
        })
        .await;
    }

    async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        kind: ContactKind,
        handle: fn(Arc<Self>, TcpStream) -> BoxFuture<'static, ()>,
    ) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = connections.join_next() => continue,
            };
            let client = match accepted {
                Ok((client, _)) => client,
                Err(error) => {
                    accept_failed(&error).await;
                    continue;
                }
            };
            let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else {
                let host = self.looked_up(&client);
                self.ledger
                    .denied(kind, &host, "too many connections at a time");
                continue;
            };
            let _ = client.set_nodelay(true);
            let way = Arc::clone(&self);
            connections.spawn(async move {
                handle(way, client).await;
                drop(permit);
            });
        }
    }

    /// The name that was looked up for this connection, or else the address that was not.
    fn looked_up(&self, client: &TcpStream) -> String {
        match client.local_addr().map(|address| address.ip()) {
            Ok(address) => match self.name_at(address) {
                Some(name) => name.as_str().to_owned(),
                None => address.to_string(),
            },
            Err(_) => String::new(),
        }
    }

    fn name_at(&self, address: IpAddr) -> Option<HostName> {
        match address.to_canonical() {
            IpAddr::V4(address) => self.names.name_at(address),
            IpAddr::V6(_) => None,
        }
    }

    /// The host that a connection to `address` may go to when it says that it is for `said`.
    fn admit(&self, kind: ContactKind, address: IpAddr, said: &str) -> Result<HostName, String> {
        let denied = |host: &str, reason: String| {
            self.ledger.denied(kind, host, &reason);
            Err(reason)
        };
        let Ok(host) = HostName::parse(said) else {
            // Not kept as it is: it can be anything.
            return denied(
                "",
                "What was asked for is not the full name of a host.".to_owned(),
            );
        };
        if let Some(looked_up) = self.name_at(address)
            && looked_up != host
        {
            let reason = format!("The connection was made to {looked_up} and is for another host.");
            return denied(host.as_str(), reason);
        }
        if !self.bounds.allow(&host) {
            let reason = refusal(&host);
            return denied(host.as_str(), reason);
        }
        Ok(host)
    }

    /// Returns once the connection to `host` may not go on: the settings have changed.
    async fn excluded(&self, kind: ContactKind, host: impl Fn() -> Option<HostName>) {
        self.bounds
            .until(|policy| host().is_some_and(|host| !policy.allows(&host)))
            .await;
        if let Some(host) = host() {
            self.ledger.denied(kind, host.as_str(), &refusal(&host));
        }
    }

    async fn dial(&self, kind: ContactKind, host: &HostName) -> Result<TcpStream, DialError> {
        let port = match kind {
            ContactKind::Http => 80,
            _ => 443,
        };
        let dialled = self.egress.dial(host, port).await;
        match &dialled {
            Ok(_) => self.ledger.allowed(kind, host.as_str()),
            Err(error @ DialError::Forbidden(_)) => {
                self.ledger.denied(kind, host.as_str(), &error.to_string());
            }
            Err(error) => self.ledger.failed(kind, host.as_str(), &error.to_string()),
        }
        dialled
    }
}

pub(super) fn refusal(host: &HostName) -> String {
    format!(
        "{host} is not in the egress policy of this repository; to allow it, add it to egress.allow in the repository's settings."
    )
}

/// Without a file descriptor to spare, accepting again at once would only burn time.
pub(super) async fn accept_failed(error: &io::Error) {
    tracing::warn!(%error, "a connection of a sandbox could not be taken");
    tokio::time::sleep(Duration::from_millis(100)).await;
}
