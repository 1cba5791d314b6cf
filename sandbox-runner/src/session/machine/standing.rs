//! Whether the workspace is up to date. The agent does not wait for it; a push does.

use protocol::callback::{PromptResult, Report};

use super::Machine;
use super::exchange::{Action, Effects, Moment};
use super::state::{Phase, Standing};
use crate::git::{Conflict, Synchronised};

/// Most paths in one notice.
const MOST_NAMED: usize = 10;

impl Machine {
    /// Brings the workspace up to date, unless it is or that is being done.
    pub(super) fn synchronise(&mut self, effects: &mut Effects) {
        if self.state.running.is_some() && self.state.standing.is_none() && !self.synchronising {
            self.synchronising = true;
            effects.actions.push(Action::Synchronise);
        }
    }

    pub(super) fn synchronised(
        &mut self,
        synchronised: Synchronised,
        now: Moment,
        effects: &mut Effects,
    ) {
        self.synchronising = false;
        self.state.tried = true;
        if let Some(conflict) = &synchronised.conflict {
            let message = told(conflict, &synchronised.head);
            self.report(Report::Notice { message }, now, effects);
        }
        if !self.state.turned {
            self.state.found.clone_from(&synchronised.pushed);
        }
        let before = self.state.standing.take();
        self.state.standing = Some(Standing {
            base: synchronised.base,
            pushed: synchronised.pushed,
            beside: before.map(|before| before.beside).unwrap_or_default(),
            behind: synchronised.behind,
        });
        if self.is_publishing() {
            self.publish(effects);
        }
        self.next(now, effects);
    }

    /// The next prompt tries again. One that is done is over: its work is kept in the sandbox.
    pub(super) fn unsynchronised(&mut self, message: &str, now: Moment, effects: &mut Effects) {
        self.synchronising = false;
        self.state.tried = true;
        let message = format!(
            "The workspace is not up to date, since the repository could not be read; its work stays in the sandbox until that works: {message}"
        );
        self.report(Report::Notice { message }, now, effects);
        if self.is_publishing() {
            self.finish(&PromptResult::Completed, now, effects);
        }
        self.next(now, effects);
    }

    fn is_publishing(&self) -> bool {
        let turn = self
            .state
            .running
            .as_ref()
            .and_then(|running| running.turn.as_ref());
        turn.is_some_and(|turn| matches!(turn.phase, Phase::Publishing { .. }))
    }
}

fn told(Conflict { paths, newest }: &Conflict, head: &str) -> String {
    let mut named = paths.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>();
    if let Some(more @ 1..) = paths.len().checked_sub(MOST_NAMED) {
        named.push(format!("{more} more"));
    }
    let named = named.join(", ");
    let (head, newest) = (short(head), short(newest));
    format!(
        "The work goes on from commit {head}, not from the newest, {newest}: what was written to {named} before the workspace was up to date is in the way of newer changes to the same files."
    )
}

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}
