//! Which of the host's users each sandbox runs as.
//!
//! No two sandboxes that live share one, so the host never takes a process of one for the other's.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default, Clone)]
pub(super) struct Slots(Arc<Mutex<BTreeSet<u32>>>);

/// Free again when it is dropped, unless it was kept.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Slots,
    number: u32,
    kept: bool,
}

impl Slots {
    /// The lowest that is free.
    pub(super) fn take(&self) -> Slot {
        let mut taken = self.lock();
        let mut number = 0;
        while taken.contains(&number) {
            number += 1;
        }
        taken.insert(number);
        Slot {
            slots: self.clone(),
            number,
            kept: false,
        }
    }

    pub(super) fn occupy(&self, number: u32) {
        self.lock().insert(number);
    }

    pub(super) fn free(&self, number: u32) {
        self.lock().remove(&number);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// A sandbox lives in it from now on.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.kept {
            self.slots.free(self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_free_again_when_its_start_failed_or_its_sandbox_ended() {
        let slots = Slots::default();
        slots.occupy(1);
        let first = slots.take();
        let second = slots.take();
        assert_eq!((first.number(), second.number()), (0, 2));
        drop(first);
        assert_eq!(slots.take().number(), 0);
        second.keep();
        slots.free(2);
        slots.occupy(0);
        assert_eq!(slots.take().number(), 2);
    }
}
