//! Which tokens exist, whose they are and what they may do.
//!
//! The emulator takes any string for a token of its first user. The forge therefore hands out
//! tokens of its own, remembers the emulator's beside them, and knows no others. User tokens are
//! those of a GitHub App: they expire after eight hours and are renewed with a refresh token that
//! works once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::random;

pub(super) const USER_TOKEN_LIFE: Duration = Duration::from_secs(8 * 60 * 60);
pub(super) const REFRESH_TOKEN_LIFE: Duration = Duration::from_secs(184 * 24 * 60 * 60);
const INSTALLATION_TOKEN_LIFE: Duration = Duration::from_secs(60 * 60);

/// Whose token it is.
#[derive(Debug, Clone)]
pub(super) enum Holder {
    User {
        login: String,
    },
    Installation {
        account: String,
        /// Full names; `None` stands for all of the account's.
        repositories: Option<BTreeSet<String>>,
        permissions: BTreeMap<String, String>,
    },
}

/// A token that is valid now.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) holder: Holder,
    /// What the emulator calls the same token.
    pub(super) upstream: String,
    expires: Instant,
}

/// What a user gets by signing in, or by renewing.
#[derive(Debug, Clone)]
pub struct UserToken {
    pub access_token: String,
    pub refresh_token: String,
}

#[derive(Debug, Default)]
pub(super) struct TokenLedger {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    grants: HashMap<String, Grant>,
    /// Refresh token to the access token that it replaces.
    renewals: HashMap<String, Renewal>,
}

#[derive(Debug, Clone)]
struct Renewal {
    login: String,
    upstream: String,
    access_token: String,
}

impl TokenLedger {
    pub(super) fn find(&self, token: &str) -> Option<Grant> {
        let state = self.lock();
        let grant = state.grants.get(token)?;
        (grant.expires > Instant::now()).then(|| grant.clone())
    }

    pub(super) fn issue_user(
        &self,
        login: &str,
        upstream: &str,
    ) -> Result<UserToken, getrandom::Error> {
        let token = UserToken {
            access_token: format!("ghu_{}", random::token(36)?),
            refresh_token: format!("ghr_{}", random::token(72)?),
        };
        let mut state = self.lock();
        state.grants.insert(
            token.access_token.clone(),
            Grant {
                holder: Holder::User {
                    login: login.to_owned(),
                },
                upstream: upstream.to_owned(),
                expires: Instant::now() + USER_TOKEN_LIFE,
            },
        );
        state.renewals.insert(
            token.refresh_token.clone(),
            Renewal {
                login: login.to_owned(),
                upstream: upstream.to_owned(),
                access_token: token.access_token.clone(),
            },
        );
        Ok(token)
    }

    /// A new pair for an old refresh token, which kills the old pair.
    pub(super) fn renew(&self, refresh_token: &str) -> Result<Option<UserToken>, getrandom::Error> {
        let renewal = {
            let mut state = self.lock();
            let renewal = state.renewals.remove(refresh_token);
            if let Some(renewal) = &renewal {
                state.grants.remove(&renewal.access_token);
            }
            renewal
        };
        renewal
            .map(|renewal| self.issue_user(&renewal.login, &renewal.upstream))
            .transpose()
    }

    pub(super) fn learn_installation(&self, token: &str, holder: Holder) {
        self.lock().grants.insert(
            token.to_owned(),
            Grant {
                holder,
                upstream: token.to_owned(),
                expires: Instant::now() + INSTALLATION_TOKEN_LIFE,
            },
        );
    }

    /// Lets every access token of a user run out; the refresh tokens stay good.
    pub(super) fn expire_user(&self, login: &str) {
        self.lock().grants.retain(
            |_, grant| !matches!(&grant.holder, Holder::User { login: owner } if owner == login),
        );
    }

    /// Takes back everything that a user has granted, as if they had revoked the App.
    pub(super) fn revoke_user(&self, login: &str) {
        self.expire_user(login);
        self.lock()
            .renewals
            .retain(|_, renewal| renewal.login != login);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing here can panic half-way, so a poisoned state is a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
