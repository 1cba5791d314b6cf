//! Joins the deltas of fast text, so that a frame carries more text than frame.
//!
//! Pure: it is told the time. Whatever it holds back is part of the session's recorded state, so
//! nothing is lost with the process. Order is kept between a part's deltas, and between any delta
//! and any report that is none; deltas of different parts may pass one another.

use std::time::{Duration, Instant};

use protocol::PartId;
use protocol::callback::Report;
use serde::{Deserialize, Serialize};

/// How long text may be held back. A viewer may cost 3 × the text's bytes: at 100 tokens a second,
/// some 400 bytes, that leaves 800 for what is around them. A frame is about 55 bytes besides its
/// text, so 12 to 13 frames a second stay below it, and to the eye that is still a steady flow.
pub const WINDOW: Duration = Duration::from_millis(80);

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Coalescer {
    /// At most one for each part, in order of arrival.
    held: Vec<HeldDelta>,
    /// When text was last let through. After a restart nothing needs to be waited for.
    #[serde(skip)]
    passed: Option<Instant>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct HeldDelta {
    part: PartId,
    offset: u64,
    text: String,
}

impl Coalescer {
    /// Takes a report and returns what is to be sent now, in order.
    pub fn push(&mut self, report: Report, now: Instant) -> Vec<Report> {
        match report {
            Report::Delta { part, offset, text } => {
                let mut ready = self.hold(part, offset, text);
                if self.due(now).is_some_and(|due| due <= now) {
                    ready.append(&mut self.flush(now));
                }
                ready
            }
            other => {
                let mut ready = self.flush(now);
                ready.push(other);
                ready
            }
        }
    }

    /// When [`Self::flush`] is to be called, if anything is held back.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        if self.held.is_empty() {
            return None;
        }
        // Without an earlier frame there is nothing to keep a distance from.
        Some(self.passed.map_or(now, |passed| passed + WINDOW))
    }

    pub fn flush(&mut self, now: Instant) -> Vec<Report> {
        if !self.held.is_empty() {
            self.passed = Some(now);
        }
        std::mem::take(&mut self.held)
            .into_iter()
            .map(HeldDelta::into_report)
            .collect()
    }

    /// Joins text to what is held of its part. Text that does not meet it, which only a
    /// mistaken caller sends, lets the held text go first.
    fn hold(&mut self, part: PartId, offset: u64, text: String) -> Vec<Report> {
        let fresh = HeldDelta { part, offset, text };
        let Some(held) = self.held.iter_mut().find(|held| held.part == part) else {
            self.held.push(fresh);
            return Vec::new();
        };
        if held.offset + units(&held.text) == fresh.offset {
            held.text.push_str(&fresh.text);
            return Vec::new();
        }
        vec![std::mem::replace(held, fresh).into_report()]
    }
}

impl HeldDelta {
    fn into_report(self) -> Report {
        Report::Delta {
            part: self.part,
            offset: self.offset,
            text: self.text,
        }
    }
}

fn units(text: &str) -> u64 {
    text.encode_utf16().count() as u64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Input {
        Text { part: u64, text: String },
        Other,
    }

    fn inputs() -> impl Strategy<Value = Vec<(u64, Input)>> {
        let input = prop_oneof![
            9 => (1..4u64, "\\PC{1,6}").prop_map(|(part, text)| Input::Text { part, text }),
            1 => Just(Input::Other),
        ];
        prop::collection::vec((0..60u64, input), 0..200)
    }

    /// Runs the coalescer as its session does: at the due time, and at each report.
    fn run(inputs: &[(u64, Input)]) -> (Vec<(Instant, Report)>, BTreeMap<u64, String>) {
        let start = Instant::now();
        let mut now = start;
        let mut coalescer = Coalescer::default();
        let mut sent = Vec::new();
        let mut texts = BTreeMap::<u64, String>::new();
        for (number, (pause, input)) in inputs.iter().enumerate() {
            let arrival = now + Duration::from_millis(*pause);
            if let Some(due) = coalescer.due(arrival).filter(|due| *due <= arrival) {
                sent.extend(coalescer.flush(due).into_iter().map(|report| (due, report)));
            }
            now = arrival;
            let report = match input {
                Input::Text { part, text } => {
                    let before = texts.entry(*part).or_default();
                    let offset = units(before);
                    before.push_str(text);
                    Report::Delta {
                        part: PartId(*part),
                        offset,
                        text: text.clone(),
                    }
                }
                Input::Other => Report::Notice {
                    message: number.to_string(),
                },
            };
            sent.extend(
                coalescer
                    .push(report, now)
                    .into_iter()
                    .map(|report| (now, report)),
            );
        }
        let end = now + WINDOW;
        sent.extend(coalescer.flush(end).into_iter().map(|report| (end, report)));
        (sent, texts)
    }

    proptest! {
        #[test]
        fn the_text_is_the_same_and_its_offsets_meet(inputs in inputs()) {
            let (sent, texts) = run(&inputs);
            let mut received = BTreeMap::<u64, String>::new();
            for (_, report) in sent {
                if let Report::Delta { part, offset, text } = report {
                    let before = received.entry(part.0).or_default();
                    prop_assert_eq!(units(before), offset);
                    before.push_str(&text);
                }
            }
            prop_assert_eq!(received, texts);
        }

        #[test]
        fn no_report_is_passed_by_text_that_came_after_it(inputs in inputs()) {
            let (sent, _) = run(&inputs);
            let mut before = BTreeMap::<u64, u64>::new();
            let mut arrived = inputs.iter().enumerate();
            for (_, report) in sent {
                match report {
                    Report::Delta { part, text, .. } => *before.entry(part.0).or_default() += units(&text),
                    _ => {
                        let mut expected = BTreeMap::<u64, u64>::new();
                        for (_, (_, input)) in arrived.by_ref() {
                            match input {
                                Input::Text { part, text } => *expected.entry(*part).or_default() += units(text),
                                Input::Other => break,
                            }
                        }
                        prop_assert_eq!(std::mem::take(&mut before), expected);
                    }
                }
            }
        }

        #[test]
        fn a_part_has_one_frame_in_a_window_unless_a_report_came_between(inputs in inputs()) {
            let (sent, _) = run(&inputs);
            // A report sends what was held back ahead of itself, at its own time.
            let reports: Vec<Instant> = sent
                .iter()
                .filter(|(_, report)| !matches!(report, Report::Delta { .. }))
                .map(|(at, _)| *at)
                .collect();
            let mut last = BTreeMap::<u64, Instant>::new();
            for (at, report) in &sent {
                if let Report::Delta { part, .. } = report
                    && let Some(before) = last.insert(part.0, *at)
                {
                    let between = reports.iter().any(|report| before <= *report && report <= at);
                    prop_assert!(between || *at >= before + WINDOW);
                }
            }
        }

        #[test]
        fn text_is_held_back_for_one_window_at_most(inputs in inputs()) {
            let start = Instant::now();
            let mut coalescer = Coalescer::default();
            let mut now = start;
            for (pause, input) in &inputs {
                now += Duration::from_millis(*pause);
                if let Input::Text { part, text } = input {
                    let offset = 0;
                    coalescer.push(Report::Delta { part: PartId(*part), offset, text: text.clone() }, now);
                    prop_assert!(coalescer.due(now).is_none_or(|due| due <= now + WINDOW));
                }
            }
        }
    }

    #[test]
    fn the_first_text_after_silence_goes_out_at_once() {
        let start = Instant::now();
        let mut coalescer = Coalescer::default();
        let delta = |offset| Report::Delta {
            part: PartId(1),
            offset,
            text: "a".into(),
        };
        assert_eq!(coalescer.push(delta(0), start), [delta(0)]);
        assert_eq!(coalescer.push(delta(1), start), []);
        let due = start + WINDOW;
        assert_eq!(coalescer.due(start), Some(due));
        assert_eq!(coalescer.flush(due), [delta(1)]);
        assert_eq!(coalescer.push(delta(2), due + WINDOW), [delta(2)]);
    }

    #[test]
    fn what_is_held_back_survives_the_process() {
        let start = Instant::now();
        let mut before = Coalescer::default();
        let delta = |offset| Report::Delta {
            part: PartId(1),
            offset,
            text: "a".into(),
        };
        before.push(delta(0), start);
        before.push(delta(1), start);
        let json = serde_json::to_string(&before).unwrap_or_default();
        let mut after: Coalescer = serde_json::from_str(&json).unwrap_or_default();
        assert_eq!(after.flush(start), [delta(1)]);
    }
}
