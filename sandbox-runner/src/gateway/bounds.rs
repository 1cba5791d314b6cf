//! What each sandbox may reach, as its repository's settings change under it.
//!
//! Whoever answers a sandbox asks its [`Bounds`] each time, and holds a connection only as long as
//! they allow its host. [`Registry`] knows all sandboxes that are served, by repository, so that a
//! change is for all of them at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use protocol::egress::{EgressPolicy, HostName};
use protocol::event::Repository;
use tokio::sync::watch;

use super::secrets::Vault;

/// One sandbox's egress policy.
pub(super) struct Bounds(watch::Sender<EgressPolicy>);

impl Bounds {
    pub(super) fn new(policy: EgressPolicy) -> Self {
        Self(watch::Sender::new(policy))
    }

    pub(super) fn allow(&self, host: &HostName) -> bool {
        self.0.borrow().allows(host)
    }

    /// Returns once the policy is such that `is_over`.
    pub(super) async fn until(&self, is_over: impl Fn(&EgressPolicy) -> bool) {
        // It fails only without the bounds themselves, and then nothing is within them.
        let _ = self.0.subscribe().wait_for(|policy| is_over(policy)).await;
    }

    fn set(&self, policy: &EgressPolicy) {
        self.0.send_if_modified(|held| {
            let is_new = held != policy;
            if is_new {
                held.clone_from(policy);
            }
            is_new
        });
    }
}

/// The sandboxes that are served now.
#[derive(Default)]
pub(super) struct Registry(Mutex<Held>);

#[derive(Default)]
struct Held {
    served: Vec<Served>,
    /// What was last told of each repository that has sandboxes.
    told: BTreeMap<Repository, EgressPolicy>,
}

struct Served {
    repository: Repository,
    bounds: Weak<Bounds>,
    vault: Weak<Vault>,
}

impl Registry {
    pub(super) fn enter(&self, repository: Repository, bounds: &Arc<Bounds>, vault: &Arc<Vault>) {
        let mut held = self.held();
        held.served.retain(Served::is_there);
        // Newer than what the sandbox's start was told, or the same.
        if let Some(policy) = held.told.get(&repository) {
            bounds.set(policy);
        }
        held.served.push(Served {
            repository,
            bounds: Arc::downgrade(bounds),
            vault: Arc::downgrade(vault),
        });
    }

    /// Whose sandboxes are served.
    pub(super) fn repositories(&self) -> BTreeSet<Repository> {
        let mut held = self.held();
        held.served.retain(Served::is_there);
        let served = held.served.iter();
        served.map(|served| served.repository.clone()).collect()
    }

    /// Holds from now on, for all of these repositories' sandboxes.
    pub(super) fn set(&self, policies: BTreeMap<Repository, EgressPolicy>) {
        let mut held = self.held();
        held.served.retain(Served::is_there);
        for served in &held.served {
            if let (Some(bounds), Some(policy)) =
                (served.bounds.upgrade(), policies.get(&served.repository))
            {
                bounds.set(policy);
            }
        }
        let mut told = std::mem::take(&mut held.told);
        told.retain(|repository, _| held.serves(repository));
        told.extend(policies);
        held.told = told;
    }

    pub(super) fn told(&self, repository: &Repository) -> Option<EgressPolicy> {
        self.held().told.get(repository).cloned()
    }

    /// What is kept secret for this repository is asked for anew.
    pub(super) fn forget_secrets(&self, repository: &Repository) {
        let held = self.held();
        let of = held.served.iter();
        of.filter(|served| served.repository == *repository)
            .filter_map(|served| served.vault.upgrade())
            .for_each(|vault| vault.forget());
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn serves(&self, repository: &Repository) -> bool {
        let mut served = self.served.iter();
        served.any(|served| served.repository == *repository)
    }
}

impl Served {
    fn is_there(&self) -> bool {
        self.bounds.strong_count() > 0
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use futures_util::FutureExt as _;
    use protocol::egress::HostPattern;

    use super::*;
    use crate::gateway::secrets;

    fn policy(allow: &str) -> EgressPolicy {
        EgressPolicy {
            allow: vec![HostPattern::parse(allow).unwrap()],
            defaults: false,
        }
    }

    fn host(name: &str) -> HostName {
        HostName::parse(name).unwrap()
    }

    fn repository(name: &str) -> Repository {
        Repository::new("acme", name).unwrap()
    }

    fn vault() -> Arc<Vault> {
        Arc::new(Vault::new(secrets::none(), None))
    }

    #[test]
    fn a_change_is_for_all_sandboxes_of_its_repository_and_no_others() {
        let (registry, vault) = (Registry::default(), vault());
        let [one, two, other] = [(); 3].map(|()| Arc::new(Bounds::new(policy("a.example.com"))));
        for (name, bounds) in [("tool", &one), ("tool", &two), ("other", &other)] {
            registry.enter(repository(name), bounds, &vault);
        }
        registry.set([(repository("tool"), policy("b.example.com"))].into());
        for bounds in [&one, &two] {
            assert!(bounds.allow(&host("b.example.com")));
            assert!(!bounds.allow(&host("a.example.com")));
        }
        assert!(other.allow(&host("a.example.com")));
    }

    #[test]
    fn whoever_holds_a_host_hears_when_it_is_excluded_and_only_then() {
        let bounds = Bounds::new(policy("*.example.com"));
        let held = host("a.example.com");
        let mut excluded = Box::pin(bounds.until(|policy| !policy.allows(&held)));
        assert!(excluded.as_mut().now_or_never().is_none());
        bounds.set(&policy("a.example.com"));
        assert!(excluded.as_mut().now_or_never().is_none());
        bounds.set(&policy("b.example.com"));
        assert!(excluded.as_mut().now_or_never().is_some());
        let at_once = bounds.until(|policy| !policy.allows(&held));
        assert!(at_once.now_or_never().is_some());
    }

    #[test]
    fn what_was_told_holds_for_a_sandbox_that_comes_later() {
        let (registry, vault) = (Registry::default(), vault());
        let [one, two] = [(); 2].map(|()| Arc::new(Bounds::new(policy("a.example.com"))));
        registry.enter(repository("tool"), &one, &vault);
        registry.set([(repository("tool"), policy("b.example.com"))].into());
        registry.enter(repository("tool"), &two, &vault);
        assert!(two.allow(&host("b.example.com")));
        assert!(!two.allow(&host("a.example.com")));
    }

    #[test]
    fn what_was_told_is_known_while_there_are_sandboxes() {
        let (registry, vault) = (Registry::default(), vault());
        let bounds = Arc::new(Bounds::new(EgressPolicy::default()));
        registry.enter(repository("tool"), &bounds, &vault);
        assert_eq!(registry.repositories(), [repository("tool")].into());
        registry.set([(repository("tool"), policy("a.example.com"))].into());
        registry.set(BTreeMap::new());
        let told = registry.told(&repository("tool"));
        assert_eq!(told, Some(policy("a.example.com")));
        drop(bounds);
        assert!(registry.repositories().is_empty());
        registry.set(BTreeMap::new());
        assert_eq!(registry.told(&repository("tool")), None);
    }
}
