//! What the model remembers: its key, its scripts and the requests so far.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::http::{HeaderMap, StatusCode, Uri, header};
use serde_json::Value;
use tokio::sync::Notify;

use super::RecordedRequest;
use super::conversation::Conversation;
use super::marker::markers;
use super::script::{Step, Turn};
use super::server::Dialect;

/// Older requests are forgotten, so that a server that runs for days does not grow.
const REMEMBERED: usize = 2_000;

#[derive(Debug)]
pub(super) struct Hall {
    api_key: String,
    scripts: Mutex<Vec<Script>>,
    requests: Mutex<Vec<RecordedRequest>>,
    arrival: Notify,
}

#[derive(Debug, Clone)]
struct Script {
    name: String,
    keyword: Option<String>,
    steps: Vec<Step>,
}

impl Hall {
    pub(super) fn new(api_key: String) -> Self {
        Self {
            api_key,
            scripts: Mutex::default(),
            requests: Mutex::default(),
            arrival: Notify::new(),
        }
    }

    pub(super) fn register(&self, name: &str, keyword: Option<&str>, steps: Vec<Step>) {
        let mut scripts = lock(&self.scripts);
        scripts.retain(|script| script.name != name);
        scripts.push(Script {
            name: name.to_owned(),
            keyword: keyword.map(str::to_lowercase),
            steps,
        });
    }

    pub(super) fn requests(&self) -> Vec<RecordedRequest> {
        lock(&self.requests).clone()
    }

    pub(super) async fn arrived(&self, wanted: usize) {
        loop {
            let next = self.arrival.notified();
            if lock(&self.requests).len() >= wanted {
                return;
            }
            next.await;
        }
    }

    pub(super) fn is_authorised(&self, dialect: Dialect, headers: &HeaderMap) -> bool {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = text(header::AUTHORIZATION.as_str()).and_then(|v| v.strip_prefix("Bearer "));
        match dialect {
            Dialect::OpenAi => bearer == Some(&self.api_key),
            Dialect::Anthropic => text("x-api-key") == Some(&self.api_key),
        }
    }

    pub(super) fn record(&self, uri: &Uri, headers: &HeaderMap, body: Value, status: StatusCode) {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str().to_owned(), value)
            })
            .collect();
        let mut requests = lock(&self.requests);
        if requests.len() >= REMEMBERED {
            requests.drain(..REMEMBERED / 2);
        }
        requests.push(RecordedRequest {
            at: Instant::now(),
            path: uri.path().to_owned(),
            headers,
            body,
            status: status.as_u16(),
        });
        drop(requests);
        self.arrival.notify_waiters();
    }

    /// The turn that follows from the conversation.
    ///
    /// A failure is no answer, so it takes no place in the conversation: it comes before the
    /// answer that the model owes next, as often as the same messages have not been sent before.
    pub(super) fn turn(&self, conversation: &Conversation, request: &Value) -> Turn {
        if wants_title(conversation) {
            return Turn::say(title(conversation.prompt()));
        }
        let given = conversation.answers_since_prompt();
        let tries = self.tries(request);
        let mut answer = 0;
        for step in self.steps(conversation.prompt()) {
            let fails = step.failures();
            if answer == given && fails.is_none_or(|times| tries < times) {
                return step.turn(conversation);
            }
            answer += usize::from(fails.is_none());
        }
        // Tools ran last, and somebody waits for a word.
        Turn::say(if given > 0 {
            "Done."
        } else {
            "Hello! I am a scripted model: I answer without thinking, and I am happy to help."
        })
    }

    /// How often the same messages have come before.
    fn tries(&self, request: &Value) -> usize {
        let messages = request.get("messages");
        lock(&self.requests)
            .iter()
            .filter(|known| known.body.get("messages") == messages)
            .count()
    }

    fn steps(&self, prompt: &str) -> Vec<Step> {
        let scripts = lock(&self.scripts);
        let mut steps = Vec::new();
        for marker in markers(prompt) {
            match scripts.iter().find(|script| script.name == marker.name) {
                Some(script) => steps.extend(script.steps.iter().cloned()),
                None => steps.extend(marker.turn().map(Step::from)),
            }
        }
        if !steps.is_empty() {
            return steps;
        }
        let prompt = prompt.to_lowercase();
        scripts
            .iter()
            .find(|script| {
                let keyword = script.keyword.as_deref();
                keyword.is_some_and(|keyword| prompt.contains(keyword))
            })
            .map(|script| script.steps.clone())
            .unwrap_or_default()
    }
}

/// The request that OpenCode makes beside the first prompt of a session.
fn wants_title(conversation: &Conversation) -> bool {
    conversation.system.contains("title generator")
}

fn title(prompt: &str) -> String {
    let words: Vec<_> = prompt
        .split_whitespace()
        .filter(|word| word.chars().all(char::is_alphanumeric))
        .take(5)
        .collect();
    if words.is_empty() {
        return "A session".to_owned();
    }
    words.join(" ")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
