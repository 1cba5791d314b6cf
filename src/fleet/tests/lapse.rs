//! Leases that nobody made use of: who is told of them, and when.

use super::*;

/// Long enough after a lease at 1.
const LATE: i64 = MINUTE + 2;

#[test]
fn an_entry_that_nobody_came_for_within_a_minute_is_named_to_its_runner() {
    let fleet = Played::new(&[stocked(1), stocked(2)]);
    let placed = fleet.place(1, &wish("main"), 1).unwrap();
    let (mine, other) = match placed.runner == runner(1) {
        true => (stocked(1), stocked(2)),
        false => (stocked(2), stocked(1)),
    };
    let lapsed = |register: &Register, now| fleet.stock(register, now).lapsed;
    assert_eq!(lapsed(&mine, MINUTE + 1), []);
    let leased = placed.warm.unwrap();
    for now in [LATE, LATE + 1] {
        assert_eq!(lapsed(&mine, now), std::slice::from_ref(&leased));
        assert_eq!(lapsed(&other, now), []);
    }
}

#[test]
fn an_entry_that_somebody_came_for_is_not_named() {
    let fleet = Played::new(&[stocked(1)]);
    let leased = fleet.place(1, &wish("main"), 1).unwrap().warm.unwrap();
    let mut without = stocked(1);
    without.warm.retain(|entry| entry.sandbox != leased);
    assert_eq!(fleet.stock(&without, LATE).lapsed, []);
}

#[test]
fn a_lapsed_lease_is_still_not_handed_out() {
    let fleet = Played::new(&[stocked(1)]);
    fleet.place(1, &wish("main"), 1).unwrap();
    fleet.place(2, &wish("main"), 1).unwrap();
    fleet.register(&stocked(1), LATE);
    let placed = fleet.place(3, &wish("main"), LATE + 1).unwrap();
    assert_eq!(placed.warm, None);
}

#[test]
fn a_lease_older_than_what_is_known_of_placements_has_lapsed() {
    let fleet = Played::new(&[stocked(1)]);
    let leased = fleet.place(1, &wish("main"), 1).unwrap().warm.unwrap();
    fleet.sql.run("DELETE FROM placements", &[]).unwrap();
    assert_eq!(fleet.stock(&stocked(1), LATE).lapsed, [leased]);
}

#[test]
fn a_leased_entry_costs_as_long_as_it_waits() {
    let fleet = Played::new(&[stocked(1)]);
    let leased = fleet.place(1, &wish("main"), 1).unwrap().warm.unwrap();
    fleet.register(&stocked(1), 20_000);
    let mut without = stocked(1);
    without.warm.retain(|entry| entry.sandbox != leased);
    fleet.register(&without, 40_000);
    assert_eq!(fleet.figures(50_000).warm_sandbox_seconds, 60);
}
