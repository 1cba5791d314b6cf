//! The gateway, asked for what it must not do.

use protocol::callback::Credentials;
use protocol::egress::EgressPolicy;
use protocol::event::Repository;
use protocol::{Millis, SessionId};
use sandbox_runner::config::Upstream;
use sandbox_runner::gateway::{Access, Gateway, GatewayPolicy, Serving};

use super::*;

pub(crate) fn group(group: &mut Group<'_>) {
    tests!(
        group;
        the_gateway_is_no_proxy_to_the_host,
        the_gateway_is_no_way_around_the_repository,
        a_gateway_that_gets_nonsense_still_answers,
    );
}

/// The attacker's way out as it is in a session, to a forge and a model that nobody may reach.
struct Open {
    serving: Serving,
    forge: TcpListener,
}

async fn open_gateway(pair: &Pair) -> Open {
    let (forge, port) = host_listener();
    let upstream = Upstream {
        base_url: format!("http://127.0.0.1:{port}"),
        key: Some("the-model-key".to_owned()),
    };
    let credentials = Credentials {
        username: "x-access-token".to_owned(),
        password: "the-token".to_owned(),
        expires_at: Millis(i64::MAX),
    };
    let gateway = Gateway::new(
        &upstream.base_url,
        &upstream,
        &upstream,
        std::sync::Arc::new(move |_| {
            let credentials = credentials.clone();
            Box::pin(async move { Ok(credentials) })
        }),
    );
    let policy = GatewayPolicy {
        repository: Repository::parse("octo/hello").unwrap(),
        access: Access::Session {
            session: SessionId::from_random([1; 16]),
            branch: "agent/work".to_owned(),
        },
        egress: EgressPolicy::default(),
        spent_microdollars: 0,
    };
    // As after a restart of the runner: the listener is made anew.
    let adopted = pair.fixture.backend.adopt(&pair.attacker.id).await.unwrap();
    let sandbox_runner::sandbox::Adoption::Alive(sandbox) = adopted else {
        panic!("the attacker should be alive");
    };
    Open {
        serving: gateway.unwrap().serve(policy, sandbox.ports),
        forge,
    }
}

pub(super) async fn serve(pair: &Pair) -> Serving {
    open_gateway(pair).await.serving
}

/// Sends the head of a request to the gateway's port and returns what comes back.
pub(super) async fn ask_gateway(pair: &Pair, head: &str) -> String {
    let program = "import socket, sys\n\
                   one = socket.create_connection(('127.0.0.1', 3129), 5)\n\
                   one.sendall(sys.argv[1].encode('latin1') + b'Connection: close\\r\\n\\r\\n')\n\
                   text = b''\n\
                   while True:\n\
                   \x20 try: piece = one.recv(4096)\n\
                   \x20 except OSError: break\n\
                   \x20 text += piece\n\
                   \x20 if not piece: break\n\
                   print(text.decode('latin1'))";
    stdout(&pair.attack(program, &[head]).await)
}

async fn the_gateway_is_no_proxy_to_the_host(world: &World) {
    let pair = world.pair().await;
    let open = open_gateway(pair).await;
    let (listener, port) = host_listener();
    for address in addresses() {
        let host = SocketAddr::new(address, port);
        for head in [
            format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n"),
            format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n"),
            format!("GET / HTTP/1.1\r\nHost: {host}\r\nForwarded: host={host}\r\n"),
            format!("GET /git/octo/hello.git@{host}/info/refs HTTP/1.1\r\nHost: x\r\n"),
            format!("GET //{host}/ HTTP/1.1\r\nHost: {host}\r\n"),
            format!("GET /llm/openai/v1/@{host}/ HTTP/1.1\r\nHost: {host}\r\n"),
        ] {
            let answer = ask_gateway(pair, &head).await;
            assert!(!answer.starts_with("HTTP/1.1 2"), "{head}: {answer}");
        }
    }
    assert!(listener.accept().is_err());
    drop(open);
}

async fn the_gateway_is_no_way_around_the_repository(world: &World) {
    let pair = world.pair().await;
    let open = open_gateway(pair).await;
    for path in [
        "/git/octo/other.git/info/refs?service=git-upload-pack",
        "/git/octo/hello.git/../other.git/info/refs?service=git-upload-pack",
        "/git/octo/hello.git/%2e%2e/other.git/info/refs?service=git-upload-pack",
        "/git/octo/hello.git/..%2fother.git/info/refs?service=git-upload-pack",
        "/git/octo%2fhello.git/info/refs?service=git-upload-pack",
        "/git/octo/hello.git%00/info/refs?service=git-upload-pack",
        "/git/OCTO/hello.git/info/refs?service=git-upload-pack",
        "/git//octo/hello.git/info/refs?service=git-upload-pack",
        "/git/octo/hello.git/info/refs?service=git-receive-pack&service=git-upload-archive",
        "/git/octo/hello.git/objects/info/packs",
        "/git/octo/hello.git/config",
        "/git/../api/v3/user",
        "/llm/openai/v1/../../git/octo/other.git/info/refs",
        "/llm/openai/v1/files",
        "/llm/openai/v1/%2e%2e/admin",
        "/llm/openai/v1/models/../../../admin",
        "/llm/other/v1/chat/completions",
    ] {
        let head = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n");
        let answer = ask_gateway(pair, &head).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{path}: {answer}");
        assert!(
            !answer.contains("the-token") && !answer.contains("the-model-key"),
            "{answer}"
        );
    }
    assert!(open.forge.accept().is_err(), "a request went on");
}

async fn a_gateway_that_gets_nonsense_still_answers(world: &World) {
    let pair = world.pair().await;
    let _open = open_gateway(pair).await;
    // Never a request, half a request, a head without end, and many that say nothing at all.
    let program = "import socket\n\
                   silent = [socket.create_connection(('127.0.0.1', 3129), 5) for _ in range(100)]\n\
                   for bytes in (b'\\0' * 5000, b'GET', b'GET / HTTP/1.1\\r\\nX: ' + b'x' * 1000000,\n\
                   \x20             b'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n', b'\\x16\\x03\\x01\\x02\\0\\x01',\n\
                   \x20             b'POST / HTTP/1.1\\r\\nTransfer-Encoding: chunked\\r\\nContent-Length: 5\\r\\n\\r\\nffffffffffffffffff\\r\\n'):\n\
                   \x20 one = socket.create_connection(('127.0.0.1', 3129), 5)\n\
                   \x20 try: one.sendall(bytes)\n\
                   \x20 except OSError: pass\n\
                   \x20 silent.append(one)\n\
                   one = socket.create_connection(('127.0.0.1', 3129), 5)\n\
                   one.sendall(b'GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n')\n\
                   print(one.recv(12).decode())";
    assert_eq!(stdout(&pair.attack(program, &[]).await), "HTTP/1.1 404");
    pair.assert_sound().await;
}
