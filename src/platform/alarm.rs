//! The one alarm of a Durable Object. One that rings for nothing is harmless, so it is only ever
//! moved forward, and a stream of work does not rewrite it each time.

use std::cell::Cell;
use std::rc::Rc;

use protocol::Millis;
use worker::{ScheduledTime, State, Storage};

use super::clock;

/// When it rings, as far as this life of the object knows.
#[derive(Debug, Default)]
pub struct Alarm {
    at: Rc<Cell<Option<Millis>>>,
}

impl Alarm {
    pub fn rang(&self) {
        self.at.set(None);
    }

    /// Sees to it that it rings at `due` or before.
    pub fn ring_by(&self, state: &State, due: Millis) {
        if self.at.get().is_some_and(|at| at <= due) {
            return;
        }
        self.at.set(Some(due));
        let (at, storage) = (self.at.clone(), state.storage());
        state.wait_until(async move {
            if let Err(error) = move_to(due, &at, &storage).await {
                at.set(None);
                worker::console_error!("the alarm was not set: {error:?}");
            }
        });
    }
}

/// What an earlier life has set is as good if it is still to come, and to ask for it writes nothing:
/// most of what wakes an object leaves its schedule as it was.
async fn move_to(due: Millis, at: &Cell<Option<Millis>>, storage: &Storage) -> worker::Result<()> {
    let set = storage.get_alarm().await?.map(Millis);
    if at.get() != Some(due) {
        // It has been moved further forward meanwhile.
        return Ok(());
    }
    let now = clock::now();
    if let Some(set) = set.filter(|set| (now..=due).contains(set)) {
        at.set(Some(set));
        return Ok(());
    }
    // The offset form: an alarm that is due already rings at once.
    let wait = i64::try_from(due.since(now)).unwrap_or(i64::MAX);
    storage.set_alarm(ScheduledTime::from(wait)).await
}
