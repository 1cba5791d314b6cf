//! A gateway with hosts outside that are peers on loopback: one that speaks TLS, and one that
//! speaks HTTP and keeps what it was sent.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use protocol::SessionId;
use protocol::callback::{Secret, Secrets};
use protocol::egress::{EgressPolicy, HostName, HostPattern};
use protocol::event::Repository;
use sandbox_runner::config::Upstream;
use sandbox_runner::gateway::egress::{Egress, EgressLimits, Reach, Resolve, reach};
use sandbox_runner::gateway::ledger::{Contact, Verdict};
use sandbox_runner::gateway::{Access, Gateway, GatewayPolicy, SecretSource, Serving};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use crate::ports::ports;

/// Allowed, as is everything below `example.net`.
pub(crate) const HOST: &str = "api.example.com";
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct Scene {
    pub(crate) serving: Serving,
    gateway: Gateway,
    pub(crate) https: SocketAddr,
    pub(crate) http: SocketAddr,
    names: SocketAddr,
    hosts: Arc<Hosts>,
    tls: TlsConnector,
    heard: Arc<Mutex<Vec<String>>>,
    heard_encrypted: Arc<Mutex<Vec<String>>>,
}

/// What a scene is made with.
pub(crate) struct Props {
    /// Connections are made to the address that this name has, or to 127.0.0.1.
    pub(crate) looked_up: Option<&'static str>,
    pub(crate) limits: EgressLimits,
    pub(crate) peers: Reach,
    pub(crate) internal: &'static [&'static str],
    /// What the session's repository keeps secret; `None` if that cannot be asked.
    pub(crate) secrets: Option<Vec<Secret>>,
}

impl Default for Props {
    fn default() -> Self {
        Self {
            looked_up: Some(HOST),
            limits: EgressLimits {
                head: DEADLINE,
                idle: DEADLINE,
                ..EgressLimits::default()
            },
            peers: Reach::Public,
            internal: &[],
            secrets: Some(Vec::new()),
        }
    }
}

/// Answers of the outside's name servers, one after another; the last one stays.
#[derive(Default)]
struct Hosts {
    answers: Mutex<HashMap<String, Vec<Vec<SocketAddr>>>>,
    asked: Mutex<Vec<String>>,
}

impl Resolve for Hosts {
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        let mut answers = self.answers.lock().unwrap();
        self.asked.lock().unwrap().push(format!("{host}:{port}"));
        let answer = match answers.get_mut(&format!("{host}:{port}")) {
            Some(answers) if answers.len() > 1 => Ok(answers.remove(0)),
            Some(answers) => Ok(answers[0].clone()),
            None => Err(io::Error::other("no such host")),
        };
        Box::pin(async move { answer })
    }
}

impl Scene {
    pub(crate) async fn start() -> Self {
        Self::with(Props::default()).await
    }

    pub(crate) async fn with(props: Props) -> Self {
        let hosts = Arc::new(Hosts::default());
        let peers = props.peers;
        // The peers of the tests are on loopback; every other address is what it is.
        let survey = move |address: IpAddr| match address {
            IpAddr::V4(Ipv4Addr::LOCALHOST) => peers,
            other => reach(other),
        };
        let internal: BTreeSet<HostName> = props
            .internal
            .iter()
            .map(|name| HostName::parse(name).unwrap())
            .collect();
        let heard_encrypted = Arc::new(Mutex::new(Vec::new()));
        let (peer, tls, trust) = tls_peer(Arc::clone(&heard_encrypted)).await;
        let secrets = props.secrets.clone();
        let source: SecretSource = Arc::new(move |_| {
            let secrets = secrets.clone();
            Box::pin(async move {
                let secrets = secrets.ok_or("the Worker is away")?;
                Ok(Secrets { secrets })
            })
        });
        let gateway = || {
            let resolver = Arc::clone(&hosts) as Arc<dyn Resolve>;
            let egress = Egress::new(resolver, Arc::new(survey), internal.clone());
            let egress = egress.with_limits(props.limits).with_tls(trust.clone());
            gateway()
                .with_egress(egress)
                .with_secrets(Arc::clone(&source))
        };
        let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
        // A name always has the same address, so another gateway can be asked for it first.
        let address = match props.looked_up {
            None => localhost,
            Some(name) => {
                let first = ports(localhost).await;
                let names = first.names.local_addr().unwrap();
                let _serving = gateway().serve(policy(), first);
                let address = look_up(names, name, RecordType::A).await.unwrap();
                address.unwrap().into()
            }
        };
        let ports = ports(address).await;
        let (https, http) = (&ports.https, &ports.http);
        let (https, http) = (https.local_addr().unwrap(), http.local_addr().unwrap());
        let names = ports.names.local_addr().unwrap();
        let gateway = gateway();
        let serving = gateway.serve(policy(), ports);
        if let Some(name) = props.looked_up {
            let answer = look_up(names, name, RecordType::A).await.unwrap();
            assert_eq!(answer.map(IpAddr::V4), Some(address));
        }
        let (web, heard) = web_peer().await;
        let scene = Self {
            serving,
            gateway,
            https,
            http,
            names,
            hosts,
            tls,
            heard,
            heard_encrypted,
        };
        for name in [HOST, "a.example.net", "b.example.net"] {
            scene.outside(name, 443, vec![vec![peer]]);
            scene.outside(name, 80, vec![vec![web]]);
        }
        scene
    }

    /// What the outside's name servers say of a host, one answer after another.
    pub(crate) fn outside(&self, host: &str, port: u16, answers: Vec<Vec<SocketAddr>>) {
        let mut all = self.hosts.answers.lock().unwrap();
        all.insert(format!("{host}:{port}"), answers);
    }

    pub(crate) fn peer(&self, port: u16) -> SocketAddr {
        let answers = self.hosts.answers.lock().unwrap();
        answers[&format!("b.example.net:{port}")][0][0]
    }

    /// The repository's settings are changed to allow these alone.
    pub(crate) fn allow(&self, hosts: &[&str]) {
        let allow = hosts.iter().map(|host| HostPattern::parse(host).unwrap());
        let egress = EgressPolicy {
            allow: allow.collect(),
            defaults: false,
        };
        self.gateway.bound([(policy().repository, egress)].into());
    }

    /// What was looked up outside.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.hosts.asked.lock().unwrap().clone()
    }

    /// The requests that reached the HTTP peer.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// The requests that reached the TLS peer.
    pub(crate) fn heard_encrypted(&self) -> Vec<String> {
        self.heard_encrypted.lock().unwrap().clone()
    }

    pub(crate) async fn look_up(&self, name: &str) -> Result<Option<Ipv4Addr>, ResponseCode> {
        look_up(self.names, name, RecordType::A).await
    }

    /// A TLS connection as a program inside would make it. An address as the name sends none.
    pub(crate) async fn greet(&self, name: &str) -> io::Result<client::TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.https).await?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        timeout(DEADLINE, self.tls.connect(name, stream))
            .await
            .unwrap()
    }

    /// Sends bytes to the port for HTTP and reads until the end.
    pub(crate) async fn send(&self, bytes: &str) -> String {
        let mut stream = TcpStream::connect(self.http).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        read_all(&mut stream).await
    }

    pub(crate) fn contact(&self, verdict: Verdict) -> Contact {
        let contacts = self.serving.ledger().list();
        let mut with = contacts.iter().filter(|contact| contact.verdict == verdict);
        let contact = with.next().unwrap_or_else(|| panic!("{contacts:?}"));
        assert!(with.next().is_none(), "{contacts:?}");
        contact.clone()
    }

    /// The ledger once `is_wanted` holds for one of its contacts.
    pub(crate) async fn until(&self, is_wanted: impl Fn(&Contact) -> bool) {
        let ledger = self.serving.ledger();
        let found = async {
            loop {
                ledger.take_changes();
                if ledger.list().iter().any(&is_wanted) {
                    return;
                }
                ledger.changed().await;
            }
        };
        timeout(DEADLINE, found).await.unwrap();
    }
}

/// A connection that was refused ends, whether or not it is said how.
pub(crate) async fn read_all(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let _ = timeout(DEADLINE, stream.read_to_end(&mut read))
        .await
        .unwrap();
    String::from_utf8_lossy(&read).into_owned()
}

/// Writes a line and reads the one that comes back.
pub(crate) async fn echo(stream: &mut client::TlsStream<TcpStream>, line: &str) -> String {
    stream.write_all(line.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(DEADLINE, BufReader::new(stream).read_line(&mut answer))
        .await
        .unwrap()
        .unwrap();
    answer
}

fn gateway() -> Gateway {
    let nobody = Upstream {
        base_url: "http://127.0.0.1:9".to_owned(),
        key: None,
    };
    let source =
        Arc::new(|_| Box::pin(async { Err("nobody asks".into()) }) as BoxFuture<'static, _>);
    Gateway::new(&nobody.base_url, &nobody, &nobody, source).unwrap()
}

fn policy() -> GatewayPolicy {
    GatewayPolicy {
        repository: Repository::new("acme", "widget").unwrap(),
        access: Access::Session {
            session: SessionId::from_random([3; 16]),
            branch: "work".to_owned(),
        },
        egress: EgressPolicy {
            allow: [HOST, "*.example.net"]
                .map(|pattern| HostPattern::parse(pattern).unwrap())
                .into(),
            defaults: false,
        },
        spent_microdollars: 0,
    }
}

async fn look_up(
    server: SocketAddr,
    name: &str,
    kind: RecordType,
) -> Result<Option<Ipv4Addr>, ResponseCode> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut query = Message::query();
    query.add_query(Query::query(Name::from_str(name).unwrap(), kind));
    let bytes = query.to_vec().unwrap();
    socket.send_to(&bytes, server).await.unwrap();
    let mut answer = [0; 1500];
    let length = timeout(DEADLINE, socket.recv(&mut answer))
        .await
        .unwrap()
        .unwrap();
    let answer = Message::from_vec(&answer[..length]).unwrap();
    match answer.metadata.response_code {
        ResponseCode::NoError => Ok(answer.answers.first().and_then(|record| match record.data {
            RData::A(address) => Some(address.0),
            _ => None,
        })),
        code => Err(code),
    }
}

/// Sends back what it is sent; a request is answered as one, and kept.
async fn answer_encrypted(
    mut stream: server::TlsStream<TcpStream>,
    hears: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let mut read = Vec::new();
    while stream.read_buf(&mut read).await? > 0 {
        if !read.starts_with(b"GET ") {
            stream.write_all(&std::mem::take(&mut read)).await?;
            stream.flush().await?;
        } else if is_whole(&read) {
            hears.lock().unwrap().push(String::from_utf8(read).unwrap());
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nprivate";
            stream.write_all(answer.as_bytes()).await?;
            return stream.shutdown().await;
        }
    }
    Ok(())
}

/// Has the certificate of every host. Answers the address, who connects to it and what they trust.
async fn tls_peer(hears: Arc<Mutex<Vec<String>>>) -> (SocketAddr, TlsConnector, ClientConfig) {
    let names = [HOST, "*.example.net", "evil.example.org"].map(str::to_owned);
    let own = rcgen::generate_simple_self_signed(names).unwrap();
    let certificate = own.cert.der().clone();
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, hears) = (acceptor.clone(), Arc::clone(&hears));
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    let _ = answer_encrypted(stream, &hears).await;
                }
            });
        }
    });
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (
        address,
        TlsConnector::from(Arc::new(config.clone())),
        config,
    )
}

/// Answers every request the same, and closes.
async fn web_peer() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hears = Arc::clone(&heard);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let hears = Arc::clone(&hears);
            tokio::spawn(async move {
                let mut read = Vec::new();
                while !is_whole(&read) && stream.read_buf(&mut read).await.unwrap() > 0 {}
                hears.lock().unwrap().push(String::from_utf8(read).unwrap());
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close, x-hop\r\nX-Hop: 1\r\nX-End: 1\r\n\r\nhello";
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
        }
    });
    (address, heard)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    if head.contains("transfer-encoding: chunked") {
        return body.ends_with("0\r\n\r\n");
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    length.is_none_or(|length| body.len() >= length.parse().unwrap())
}
