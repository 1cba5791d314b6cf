//! The end of a sandbox that nobody wanted: what is left of it is kept before its loss is told, so that
//! the session's next sandbox goes on from there, with its files and its conversation.

use protocol::SnapshotId;
use protocol::callback::Report;

use super::Machine;
use super::exchange::{Action, Effects, Input, Moment, Scene};

impl Machine {
    pub(super) fn lost(&mut self, reason: String, now: Moment, effects: &mut Effects) {
        if self.remains().is_none() {
            return self.lose(reason, now, effects);
        }
        self.state.losing = Some(reason);
        self.stop_at = None;
        self.salvage(effects);
    }

    pub(super) fn salvage(&mut self, effects: &mut Effects) {
        if let Some(scene) = self.remains() {
            // Nothing begins any more.
            self.keeping = true;
            effects.actions.push(Action::Salvage(Box::new(scene)));
        }
    }

    pub(super) fn salvaged(
        &mut self,
        snapshot: Option<SnapshotId>,
        now: Moment,
        effects: &mut Effects,
    ) {
        let Some(reason) = self.state.losing.take() else {
            return;
        };
        if let Some(snapshot) = snapshot {
            let prompt = None;
            self.report(Report::Snapshotted { snapshot, prompt }, now, effects);
        }
        self.lose(reason, now, effects);
    }

    /// What there is to keep of a sandbox that is lost: its files if a turn began since they were last
    /// kept, and the conversation as it stands.
    pub(in crate::session) fn remains(&self) -> Option<Scene> {
        let running = self.state.running.as_ref()?;
        self.state.unsaved.then(|| {
            let mut transcript = running.transcript.clone();
            // Its parts end when the loss is told.
            transcript.close("the sandbox is gone");
            Scene {
                ground: running.ground.clone(),
                transcript,
            }
        })
    }

    /// Whether an input means anything to a sandbox that is lost.
    pub(super) fn concerns_the_lost(&self, input: &Input) -> bool {
        matches!(
            input,
            Input::Salvaged { .. }
                | Input::Step(_)
                | Input::Notice { .. }
                | Input::LimitReached { .. }
                | Input::Time
        )
    }

    fn lose(&mut self, reason: String, now: Moment, effects: &mut Effects) {
        let parts = self.close("the sandbox is gone");
        self.report_all(parts, now, effects);
        self.report(Report::Lost { reason }, now, effects);
        self.state.running = None;
        self.state.gone = true;
    }
}
