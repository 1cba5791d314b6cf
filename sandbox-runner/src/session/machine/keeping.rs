//! Between two turns: the files are kept as a snapshot, and an idle sandbox goes to sleep.

use protocol::callback::Report;
use protocol::event::StepName;
use protocol::{Millis, PromptId, SnapshotId};

use super::exchange::{Action, Effects, Moment, Scene};
use super::state::Rest;
use super::{Machine, step};

impl Machine {
    /// Has the files kept as they are at the end of a turn. Those of a workspace on its way to another
    /// commit are left for the next turn's end: whoever goes on from them would take them for work.
    pub(super) fn keep(&mut self, prompt: PromptId, effects: &mut Effects) {
        if self.synchronising {
            return;
        }
        let survey = self.state.surveys.back().cloned();
        if let (Some(scene), Some(survey)) = (self.scene(), survey) {
            self.keeping = true;
            let (scene, survey) = (Box::new(scene), Box::new(survey));
            effects.actions.push(Action::Keep {
                prompt,
                scene,
                survey,
            });
        }
    }

    pub(super) fn kept(
        &mut self,
        snapshot: Option<SnapshotId>,
        prompt: PromptId,
        started_at: Millis,
        now: Moment,
        effects: &mut Effects,
    ) {
        self.keeping = false;
        if let Some(snapshot) = snapshot {
            self.state.unsaved = false;
            if let Some(running) = &mut self.state.running {
                running.ground.lineage.grow(snapshot.clone());
            }
            let step = step(StepName::Snapshot, started_at, now);
            self.report(Report::Step { step }, now, effects);
            let prompt = Some(prompt);
            self.report(Report::Snapshotted { snapshot, prompt }, now, effects);
        }
        self.next(now, effects);
    }

    /// Goes to sleep if that is wanted and nothing is to be done.
    pub(super) fn doze(&mut self, effects: &mut Effects) {
        let busy = self.keeping
            || self.synchronising
            || !self.state.waiting.is_empty()
            || !self.state.surveys.is_empty();
        if self.state.rest == Rest::Awake || busy {
            return;
        }
        if let Some(scene) = self.scene() {
            // No turn begins any more: the sandbox ends.
            self.keeping = true;
            self.state.rest = Rest::Asleep;
            effects.actions.push(Action::Sleep(Box::new(scene)));
        }
    }

    /// Whether the sandbox is to sleep and nothing is to be done before.
    pub(in crate::session) fn may_sleep(&self) -> bool {
        self.state.rest != Rest::Awake && self.is_at_rest()
    }

    /// Whether no prompt runs or waits.
    pub(in crate::session) fn is_at_rest(&self) -> bool {
        self.state.waiting.is_empty() && self.scene().is_some()
    }

    /// Has a sandbox that is to sleep do so although its processes have ended already: nothing of it
    /// is lost with them. Called instead of [`Machine::resume`].
    pub(in crate::session) fn sleep_ended(&mut self, now: Moment) -> Effects {
        let mut effects = Effects::default();
        let mut told = self.state.coalescer.flush(now.instant);
        effects.reports.append(&mut told);
        (self.keeping, self.synchronising) = (false, false);
        // What its turns changed can no longer be looked for: nothing answers in there.
        self.state.surveys.clear();
        self.doze(&mut effects);
        effects
    }

    pub(super) fn slept(&mut self, snapshot: SnapshotId, now: Moment, effects: &mut Effects) {
        self.report(Report::Slept { snapshot }, now, effects);
        self.state.running = None;
        self.state.gone = true;
    }

    /// `None` before the sandbox is ready and during a turn.
    fn scene(&self) -> Option<Scene> {
        let running = self.state.running.as_ref()?;
        running.turn.is_none().then(|| Scene {
            ground: running.ground.clone(),
            transcript: running.transcript.clone(),
        })
    }
}
