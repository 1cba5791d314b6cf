//! Who gets a warm sandbox, and why somebody gets none.

use super::*;

#[test]
fn a_warm_sandbox_is_leased_to_one() {
    let fleet = Played::new(&[stocked(1)]);
    let placed: Vec<_> = (1..=3)
        .map(|number| fleet.place(number, &wish("main"), MINUTE).unwrap())
        .collect();
    let mut leased: Vec<_> = placed.iter().filter_map(|one| one.warm.clone()).collect();
    leased.sort();
    assert_eq!(leased, [sandbox(11), sandbox(12)]);
    assert_eq!(placed[0].reason, "warm");
    assert_eq!(placed[2].reason, "pool empty: from the image of 1 min ago");
}

#[test]
fn a_leased_entry_that_is_listed_still_stays_leased() {
    let fleet = Played::new(&[stocked(1)]);
    for number in 1..=2 {
        fleet.place(number, &wish("main"), 1).unwrap();
    }
    for now in 2..5 {
        fleet.register(&stocked(1), now);
    }
    assert_eq!(fleet.place(3, &wish("main"), 6).unwrap().warm, None);
}

#[test]
fn a_lease_is_forgotten_when_two_registrations_do_not_list_it() {
    let fleet = Played::new(&[stocked(1)]);
    fleet.place(1, &wish("main"), 1).unwrap();
    let without = Register {
        warm: vec![warm(12, 1, "main")],
        ..stocked(1)
    };
    let rows = || {
        let rows = fleet.sql.run("SELECT sandbox FROM warm", &[]).unwrap();
        rows.len()
    };
    fleet.register(&without, 2);
    assert_eq!(rows(), 2);
    // One that was on its way when the entry was claimed.
    fleet.register(&stocked(1), 3);
    fleet.register(&without, 4);
    assert_eq!(rows(), 2);
    fleet.register(&without, 5);
    assert_eq!(rows(), 1);
}

#[test]
fn an_entry_that_its_runner_ended_is_not_handed_out() {
    let fleet = Played::new(&[stocked(1)]);
    let without = Register {
        warm: Vec::new(),
        ..stocked(1)
    };
    fleet.register(&without, 1);
    assert_eq!(fleet.place(1, &wish("main"), 2).unwrap().warm, None);
}

#[test]
fn an_entry_of_an_older_image_is_passed_over_for_the_newer_image() {
    let newer = Register {
        images: vec![held(2, "main", 100)],
        ..offer(2, 1)
    };
    let fleet = Played::new(&[stocked(1), newer]);
    let placed = fleet.place(1, &wish("main"), 2100).unwrap();
    assert_eq!((placed.runner, placed.warm), (runner(2), None));
    let reason = "the pool's image is outdated: from the image of 2 s ago";
    assert_eq!(placed.reason, reason);
}

#[test]
fn an_entry_for_another_model_is_passed_over() {
    let fleet = Played::new(&[stocked(1)]);
    let other = Wish {
        model: model("other"),
        ..wish("main")
    };
    let placed = fleet.place(1, &other, 1).unwrap();
    assert_eq!(placed.warm, None);
    let reason = "another model than the pool's: from the image of 0 s ago";
    assert_eq!(placed.reason, reason);
}

#[test]
fn an_environment_has_a_pool_of_its_own() {
    let environment = Some(EnvironmentName::parse("python-3").unwrap());
    let mut register = stocked(1);
    register.warm[1].base.environment = environment.clone();
    let fleet = Played::new(&[register]);
    let own = Wish {
        base: Base {
            environment,
            ..base("main")
        },
        ..wish("main")
    };
    let warm = |number, wish: &Wish| fleet.place(number, wish, 1).unwrap().warm;
    assert_eq!(warm(1, &own), Some(sandbox(12)));
    assert_eq!(warm(2, &own), None);
    assert_eq!(warm(3, &wish("main")), Some(sandbox(11)));
}
