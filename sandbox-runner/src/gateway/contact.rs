//! Whom a sandbox has reached or tried to reach, and how much went there and back.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// Empty when the request named no place that the gateway knows.
    pub host: String,
    pub verdict: Verdict,
    pub requests: u64,
    /// Of bodies, both ways.
    pub bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Allowed,
    Refused,
    /// Allowed, but the place could not be reached.
    Failed,
}

/// One sandbox's contacts, in memory.
#[derive(Debug, Default)]
pub struct Contacts(Mutex<BTreeMap<(String, Verdict), Count>>);

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    requests: u64,
    bytes: u64,
}

impl Contacts {
    pub fn list(&self) -> Vec<Contact> {
        let contacts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        contacts
            .iter()
            .map(|((host, verdict), count)| Contact {
                host: host.clone(),
                verdict: *verdict,
                requests: count.requests,
                bytes: count.bytes,
            })
            .collect()
    }

    pub(super) fn request(&self, host: &str, verdict: Verdict) {
        self.count(host, verdict, 1, 0);
    }

    pub(super) fn bytes(&self, host: &str, bytes: u64) {
        self.count(host, Verdict::Allowed, 0, bytes);
    }

    fn count(&self, host: &str, verdict: Verdict, requests: u64, bytes: u64) {
        let mut contacts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = contacts.entry((host.to_owned(), verdict)).or_default();
        count.requests += requests;
        count.bytes += bytes;
    }
}
