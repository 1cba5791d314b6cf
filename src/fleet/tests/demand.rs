//! What pools should hold, and what they save and cost.

use protocol::api::MissReason;

use super::*;

#[test]
fn what_was_asked_for_is_kept_warm_for_half_an_hour() {
    let fleet = Played::new(&[stocked(1)]);
    assert_eq!(fleet.register(&stocked(1), 0), []);
    fleet.place(1, &wish("main"), 1).unwrap();
    let target = PoolTarget {
        base: base("main"),
        model: model("m"),
        size: 1,
    };
    assert_eq!(
        fleet.register(&stocked(1), 2),
        std::slice::from_ref(&target)
    );
    assert_eq!(fleet.register(&stocked(1), 30 * MINUTE), [target]);
    assert_eq!(fleet.register(&stocked(1), 31 * MINUTE), []);
}

#[test]
fn the_pool_grows_with_demand_up_to_a_limit_and_leaves_room_for_a_session() {
    let large = offer(1, 1000);
    let fleet = Played::new(std::slice::from_ref(&large));
    let size = |fleet: &Played, register: &Register| {
        let targets = fleet.register(register, 2);
        targets.first().map_or(0, |target| target.size)
    };
    for (claims, wanted) in [(1, 1), (120, 1), (121, 2), (250, 3)] {
        for number in 1..=claims {
            fleet.place(number, &wish("main"), 1).unwrap();
        }
        assert_eq!(size(&fleet, &large), wanted, "after {claims}");
    }
    // What it holds and what is on its way is one.
    let small = |capacity| Register {
        sandboxes: (1..=250).map(sandbox).collect(),
        ..offer(1, capacity)
    };
    assert_eq!(size(&fleet, &small(253)), 2);
    assert_eq!(size(&fleet, &small(251)), 0);
}

#[test]
fn a_target_stays_with_the_runner_that_fills_it() {
    let with = |number, capacity, warm: &[WarmSandbox]| Register {
        images: vec![held(1, "main", 0)],
        warm: warm.to_vec(),
        ..offer(number, capacity)
    };
    let fleet = Played::new(&[with(1, 8, &[]), with(2, 20, &[])]);
    fleet.place(1, &wish("main"), 1).unwrap();
    assert_eq!(fleet.register(&with(1, 8, &[]), 2), []);
    assert_eq!(fleet.register(&with(2, 20, &[]), 2)[0].size, 1);
    // Another one with more room does not take it away.
    let filled = with(2, 20, &[warm(21, 1, "main")]);
    fleet.register(&filled, 3);
    assert_eq!(fleet.register(&with(1, 100, &[]), 4), []);
    assert_eq!(fleet.register(&filled, 5)[0].size, 1);
    // Once its entry is leased, the next is made where there is most room.
    fleet.register(&with(2, 20, &[]), 6);
    assert_eq!(fleet.register(&with(1, 100, &[]), 7)[0].size, 1);
}

#[test]
fn snapshots_are_no_demand() {
    let fleet = Played::new(&[offer(1, 8)]);
    let kept = kept_by(1);
    fleet.place(1, &kept, 1).unwrap();
    assert_eq!(fleet.register(&offer(1, 8), 2), []);
}

#[test]
fn the_figures_say_what_the_pool_saved_and_cost() {
    let fleet = Played::new(&[stocked(1)]);
    for (number, ms) in [(1, 100), (2, 140), (3, 2100), (4, 3140)] {
        fleet.place(number, &wish("main"), 1).unwrap();
        let sandbox = sandbox(number);
        answer(
            &fleet.sql,
            Request::Ready { sandbox, ms },
            &fleet.budget,
            Millis(2),
        )
        .unwrap();
    }
    fleet.place(5, &wish("develop"), 1).unwrap();
    let other = Register {
        warm: vec![warm(13, 1, "main")],
        ..stocked(1)
    };
    fleet.register(&other, 20_000);
    fleet.register(&other, 40_000);
    let figures = fleet.figures(50_000);
    let misses: Vec<_> = figures
        .misses
        .iter()
        .map(|miss| (miss.reason, miss.count))
        .collect();
    let wanted = [(MissReason::PoolEmpty, 2), (MissReason::NoImage, 1)];
    assert_eq!((figures.hits, misses.as_slice()), (2, wanted.as_slice()));
    let medians = (figures.median_warm_ms, figures.median_cold_ms);
    assert_eq!(medians, (Some(140), Some(3140)));
    assert_eq!(figures.seconds_saved, Some(6));
    assert_eq!(
        (figures.warm_sandbox_seconds, figures.hit_percent),
        (40, Some(40))
    );
    assert_eq!(figures.cost_microdollars, None);
}

/// Sandboxes of all bases that a runner's pool should hold.
fn wanted(targets: &[PoolTarget]) -> u32 {
    targets.iter().map(|target| target.size).sum()
}

#[test]
fn no_more_wait_than_a_runners_memory_allows() {
    let fleet = Played::new(&[offer(1, 8), offer(2, 8)]);
    for (number, branch) in [(1, "a"), (2, "b"), (3, "c")] {
        fleet.place(number, &wish(branch), 1).unwrap();
    }
    let with = |number, pool_room| Register {
        pool_room,
        ..offer(number, 8)
    };
    fleet.register(&with(2, Some(0)), 2);
    assert_eq!(wanted(&fleet.register(&with(1, Some(2)), 2)), 2);
    assert_eq!(wanted(&fleet.register(&with(2, Some(0)), 2)), 0);
    assert_eq!(wanted(&fleet.register(&with(1, None), 2)), 3);
}

#[test]
fn no_more_wait_than_the_days_budget_pays_for_and_a_miss_says_so() {
    // Two hours of one sandbox.
    let fleet = Played {
        budget: Budget::parse("0.5", "1").unwrap(),
        ..Played::new(&[offer(1, 8)])
    };
    let waiting = Register {
        images: vec![held(1, "a", 0)],
        warm: vec![warm(11, 1, "other")],
        ..offer(1, 8)
    };
    for (number, branch) in [(1, "a"), (2, "b"), (3, "c")] {
        fleet.place(number, &wish(branch), 1).unwrap();
    }
    assert_eq!(wanted(&fleet.register(&waiting, 2)), 2);
    let mut now = 2;
    let mut at = |minutes: i64| {
        let mut targets = Vec::new();
        while now < minutes * MINUTE {
            now += REGISTRATION_MS;
            targets = fleet.register(&waiting, now);
        }
        wanted(&targets)
    };
    assert_eq!(at(5), 1);
    at(55);
    for (number, branch) in [(4, "a"), (5, "b")] {
        fleet.place(number, &wish(branch), 55 * MINUTE).unwrap();
    }
    assert_eq!(at(62), 0);
    let missed = fleet.place(6, &wish("a"), 62 * MINUTE).unwrap();
    let why = "the pool's budget of today is spent: from the image of 1 h ago";
    assert_eq!(missed.reason, why);
    // A day has a budget of its own.
    let tomorrow = 24 * 60 * MINUTE;
    fleet.register(&offer(1, 8), tomorrow - 1);
    fleet.place(7, &wish("a"), tomorrow).unwrap();
    assert_eq!(wanted(&fleet.register(&offer(1, 8), tomorrow + 1)), 1);
    let figures = fleet.figures(tomorrow + 2);
    assert!(
        figures
            .misses
            .iter()
            .any(|miss| miss.reason == MissReason::BudgetSpent)
    );
    assert_eq!(figures.budget_microdollars, Some(1_000_000));
    let cost = figures.cost_microdollars.unwrap();
    assert!((500_000..=530_000).contains(&cost), "{cost}");
    assert_eq!(figures.cost_today_microdollars, Some(0));
}

#[test]
fn figures_of_nothing_promise_nothing() {
    let figures = Played::new(&[]).figures(0);
    assert_eq!((figures.hits, figures.hit_percent), (0, None));
    assert_eq!(figures.seconds_saved, None);
}
