//! The App's webhook: deliveries as GitHub makes them, and its record of them.
//!
//! The emulator tells this forge of what happened; what it says is completed from the bare
//! repository and delivered with GitHub's headers, in order and once. What could not be delivered
//! stays so until somebody asks for it again. Pushes to the branch of a pull request are told as
//! its `synchronize` as well, which the emulator leaves out.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::check;
use super::json::text;
use super::pull;
use super::reply::{Refusal, json_response};
use super::site::Site;
use crate::random;

/// Where the emulator posts to.
pub(super) const PATH: &str = "/_emulate/hook";

/// GitHub's own.
const DEADLINE: Duration = Duration::from_secs(10);

/// Where the App's webhook leads to.
#[derive(Debug, Clone)]
pub struct WebhookTarget {
    pub url: String,
    pub secret: String,
}

/// Something to be delivered.
#[derive(Debug, Clone)]
struct Delivery {
    guid: String,
    event: String,
    body: String,
}

/// One attempt to deliver.
#[derive(Debug, Clone)]
struct Attempt {
    delivery: Delivery,
    at: SystemTime,
    /// 0 when there was no answer.
    status: u16,
    again: bool,
}

#[derive(Debug)]
pub(super) struct Hook {
    target: Option<WebhookTarget>,
    app_id: u64,
    client: reqwest::Client,
    told: UnboundedSender<(String, Value)>,
    /// The place in it is the attempt's number, less one.
    record: Mutex<Vec<Attempt>>,
}

/// What the emulator told, in order.
pub(super) type Told = UnboundedReceiver<(String, Value)>;

impl Hook {
    pub(super) fn new(target: Option<WebhookTarget>, app_id: u64) -> (Self, Told) {
        let (told, receiver) = unbounded_channel();
        let hook = Self {
            target,
            app_id,
            client: reqwest::Client::new(),
            told,
            record: Mutex::default(),
        };
        (hook, receiver)
    }

    async fn deliver(&self, delivery: Delivery, again: bool) {
        let Some(target) = &self.target else {
            return;
        };
        let request = self
            .client
            .post(&target.url)
            .timeout(DEADLINE)
            .header("content-type", "application/json")
            .header("user-agent", "GitHub-Hookshot/forge")
            .header("x-github-event", &delivery.event)
            .header("x-github-delivery", &delivery.guid)
            .header("x-github-hook-installation-target-type", "integration")
            .header("x-github-hook-installation-target-id", self.app_id)
            .header("x-hub-signature-256", sign(&target.secret, &delivery.body))
            .body(delivery.body.clone());
        let status = match request.send().await {
            Ok(response) => response.status().as_u16(),
            Err(_) => 0,
        };
        self.record().push(Attempt {
            delivery,
            at: SystemTime::now(),
            status,
            again,
        });
    }

    fn record(&self) -> MutexGuard<'_, Vec<Attempt>> {
        // Nothing panics while it is held.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many deliveries failed the last time that they were tried.
    pub(super) fn undelivered(&self) -> usize {
        let record = self.record();
        let failed = record.iter().filter(|attempt| {
            let mut of_same = record
                .iter()
                .filter(|other| other.delivery.guid == attempt.delivery.guid);
            of_same.all(|other| !is_success(other.status))
        });
        failed.filter(|attempt| !attempt.again).count()
    }
}

/// `POST /_emulate/hook`: the emulator waits for nothing.
pub(super) fn take(site: &Site, headers: &HeaderMap, body: &Bytes) -> Response {
    let event = headers
        .get("x-github-event")
        .and_then(|event| event.to_str().ok())
        .unwrap_or_default();
    if let Ok(payload) = serde_json::from_slice(body) {
        // Fails when the forge is ending, and then nobody waits for it.
        let _ = site.hook.told.send((event.to_owned(), payload));
    }
    json_response(StatusCode::OK, &json!({}))
}

/// Delivers what is told, one after the other, as long as the forge lives.
pub(super) async fn run(site: Arc<Site>, mut told: Told) {
    while let Some((event, payload)) = told.recv().await {
        for (event, payload) in complete(&site, event, payload).await {
            let Ok(guid) = guid() else {
                continue;
            };
            let body = payload.to_string();
            let delivery = Delivery { guid, event, body };
            site.hook.deliver(delivery, false).await;
        }
    }
}

/// `/app/hook/deliveries`, as the App may ask for it.
pub(super) async fn answer(
    site: &Site,
    method: &Method,
    rest: &[&str],
) -> Result<Response, Refusal> {
    match (method, rest) {
        (&Method::GET, []) => {
            let record = site.hook.record();
            let numbered = (1_u64..).zip(record.iter());
            let all: Vec<Value> = numbered.map(|(id, attempt)| told_of(id, attempt)).collect();
            let newest_first: Vec<Value> = all.into_iter().rev().take(100).collect();
            Ok(json_response(StatusCode::OK, &json!(newest_first)))
        }
        (&Method::POST, [id, "attempts"]) => {
            let place = id.parse::<usize>().ok().and_then(|id| id.checked_sub(1));
            let found = place.and_then(|place| site.hook.record().get(place).cloned());
            let attempt = found.ok_or_else(Refusal::not_found)?;
            site.hook.deliver(attempt.delivery, true).await;
            Ok(json_response(StatusCode::ACCEPTED, &json!({})))
        }
        _ => Err(Refusal::not_found()),
    }
}

fn told_of(id: u64, attempt: &Attempt) -> Value {
    json!({
        "id": id,
        "guid": attempt.delivery.guid,
        "delivered_at": rfc3339(attempt.at),
        "redelivery": attempt.again,
        "status": if is_success(attempt.status) { "OK" } else { "failed" },
        "status_code": attempt.status,
        "event": attempt.delivery.event,
    })
}

fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

/// What GitHub would deliver for what the emulator told.
async fn complete(site: &Site, event: String, mut payload: Value) -> Vec<(String, Value)> {
    let full_name = text(&payload, "/repository/full_name");
    let found = full_name
        .split_once('/')
        .and_then(|(owner, name)| site.repositories.find(owner, name));
    // Others are the emulator's alone.
    let Some(repository) = found else {
        return Vec::new();
    };
    // A merge is told of while it is made, and its lines are those before it.
    let _changed = repository.changes.lock().await;
    if let Some(pull) = payload.get_mut("pull_request") {
        let _ = pull::bring_up_to_date(&repository, pull).await;
    }
    check::complete(site, &mut payload);
    if event == "issue_comment"
        && let Some(issue) = payload.get_mut("issue")
    {
        pull::mark(site, &repository, issue).await;
    }
    let mut all = vec![(event.clone(), payload.clone())];
    if event == "push"
        && let Some(branch) = text(&payload, "/ref").strip_prefix("refs/heads/")
    {
        let open = pull::open_of_branch(site, &repository, branch).await;
        for mut pull in open.unwrap_or_default() {
            let _ = pull::bring_up_to_date(&repository, &mut pull).await;
            if let Some(fields) = pull.as_object_mut() {
                fields.insert("updated_at".to_owned(), json!(rfc3339(SystemTime::now())));
            }
            let synchronize = json!({
                "action": "synchronize",
                "number": pull.get("number"),
                "before": payload.get("before"),
                "after": payload.get("after"),
                "pull_request": pull,
                "repository": payload.get("repository"),
                "sender": payload.get("sender"),
                "installation": payload.get("installation"),
            });
            all.push(("pull_request".to_owned(), synchronize));
        }
    }
    all
}

fn sign(secret: &str, body: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(body.as_bytes());
    let digest = mac.finalize().into_bytes();
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

fn guid() -> Result<String, getrandom::Error> {
    let digits = random::token(32)?.to_lowercase();
    Ok(format!("forge-{digits}"))
}

fn rfc3339(time: SystemTime) -> String {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs());
    chrono::DateTime::from_timestamp(i64::try_from(seconds).unwrap_or(0), 0)
        .map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
        .unwrap_or_default()
}
