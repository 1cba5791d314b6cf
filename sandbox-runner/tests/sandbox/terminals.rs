//! A shell for people, over the runner's own sockets: who sees, who types, how it ends.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::{SinkExt as _, StreamExt as _};
use protocol::api::{MAX_TERMINAL_INPUT, TerminalNotice, TerminalRequest};
use protocol::command::{Command, Model, Provider, Start};
use protocol::event::{Person, Repository};
use protocol::signature::{Keys, Signed};
use protocol::{Epoch, Millis, PartId, SandboxId, SessionId, UserId};
use sandbox_runner::image::WORKSPACE;
use sandbox_runner::sandbox::SandboxBackend as _;
use sandbox_runner::server::{Lookout, terminal_router};
use sandbox_runner::store::Store;
use sandbox_runner::terminal::Terminals;
use sandbox_runner::worker::Worker;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::fixture::{Fixture, LIMIT};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A runner with one sandbox, as far as terminals go.
struct Scene {
    fixture: Fixture,
    id: SandboxId,
    url: String,
    store: Arc<Store>,
}

/// One viewer.
struct Seen {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    output: Vec<u8>,
    state: Option<TerminalNotice>,
}

impl Scene {
    async fn new() -> Self {
        let fixture = Fixture::new();
        let id = fixture.create(&[]).await.id;
        fixture.text(&id, &format!("mkdir -p {WORKSPACE}")).await;
        let store = Arc::new(Store::open(&fixture.path().join("runner.sqlite")).unwrap());
        let start = Command::Start(start(&id));
        store.accept("msg_1", now(), &start, 5).unwrap();
        let keys = Keys::parse(KEY).unwrap();
        let worker = Worker::new("http://127.0.0.1:9", keys.clone()).unwrap();
        let terminals = Terminals::new(Arc::clone(&store), fixture.backend.clone(), worker);
        let lookout = Lookout {
            keys,
            store: Arc::clone(&store),
            terminals: Arc::new(terminals),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let routes = terminal_router(lookout);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self {
            fixture,
            id,
            url,
            store,
        }
    }

    async fn view(&self, person: i64) -> Seen {
        let mut seen = self.connect(person, KEY, &fresh()).await.unwrap();
        seen.until(|seen| seen.state.is_some()).await;
        seen
    }

    /// Returns when a program of that name runs in the foreground of its terminal, as the terminal
    /// sees it: only then do keys reach it.
    async fn runs(&self, name: &str) {
        let search = format!("until ps -o stat= -C {name} | grep -q +; do :; done");
        self.fixture.text(&self.id, &search).await;
    }

    async fn connect(
        &self,
        person: i64,
        key: &str,
        message: &str,
    ) -> Result<Seen, tungstenite::Error> {
        let viewer = BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&named(person)).unwrap());
        let path = format!("/terminal/{}?viewer={viewer}", self.id);
        let signed = Signed {
            method: "GET",
            path: &path,
            body: b"",
        };
        let signature = Keys::parse(key).unwrap();
        let signature = signature.sign_request(message, now(), signed);
        let mut request = format!("{}{path}", self.url).into_client_request()?;
        for (name, value) in signature.headers() {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let protocol = "v1.terminal".parse().unwrap();
        request
            .headers_mut()
            .insert("sec-websocket-protocol", protocol);
        let (socket, answer) = connect_async(request).await?;
        assert_eq!(answer.headers()["sec-websocket-protocol"], "v1.terminal");
        Ok(Seen {
            socket,
            output: Vec::new(),
            state: None,
        })
    }
}

impl Seen {
    async fn send(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    async fn ask(&mut self, request: &TerminalRequest) {
        let text = serde_json::to_string(request).unwrap();
        self.send(Message::text(text)).await;
    }

    async fn type_in(&mut self, text: &str) {
        self.send(Message::binary(text.as_bytes().to_vec())).await;
    }

    /// Takes what comes in until that is so.
    async fn until(&mut self, is_so: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !is_so(self) {
                let message = self.socket.next().await.unwrap();
                self.take(message.unwrap());
            }
        };
        let waited = timeout(LIMIT, waiting).await;
        if waited.is_err() {
            panic!("{} {:?}", self.text(), self.state);
        }
    }

    async fn sees(&mut self, text: &str) {
        self.until(|seen| seen.text().contains(text)).await;
    }

    fn take(&mut self, message: Message) -> Option<TerminalNotice> {
        match message {
            Message::Binary(bytes) => {
                self.output.extend_from_slice(&bytes);
                None
            }
            Message::Text(text) => {
                let notice: TerminalNotice = serde_json::from_str(&text).unwrap();
                if let TerminalNotice::State { .. } = notice {
                    self.state = Some(notice.clone());
                }
                Some(notice)
            }
            _ => None,
        }
    }

    /// The next notice that is no state.
    async fn notice(&mut self) -> TerminalNotice {
        loop {
            let message = timeout(LIMIT, self.socket.next()).await.unwrap().unwrap();
            match self.take(message.unwrap()) {
                Some(TerminalNotice::State { .. }) | None => {}
                Some(other) => return other,
            }
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }

    fn is_mine(&self) -> bool {
        matches!(self.state, Some(TerminalNotice::State { yours: true, .. }))
    }

    fn viewers(&self) -> usize {
        match &self.state {
            Some(TerminalNotice::State { viewers, .. }) => viewers.len(),
            _ => 0,
        }
    }
}

fn named(id: i64) -> Person {
    Person {
        id: UserId(id),
        login: format!("user-{id}"),
        name: "Änne \"A\"".to_owned(),
        avatar: String::new(),
    }
}

fn fresh() -> String {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    format!("msg_{:x}", u64::from_be_bytes(bytes))
}

fn now() -> Millis {
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    Millis(i64::try_from(since.as_millis()).unwrap())
}

fn start(id: &SandboxId) -> Start {
    Start {
        session: SessionId::from_random([1; 16]),
        sandbox: id.clone(),
        epoch: Epoch(1),
        repository: Repository::parse("octo/hello").unwrap(),
        branch: "main".into(),
        work_branch: "agent/1".into(),
        model: Model {
            provider: Provider::Openai,
            name: "scripted-1".into(),
        },
        first_part: PartId(1),
        callback_url: "http://127.0.0.1:1/".into(),
        environment: None,
        warm: None,
        snapshot: None,
        egress: None,
        specification: None,
        spent_microdollars: 0,
    }
}

#[tokio::test]
async fn a_shell_is_in_the_workspace_on_a_terminal_of_its_own() {
    let scene = Scene::new().await;
    let mut ada = scene.view(1).await;
    assert!(ada.is_mine());
    let probe = "test -t 0 && echo \"ter\"minal $TERM $PWD $GIVEN; tty; type -t cargo sh | tail -1; \
        stty size; echo en\"d\"\n";
    ada.type_in(probe).await;
    ada.sees("end").await;
    let expected = format!("terminal xterm-256color {WORKSPACE} to the sandbox");
    assert!(ada.text().contains(&expected), "{}", ada.text());
    assert!(ada.text().contains("/dev/pts/0"), "{}", ada.text());
    assert!(ada.text().contains("24 80"), "{}", ada.text());
    // Keys reach what runs in the foreground.
    let trap = "sh -c 'trap \"printf %s%s cau ght; exit\" INT; printf %s%s rea dy; while :; do sleep 1; done'\n";
    ada.type_in(trap).await;
    ada.sees("ready").await;
    ada.type_in("\u{3}").await;
    ada.sees("caught").await;
}

#[tokio::test]
async fn the_window_of_whoever_types_is_the_shells() {
    let scene = Scene::new().await;
    let mut ada = scene.view(1).await;
    let mut bob = scene.view(2).await;
    bob.ask(&TerminalRequest::Resize {
        columns: 11,
        rows: 7,
    })
    .await;
    ada.ask(&TerminalRequest::Resize {
        columns: 132,
        rows: 43,
    })
    .await;
    bob.until(|bob| {
        matches!(
            bob.state,
            Some(TerminalNotice::State {
                columns: 132,
                rows: 43,
                ..
            })
        )
    })
    .await;
    ada.type_in("stty size\n").await;
    ada.sees("43 132").await;
}

#[tokio::test]
async fn two_see_the_same_and_one_types() {
    let scene = Scene::new().await;
    let mut ada = scene.view(1).await;
    let mut bob = scene.view(2).await;
    ada.until(|ada| ada.viewers() == 2).await;
    assert!(!bob.is_mine());
    bob.type_in("echo from \"bob\"\n").await;
    ada.type_in("echo from \"ada\"\n").await;
    ada.sees("from ada").await;
    bob.sees("from ada").await;
    assert!(!bob.text().contains("bob"), "{}", bob.text());

    bob.ask(&TerminalRequest::TakeControl {}).await;
    bob.until(Seen::is_mine).await;
    ada.until(|ada| !ada.is_mine()).await;
    bob.type_in("echo now \"bob\"\n").await;
    ada.sees("now bob").await;

    // Whoever leaves frees it, and nobody has it until somebody takes it.
    drop(bob);
    ada.until(|ada| {
        matches!(&ada.state, Some(TerminalNotice::State { controller: None, viewers, .. }) if viewers.len() == 1)
    })
    .await;
    ada.ask(&TerminalRequest::TakeControl {}).await;
    ada.until(Seen::is_mine).await;
}

#[tokio::test]
async fn whoever_comes_later_sees_what_was_printed_last() {
    let scene = Scene::new().await;
    let mut ada = scene.view(1).await;
    ada.type_in("seq 1 100000; echo the \"end\"\n").await;
    ada.sees("the end").await;
    let mut bob = scene.view(2).await;
    bob.sees("the end").await;
    assert!(bob.text().contains("\n99999\r\n") && !bob.text().contains("\n42\r\n"));
    assert!(bob.output.len() <= 300 << 10, "{}", bob.output.len());
}

#[tokio::test]
async fn a_shell_that_ends_says_so_and_the_next_viewer_starts_another() {
    let scene = Scene::new().await;
    let mut ada = scene.view(1).await;
    ada.type_in("exit 3\n").await;
    assert_eq!(ada.notice().await, TerminalNotice::Ended { code: Some(3) });
    let mut bob = scene.view(2).await;
    assert!(bob.is_mine());
    bob.type_in("echo an\"other\"\n").await;
    bob.sees("another").await;
}

#[tokio::test]
async fn a_terminal_ends_with_its_sandbox_and_there_is_none_without_one() {
    let scene = Scene::new().await;
    let mut ada = scene.view(1).await;
    scene.fixture.backend.destroy(&scene.id).await.unwrap();
    assert_eq!(ada.notice().await, TerminalNotice::Ended { code: None });
    let refused = scene.connect(2, KEY, &fresh()).await;
    assert!(matches!(refused, Err(tungstenite::Error::Http(_))));
}

#[tokio::test]
async fn bytes_of_any_kind_pass_both_ways_and_hurt_nobody() {
    let scene = Scene::new().await;
    let mut ada = scene.view(1).await;
    ada.type_in("stty raw -echo; head -c 512 | od -An -v -tu1 | tr -d ' \\n'; stty sane; echo; echo \"do\"ne\n")
        .await;
    // It reads when it has set the terminal up.
    scene.runs("od").await;
    let all: Vec<u8> = (0..=255).chain(0..=255).collect();
    ada.send(Message::binary(all.clone())).await;
    ada.sees("done").await;
    let told: String = all.iter().map(u8::to_string).collect();
    assert!(ada.text().contains(&told), "{}", ada.text());

    ada.type_in("printf '\\377\\376\\033]0;x\\007\\033[?1049h\\0'; echo p\"a\"st\n")
        .await;
    ada.until(|ada| ada.output.windows(2).any(|pair| pair == [0xff, 0xfe]))
        .await;
    ada.sees("past").await;

    ada.send(Message::text("{\"type\":\"nonsense\"}")).await;
    assert!(matches!(ada.notice().await, TerminalNotice::Error { .. }));
    ada.ask(&TerminalRequest::Ping {}).await;
    assert_eq!(ada.notice().await, TerminalNotice::Pong);

    let mut bob = scene.view(2).await;
    bob.send(Message::binary(vec![b'x'; MAX_TERMINAL_INPUT + 1]))
        .await;
    let end = timeout(LIMIT, async {
        loop {
            match bob.socket.next().await {
                Some(Ok(Message::Close(frame))) => break frame.map(|frame| u16::from(frame.code)),
                Some(Ok(_)) => {}
                _ => break None,
            }
        }
    });
    assert_eq!(end.await.unwrap(), Some(1009));
    ada.type_in("echo still \"he\"re\n").await;
    ada.sees("still here").await;
}

#[tokio::test]
async fn a_viewer_who_never_reads_holds_up_nobody() {
    let scene = Scene::new().await;
    let mut ada = scene.view(1).await;
    let silent = scene.view(2).await;
    ada.type_in("head -c 10000000 /dev/zero | tr '\\0' x; echo; echo all \"prin\"ted\n")
        .await;
    let waiting = async {
        loop {
            let message = ada.socket.next().await.unwrap().unwrap();
            ada.take(message);
            let last = ada.output.len().saturating_sub(4096);
            if String::from_utf8_lossy(&ada.output[last..]).contains("all printed") {
                break;
            }
        }
    };
    timeout(LIMIT, waiting).await.unwrap();
    drop(silent);
}

#[tokio::test]
async fn only_what_the_worker_signs_and_only_once_opens_a_terminal() {
    let scene = Scene::new().await;
    let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    assert!(scene.connect(1, other, &fresh()).await.is_err());
    let message = fresh();
    scene.connect(1, KEY, &message).await.unwrap();
    assert!(scene.connect(1, KEY, &message).await.is_err());
    assert!(!scene.store.first_sight(&message, now()).unwrap());
    // Nothing of it is left behind in the sandbox by those who were refused.
    let shells = "ls /dev/pts | grep -vc ptmx";
    assert_eq!(scene.fixture.text(&scene.id, shells).await, "1");
}
