//! What a pull request says. The platform writes it, so that every one says it: what changed and
//! why, who asked, which tests ran, where to see all of it.
//!
//! It stands between two marks. What people write around them is theirs and stays.

use std::fmt::Write as _;

use protocol::event::{FileChange, Person, Step};
use serde::{Deserialize, Serialize};

use super::pictures::{self, Picture};

const BEGIN: &str = "<!-- hosted-agents:begin -->";
const END: &str = "<!-- hosted-agents:end -->";

/// Most files that the body lists.
const MAX_FILES: usize = 50;
const MAX_TESTS: usize = 20;
/// Most characters of the account of the work; GitHub takes 65,536 for the whole.
const MAX_SUMMARY: usize = 20_000;

pub struct Content<'a> {
    /// What changed and why, in the agent's words.
    pub summary: &'a str,
    pub files: &'a [FileChange],
    /// Everybody who prompted, in order.
    pub prompters: &'a [Person],
    pub session_url: &'a str,
    pub tests: &'a [TestRun],
    pub pictures: &'a [Picture],
    pub steps: &'a [Step],
}

/// A run of tests that the agent made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestRun {
    pub command: String,
    /// Absent when the command does not tell: its output went through another program.
    pub passed: Option<bool>,
}

/// The whole body: the block put in place of the last one, everything around it as it is.
pub fn merged(existing: &str, content: &Content<'_>) -> String {
    let block = format!("{BEGIN}\n{}{END}", block(content));
    let around = existing
        .split_once(BEGIN)
        .and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    match around {
        Some((before, after)) => format!("{before}{block}{after}"),
        None if existing.trim().is_empty() => block,
        None => format!("{}\n\n{block}", existing.trim_end()),
    }
}

fn block(content: &Content<'_>) -> String {
    let mut text = String::new();
    let summary = plain(content.summary);
    if !summary.is_empty() {
        let _ = writeln!(text, "{summary}\n");
    }
    pictures::show(&mut text, content.pictures);
    if !content.files.is_empty() {
        files(&mut text, content.files);
    }
    if !content.tests.is_empty() {
        let _ = writeln!(text, "### Tests run\n");
        for test in content.tests.iter().take(MAX_TESTS) {
            let verdict = match test.passed {
                Some(true) => "passed",
                Some(false) => "failed",
                None => "ran",
            };
            let _ = writeln!(text, "- `{}` {verdict}", in_code(&test.command));
        }
        let _ = writeln!(text);
    }
    let asked: Vec<_> = content
        .prompters
        .iter()
        .map(|person| format!("@{}", person.login))
        .collect();
    let asked = match asked.split_last() {
        None => "somebody".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    };
    let _ = writeln!(
        text,
        "---\nAsked for by {asked} in [this session]({}).",
        content.session_url
    );
    let waterfall = content
        .steps
        .iter()
        .map(|step| format!("{} {} ms", step.name.label(), step.ms));
    let waterfall = waterfall.collect::<Vec<_>>().join(" · ");
    if !waterfall.is_empty() {
        let _ = writeln!(text, "\n<sub>{waterfall}</sub>");
    }
    text
}

fn files(text: &mut String, files: &[FileChange]) {
    let _ = writeln!(text, "### Changed files\n");
    for file in files.iter().take(MAX_FILES) {
        let path = in_code(&file.path);
        let _ = match (file.additions, file.deletions) {
            (Some(added), Some(removed)) => writeln!(text, "- `{path}` (+{added} −{removed})"),
            _ => writeln!(text, "- `{path}` (binary)"),
        };
    }
    if files.len() > MAX_FILES {
        let _ = writeln!(text, "- and {} more", files.len() - MAX_FILES);
    }
    let _ = writeln!(text);
}

/// A back-tick would end the code span, and what is in it is the repository's to choose.
fn in_code(text: &str) -> String {
    let text: String = text.chars().filter(|letter| !letter.is_control()).collect();
    text.replace('`', "'")
}

/// The agent's text, which must not end our block, cut where it is too long.
fn plain(text: &str) -> String {
    let text = text.trim().replace("<!--", "&lt;!--");
    match text.char_indices().nth(MAX_SUMMARY) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use protocol::event::StepName;
    use protocol::{Millis, UserId};

    use super::*;

    fn person(id: i64, login: &str) -> Person {
        Person {
            id: UserId(id),
            login: login.to_owned(),
            name: login.to_owned(),
            avatar: String::new(),
        }
    }

    fn content<'a>(summary: &'a str, prompters: &'a [Person]) -> Content<'a> {
        Content {
            summary,
            files: &[],
            prompters,
            session_url: "https://agents.example/sessions/ses_1",
            tests: &[],
            pictures: &[],
            steps: &[],
        }
    }

    #[test]
    fn the_body_says_what_why_who_and_where() {
        let people = [person(7, "alice"), person(8, "bob"), person(9, "eve")];
        let text = block(&Content {
            files: &[
                FileChange {
                    path: "src/a`b.rs".to_owned(),
                    additions: Some(1),
                    deletions: Some(2),
                },
                FileChange {
                    path: "logo.png".to_owned(),
                    additions: None,
                    deletions: None,
                },
            ],
            tests: &[
                TestRun {
                    command: "cargo test".to_owned(),
                    passed: Some(false),
                },
                TestRun {
                    command: "cargo test parser".to_owned(),
                    passed: Some(true),
                },
            ],
            pictures: &[Picture {
                caption: "after".to_owned(),
                url: "https://agents.example/a/1".to_owned(),
            }],
            steps: &[Step {
                name: StepName::Claim,
                started_at: Millis(0),
                ms: 3,
                detail: None,
            }],
            ..content("The bound was off by one.", &people)
        });
        assert_eq!(
            text,
            "The bound was off by one.\n\n![after](https://agents.example/a/1)\n\n\
             ### Changed files\n\n- `src/a'b.rs` (+1 −2)\n- `logo.png` (binary)\n\n\
             ### Tests run\n\n- `cargo test` failed\n- `cargo test parser` passed\n\n\
             ---\nAsked for by @alice, @bob and @eve in \
             [this session](https://agents.example/sessions/ses_1).\n\n<sub>claim 3 ms</sub>\n"
        );
    }

    #[test]
    fn what_people_wrote_around_our_block_survives() {
        let people = [person(7, "alice")];
        let first = merged("", &content("One.", &people));
        let edited = format!("Reviewers: look at the parser.\n\n{first}\n\nCloses #3");
        let second = merged(&edited, &content("Two.", &people));
        assert!(second.starts_with("Reviewers: look at the parser.\n\n<!-- hosted-agents:begin"));
        assert!(second.ends_with("<!-- hosted-agents:end -->\n\nCloses #3"));
        assert!(second.contains("Two.") && !second.contains("One."));
        // Somebody deleted our block with everything in it: it comes back below their text.
        let own = merged("Only mine.", &content("Three.", &people));
        assert!(own.starts_with("Only mine.\n\n<!-- hosted-agents:begin"));
    }

    #[test]
    fn an_agent_cannot_end_the_block() {
        let hostile = format!("a {END} b {BEGIN}");
        let people = [person(7, "alice")];
        let once = merged("", &content(&hostile, &people));
        assert_eq!(once.matches(END).count(), 1);
        assert_eq!(merged(&once, &content(&hostile, &people)), once);
    }
}
