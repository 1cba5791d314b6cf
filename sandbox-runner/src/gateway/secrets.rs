//! What a session's repository keeps secret: asked for when it is first needed, held for minutes and
//! in memory only. Only sessions have any; images and sandboxes that wait in the pool do not.
//!
//! Header secrets go into requests that the gateway sends on, see `egress/web.rs`. Those that are
//! meant to be in the sandbox are told there, see `workspace.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use hyper::header::{HeaderName, HeaderValue};
use protocol::SessionId;
use protocol::api::SecretScope;
use protocol::callback::{Secret, Secrets, SecretsRequest};
use protocol::egress::HostName;
use tokio::sync::Mutex;

use super::CredentialsError;

/// Asks for a session's secrets.
pub type SecretSource = Arc<
    dyn Fn(SecretsRequest) -> BoxFuture<'static, Result<Secrets, CredentialsError>> + Send + Sync,
>;

/// How long they are held: a secret that was removed or replaced is used no longer than this, also
/// where the news of it is lost.
const HELD: Duration = Duration::from_secs(5 * 60);

/// Answers that there are none.
pub(super) fn none() -> SecretSource {
    let secrets = Vec::new;
    Arc::new(move |_| Box::pin(std::future::ready(Ok(Secrets { secrets: secrets() }))))
}

/// One sandbox's secrets.
pub(super) struct Vault {
    source: SecretSource,
    session: Option<SessionId>,
    held: Mutex<Option<Held>>,
    /// Counts how often they have changed.
    changes: AtomicU64,
}

struct Held {
    until: Instant,
    secrets: Arc<[Secret]>,
    /// Changes that were known when they were asked for.
    changes: u64,
}

impl Vault {
    pub(super) fn new(source: SecretSource, session: Option<SessionId>) -> Self {
        Self {
            source,
            session,
            held: Mutex::default(),
            changes: AtomicU64::new(0),
        }
    }

    /// They have changed: what is held or on its way is not used any more.
    pub(super) fn forget(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Asks before anybody needs them, so that nobody waits. A failure shows when somebody does.
    pub(super) async fn prefetch(&self) {
        let _ = self.get(Instant::now()).await;
    }

    /// What is to be put into requests to `host`.
    pub(super) async fn headers_for(
        &self,
        host: &HostName,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, CredentialsError> {
        let mut headers = Vec::new();
        for secret in self.get(Instant::now()).await?.iter() {
            if let SecretScope::Header {
                hosts,
                header,
                prefix,
            } = &secret.scope
                && hosts.iter().any(|pattern| pattern.matches(host))
            {
                let name = HeaderName::try_from(header.as_str())?;
                let mut value = HeaderValue::try_from(format!("{prefix}{}", secret.value))?;
                value.set_sensitive(true);
                headers.push((name, value));
            }
        }
        Ok(headers)
    }

    /// What is meant to be in the sandbox.
    pub(super) async fn variables(&self) -> Result<BTreeMap<String, String>, CredentialsError> {
        let secrets = self.get(Instant::now()).await?;
        let meant = secrets
            .iter()
            .filter(|secret| secret.scope == SecretScope::Sandbox);
        Ok(meant
            .map(|secret| (secret.name.clone(), secret.value.clone()))
            .collect())
    }

    async fn get(&self, now: Instant) -> Result<Arc<[Secret]>, CredentialsError> {
        let Some(session) = &self.session else {
            return Ok(Arc::default());
        };
        // Held over the request on purpose: whoever comes meanwhile wants the same answer.
        let mut held = self.held.lock().await;
        let changes = self.changes.load(Ordering::SeqCst);
        let is_good = |held: &&Held| held.until > now && held.changes == changes;
        if let Some(held) = held.as_ref().filter(is_good) {
            return Ok(Arc::clone(&held.secrets));
        }
        *held = None;
        let until = now + HELD;
        let session = session.clone();
        let secrets: Arc<[Secret]> = (self.source)(SecretsRequest { session })
            .await?
            .secrets
            .into();
        *held = Some(Held {
            until,
            secrets: Arc::clone(&secrets),
            changes,
        });
        Ok(secrets)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use protocol::egress::HostPattern;

    use super::*;

    fn secrets() -> Secrets {
        let header = |name: &str, host: &str, prefix: &str| Secret {
            name: name.to_owned(),
            value: format!("value-of-{name}"),
            scope: SecretScope::Header {
                hosts: vec![HostPattern::parse(host).unwrap()],
                header: "Authorization".to_owned(),
                prefix: prefix.to_owned(),
            },
        };
        Secrets {
            secrets: vec![
                header("NPM", "npm.example.com", "Bearer "),
                header("ALL", "*.example.net", ""),
                Secret {
                    name: "MEANT".to_owned(),
                    value: "to be there".to_owned(),
                    scope: SecretScope::Sandbox,
                },
            ],
        }
    }

    fn counting() -> (SecretSource, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let source: SecretSource = Arc::new(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            Box::pin(async {
                tokio::task::yield_now().await;
                Ok(secrets())
            })
        });
        (source, asked)
    }

    fn session() -> Option<SessionId> {
        Some(SessionId::from_random([3; 16]))
    }

    #[tokio::test]
    async fn each_secret_is_for_its_own_hosts() {
        let vault = Vault::new(counting().0, session());
        let of = async |host| {
            let headers = vault.headers_for(&HostName::parse(host).unwrap()).await;
            let values = headers.unwrap().into_iter().map(|(_, value)| value);
            values
                .map(|value| value.to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(of("npm.example.com").await, ["Bearer value-of-NPM"]);
        assert_eq!(of("a.example.net").await, ["value-of-ALL"]);
        assert!(of("example.net").await.is_empty());
        let variables = vault.variables().await.unwrap();
        let meant = ("MEANT".to_owned(), "to be there".to_owned());
        assert_eq!(variables, [meant].into());
    }

    #[tokio::test]
    async fn requests_at_a_time_ask_once_and_after_five_minutes_again() {
        let (source, asked) = counting();
        let vault = Vault::new(source, session());
        let now = Instant::now();
        let both = tokio::join!(vault.get(now), vault.get(now));
        assert_eq!(both.0.unwrap(), both.1.unwrap());
        let last = now + HELD - Duration::from_secs(1);
        vault.get(last).await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        vault.get(now + HELD).await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn after_a_change_they_are_asked_for_anew() {
        let (source, asked) = counting();
        let vault = Vault::new(source, session());
        vault.variables().await.unwrap();
        vault.forget();
        vault.variables().await.unwrap();
        vault.variables().await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_sandbox_without_a_session_has_no_secrets_and_asks_for_none() {
        let (source, asked) = counting();
        let vault = Vault::new(source, None);
        assert!(vault.variables().await.unwrap().is_empty());
        assert_eq!(asked.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_failure_is_not_held() {
        let failures = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&failures);
        let source: SecretSource = Arc::new(move |_| {
            let first = count.fetch_add(1, Ordering::SeqCst) == 0;
            Box::pin(async move {
                if first {
                    Err("no".into())
                } else {
                    Ok(secrets())
                }
            })
        });
        let vault = Vault::new(source, session());
        assert!(vault.variables().await.is_err());
        assert_eq!(vault.variables().await.unwrap().len(), 1);
    }
}
