//! What the Worker has been told of an image, kept as it keeps it.

use protocol::callback::{ImageReport, MAX_LOG_CHUNK};
use protocol::image::{Base, ImageOutcome};

#[derive(Clone, Default)]
pub(crate) struct Heard {
    pub(crate) log: String,
    /// Of an image that was not ordered.
    pub(crate) base: Option<Base>,
    pub(crate) outcomes: Vec<ImageOutcome>,
    /// How often the log began anew.
    pub(crate) beginnings: u32,
    pub(crate) reports: u32,
    pub(crate) refusals: u32,
}

impl Heard {
    /// How much of the log is held now, or was before a report that leaves a gap.
    pub(super) fn take(&mut self, report: ImageReport) -> Result<u64, u64> {
        assert!(report.log.len() <= MAX_LOG_CHUNK);
        self.reports += 1;
        let held = self.log.len() as u64;
        if report.log_offset == 0 && !report.log.is_empty() {
            self.log = report.log;
            self.beginnings += 1;
        } else if report.log_offset > held {
            return Err(held);
        } else if let Some(new) = report.log.get((held - report.log_offset) as usize..) {
            self.log.push_str(new);
        }
        self.base = report.base;
        self.outcomes.extend(report.outcome);
        Ok(self.log.len() as u64)
    }
}
