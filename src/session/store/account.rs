//! What the log says of the work, for pull requests.

use std::collections::BTreeMap;

use protocol::event::{PartBody, PartOutcome};

use super::{Store, StoreError};
use crate::github::pull_request::body::TestRun;
use crate::platform::sql::Sql;
use crate::session::test_runs::test_command;

/// Most tool calls that are looked at, the newest.
const MOST_CALLS: i64 = 400;

impl<S: Sql> Store<S> {
    /// Runs of tests that the agent made, each command once with its last outcome.
    pub fn test_runs(&self) -> Result<Vec<TestRun>, StoreError> {
        let rows = self.sql.run(
            "SELECT json_extract(json, '$.part'), json_extract(json, '$.body') FROM events
             WHERE json_extract(json, '$.type') = 'part_started'
               AND json_extract(json, '$.body.tool') = 'bash'
             ORDER BY seq DESC LIMIT ?",
            &[MOST_CALLS.into()],
        )?;
        let mut commands = BTreeMap::new();
        for row in &rows {
            let body: PartBody = serde_json::from_str(row.text(1)?)?;
            if let Some(command) = test_command(&body) {
                commands.insert(row.integer(0)?, command);
            }
        }
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        // Their own numbers, so that the log is gone through once.
        let parts: Vec<_> = commands.keys().map(i64::to_string).collect();
        let ended = self.sql.run(
            &format!(
                "SELECT json_extract(json, '$.part'), json_extract(json, '$.outcome'),
                        substr(json_extract(json, '$.text'), -400)
                 FROM events WHERE json_extract(json, '$.type') = 'part_finished'
                   AND json_extract(json, '$.part') IN ({}) ORDER BY seq DESC",
                parts.join(", ")
            ),
            &[],
        )?;
        let mut runs: Vec<TestRun> = Vec::new();
        for row in &ended {
            let Some(command) = commands.remove(&row.integer(0)?) else {
                continue;
            };
            let outcome: PartOutcome = serde_json::from_str(row.text(1)?)?;
            if !runs.iter().any(|known| known.command == command.line) {
                runs.push(command.ended(&outcome, row.text(2)?));
            }
        }
        runs.reverse();
        Ok(runs)
    }
}
