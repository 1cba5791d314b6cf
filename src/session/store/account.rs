//! What the log says of the work, for pull requests.

use std::collections::BTreeMap;

use protocol::event::{PartBody, PartOutcome};
use serde::Deserialize;

use super::{Store, StoreError};
use crate::github::pull_request::body::TestRun;
use crate::platform::sql::Sql;

/// Most tool calls that are looked at, the newest.
const MOST_CALLS: i64 = 400;

/// Programs that run tests, by how their command lines begin.
const RUNNERS: &[&str] = &[
    "cargo test",
    "cargo nextest",
    "npm test",
    "npm run test",
    "pnpm test",
    "yarn test",
    "npx vitest",
    "npx jest",
    "node --test",
    "bun test",
    "deno test",
    "pytest",
    "python -m pytest",
    "python3 -m pytest",
    "python -m unittest",
    "python3 -m unittest",
    "uv run pytest",
    "tox",
    "go test",
    "mvn test",
    "mvn verify",
    "gradle test",
    "./gradlew test",
    "make test",
    "make check",
    "bundle exec rspec",
    "rspec",
    "dotnet test",
    "ctest",
];

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
            let Some(Command { line, piped }) = commands.remove(&row.integer(0)?) else {
                continue;
            };
            let outcome: PartOutcome = serde_json::from_str(row.text(1)?)?;
            if !runs.iter().any(|known| known.command == line) {
                let passed = match has_failed(&outcome, row.text(2)?) {
                    true => Some(false),
                    false => (!piped).then_some(true),
                };
                runs.push(TestRun {
                    command: line,
                    passed,
                });
            }
        }
        runs.reverse();
        Ok(runs)
    }
}

struct Command {
    line: String,
    /// Its exit is that of another program.
    piped: bool,
}

/// The command, if it runs tests: what comes before it in the line prepares it.
fn test_command(body: &PartBody) -> Option<Command> {
    #[derive(Deserialize)]
    struct Arguments {
        command: String,
    }
    let PartBody::Tool { input, .. } = body else {
        return None;
    };
    let arguments: Arguments = serde_json::from_str(input).ok()?;
    let commands = arguments.command.split(['\n', ';']);
    let mut commands = commands.flat_map(|line| line.split("&&")).map(str::trim);
    commands.find_map(|command| {
        let first = command.split('|').next().unwrap_or(command).trim();
        let words = without_variables(first);
        let runs = RUNNERS.iter().any(|runner| {
            words
                .strip_prefix(runner)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', ':']))
        });
        runs.then(|| Command {
            line: first.chars().take(200).collect(),
            piped: first.len() < command.len(),
        })
    })
}

/// By the command's exit, which the runner puts at the end, and by what runners of tests print.
fn has_failed(outcome: &PartOutcome, end: &str) -> bool {
    matches!(outcome, PartOutcome::Failed { .. })
        || end.trim_end().ends_with(')') && end.contains("(exit code ")
        || end.contains("test result: FAILED")
        || end.contains("FAILED (")
}

/// `RUST_LOG=debug cargo test` is `cargo test`.
fn without_variables(command: &str) -> &str {
    let mut rest = command;
    while let Some((word, following)) = rest.split_once(' ') {
        if !word.contains('=') || word.starts_with('-') {
            break;
        }
        rest = following.trim_start();
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> Option<String> {
        let found = test_command(&PartBody::Tool {
            tool: "bash".to_owned(),
            title: String::new(),
            input: serde_json::json!({ "command": line }).to_string(),
        });
        found.map(|found| format!("{}{}", found.line, if found.piped { " …" } else { "" }))
    }

    #[test]
    fn a_run_of_tests_is_known_by_its_command() {
        for (line, expected) in [
            ("cargo test", "cargo test"),
            (
                "cd app && RUST_LOG=x cargo test parser 2>&1 | tail -5",
                "RUST_LOG=x cargo test parser 2>&1 …",
            ),
            ("npm ci\nnpm test -- --run", "npm test -- --run"),
            ("make test", "make test"),
        ] {
            assert_eq!(command(line).as_deref(), Some(expected), "{line}");
        }
        for other in [
            "cargo build",
            "grep 'cargo test' README.md",
            "pytester",
            "echo",
        ] {
            assert_eq!(command(other), None, "{other}");
        }
    }
}
