//! Tells the Worker how the making of an image goes on: its log in pieces, then the outcome.
//!
//! One report at a time, each sent again in growing intervals until it is taken, so the Worker
//! needs to know no more than how much of the log it has.

use std::time::Duration;

use protocol::RunnerId;
use protocol::callback::{ImageReport, MAX_LOG_CHUNK};
use protocol::image::{Base, ImageOutcome};
use tokio::time::{sleep, timeout};

use super::log::Log;
use crate::callback::sender::{Verdict, backoff, verdict};
use crate::cause;
use crate::clock;
use crate::worker::{Worker, WorkerError};

/// Between two pieces of a log that grows.
const PACE: Duration = Duration::from_secs(1);
/// A build that prints nothing is heard of in these intervals.
const SIGN_OF_LIFE: Duration = Duration::from_secs(60);

pub(super) struct Delivery<'a> {
    worker: &'a Worker,
    runner: &'a RunnerId,
    url: &'a str,
    log: &'a Log,
    /// Of an image that the Worker did not ask for.
    base: Option<&'a Base>,
    /// What the Worker has of the log.
    held: usize,
    /// Nobody wants the image any more.
    is_void: bool,
}

impl<'a> Delivery<'a> {
    pub(super) fn new(
        worker: &'a Worker,
        runner: &'a RunnerId,
        url: &'a str,
        log: &'a Log,
    ) -> Self {
        Self {
            worker,
            runner,
            url,
            log,
            base: None,
            held: 0,
            is_void: false,
        }
    }

    /// The Worker does not know the image.
    pub(super) fn of(self, base: &'a Base) -> Self {
        Self {
            base: Some(base),
            ..self
        }
    }

    /// Sends what the log gets. Returns only if nobody wants it; may be dropped at any time.
    pub(super) async fn follow(&mut self) {
        let mut length = self.log.length();
        while !self.is_void {
            let held = self.held;
            let _ = timeout(SIGN_OF_LIFE, length.wait_for(|length| *length > held)).await;
            self.send(None).await;
            sleep(PACE).await;
        }
    }

    /// Sends the rest of the log and the outcome. Returns when they are taken, or nobody wants them.
    pub(super) async fn finish(&mut self, outcome: &ImageOutcome) {
        let mut is_told = false;
        while !is_told && !self.is_void {
            is_told = self.send(Some(outcome)).await;
        }
    }

    /// Sends the next piece of the log, and the outcome with the last one. Says whether that was it.
    async fn send(&mut self, outcome: Option<&ImageOutcome>) -> bool {
        let mut failures = 0;
        while !self.is_void {
            let (start, log) = self.log.piece(self.held, MAX_LOG_CHUNK);
            let end = start + log.len();
            let is_last = end >= *self.log.length().borrow();
            let report = ImageReport {
                runner: self.runner.clone(),
                base: self.base.cloned(),
                log_offset: start as u64,
                log,
                outcome: outcome.filter(|_| is_last).cloned(),
            };
            let error = match self.post(&report).await {
                Ok(Verdict::Received(received)) if received >= end as u64 => {
                    self.held = end;
                    return is_last;
                }
                Ok(Verdict::Received(received)) => {
                    // It has less than it said: on from there.
                    self.held = usize::try_from(received).unwrap_or(end);
                    None
                }
                Ok(Verdict::Gone) => {
                    self.is_void = true;
                    return false;
                }
                Err(error) => Some(error),
            };
            let wait = backoff(failures, clock::random());
            failures = failures.saturating_add(1);
            if let Some(error) = error {
                tracing::warn!(
                    url = self.url,
                    error = cause::chain(&error),
                    failures,
                    wait_ms = wait.as_millis() as u64,
                    "a report of an image is not delivered yet"
                );
            }
            sleep(wait).await;
        }
        false
    }

    async fn post(&self, report: &ImageReport) -> Result<Verdict, WorkerError> {
        let body = serde_json::to_vec(report).map_err(WorkerError::Encode)?;
        let answer = self.worker.post(self.url, body).await?;
        verdict(&answer).ok_or_else(|| answer.refusal())
    }
}
