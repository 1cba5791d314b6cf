//! Offers this runner to the Worker, again and again, so that the Worker knows it is there; and
//! asks the Worker for git credentials and repositories' secrets.

use std::sync::Arc;
use std::time::Duration;

use protocol::RunnerId;
use protocol::callback::{
    Credentials, REGISTRATION_MS, Register, Registered, RepositoryEgress, Secrets,
};

use crate::cause;
use crate::gateway::{CredentialSource, CredentialsError, Gateway, SecretSource};
use crate::image::Images;
use crate::pool::Pool;
use crate::session::Sessions;
use crate::worker::Worker;

/// Wait after the first refusal; doubled up to the interval between registrations.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// What is registered: what does not change while the runner lives, and where to ask for the rest.
pub struct Registration {
    pub runner: RunnerId,
    pub url: String,
    pub capacity: u32,
    pub sessions: Sessions,
    pub images: Arc<Images>,
    pub pool: Arc<Pool>,
    pub gateway: Arc<Gateway>,
    pub depot: bool,
}

impl Registration {
    fn body(&self) -> Register {
        let images = self.images.held().unwrap_or_else(|error| {
            let error = cause::chain(&error);
            tracing::warn!(error, "the images cannot be listed");
            Vec::new()
        });
        Register {
            runner: self.runner.clone(),
            url: self.url.clone(),
            capacity: self.capacity,
            sandboxes: self.sessions.sandboxes(),
            version: protocol::VERSION.to_owned(),
            images,
            warm: self.pool.listed(),
            depot: self.depot,
            repositories: self.gateway.repositories().into_iter().collect(),
            pool_room: self.pool.memory_room(),
        }
    }

    /// What the sandboxes may reach is known before the pool makes more of them.
    fn take(&self, answer: Registered) {
        self.bound(answer.egress);
        self.pool.give_up(answer.lapsed);
        self.pool.aim(answer.pool);
    }

    fn bound(&self, told: Vec<RepositoryEgress>) {
        let policies = told.into_iter();
        let policies = policies.map(|told| (told.repository, told.policy));
        self.gateway.bound(policies.collect());
    }
}

/// Never returns. Until the Worker accepts, it is tried in growing steps; after that in intervals,
/// and at once when what can be leased has changed, or a repository has.
pub async fn keep_registered(worker: Worker, registration: Registration) {
    let interval = Duration::from_millis(REGISTRATION_MS.unsigned_abs()) / 3;
    let announcements = registration.pool.announcements();
    let mut wait = FIRST_WAIT;
    let mut registered = false;
    loop {
        let answer: Result<Registered, _> =
            worker.call("/runner/register", &registration.body()).await;
        match answer {
            Ok(answer) => {
                if !registered {
                    tracing::info!(runner = %registration.runner, "registered with the Worker");
                }
                registered = true;
                wait = FIRST_WAIT;
                registration.take(answer);
                let _ = tokio::time::timeout(interval, announcements.notified()).await;
            }
            Err(error) => {
                registered = false;
                tracing::warn!(
                    error = cause::chain(&error),
                    wait_ms = wait.as_millis() as u64,
                    "the Worker does not take this runner's registration"
                );
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(interval);
            }
        }
    }
}

/// Has the Worker start nothing more at this runner, if it can be told: it finds out by itself when no
/// registration comes any more.
pub async fn withdraw(worker: &Worker, registration: &Registration) {
    let body = Register {
        capacity: 0,
        images: Vec::new(),
        warm: Vec::new(),
        ..registration.body()
    };
    let answer: Result<Registered, _> = worker.call("/runner/register", &body).await;
    match answer {
        Ok(answer) => registration.bound(answer.egress),
        Err(error) => {
            let error = cause::chain(&error);
            tracing::warn!(error, "the Worker does not know that this runner goes away");
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

/// What a session's repository keeps secret.
pub fn secrets(worker: Worker) -> SecretSource {
    Arc::new(move |request| {
        let worker = worker.clone();
        Box::pin(async move {
            let secrets: Secrets = worker.call("/runner/secrets", &request).await?;
            Ok::<_, CredentialsError>(secrets)
        })
    })
}
