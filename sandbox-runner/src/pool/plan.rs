//! What is to be done for the pool next, one thing at a time. Pure.
//!
//! Making an entry costs the machine's processors for seconds and its memory for as long as the
//! entry lives, so one is made at a time and only into memory that is free. What is no longer
//! wanted ends at once, and so does what nobody comes for, but for an entry of an older image: that
//! one serves until its replacement is there.

use std::collections::BTreeSet;

use protocol::callback::{PoolTarget, WarmSandbox};
use protocol::{ImageId, SandboxId};

use super::memory::Memory;

/// The agent alone takes 450 to 600 MB once it has answered.
const ENTRY_BYTES: u64 = 1 << 30;
/// Below this share of the machine's memory entries are given up, a tenth.
const PRESSURE: u64 = 10;

/// How many entries a budget of memory is enough for.
pub(super) fn entries_in(bytes: u64) -> u32 {
    u32::try_from(bytes / ENTRY_BYTES).unwrap_or(u32::MAX)
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    Make(PoolTarget),
    End(SandboxId),
}

/// What there is.
#[derive(Clone, Copy)]
pub(super) struct Holding<'a> {
    pub(super) entries: &'a [&'a WarmSandbox],
    /// Leased, and not come for in time: of use to nobody.
    pub(super) lapsed: &'a BTreeSet<SandboxId>,
}

/// `wanted` names each target with its newest image, if there is one; `room` is what entries may
/// take of the runner's capacity.
pub(super) fn plan(
    wanted: &[(PoolTarget, Option<ImageId>)],
    holding: Holding<'_>,
    room: usize,
    memory: Option<Memory>,
    may_make: bool,
) -> Option<Plan> {
    let Holding { entries, lapsed } = holding;
    let short = memory.is_some_and(|memory| memory.available < memory.total / PRESSURE);
    let target_of = |entry: &WarmSandbox| {
        wanted
            .iter()
            .find(|(target, _)| target.base == entry.base && target.model == entry.model)
    };
    let is_old = |entry: &WarmSandbox| {
        target_of(entry).is_some_and(|(_, image)| image.as_ref() != Some(&entry.image))
    };
    let is_useless =
        |entry: &&&WarmSandbox| target_of(entry).is_none() || lapsed.contains(&entry.sandbox);
    if let Some(unwanted) = entries.iter().find(is_useless) {
        return Some(Plan::End(unwanted.sandbox.clone()));
    }
    if (short || entries.len() > room)
        && let Some(entry) = entries
            .iter()
            .find(|entry| is_old(entry))
            .or(entries.first())
    {
        return Some(Plan::End(entry.sandbox.clone()));
    }
    for (target, image) in wanted {
        let (mut fresh, mut old) = (Vec::new(), Vec::new());
        let mine = |entry: &&&WarmSandbox| entry.base == target.base && entry.model == target.model;
        for entry in entries.iter().filter(mine) {
            if image.as_ref() == Some(&entry.image) {
                fresh.push(&entry.sandbox);
            } else {
                old.push(&entry.sandbox);
            }
        }
        let size = usize::try_from(target.size).unwrap_or(usize::MAX);
        // Each fresh entry takes the place of an old one; the old ones fill what is left.
        if let Some(replaced) = old.first().filter(|_| fresh.len() + old.len() > size) {
            return Some(Plan::End((*replaced).clone()));
        }
        if let Some(surplus) = fresh.last().filter(|_| fresh.len() > size) {
            return Some(Plan::End((*surplus).clone()));
        }
        let fits =
            memory.is_none_or(|memory| memory.available > ENTRY_BYTES + memory.total / PRESSURE);
        // A replacement is there before what it replaces goes, if there is room for both.
        let free = entries.len() < room;
        if image.is_some() && fresh.len() < size && may_make && fits {
            if free {
                return Some(Plan::Make(target.clone()));
            }
            if let Some(replaced) = old.first() {
                return Some(Plan::End((*replaced).clone()));
            }
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::store::warm::entry;

    const PLENTY: Option<Memory> = Some(Memory {
        available: 20 << 30,
        total: 24 << 30,
    });

    fn image(number: u8) -> ImageId {
        ImageId::from_random([number; 16])
    }

    fn of(number: u8, image_number: u8) -> WarmSandbox {
        WarmSandbox {
            image: image(image_number),
            ..entry(number)
        }
    }

    fn target(size: u32) -> PoolTarget {
        let WarmSandbox { base, model, .. } = entry(1);
        PoolTarget { base, model, size }
    }

    fn all<'a>(entries: &'a [&'a WarmSandbox]) -> Holding<'a> {
        static NONE: BTreeSet<SandboxId> = BTreeSet::new();
        Holding {
            entries,
            lapsed: &NONE,
        }
    }

    fn wanted(size: u32) -> [(PoolTarget, Option<ImageId>); 1] {
        [(target(size), Some(image(2)))]
    }

    #[test]
    fn entries_are_made_until_there_are_enough() {
        let one = of(1, 2);
        assert_eq!(
            plan(&wanted(2), all(&[&one]), 8, PLENTY, true),
            Some(Plan::Make(target(2)))
        );
        let two = of(2, 2);
        assert_eq!(plan(&wanted(2), all(&[&one, &two]), 8, PLENTY, true), None);
    }

    #[test]
    fn without_an_image_there_is_nothing_to_make() {
        assert_eq!(plan(&[(target(2), None)], all(&[]), 8, PLENTY, true), None);
    }

    #[test]
    fn an_entry_of_an_older_image_goes_after_its_replacement_is_there() {
        let old = of(1, 1);
        assert_eq!(
            plan(&wanted(1), all(&[&old]), 8, PLENTY, true),
            Some(Plan::Make(target(1)))
        );
        let fresh = of(2, 2);
        assert_eq!(
            plan(&wanted(1), all(&[&old, &fresh]), 8, PLENTY, true),
            Some(Plan::End(old.sandbox.clone()))
        );
        assert_eq!(plan(&wanted(1), all(&[&fresh]), 8, PLENTY, true), None);
    }

    #[test]
    fn without_room_for_both_the_older_goes_first() {
        let old = of(1, 1);
        assert_eq!(
            plan(&wanted(1), all(&[&old]), 1, PLENTY, true),
            Some(Plan::End(old.sandbox.clone()))
        );
    }

    #[test]
    fn what_is_no_longer_wanted_ends() {
        let one = of(1, 2);
        assert_eq!(
            plan(&[], all(&[&one]), 8, PLENTY, true),
            Some(Plan::End(one.sandbox.clone()))
        );
        let two = of(2, 2);
        assert_eq!(
            plan(&wanted(1), all(&[&one, &two]), 8, PLENTY, true),
            Some(Plan::End(two.sandbox.clone()))
        );
    }

    #[test]
    fn what_was_leased_and_not_come_for_is_replaced() {
        let (lost, other) = (of(1, 2), of(2, 2));
        let gone = of(3, 2).sandbox;
        let lapsed = BTreeSet::from([lost.sandbox.clone(), gone]);
        let next = |entries: &[&WarmSandbox]| {
            let lapsed = &lapsed;
            plan(&wanted(2), Holding { entries, lapsed }, 8, PLENTY, true)
        };
        assert_eq!(
            next(&[&other, &lost]),
            Some(Plan::End(lost.sandbox.clone()))
        );
        assert_eq!(next(&[&other]), Some(Plan::Make(target(2))));
    }

    #[test]
    fn sessions_go_before_entries() {
        let (one, two) = (of(1, 2), of(2, 2));
        assert_eq!(
            plan(&wanted(2), all(&[&one, &two]), 1, PLENTY, true),
            Some(Plan::End(one.sandbox.clone()))
        );
        assert_eq!(plan(&wanted(2), all(&[&one]), 1, PLENTY, true), None);
    }

    #[test]
    fn entries_are_given_up_and_not_made_when_memory_is_short() {
        let one = of(1, 2);
        let short = Some(Memory {
            available: 1 << 30,
            total: 24 << 30,
        });
        assert_eq!(
            plan(&wanted(2), all(&[&one]), 8, short, true),
            Some(Plan::End(one.sandbox.clone()))
        );
        assert_eq!(plan(&wanted(2), all(&[]), 8, short, true), None);
        let tight = Some(Memory {
            available: 3 << 30,
            total: 24 << 30,
        });
        assert_eq!(plan(&wanted(2), all(&[&one]), 8, tight, true), None);
    }

    #[test]
    fn a_budget_of_memory_is_for_whole_entries() {
        assert_eq!(entries_in(ENTRY_BYTES - 1), 0);
        assert_eq!(entries_in(3 * ENTRY_BYTES + 1), 3);
        assert_eq!(entries_in(u64::MAX), u32::MAX);
    }

    #[test]
    fn nothing_is_made_for_a_while_after_a_failure() {
        assert_eq!(plan(&wanted(1), all(&[]), 8, PLENTY, false), None);
    }

    proptest::proptest! {
        #[test]
        fn carrying_out_plans_comes_to_an_end_with_what_is_wanted(
            size in 0_u32..6, images in proptest::collection::vec(1_u8..4, 0..8), room in 0_usize..8,
        ) {
            let mut entries: Vec<_> =
                (1..).zip(images).map(|(number, image)| of(number, image)).collect();
            for number in 100.. {
                let references: Vec<_> = entries.iter().collect();
                match plan(&wanted(size), all(&references), room, PLENTY, true) {
                    None => break,
                    Some(Plan::Make(_)) => entries.push(of(number, 2)),
                    Some(Plan::End(sandbox)) => entries.retain(|entry| entry.sandbox != sandbox),
                }
                proptest::prop_assert!(number < 200, "no end: {entries:?}");
            }
            let most = usize::try_from(size).unwrap().min(room);
            proptest::prop_assert_eq!(entries.len(), most);
            proptest::prop_assert!(entries.iter().all(|entry| entry.image == image(2)));
        }
    }
}
