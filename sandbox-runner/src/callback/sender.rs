//! Posts what the outbox holds: in order, one request at a time, until the session holds it.
//!
//! What is appended while a request is on its way goes into the next one together: under load the
//! batches grow by themselves, and without load a report is on the wire at once.

use std::time::Duration;

use protocol::Epoch;
use protocol::api::ErrorBody;
use protocol::callback::Acknowledgement;
use protocol::command::Start;
use reqwest::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::Instant;

use super::outbox::{Held, Outbox};
use crate::cause;
use crate::clock;
use crate::store::StoreError;
use crate::worker::{Answer, Worker, WorkerError};

/// The first wait after a failure: a Worker that is being replaced is back within that time.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait, which bounds how late a session hears of anything after an outage.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How long the last reports of an ended sandbox are tried. After that nobody is interested.
const CLOSING_PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Why a sender has nothing more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// The sandbox has ended and the session holds all its reports.
    Drained,
    /// The session, or this sandbox's place in it, is void: nobody wants these reports.
    Gone,
    /// The sandbox has ended and its last reports could not be delivered.
    GaveUp,
}

pub struct Sender {
    outbox: Outbox,
    worker: Worker,
    url: String,
    epoch: Epoch,
    closing: watch::Receiver<bool>,
}

/// [`protocol::callback::Batch`] around reports that are JSON already.
#[derive(Serialize)]
struct RawBatch<'a> {
    sandbox: &'a protocol::SandboxId,
    epoch: Epoch,
    first: u64,
    reports: &'a [Box<RawValue>],
}

/// What an answer of the Worker means.
pub(crate) enum Verdict {
    /// Everything up to this number is held.
    Received(u64),
    Gone,
}

#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error("failed to read the outbox")]
    Store(#[source] StoreError),
    #[error("failed to write a batch")]
    Encode(#[source] serde_json::Error),
    #[error("failed to post a batch")]
    Post(#[source] WorkerError),
    #[error(
        "the session holds reports up to {received} and lacks some before {first}, which it once acknowledged"
    )]
    Forgotten { received: u64, first: u64 },
}

impl Sender {
    /// When `closing` turns true, the sender ends as soon as nothing is left.
    pub fn new(
        outbox: Outbox,
        worker: Worker,
        start: &Start,
        closing: watch::Receiver<bool>,
    ) -> Self {
        Self {
            outbox,
            worker,
            url: start.callback_url.clone(),
            epoch: start.epoch,
            closing,
        }
    }

    pub async fn run(mut self) -> Finished {
        let mut failures = 0;
        let mut give_up_at = None;
        loop {
            let closing = *self.closing.borrow_and_update();
            if closing && give_up_at.is_none() {
                give_up_at = Some(Instant::now() + CLOSING_PATIENCE);
            }
            match self.deliver().await {
                Ok(Delivery::Delivered) => failures = 0,
                Ok(Delivery::Nothing) if closing => return Finished::Drained,
                Ok(Delivery::Nothing) => {
                    tokio::select! {
                        () = self.outbox.appended() => {}
                        _ = self.closing.changed() => {}
                    }
                }
                Ok(Delivery::Gone) => return Finished::Gone,
                Err(error) => {
                    if give_up_at.is_some_and(|at| at <= Instant::now()) {
                        return Finished::GaveUp;
                    }
                    let wait = backoff(failures, clock::random());
                    failures = failures.saturating_add(1);
                    tracing::warn!(
                        sandbox = %self.outbox.sandbox(),
                        error = cause::chain(&error),
                        failures,
                        wait_ms = wait.as_millis() as u64,
                        "reports are not delivered yet"
                    );
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    async fn deliver(&self) -> Result<Delivery, SendError> {
        let Some(held) = self.outbox.held().map_err(SendError::Store)? else {
            return Ok(Delivery::Nothing);
        };
        match self.post(&held).await? {
            Verdict::Gone => Ok(Delivery::Gone),
            Verdict::Received(received) if received + 1 < held.first => Err(SendError::Forgotten {
                received,
                first: held.first,
            }),
            Verdict::Received(received) => {
                self.outbox
                    .acknowledge(received)
                    .map_err(SendError::Store)?;
                Ok(Delivery::Delivered)
            }
        }
    }

    async fn post(&self, held: &Held) -> Result<Verdict, SendError> {
        let batch = RawBatch {
            sandbox: self.outbox.sandbox(),
            epoch: self.epoch,
            first: held.first,
            reports: &held.reports,
        };
        let body = serde_json::to_vec(&batch).map_err(SendError::Encode)?;
        let answer = self
            .worker
            .post(&self.url, body)
            .await
            .map_err(SendError::Post)?;
        verdict(&answer).ok_or_else(|| SendError::Post(answer.refusal()))
    }
}

enum Delivery {
    Delivered,
    Nothing,
    Gone,
}

/// `None` when the answer says nothing that can be relied on: the batch is sent again.
pub(crate) fn verdict(answer: &Answer) -> Option<Verdict> {
    match answer.status {
        StatusCode::GONE => Some(Verdict::Gone),
        // Only the Worker itself knows that a session is not there; a proxy's 404 is an outage.
        StatusCode::NOT_FOUND => serde_json::from_slice::<ErrorBody>(&answer.body)
            .ok()
            .map(|_| Verdict::Gone),
        status if status.is_success() || status == StatusCode::CONFLICT => {
            let acknowledgement: Acknowledgement = serde_json::from_slice(&answer.body).ok()?;
            Some(Verdict::Received(acknowledgement.received))
        }
        _ => None,
    }
}

/// Half of the wait is left to chance, so that sandboxes do not come back all at once.
pub(crate) fn backoff(failures: u32, random: [u8; 16]) -> Duration {
    let longest = FIRST_WAIT
        .saturating_mul(2_u32.saturating_pow(failures))
        .min(LONGEST_WAIT);
    let chance = f64::from(u32::try_from(u128::from_be_bytes(random) >> 96).unwrap_or(0));
    longest.mul_f64(0.5 + 0.5 * chance / f64::from(u32::MAX))
}
