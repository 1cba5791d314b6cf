//! One sandbox's git token: asked for when it is first needed, kept while it is valid, asked for
//! once however many requests need it at a time.

use protocol::Millis;
use protocol::callback::{Credentials, CredentialsRequest};
use tokio::sync::Mutex;

use super::{CredentialSource, CredentialsError};

/// A token is not used in its last minutes: a large push must not outlive it.
const MARGIN_MS: i64 = 5 * 60 * 1000;

pub(super) struct Cache {
    asked: CredentialsRequest,
    held: Mutex<Option<Credentials>>,
}

impl Cache {
    pub(super) fn new(asked: CredentialsRequest) -> Self {
        Self {
            asked,
            held: Mutex::default(),
        }
    }

    pub(super) async fn get(
        &self,
        source: &CredentialSource,
        now: Millis,
    ) -> Result<Credentials, CredentialsError> {
        // Held over the request on purpose: whoever comes meanwhile wants the same answer.
        let mut held = self.held.lock().await;
        if let Some(credentials) = held
            .as_ref()
            .filter(|one| one.expires_at > now.plus(MARGIN_MS))
        {
            return Ok(credentials.clone());
        }
        let credentials = source(self.asked.clone()).await?;
        *held = Some(credentials.clone());
        Ok(credentials)
    }

    /// Forgets a token that the forge does not take, unless another one is held by now.
    pub(super) async fn forget(&self, refused: &Credentials) {
        let mut held = self.held.lock().await;
        if held.as_ref() == Some(refused) {
            *held = None;
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use protocol::callback::Purpose;
    use protocol::event::Repository;

    use super::*;

    fn cache() -> Cache {
        let repository = Repository::new("acme", "widget").unwrap();
        Cache::new(CredentialsRequest {
            repository,
            purpose: Purpose::Image,
        })
    }

    /// Counts how often it is asked; its tokens are valid until `expires_at`.
    fn source(expires_at: Millis) -> (CredentialSource, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let source: CredentialSource = Arc::new(move |_| {
            let number = count.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                tokio::task::yield_now().await;
                let password = format!("token-{number}");
                Ok(Credentials {
                    username: "x".to_owned(),
                    password,
                    expires_at,
                })
            })
        });
        (source, asked)
    }

    #[tokio::test]
    async fn requests_at_a_time_ask_once() {
        let (source, asked) = source(Millis(3_600_000));
        let cache = cache();
        let both = tokio::join!(cache.get(&source, Millis(0)), cache.get(&source, Millis(0)));
        assert_eq!(both.0.unwrap(), both.1.unwrap());
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_token_is_replaced_five_minutes_before_it_expires() {
        let (source, asked) = source(Millis(3_600_000));
        let cache = cache();
        cache.get(&source, Millis(0)).await.unwrap();
        cache.get(&source, Millis(3_299_999)).await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        cache.get(&source, Millis(3_300_000)).await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_token_that_the_forge_refused_is_not_used_again() {
        let (source, _) = source(Millis(3_600_000));
        let cache = cache();
        let first = cache.get(&source, Millis(0)).await.unwrap();
        cache.forget(&first).await;
        let second = cache.get(&source, Millis(0)).await.unwrap();
        assert_ne!(first, second);
        cache.forget(&first).await;
        assert_eq!(cache.get(&source, Millis(0)).await.unwrap(), second);
    }
}
