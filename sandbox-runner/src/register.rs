//! Offers this runner to the Worker, again and again, so that the Worker knows it is there; and
//! asks the Worker for git credentials.

use std::sync::Arc;
use std::time::Duration;

use protocol::RunnerId;
use protocol::callback::{Credentials, REGISTRATION_MS, Register};

use crate::gateway::{CredentialSource, CredentialsError};
use crate::session::Sessions;
use crate::worker::Worker;

/// Wait after the first refusal; doubled up to the interval between registrations.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// What does not change while the runner lives.
pub struct Registration {
    pub runner: RunnerId,
    pub url: String,
    pub capacity: u32,
}

/// Never returns. Until the Worker accepts, it is tried in growing steps.
pub async fn keep_registered(worker: Worker, registration: Registration, sessions: Sessions) {
    let interval = Duration::from_millis(REGISTRATION_MS.unsigned_abs()) / 3;
    let mut wait = FIRST_WAIT;
    let mut registered = false;
    loop {
        let body = Register {
            runner: registration.runner.clone(),
            url: registration.url.clone(),
            capacity: registration.capacity,
            sandboxes: sessions.sandboxes(),
            version: protocol::VERSION.to_owned(),
            images: Vec::new(),
            warm: Vec::new(),
        };
        match worker.tell("/runner/register", &body).await {
            Ok(()) => {
                if !registered {
                    tracing::info!(runner = %registration.runner, "registered with the Worker");
                }
                registered = true;
                wait = FIRST_WAIT;
                tokio::time::sleep(interval).await;
            }
            Err(error) => {
                registered = false;
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    wait_ms = wait.as_millis() as u64,
                    "the Worker does not take this runner's registration"
                );
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(interval);
            }
        }
    }
}

/// Git tokens, minted by the Worker for one repository each.
pub fn credentials(worker: Worker) -> CredentialSource {
    Arc::new(move |request| {
        let worker = worker.clone();
        Box::pin(async move {
            let credentials: Credentials = worker.call("/runner/credentials", &request).await?;
            Ok::<_, CredentialsError>(credentials)
        })
    })
}
