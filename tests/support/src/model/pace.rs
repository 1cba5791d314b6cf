//! When which token is due.

use std::time::Duration;

use tokio::time::Instant;

/// Keeps to a plan that is fixed at the start, so that late tokens do not delay the next ones.
#[derive(Debug)]
pub(super) struct Pace {
    first: Instant,
    rate: Option<f64>,
    sent: u32,
}

impl Pace {
    pub(super) fn new(delay: Duration, rate: Option<f64>) -> Self {
        Self {
            first: Instant::now() + delay,
            rate,
            sent: 0,
        }
    }

    /// Waits until the next token is due.
    pub(super) async fn next(&mut self) {
        let due = match self.rate {
            Some(rate) => self.first + Duration::from_secs_f64(f64::from(self.sent) / rate),
            None => self.first,
        };
        self.sent += 1;
        if due > Instant::now() {
            tokio::time::sleep_until(due).await;
        }
    }
}
