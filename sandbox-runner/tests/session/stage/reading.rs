//! What was told of a sandbox, as the tests ask for it.

use std::collections::HashMap;
use std::time::Duration;

use protocol::callback::{PromptResult, Report};
use protocol::command::Start;
use protocol::event::StepName;
use protocol::ledger::{Contact, ContactKind};
use protocol::{PartId, PromptId};
use support::process::Process;

use super::{LIMIT, Stage};

impl Stage {
    /// Waits for reports of a sandbox in which `find` finds something.
    pub(crate) async fn until<T>(
        &self,
        start: &Start,
        wanted: &str,
        find: impl Fn(&[Report]) -> Option<T>,
    ) -> T {
        let mut changes = self.worker.told.changes.subscribe();
        let waited = async {
            loop {
                let found = self.worker.with(|told| {
                    let reports = told
                        .reports
                        .get(&start.sandbox)
                        .map_or(&[][..], Vec::as_slice);
                    find(reports)
                });
                if let Some(found) = found {
                    return found;
                }
                changes.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(LIMIT, waited).await {
            Ok(found) => found,
            Err(_) => panic!(
                "no {wanted}; told {:#?}\n{}",
                self.reports(start),
                self.runner
                    .as_ref()
                    .map(Process::last_lines)
                    .unwrap_or_default()
            ),
        }
    }

    pub(crate) async fn finished(&self, start: &Start, prompt: &PromptId) -> PromptResult {
        self.until(start, "end of the prompt", |reports| {
            reports.iter().find_map(|report| match report {
                Report::PromptFinished {
                    prompt: one,
                    result,
                } if one == prompt => Some(result.clone()),
                _ => None,
            })
        })
        .await
    }

    /// What is kept of a sandbox's work that is in no commit, as soon as anything is.
    pub(crate) async fn work_in_progress(&self, start: &Start) -> Vec<u8> {
        let bundle = self.state().join(format!("wip/{}.bundle", start.session));
        let kept = tokio::time::timeout(LIMIT, async {
            loop {
                match std::fs::read(&bundle) {
                    Ok(parcel) => return parcel,
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        });
        kept.await.expect("no work in progress is kept")
    }

    pub(crate) async fn ready(&self, start: &Start) {
        self.until(start, "ready sandbox", |reports| {
            reports
                .iter()
                .any(|report| matches!(report, Report::Ready { .. }))
                .then_some(())
        })
        .await;
    }

    pub(crate) fn reports(&self, start: &Start) -> Vec<Report> {
        self.worker.with(|told| {
            told.reports
                .get(&start.sandbox)
                .cloned()
                .unwrap_or_default()
        })
    }

    pub(crate) fn steps(&self, start: &Start) -> Vec<StepName> {
        let reports = self.reports(start);
        let step = |report: &Report| match report {
            Report::Step { step } => Some(step.name),
            _ => None,
        };
        reports.iter().filter_map(step).collect()
    }

    /// The texts of the parts of a prompt, as a client puts them together; checks on the way that
    /// offsets meet and lengths fit.
    pub(crate) fn texts(&self, start: &Start) -> Vec<String> {
        let mut open: HashMap<PartId, String> = HashMap::new();
        let mut finished = Vec::new();
        for report in self.reports(start) {
            match report {
                Report::PartStarted { part, .. } => {
                    assert!(
                        open.insert(part, String::new()).is_none(),
                        "{part} began twice"
                    );
                }
                Report::Delta { part, offset, text } => {
                    let before = open
                        .get_mut(&part)
                        .unwrap_or_else(|| panic!("{part} is not open"));
                    assert_eq!(before.encode_utf16().count() as u64, offset, "{part}");
                    before.push_str(&text);
                }
                Report::PartFinished {
                    part, length, text, ..
                } => {
                    let grown = open
                        .remove(&part)
                        .unwrap_or_else(|| panic!("{part} is not open"));
                    let text = text.unwrap_or(grown);
                    assert_eq!(text.encode_utf16().count() as u64, length, "{part}");
                    finished.push(text);
                }
                _ => {}
            }
        }
        finished
    }

    /// What was told of the model before the prompt's end.
    pub(crate) fn model_contact(&self, start: &Start, ended: &PromptId) -> Contact {
        let reports = self.reports(start);
        let before = reports.iter().take_while(
            |report| !matches!(report, Report::PromptFinished { prompt, .. } if prompt == ended),
        );
        let contacts = before.filter_map(|report| match report {
            Report::Contacts { contacts } => Some(contacts),
            _ => None,
        });
        contacts
            .flatten()
            .filter(|contact| contact.kind == ContactKind::Model)
            .last()
            .unwrap()
            .clone()
    }
}
