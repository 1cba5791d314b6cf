//! One part: started once, grown, finished once.

use std::collections::BTreeMap;

use protocol::callback::Report;
use protocol::event::{PartBody, PartOutcome};
use protocol::{PartId, PromptId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::text::{LIVE_OUTPUT, Streamed, cut, cut_output, head};
use crate::agent::wire::{Tool, ToolState};

/// Longest failure that a part carries.
const LONGEST_FAILURE: usize = 4 * 1024;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum PartState {
    Open(OpenPart),
    Finished,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct OpenPart {
    /// Set once it is reported, which it is as soon as there is something to show.
    number: Option<PartId>,
    streamed: Streamed,
    /// Bytes of the text that the current stream has told; none when it began inside the text.
    heard: Option<usize>,
    /// What deltas belong to; absent for tools.
    body: Option<PartBody>,
}

/// Whether a text comes at its place in the stream, so that what follows can be counted from it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    Live,
    Never,
}

/// All of a text so far.
pub(super) struct Text<'a> {
    pub(super) body: PartBody,
    pub(super) text: &'a str,
    pub(super) ended: bool,
    pub(super) heard: Heard,
}

/// Writes the reports of one prompt.
pub(super) struct Reporter<'a> {
    prompt: &'a PromptId,
    next_part: &'a mut PartId,
    reports: &'a mut Vec<Report>,
}

impl PartState {
    pub(super) fn new() -> Self {
        Self::Open(OpenPart::default())
    }

    /// Forgets the place in a stream that has ended.
    pub(super) fn unhear(&mut self) {
        if let Self::Open(open) = self {
            open.heard = None;
        }
    }
}

/// Finishes as failed what was started and is still open.
pub(super) fn close(
    parts: BTreeMap<String, PartState>,
    prompt: &PromptId,
    reason: &str,
) -> Vec<Report> {
    let started = |state| match state {
        PartState::Open(OpenPart {
            number: Some(number),
            streamed,
            ..
        }) => Some((number, streamed)),
        PartState::Open(_) | PartState::Finished => None,
    };
    let mut open: Vec<_> = parts.into_values().filter_map(started).collect();
    open.sort_by_key(|(number, _)| *number);
    open.into_iter()
        .map(|(part, streamed)| Report::PartFinished {
            part,
            prompt: prompt.clone(),
            length: streamed.units(),
            text: None,
            outcome: PartOutcome::Failed {
                message: reason.to_owned(),
            },
        })
        .collect()
}

impl<'a> Reporter<'a> {
    pub(super) fn new(
        prompt: &'a PromptId,
        next_part: &'a mut PartId,
        reports: &'a mut Vec<Report>,
    ) -> Self {
        Self {
            prompt,
            next_part,
            reports,
        }
    }

    pub(super) fn text(&mut self, state: &mut PartState, given: &Text<'_>) {
        let PartState::Open(part) = state else { return };
        let Text {
            body,
            text,
            ended,
            heard,
        } = given;
        let extends = part.streamed.is_prefix_of(text);
        if *heard == Heard::Live {
            // A text begins empty; the place is known then, whatever a snapshot has told already.
            part.heard = (extends || text.is_empty()).then_some(text.len());
        }
        part.body = Some(body.clone());
        if extends {
            self.extend(part, body, text);
        } else if *ended && !text.is_empty() {
            self.start(part, body);
        }
        if *ended {
            let outcome = PartOutcome::Completed { title: None };
            self.finish(state, Some((*text).to_owned()), outcome);
        }
    }

    pub(super) fn grown(&mut self, state: &mut PartState, delta: &str) {
        let PartState::Open(part) = state else { return };
        let (Some(from), Some(body)) = (part.heard, part.body.clone()) else {
            return;
        };
        part.heard = Some(from + delta.len());
        // What a snapshot has told already comes again; the rest is new.
        let told = part.streamed.bytes().saturating_sub(from);
        if told >= delta.len() {
            return;
        }
        match delta.get(told..).filter(|_| part.streamed.bytes() >= from) {
            Some(text) => {
                self.start(part, &body);
                self.grow(part, text);
            }
            None => part.heard = None,
        }
    }

    /// `title` is made from the call's arguments.
    pub(super) fn tool(
        &mut self,
        state: &mut PartState,
        tool: &Tool,
        title: impl FnOnce(&Value) -> String,
    ) {
        let PartState::Open(part) = state else { return };
        let input = match &tool.state {
            ToolState::Pending => return,
            ToolState::Running { input, .. }
            | ToolState::Completed { input, .. }
            | ToolState::Error { input, .. } => input,
        };
        if part.number.is_none() {
            let body = PartBody::Tool {
                tool: tool.tool.clone(),
                title: title(input),
                input: cut_output(&input.to_string()),
            };
            self.start(part, &body);
        }
        match &tool.state {
            ToolState::Pending => {}
            ToolState::Running { metadata, .. } => self.live_output(part, metadata),
            ToolState::Completed {
                output, metadata, ..
            } => {
                let output = with_exit(cut_output(output), metadata);
                if part.streamed.is_prefix_of(&output) {
                    self.rest(part, &output);
                }
                self.finish(state, Some(output), PartOutcome::Completed { title: None });
            }
            ToolState::Error {
                error, metadata, ..
            } => {
                self.live_output(part, metadata);
                let message = cut(error, LONGEST_FAILURE);
                self.finish(state, None, PartOutcome::Failed { message });
            }
        }
    }

    pub(super) fn taken_back(&mut self, state: &mut PartState) {
        let message = "the agent took it back".to_owned();
        self.finish(state, None, PartOutcome::Failed { message });
    }

    /// A running command's output so far, as far as it goes on from what is told.
    fn live_output(&mut self, part: &mut OpenPart, metadata: &Value) {
        let Some(output) = metadata.get("output").and_then(Value::as_str) else {
            return;
        };
        let output = head(output, LIVE_OUTPUT);
        if part.streamed.is_prefix_of(output) {
            self.rest(part, output);
        }
    }

    fn extend(&mut self, part: &mut OpenPart, body: &PartBody, text: &str) {
        if part.streamed.bytes() < text.len() {
            self.start(part, body);
            self.rest(part, text);
        }
    }

    fn rest(&mut self, part: &mut OpenPart, text: &str) {
        if let Some(rest) = text
            .get(part.streamed.bytes()..)
            .filter(|rest| !rest.is_empty())
        {
            self.grow(part, rest);
        }
    }

    fn start(&mut self, part: &mut OpenPart, body: &PartBody) {
        if part.number.is_some() {
            return;
        }
        let number = *self.next_part;
        *self.next_part = number.next();
        part.number = Some(number);
        self.reports.push(Report::PartStarted {
            part: number,
            prompt: self.prompt.clone(),
            body: body.clone(),
        });
    }

    fn grow(&mut self, part: &mut OpenPart, text: &str) {
        let Some(number) = part.number else { return };
        let offset = part.streamed.units();
        part.streamed.push(text);
        self.reports.push(Report::Delta {
            part: number,
            offset,
            text: text.to_owned(),
        });
    }

    /// `whole` is the final text, if the agent told it.
    fn finish(&mut self, state: &mut PartState, whole: Option<String>, outcome: PartOutcome) {
        let PartState::Open(part) = std::mem::replace(state, PartState::Finished) else {
            return;
        };
        let Some(number) = part.number else { return };
        let (length, text) = match whole.filter(|whole| !part.streamed.is(whole)) {
            Some(whole) => (whole.encode_utf16().count() as u64, Some(whole)),
            None => (part.streamed.units(), None),
        };
        self.reports.push(Report::PartFinished {
            part: number,
            prompt: self.prompt.clone(),
            length,
            text,
            outcome,
        });
    }
}

/// A command that did not succeed says so at its end: nothing else in the log tells.
fn with_exit(output: String, metadata: &Value) -> String {
    match metadata.get("exit").and_then(Value::as_i64) {
        None | Some(0) => output,
        Some(code) => {
            let line_end = if output.is_empty() || output.ends_with('\n') {
                ""
            } else {
                "\n"
            };
            format!("{output}{line_end}(exit code {code})")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::with_exit;

    #[test]
    fn a_command_that_failed_says_so_at_its_end() {
        for (output, exit, expected) in [
            ("a\n", json!({ "exit": 1 }), "a\n(exit code 1)"),
            ("a", json!({ "exit": 101 }), "a\n(exit code 101)"),
            ("", json!({ "exit": 2 }), "(exit code 2)"),
            ("a", json!({ "exit": 0 }), "a"),
            ("a", json!({}), "a"),
        ] {
            assert_eq!(with_exit(output.to_owned(), &exit), expected);
        }
    }
}
