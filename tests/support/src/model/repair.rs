//! The script of the demo: find out why tests fail, and mend it.
//!
//! It knows beforehand which line is wrong; all else it takes from what the tools say, and it
//! claims nothing that they did not: if the tests still fail at the end, it says so.

use serde_json::json;

use super::conversation::Conversation;
use super::script::{Step, Turn};

const TEST: &str = "cargo test";

/// A known defect and its remedy.
#[derive(Debug, Clone)]
pub struct Repair {
    /// Where the repository is in the sandbox.
    pub directory: String,
    /// Relative to it.
    pub file: String,
    pub defect: String,
    pub fix: String,
    /// What was wrong, in a sentence or two.
    pub explanation: String,
}

impl Repair {
    pub fn steps(self) -> Vec<Step> {
        let Self {
            directory,
            file,
            defect,
            fix,
            explanation,
        } = self;
        let path = format!("{directory}/{file}");
        let run = |text: &str, description: &str| {
            Turn::say(text).call("bash", json!({"command": TEST, "description": description}))
        };
        let first = run(
            "I'll run the test suite first, to see what fails and how.",
            "Runs the tests",
        );
        let again = run(
            "The change is in. Running the whole suite again to see whether it holds.",
            "Runs the tests again",
        );
        let read = {
            let (path, file) = (path.clone(), file.clone());
            move |conversation: &Conversation| look(conversation, &path, &file)
        };
        let edit = {
            let (defect, fix, file) = (defect.clone(), fix.clone(), file.clone());
            move |conversation: &Conversation| change(conversation, &path, &file, &defect, &fix)
        };
        let report = move |conversation: &Conversation| {
            Turn::say(summary(conversation, &file, &defect, &fix, &explanation))
        };
        vec![
            first.into(),
            Step::computed(read),
            Step::computed(edit),
            again.into(),
            Step::computed(report),
        ]
    }
}

fn look(conversation: &Conversation, path: &str, file: &str) -> Turn {
    let outcome = Outcome::of(conversation.last_output());
    if outcome.passed() {
        return Turn::say(format!(
            "All {} tests pass, so there is nothing for me to mend here. If you expected a failure, tell me which test you mean.",
            outcome.good
        ));
    }
    let failing = match outcome.failing.as_slice() {
        [] => "The tests do not even run to their end.".to_owned(),
        [one] => format!("`{one}` fails."),
        several => format!(
            "{} tests fail, `{}` among them.",
            several.len(),
            several.join("`, `")
        ),
    };
    Turn::say(format!(
        "{failing} The code behind it is in `{file}`; I'll read it."
    ))
    .call("read", json!({"filePath": path}))
}

fn change(conversation: &Conversation, path: &str, file: &str, defect: &str, fix: &str) -> Turn {
    let line = defect.lines().next().unwrap_or_default().trim();
    if !conversation.last_output().contains(line) {
        return Turn::say(format!(
            "I expected `{line}` in `{file}`, and it is not there, so I stop before I change something that I do not understand."
        ));
    }
    Turn::say(format!(
        "Here it is: `{line}` does not do what its test asks for. I'll change that line and nothing else."
    ))
    .call(
        "edit",
        json!({"filePath": path, "oldString": defect, "newString": fix}),
    )
}

fn summary(
    conversation: &Conversation,
    file: &str,
    defect: &str,
    fix: &str,
    explanation: &str,
) -> String {
    let results = conversation.tool_results();
    let before = results.first().map(|result| Outcome::of(&result.output));
    let outcome = Outcome::of(conversation.last_output());
    let broken = before.map_or_else(Vec::new, |before| before.failing);
    let names = match broken.as_slice() {
        [] => "The suite".to_owned(),
        names => format!("`{}`", names.join("`, `")),
    };
    let result = if outcome.passed() {
        format!(
            "`{TEST}` now passes: {} tests, none failing. I changed no test.",
            outcome.good
        )
    } else if outcome.failing.is_empty() {
        format!("**It is not done:** `{TEST}` did not report a result after the change.")
    } else {
        format!(
            "**It is not done:** after the change `{}` still fails.",
            outcome.failing.join("`, `")
        )
    };
    format!(
        "## What was wrong\n\n{names} failed because of one line in `{file}`. {explanation}\n\n\
         ## What I changed\n\n```diff\n- {}\n+ {}\n```\n\n## Result\n\n{result}\n",
        defect.trim(),
        fix.trim()
    )
}

/// What a run of `cargo test` says about itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    good: u64,
    bad: u64,
    suites: u64,
    failing: Vec<String>,
}

impl Outcome {
    fn of(output: &str) -> Self {
        let mut outcome = Self::default();
        for line in output.lines().map(str::trim) {
            if let Some(rest) = line.strip_prefix("test result:") {
                outcome.suites += 1;
                for part in rest.split(['.', ';']) {
                    let mut words = part.split_whitespace();
                    let count = words.next().and_then(|count| count.parse::<u64>().ok());
                    match (count, words.next()) {
                        (Some(count), Some("passed")) => outcome.good += count,
                        (Some(count), Some("failed")) => outcome.bad += count,
                        _ => {}
                    }
                }
            } else if let Some(name) = line
                .strip_prefix("test ")
                .and_then(|rest| rest.strip_suffix(" ... FAILED"))
            {
                outcome.failing.push(name.to_owned());
            }
        }
        outcome
    }

    fn passed(&self) -> bool {
        self.suites > 0 && self.bad == 0 && self.failing.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: &str = "running 2 tests\ntest tests::a ... ok\ntest tests::b ... FAILED\n\n\
        test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
        error: test failed, to rerun pass `--lib`\n";
    const PASSED: &str = "test tests::a ... ok\ntest result: ok. 2 passed; 0 failed; 0 ignored\n\
        test result: ok. 3 passed; 0 failed; 0 ignored\n";

    #[test]
    fn an_outcome_names_what_failed() {
        let outcome = Outcome::of(FAILED);
        assert_eq!((outcome.good, outcome.bad), (1, 1));
        assert_eq!(outcome.failing, ["tests::b"]);
        assert!(!outcome.passed());
    }

    #[test]
    fn an_outcome_adds_up_all_suites() {
        let outcome = Outcome::of(PASSED);
        assert_eq!(outcome.good, 5);
        assert!(outcome.passed());
    }

    #[test]
    fn no_result_is_no_success() {
        assert!(!Outcome::of("error: could not compile `x`").passed());
    }
}
