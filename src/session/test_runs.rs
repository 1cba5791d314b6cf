//! Which commands of the agent's run tests, and what became of them, purely.

use protocol::event::{PartBody, PartOutcome};
use serde::{Deserialize, Serialize};

use crate::github::pull_request::body::TestRun;

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

/// A command that runs tests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    pub line: String,
    /// Its exit is that of another program.
    piped: bool,
}

impl Command {
    /// What became of it; `end` is the end of its output.
    pub fn ended(self, outcome: &PartOutcome, end: &str) -> TestRun {
        let passed = match has_failed(outcome, end) {
            true => Some(false),
            false => (!self.piped).then_some(true),
        };
        TestRun {
            command: self.line,
            passed,
        }
    }
}

/// The command, if it runs tests: what comes before it in the line prepares it.
pub fn test_command(body: &PartBody) -> Option<Command> {
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
