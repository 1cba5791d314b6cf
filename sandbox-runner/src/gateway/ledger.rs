//! One sandbox's ledger: whom it has reached or tried to reach, how much went there and back, and
//! what that cost.
//!
//! Totals only grow. Whoever reports them takes what changed since the last time. A sandbox can
//! make up names without end, so only so many different contacts are kept apart; the rest is
//! counted together.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::Millis;
pub use protocol::ledger::{Contact, ContactKind, OTHERS, Tokens, Verdict};
use tokio::sync::{Notify, watch};
use tracing::Span;

use crate::clock;
use crate::metrics::METRICS;

/// More than any honest session reaches.
const MOST_CONTACTS: usize = 256;

#[derive(Debug)]
pub struct Ledger {
    /// Of whoever serves the sandbox: connections are served by tasks that know nothing of it.
    span: Span,
    entries: Mutex<BTreeMap<Key, Entry>>,
    // One permit is enough: one task reports.
    changed: Notify,
    /// Why a model was refused for want of money.
    exhausted: watch::Sender<Option<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    kind: ContactKind,
    host: String,
    verdict: Verdict,
}

#[derive(Debug)]
struct Entry {
    contact: Contact,
    is_new: bool,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            span: Span::current(),
            entries: Mutex::default(),
            changed: Notify::default(),
            exhausted: watch::Sender::default(),
        }
    }
}

impl Ledger {
    pub fn list(&self) -> Vec<Contact> {
        let entries = self.entries();
        entries
            .values()
            .map(|entry| entry.contact.clone())
            .collect()
    }

    /// What has changed since this was called last.
    pub fn take_changes(&self) -> Vec<Contact> {
        let mut entries = self.entries();
        let changed = entries.values_mut().filter(|entry| entry.is_new);
        changed
            .map(|entry| {
                entry.is_new = false;
                entry.contact.clone()
            })
            .collect()
    }

    /// Waits until [`Self::take_changes`] has something to give. It may be dropped at any time.
    pub async fn changed(&self) {
        while !self.entries().values().any(|entry| entry.is_new) {
            self.changed.notified().await;
        }
    }

    /// A call of a model was refused for want of money.
    pub(super) fn exhaust(&self, reason: &str) {
        self.exhausted.send_if_modified(|known| {
            let is_first = known.is_none();
            known.get_or_insert_with(|| reason.to_owned());
            is_first
        });
    }

    /// Returns the reason once a model was refused for want of money.
    pub async fn exhausted(&self) -> String {
        let mut exhausted = self.exhausted.subscribe();
        loop {
            if let Some(reason) = exhausted.borrow_and_update().clone() {
                return reason;
            }
            if exhausted.changed().await.is_err() {
                // It is held by whoever waits here.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Adds what an earlier process of the runner counted of this sandbox.
    pub fn restore(&self, contacts: &[Contact]) {
        for contact in contacts {
            let (kind, host, at) = (contact.kind, &contact.host, contact.last_at);
            self.change(kind, host, contact.verdict, at, |present| {
                present.reason = present.reason.take().or_else(|| contact.reason.clone());
                present.requests = present.requests.saturating_add(contact.requests);
                count(present, contact.bytes_up, contact.bytes_down);
                if let Some(tokens) = contact.tokens {
                    spend(present, tokens, contact.cost_microdollars);
                }
            });
        }
    }

    /// What its model calls have cost, as far as prices are known.
    pub fn spent_microdollars(&self) -> u64 {
        let entries = self.entries();
        let costs = entries
            .values()
            .filter_map(|entry| entry.contact.cost_microdollars);
        costs.fold(0, u64::saturating_add)
    }

    /// Logs something as the session's whose sandbox this is of, if it is one's.
    pub(super) fn log(&self, log: impl FnOnce()) {
        self.span.in_scope(log);
    }

    pub(super) fn allowed(&self, kind: ContactKind, host: &str) {
        METRICS.gateway.count(kind, Verdict::Allowed);
        self.change(kind, host, Verdict::Allowed, clock::now(), |contact| {
            contact.requests = contact.requests.saturating_add(1);
        });
    }

    pub(super) fn denied(&self, kind: ContactKind, host: &str, reason: &str) {
        // Once for each, since a sandbox can be denied without end.
        if self.complain(kind, host, Verdict::Denied, reason) {
            self.log(|| tracing::info!(host, ?kind, reason, "a sandbox was denied a contact"));
        }
    }

    pub(super) fn failed(&self, kind: ContactKind, host: &str, reason: &str) {
        if self.complain(kind, host, Verdict::Failed, reason) {
            self.log(|| tracing::warn!(host, ?kind, reason, "a sandbox's contact failed"));
        }
    }

    /// Whether this is the first such contact.
    fn complain(&self, kind: ContactKind, host: &str, verdict: Verdict, reason: &str) -> bool {
        METRICS.gateway.count(kind, verdict);
        let mut is_first = false;
        self.change(kind, host, verdict, clock::now(), |contact| {
            is_first = contact.requests == 0;
            contact.requests = contact.requests.saturating_add(1);
            contact.reason = Some(reason.to_owned());
        });
        is_first
    }

    /// Of an allowed contact.
    pub(super) fn bytes(&self, kind: ContactKind, host: &str, up: u64, down: u64) {
        METRICS.bytes_up.add(up);
        METRICS.bytes_down.add(down);
        self.change(kind, host, Verdict::Allowed, clock::now(), |contact| {
            count(contact, up, down);
        });
    }

    pub(super) fn used(&self, host: &str, tokens: Tokens, microdollars: Option<u64>) {
        let kind = ContactKind::Model;
        self.change(kind, host, Verdict::Allowed, clock::now(), |contact| {
            spend(contact, tokens, microdollars);
        });
    }

    fn change(
        &self,
        kind: ContactKind,
        host: &str,
        verdict: Verdict,
        at: Millis,
        change: impl FnOnce(&mut Contact),
    ) {
        let mut entries = self.entries();
        let mut key = Key {
            kind,
            host: host.to_owned(),
            verdict,
        };
        if entries.len() >= MOST_CONTACTS && !entries.contains_key(&key) {
            key.host = OTHERS.to_owned();
        }
        let host = key.host.clone();
        let entry = entries.entry(key).or_insert_with(|| Entry {
            contact: Contact {
                host,
                kind,
                verdict,
                reason: None,
                requests: 0,
                bytes_up: 0,
                bytes_down: 0,
                tokens: None,
                cost_microdollars: None,
                last_at: Millis(0),
            },
            is_new: false,
        });
        change(&mut entry.contact);
        entry.contact.last_at = entry.contact.last_at.max(at);
        if !entry.is_new {
            entry.is_new = true;
            self.changed.notify_one();
        }
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<Key, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(contact: &mut Contact, up: u64, down: u64) {
    contact.bytes_up = contact.bytes_up.saturating_add(up);
    contact.bytes_down = contact.bytes_down.saturating_add(down);
}

fn spend(contact: &mut Contact, tokens: Tokens, microdollars: Option<u64>) {
    *contact.tokens.get_or_insert_default() += tokens;
    if let Some(cost) = microdollars {
        let spent = contact.cost_microdollars.unwrap_or_default();
        contact.cost_microdollars = Some(spent.saturating_add(cost));
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn changes_are_totals_and_are_given_once() {
        let ledger = Ledger::default();
        ledger.allowed(ContactKind::Https, "example.com");
        ledger.denied(ContactKind::Name, "example.org", "why");
        assert_eq!(ledger.take_changes().len(), 2);
        assert_eq!(ledger.take_changes(), []);
        ledger.bytes(ContactKind::Https, "example.com", 3, 5);
        let changes = ledger.take_changes();
        assert_eq!(changes.len(), 1);
        let contact = changes.first().unwrap();
        assert_eq!(
            (contact.requests, contact.bytes_up, contact.bytes_down),
            (1, 3, 5)
        );
    }

    #[test]
    fn names_without_end_are_counted_together() {
        let ledger = Ledger::default();
        for number in 0..10_000 {
            let host = format!("{number}.example.org");
            ledger.denied(ContactKind::Name, &host, "why");
        }
        let contacts = ledger.list();
        assert!(contacts.len() <= MOST_CONTACTS + 1);
        let all: u64 = contacts.iter().map(|contact| contact.requests).sum();
        assert_eq!(all, 10_000);
        ledger.denied(ContactKind::Name, "0.example.org", "why");
        assert!(
            ledger
                .take_changes()
                .iter()
                .any(|contact| contact.host == "0.example.org" && contact.requests == 2)
        );
    }

    #[test]
    fn what_was_counted_before_a_restart_goes_on() {
        let before = Ledger::default();
        let tokens = Tokens {
            input: 10,
            ..Tokens::default()
        };
        before.allowed(ContactKind::Model, "model.example");
        before.used("model.example", tokens, Some(7));
        let after = Ledger::default();
        after.restore(&before.list());
        after.allowed(ContactKind::Model, "model.example");
        after.used("model.example", tokens, None);
        let contacts = after.list();
        let contact = contacts.first().unwrap();
        assert_eq!(contact.requests, 2);
        assert_eq!(contact.tokens.unwrap().input, 20);
        assert_eq!(after.spent_microdollars(), 7);
    }

    #[tokio::test]
    async fn a_change_before_anybody_waits_is_not_missed() {
        let ledger = Ledger::default();
        ledger.allowed(ContactKind::Http, "example.com");
        ledger.changed().await;
    }
}
