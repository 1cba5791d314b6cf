//! The ledger of a session: whom its sandboxes reached, by epoch.

use protocol::Epoch;
use protocol::ledger::Contact;

use super::{Store, StoreError};
use crate::platform::sql::Sql;

impl<S: Sql> Store<S> {
    pub(super) fn write_contacts(
        &self,
        epoch: Epoch,
        contacts: &[Contact],
    ) -> Result<(), StoreError> {
        for contact in contacts {
            self.sql.run(
                "INSERT INTO contacts (epoch, host, kind, verdict, json) VALUES (?, ?, ?, ?, ?)
                 ON CONFLICT (epoch, host, kind, verdict) DO UPDATE SET json = excluded.json",
                &[
                    i64::from(epoch.0).into(),
                    contact.host.as_str().into(),
                    serde_json::to_string(&contact.kind)?.into(),
                    serde_json::to_string(&contact.verdict)?.into(),
                    serde_json::to_string(contact)?.into(),
                ],
            )?;
        }
        Ok(())
    }

    /// Totals of every epoch, oldest first.
    pub fn contacts(&self) -> Result<Vec<Contact>, StoreError> {
        let rows = self.sql.run(
            "SELECT json FROM contacts ORDER BY epoch, host, kind, verdict",
            &[],
        )?;
        rows.iter()
            .map(|row| Ok(serde_json::from_str(row.text(0)?)?))
            .collect()
    }

    /// What the session has spent on models so far, in millionths of a dollar.
    pub fn spent(&self) -> Result<u64, StoreError> {
        let costs = self.contacts()?.into_iter();
        Ok(costs.filter_map(|contact| contact.cost_microdollars).sum())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use protocol::Millis;
    use protocol::ledger::{ContactKind, Verdict};

    use super::*;
    use crate::platform::sql::native::NativeSql;

    fn contact(requests: u64, cost: u64) -> Contact {
        Contact {
            host: "api.example".to_owned(),
            kind: ContactKind::Model,
            verdict: Verdict::Allowed,
            reason: None,
            requests,
            bytes_up: 0,
            bytes_down: 0,
            tokens: None,
            cost_microdollars: Some(cost),
            last_at: Millis(1),
        }
    }

    #[test]
    fn totals_replace_those_before_and_add_up_over_epochs() {
        let store = Store::open(NativeSql::in_memory()).unwrap();
        for (epoch, requests, cost) in [(1, 1, 10), (1, 2, 20), (2, 1, 5)] {
            store
                .write_contacts(Epoch(epoch), &[contact(requests, cost)])
                .unwrap();
        }
        assert_eq!(store.contacts().unwrap(), [contact(2, 20), contact(1, 5)]);
        assert_eq!(store.spent().unwrap(), 25);
    }
}
