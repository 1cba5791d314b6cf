//! Reports against a session that is slow, wrong, absent or forgetful: each arrives once, in order.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::collections::{HashSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use proptest::prelude::*;
use protocol::callback::{Acknowledgement, Batch, Report};
use protocol::command::{Command, Model, Provider, Start};
use protocol::event::Repository;
use protocol::signature::{Keys, Signature, Signed};
use protocol::{Epoch, Millis, PartId, SandboxId, SessionId};
use sandbox_runner::callback::outbox::{Change, Outbox};
use sandbox_runner::callback::sender::{Finished, Sender};
use sandbox_runner::store::Store;
use sandbox_runner::worker::Worker;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const DEADLINE: Duration = Duration::from_secs(60);

/// What the session does with one request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    Fine,
    /// Takes the batch, and the answer is lost: it comes again.
    TakenUnanswered,
    DroppedUnread,
    Internal,
    /// Refuses what is right, saying how far it is.
    Conflict,
    /// Takes only the first of the batch.
    Partial,
    NonsenseAnswer,
    /// The answer of a proxy, which knows nothing of sessions.
    ForeignNotFound,
    Slow,
}

#[derive(Default)]
struct Session {
    moods: VecDeque<Mood>,
    received: Vec<String>,
    webhook_ids: HashSet<String>,
    attempts: usize,
    gone: bool,
    faults: Vec<String>,
}

type Shared = Arc<(Mutex<Session>, watch::Sender<usize>)>;

async fn callback(
    State(shared): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (mood, response) = take(&shared.0, &uri, &headers, &body);
    if mood == Mood::Slow {
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    let (received, attempts) = {
        let session = shared.0.lock().unwrap();
        (session.received.len(), session.attempts)
    };
    shared.1.send_replace(received.max(attempts));
    match mood {
        // A response that breaks off is what a lost connection looks like.
        Mood::TakenUnanswered | Mood::DroppedUnread => {
            let broken = futures_util::stream::once(async {
                Err::<Bytes, _>(std::io::Error::other("connection lost"))
            });
            Response::new(axum::body::Body::from_stream(broken))
        }
        _ => response,
    }
}

fn take(
    session: &Mutex<Session>,
    uri: &Uri,
    headers: &HeaderMap,
    body: &Bytes,
) -> (Mood, Response) {
    let mut session = session.lock().unwrap();
    session.attempts += 1;
    let signature = Signature::from_headers(|name| headers.get(name)?.to_str().ok()).unwrap();
    let signed = Signed {
        method: "POST",
        path: &uri.to_string(),
        body,
    };
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    if let Err(error) =
        Keys::parse(KEY)
            .unwrap()
            .verify_request(&signature, Millis(now.as_millis() as i64), signed)
    {
        session.faults.push(error.to_string());
    }
    if !session.webhook_ids.insert(signature.id) {
        session.faults.push("a webhook id came twice".into());
    }
    let batch: Batch = serde_json::from_slice(body).unwrap();
    if batch.reports.is_empty() {
        session.faults.push("an empty batch".into());
    }
    if session.gone {
        return (Mood::Fine, StatusCode::GONE.into_response());
    }
    let mood = session.moods.pop_front().unwrap_or(Mood::Fine);
    let held = session.received.len() as u64;
    let acknowledge = |status: StatusCode, received: usize| {
        (
            status,
            axum::Json(Acknowledgement {
                received: received as u64,
            }),
        )
            .into_response()
    };
    let response = match mood {
        Mood::DroppedUnread | Mood::Internal => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Mood::ForeignNotFound => (StatusCode::NOT_FOUND, "<html>").into_response(),
        Mood::Conflict => acknowledge(StatusCode::CONFLICT, session.received.len()),
        Mood::Fine | Mood::TakenUnanswered | Mood::Partial | Mood::NonsenseAnswer | Mood::Slow => {
            if batch.first > held + 1 {
                return (
                    mood,
                    acknowledge(StatusCode::CONFLICT, session.received.len()),
                );
            }
            let known = (held + 1 - batch.first) as usize;
            let most = if mood == Mood::Partial { 1 } else { usize::MAX };
            for report in batch.reports.iter().skip(known).take(most) {
                let Report::Notice { message } = report else {
                    panic!("{report:?}")
                };
                session.received.push(message.clone());
            }
            if mood == Mood::NonsenseAnswer {
                "<html>".into_response()
            } else {
                acknowledge(StatusCode::OK, session.received.len())
            }
        }
    };
    (mood, response)
}

struct Peer {
    shared: Shared,
    url: String,
    server: JoinHandle<()>,
}

impl Peer {
    async fn start(moods: &[Mood]) -> Self {
        let session = Session {
            moods: moods.iter().copied().collect(),
            ..Session::default()
        };
        let shared: Shared = Arc::new((Mutex::new(session), watch::Sender::new(0)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "http://{}/runner/callbacks/x?y=1",
            listener.local_addr().unwrap()
        );
        let router = Router::new().route("/runner/callbacks/x", post(callback));
        let router = router.with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            shared,
            url,
            server,
        }
    }

    async fn until(&self, reached: impl Fn(&Session) -> bool) {
        let mut changes = self.shared.1.subscribe();
        let waited = async {
            while !reached(&self.shared.0.lock().unwrap()) {
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(DEADLINE, waited)
            .await
            .expect("the session waits in vain");
    }

    fn received(&self) -> Vec<String> {
        self.shared.0.lock().unwrap().received.clone()
    }

    fn assert_faultless(&self) {
        assert_eq!(self.shared.0.lock().unwrap().faults, Vec::<String>::new());
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn start(url: &str) -> Start {
    Start {
        session: SessionId::from_random([1; 16]),
        sandbox: SandboxId::from_random([2; 16]),
        epoch: Epoch(3),
        repository: Repository::parse("octo/hello").unwrap(),
        branch: "main".into(),
        work_branch: "agent/1".into(),
        model: Model {
            provider: Provider::Openai,
            name: "scripted-1".into(),
        },
        first_part: PartId(1),
        callback_url: url.into(),
        environment: None,
        warm: None,
        snapshot: None,
        egress: None,
        specification: None,
        spent_microdollars: 0,
    }
}

struct Sending {
    outbox: Outbox,
    close: watch::Sender<bool>,
    task: JoinHandle<Finished>,
}

impl Sending {
    /// As a runner does when it starts: the file may be from an earlier one.
    fn open(directory: &Path, url: &str) -> Self {
        let store = Arc::new(Store::open(&directory.join("runner.sqlite")).unwrap());
        let start = start(url);
        store
            .accept("msg_start", Millis(1), &Command::Start(start.clone()), 8)
            .unwrap();
        let outbox = Outbox::new(store, start.sandbox.clone());
        let worker = Worker::new(url, Keys::parse(KEY).unwrap()).unwrap();
        let (close, closing) = watch::channel(false);
        let task = tokio::spawn(Sender::new(outbox.clone(), worker, &start, closing).run());
        Self {
            outbox,
            close,
            task,
        }
    }

    fn append(&self, numbers: std::ops::Range<usize>) {
        let reports: Vec<_> = numbers
            .map(|number| Report::Notice {
                message: number.to_string(),
            })
            .collect();
        self.outbox
            .append(&Change {
                reports: &reports,
                state: "{}",
                done: &[],
            })
            .unwrap();
    }

    async fn drain(self) -> Finished {
        self.close.send_replace(true);
        tokio::time::timeout(DEADLINE, self.task)
            .await
            .expect("not drained")
            .unwrap()
    }
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

fn moods() -> impl Strategy<Value = Vec<Mood>> {
    let mood = prop_oneof![
        Just(Mood::Fine),
        Just(Mood::TakenUnanswered),
        Just(Mood::DroppedUnread),
        Just(Mood::Internal),
        Just(Mood::Conflict),
        Just(Mood::Partial),
        Just(Mood::NonsenseAnswer),
        Just(Mood::ForeignNotFound),
        Just(Mood::Slow),
    ];
    // Failures that follow one another are waited out longer and longer; a few are enough.
    prop::collection::vec(mood, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn every_report_arrives_once_and_in_order(moods in moods(), appends in prop::collection::vec(0..120_usize, 1..6)) {
        runtime().block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let peer = Peer::start(&moods).await;
            let sending = Sending::open(directory.path(), &peer.url);
            let mut total = 0;
            for count in appends {
                sending.append(total..total + count);
                total += count;
                tokio::task::yield_now().await;
            }
            assert_eq!(sending.drain().await, Finished::Drained);
            assert_eq!(peer.received(), numbers(0..total));
            peer.assert_faultless();
        });
    }

    #[test]
    fn a_runner_that_is_killed_loses_and_repeats_nothing(moods in moods(), attempts in 1..3_usize) {
        runtime().block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let peer = Peer::start(&moods).await;
            let first = Sending::open(directory.path(), &peer.url);
            first.append(0..50);
            first.append(50..300);
            // Mid-flight: the session has the request, and the runner has not read the answer.
            peer.until(|session| session.attempts >= attempts || session.received.len() == 300).await;
            first.task.abort();
            drop(first);
            let second = Sending::open(directory.path(), &peer.url);
            second.append(300..310);
            assert_eq!(second.drain().await, Finished::Drained);
            assert_eq!(peer.received(), numbers(0..310));
            peer.assert_faultless();
        });
    }
}

#[tokio::test]
async fn reports_wait_for_a_session_that_is_not_there_yet() {
    let directory = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let sending = Sending::open(
        directory.path(),
        &format!("http://{address}/runner/callbacks/x"),
    );
    sending.append(0..3);
    let shared: Shared = Arc::new((Mutex::new(Session::default()), watch::Sender::new(0)));
    let router = Router::new()
        .route("/runner/callbacks/x", post(callback))
        .with_state(Arc::clone(&shared));
    let listener = TcpListener::bind(address).await.unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let peer = Peer {
        shared,
        url: String::new(),
        server,
    };
    peer.until(|session| session.received.len() == 3).await;
    assert_eq!(sending.drain().await, Finished::Drained);
}

#[tokio::test]
async fn a_void_session_ends_the_sender() {
    let directory = tempfile::tempdir().unwrap();
    let peer = Peer::start(&[]).await;
    peer.shared.0.lock().unwrap().gone = true;
    let sending = Sending::open(directory.path(), &peer.url);
    sending.append(0..1);
    let finished = tokio::time::timeout(DEADLINE, sending.task)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(finished, Finished::Gone);
}

#[tokio::test]
async fn what_is_appended_during_a_request_goes_out_together() {
    let directory = tempfile::tempdir().unwrap();
    let peer = Peer::start(&[Mood::Slow]).await;
    let sending = Sending::open(directory.path(), &peer.url);
    sending.append(0..1);
    peer.until(|session| session.attempts == 1).await;
    for number in 1..40 {
        sending.append(number..number + 1);
    }
    assert_eq!(sending.drain().await, Finished::Drained);
    let attempts = peer.shared.0.lock().unwrap().attempts;
    assert!(attempts <= 3, "{attempts} requests for 40 reports");
    assert_eq!(peer.received(), numbers(0..40));
}

#[tokio::test]
async fn a_session_that_forgot_is_not_flooded_with_requests() {
    let directory = tempfile::tempdir().unwrap();
    let peer = Peer::start(&[]).await;
    let sending = Sending::open(directory.path(), &peer.url);
    sending.append(0..2);
    peer.until(|session| session.received.len() == 2).await;
    // The answer to the first batch is read before the next is sent, so the session can forget.
    sending.append(2..3);
    peer.until(|session| session.received.len() == 3).await;
    peer.shared.0.lock().unwrap().received.clear();
    sending.append(3..4);
    let before = peer.shared.0.lock().unwrap().attempts;
    peer.until(|session| session.attempts >= before + 3).await;
    assert!(!sending.task.is_finished());
    assert_eq!(peer.received(), Vec::<String>::new());
}
