//! Which of the host's users each sandbox runs as.
//!
//! No two sandboxes that live share one, so the host never takes a process of one for the other's,
//! and a user rests as long as possible between two: the kernel takes back a little later what it
//! counts for a user (descriptors in flight), when the sandbox has ended already.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many users there are for a runner's sandboxes.
const USERS: u32 = 1000;

#[derive(Debug, Default, Clone)]
pub(super) struct Slots(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    numbers: BTreeSet<u32>,
    next: u32,
}

/// Free again when it is dropped, unless it was kept.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Slots,
    number: u32,
    kept: bool,
}

impl Slots {
    /// The free one that has rested longest, or one beyond the range if there are so many.
    pub(super) fn take(&self) -> Slot {
        let mut taken = self.lock();
        let next = taken.next;
        let number = (next..USERS)
            .chain(0..next)
            .chain(USERS..)
            .find(|number| !taken.numbers.contains(number))
            .unwrap_or(next);
        taken.numbers.insert(number);
        taken.next = (number + 1) % USERS;
        Slot {
            slots: self.clone(),
            number,
            kept: false,
        }
    }

    pub(super) fn occupy(&self, number: u32) {
        self.lock().numbers.insert(number);
    }

    pub(super) fn free(&self, number: u32) {
        self.lock().numbers.remove(&number);
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
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

    fn numbers(slots: &Slots, count: u32) -> Vec<u32> {
        let taken = (0..count).map(|_| slots.take());
        let taken: Vec<_> = taken.collect();
        taken.iter().map(Slot::number).collect()
    }

    #[test]
    fn a_slot_rests_until_all_others_had_their_turn() {
        let slots = Slots::default();
        slots.occupy(1);
        assert_eq!(numbers(&slots, 2), [0, 2]);
        let turn = numbers(&slots, USERS - 1);
        assert_eq!(turn.last(), Some(&2));
        assert!(!turn.contains(&1));
    }

    #[test]
    fn a_slot_is_free_again_when_its_start_failed_or_its_sandbox_ended() {
        let slots = Slots::default();
        for number in 3..USERS {
            slots.occupy(number);
        }
        let first = slots.take();
        slots.take().keep();
        slots.take().keep();
        drop(first);
        assert_eq!(numbers(&slots, 1), [0]);
        slots.free(2);
        slots.occupy(0);
        assert_eq!(numbers(&slots, 1), [2]);
    }

    #[test]
    fn more_sandboxes_than_users_of_the_range_still_have_one_each() {
        let slots = Slots::default();
        let taken: BTreeSet<_> = numbers(&slots, USERS + 2).into_iter().collect();
        assert_eq!(taken.len(), USERS as usize + 2);
    }
}
