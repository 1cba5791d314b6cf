//! A session on a terminal: text as it is generated, tool calls, facts, the waterfall.

use std::collections::BTreeMap;
use std::io::Write as _;

use protocol::PartId;
use protocol::event::{Fact, Outcome, PartBody, Step};
use protocol::frame::ServerFrame;

const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const RESET: &str = "\x1b[0m";

/// Lines of a tool's live output that are shown; the page shows all.
const SHOWN_LINES: usize = 12;

/// Columns of the longest bar.
const BAR: u64 = 40;

/// Prints frames of one session as they come.
#[derive(Default)]
pub struct Screen {
    parts: BTreeMap<PartId, Shown>,
    line_open: bool,
}

struct Shown {
    is_tool: bool,
    lines: usize,
}

impl Screen {
    pub fn show(&mut self, frame: &ServerFrame) {
        match frame {
            ServerFrame::Events { events } => {
                for event in events {
                    self.fact(&event.fact);
                }
            }
            ServerFrame::Delta { part, text, .. } => self.delta(*part, text),
            _ => {}
        }
        // A terminal that is gone is no reason to stop.
        let _ = std::io::stdout().flush();
    }

    fn delta(&mut self, part: PartId, text: &str) {
        let Some(shown) = self.parts.get_mut(&part) else {
            return;
        };
        if !shown.is_tool {
            print!("{text}");
            self.line_open = !text.ends_with('\n');
            return;
        }
        for piece in text.split_inclusive('\n') {
            if shown.lines < SHOWN_LINES {
                print!("{DIM}{piece}{RESET}");
                self.line_open = !piece.ends_with('\n');
            }
            shown.lines += usize::from(piece.ends_with('\n'));
        }
    }

    fn fact(&mut self, fact: &Fact) {
        match fact {
            Fact::PartStarted { part, body, .. } => {
                self.end_line();
                let is_tool = matches!(body, PartBody::Tool { .. });
                if let PartBody::Tool { tool, title, .. } = body {
                    println!("{BOLD}▸ {tool}{RESET} {title}");
                }
                self.parts.insert(*part, Shown { is_tool, lines: 0 });
            }
            Fact::PartFinished { part, .. } => {
                self.end_line();
                let hidden = self
                    .parts
                    .remove(part)
                    .map_or(0, |shown| shown.lines.saturating_sub(SHOWN_LINES));
                if hidden > 0 {
                    println!("{DIM}  … {hidden} more lines{RESET}");
                }
            }
            Fact::SandboxReady { commit, .. } => {
                let commit: String = commit.chars().take(10).collect();
                self.line(&format!("sandbox ready at {commit}"));
            }
            Fact::SandboxLost { reason, .. } => self.line(&format!("sandbox lost: {reason}")),
            Fact::PromptStarted { .. } => self.line("prompt started"),
            Fact::PromptFinished { outcome, .. } => self.line(&match outcome {
                Outcome::Completed => "prompt completed".to_owned(),
                Outcome::Stopped { by } => format!("stopped by {}", by.login),
                Outcome::Failed { message } => format!("prompt failed: {message}"),
            }),
            Fact::Pushed {
                branch,
                commit,
                files,
                ..
            } => {
                let commit: String = commit.chars().take(10).collect();
                self.line(&format!(
                    "pushed {commit} to {branch} ({} files)",
                    files.len()
                ));
            }
            Fact::PullRequestOpened { number, url, .. } => {
                self.line(&format!("pull request #{number} opened: {url}"));
            }
            Fact::Update { text, .. } => self.line(&format!("update: {text}")),
            Fact::Notice { message } => self.line(&format!("notice: {message}")),
            _ => {}
        }
    }

    fn line(&mut self, text: &str) {
        self.end_line();
        println!("{DIM}─ {text}{RESET}");
    }

    fn end_line(&mut self) {
        if std::mem::take(&mut self.line_open) {
            println!();
        }
    }
}

/// Where the time went, as bars on one axis.
pub fn waterfall(steps: &[Step]) -> String {
    let start = steps
        .iter()
        .map(|step| step.started_at)
        .min()
        .unwrap_or_default();
    let end = steps
        .iter()
        .map(|step| step.started_at.since(start) + step.ms)
        .max()
        .unwrap_or(0);
    let scale = |ms: u64| usize::try_from(ms * BAR / end.max(1)).unwrap_or(0);
    let mut text = String::new();
    for step in steps {
        let offset = step.started_at.since(start);
        let bar = format!(
            "{}{}",
            " ".repeat(scale(offset)),
            "█".repeat(scale(step.ms).max(1))
        );
        let detail = step.detail.as_deref().unwrap_or_default();
        text.push_str(&format!(
            "  {:<13} {:>7} ms  {bar:<width$}  {DIM}{detail}{RESET}\n",
            step.name.label(),
            step.ms,
            width = BAR as usize + 1,
        ));
    }
    text
}
