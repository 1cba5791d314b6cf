//! The runner's own database, looked at from outside while it is written.

use protocol::command::Start;
use rusqlite::{Connection, OptionalExtension as _};

use super::Stage;

pub(crate) struct Claims(Connection);

impl Claims {
    /// Whether an entry of the pool is a sandbox's on record, which does not know that it is ready.
    pub(crate) fn is_under_way(&self, start: &Start) -> bool {
        let claimed = self
            .0
            .prepare_cached("select 1 from warm where claimed_by = ?")
            .unwrap()
            .exists([start.sandbox.as_str()])
            .unwrap();
        claimed && !self.is_served(start)
    }

    /// Whether the sandbox is ready on record.
    pub(crate) fn is_served(&self, start: &Start) -> bool {
        let state: Option<String> = self
            .0
            .prepare_cached("select state from sandboxes where sandbox = ?")
            .unwrap()
            .query_row([start.sandbox.as_str()], |row| row.get(0))
            .optional()
            .unwrap()
            .flatten();
        let state = state.map(|json| serde_json::from_str::<serde_json::Value>(&json).unwrap());
        state.is_some_and(|state| !state["running"].is_null())
    }
}

impl Stage {
    pub(crate) fn claims(&self) -> Claims {
        Claims(self.database())
    }

    /// As if the Worker had given up every image that it had ordered. No runner may run.
    pub(crate) fn forget_orders(&self) {
        let forgotten = "delete from commands where sandbox is null";
        self.database().execute(forgotten, []).unwrap();
    }

    fn database(&self) -> Connection {
        Connection::open(self.state().join("runner.sqlite")).unwrap()
    }
}
