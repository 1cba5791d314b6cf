//! The Fleet over real SQLite: who is placed where, what is leased, what pools should hold.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use protocol::api::MissReason;
use protocol::callback::{HeldImage, REGISTRATION_MS, WarmSandbox};
use protocol::command::{Model, Provider};
use protocol::event::Repository;
use protocol::image::{Base, EnvironmentName};
use protocol::{ImageId, RunnerId, SnapshotId};

use super::*;
use crate::platform::sql::native::NativeSql;
use crate::session::machine::Kept;

const MINUTE: i64 = 60_000;

fn sandbox(number: u8) -> SandboxId {
    SandboxId::from_random([number; 16])
}

fn runner(number: u8) -> RunnerId {
    RunnerId::from_random([number; 16])
}

fn base(branch: &str) -> Base {
    Base {
        repository: Repository::new("acme", "tool").unwrap(),
        branch: branch.to_owned(),
        environment: None,
    }
}

fn model(name: &str) -> Model {
    Model {
        provider: Provider::Openai,
        name: name.to_owned(),
    }
}

fn wish(branch: &str) -> Wish {
    Wish {
        base: base(branch),
        model: model("m"),
        snapshot: None,
    }
}

fn held(image: u8, branch: &str, built_at: i64) -> HeldImage {
    HeldImage {
        image: ImageId::from_random([image; 16]),
        base: base(branch),
        commit: "c0ffee".to_owned(),
        built_at: Millis(built_at),
    }
}

fn warm(number: u8, image: u8, branch: &str) -> WarmSandbox {
    WarmSandbox {
        sandbox: sandbox(number),
        base: base(branch),
        model: model("m"),
        image: ImageId::from_random([image; 16]),
    }
}

/// A Fleet, and what its runners said last.
struct Played {
    sql: NativeSql,
    budget: Budget,
}

fn offer(number: u8, capacity: u32) -> Register {
    Register {
        runner: runner(number),
        url: format!("http://runner-{number}"),
        capacity,
        sandboxes: Vec::new(),
        version: "1.0".to_owned(),
        images: Vec::new(),
        warm: Vec::new(),
        depot: false,
        repositories: Vec::new(),
        pool_room: None,
    }
}

impl Played {
    fn new(offers: &[Register]) -> Self {
        let sql = NativeSql::in_memory();
        migrate(&sql, STEPS).unwrap();
        let budget = Budget::default();
        let played = Self { sql, budget };
        for offer in offers {
            played.register(offer, 0);
        }
        played
    }

    fn register(&self, register: &Register, now: i64) -> Vec<PoolTarget> {
        let register = register.clone();
        let answer = answer(
            &self.sql,
            Request::Register { register },
            &self.budget,
            Millis(now),
        )
        .unwrap();
        serde_json::from_value(answer).unwrap()
    }

    fn place(&self, number: u8, wish: &Wish, now: i64) -> Option<Placement> {
        placement::place(&self.sql, &sandbox(number), wish, &self.budget, Millis(now)).unwrap()
    }

    fn figures(&self, now: i64) -> PoolFigures {
        pool::figures(&self.sql, &self.budget, Millis(now)).unwrap()
    }
}

/// A runner with an image of `main` and two warm sandboxes of it.
fn stocked(number: u8) -> Register {
    Register {
        images: vec![held(1, "main", 0)],
        warm: vec![
            warm(number * 10 + 1, 1, "main"),
            warm(number * 10 + 2, 1, "main"),
        ],
        ..offer(number, 8)
    }
}

#[test]
fn a_sandbox_is_placed_once_however_often_it_is_asked_for() {
    let fleet = Played::new(&[stocked(1), stocked(2)]);
    let first = fleet.place(1, &wish("main"), 1).unwrap();
    fleet.place(2, &wish("main"), 1).unwrap();
    let again = fleet.place(1, &wish("main"), 2).unwrap();
    assert_eq!(first, again);
}

#[test]
fn where_a_sandbox_was_placed_is_known_also_when_its_runner_is_silent() {
    let fleet = Played::new(&[offer(1, 1)]);
    assert_eq!(placement::find(&fleet.sql, &sandbox(1)).unwrap(), None);
    let placed = fleet.place(1, &wish("main"), 1).unwrap();
    let found = placement::find(&fleet.sql, &sandbox(1)).unwrap();
    assert_eq!(found, Some(placed.url));
}

#[test]
fn sandboxes_spread_until_nobody_has_room() {
    let fleet = Played::new(&[offer(1, 1), offer(2, 1)]);
    let one = fleet.place(1, &wish("main"), 1).unwrap();
    let two = fleet.place(2, &wish("main"), 1).unwrap();
    assert_ne!(one.runner, two.runner);
    assert_eq!(fleet.place(3, &wish("main"), 1), None);
}

#[test]
fn a_runner_that_stopped_registering_gets_nothing() {
    let fleet = Played::new(&[stocked(1)]);
    assert_eq!(fleet.place(1, &wish("main"), REGISTRATION_MS + 1), None);
}

#[test]
fn a_fleet_from_before_there_were_pools_goes_on() {
    let sql = NativeSql::in_memory();
    sql.run(STEPS[0], &[]).unwrap();
    let row = "INSERT INTO placements (sandbox, runner, placed_at) VALUES (?, ?, 0)";
    let known = [sandbox(1).as_str().into(), runner(1).as_str().into()];
    sql.run(row, &known).unwrap();
    migrate(&sql, STEPS).unwrap();
    let budget = Budget::default();
    let fleet = Played { sql, budget };
    fleet.register(&stocked(2), 0);
    fleet.register(&stocked(1), 0);
    let placed = fleet.place(1, &wish("main"), 1).unwrap();
    assert_eq!((placed.runner, placed.warm), (runner(1), None));
}

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

#[test]
fn a_base_without_an_image_goes_to_the_most_room() {
    let fleet = Played::new(&[stocked(1), offer(2, 9)]);
    let placed = fleet.place(1, &wish("develop"), 1).unwrap();
    assert_eq!(placed.runner, runner(2));
    assert_eq!(placed.reason, "no image yet: from a fresh clone");
}

#[test]
fn a_session_goes_on_where_its_snapshot_is_and_never_from_the_pool() {
    let fleet = Played::new(&[stocked(1), offer(2, 1)]);
    let kept = Wish {
        snapshot: Some(Kept {
            id: SnapshotId::from_random([1; 16]),
            runner: Some(runner(2)),
        }),
        ..wish("main")
    };
    let placed = fleet.place(1, &kept, 1).unwrap();
    assert_eq!((&placed.runner, &placed.warm), (&runner(2), &None));
    assert_eq!(placed.reason, "woken from its snapshot");
    // Now it is full.
    let placed = fleet.place(2, &kept, 2).unwrap();
    assert_eq!((&placed.runner, &placed.warm), (&runner(1), &None));
    let reason = "its runner, which has its snapshot, is full, and there is no depot";
    assert_eq!(placed.reason, reason);
}

#[test]
fn a_session_whose_runner_is_gone_goes_on_where_there_is_a_depot() {
    let shared = Register {
        depot: true,
        ..offer(3, 1)
    };
    // The first has its image, and more room.
    let fleet = Played::new(&[stocked(1), shared]);
    let kept = Wish {
        snapshot: Some(Kept {
            id: SnapshotId::from_random([1; 16]),
            runner: Some(runner(2)),
        }),
        ..wish("main")
    };
    let placed = fleet.place(1, &kept, 1).unwrap();
    assert_eq!((&placed.runner, &placed.warm), (&runner(3), &None));
    assert_eq!(placed.reason, "its runner is gone: from the depot");
    // Now that one is full.
    let placed = fleet.place(2, &kept, 2).unwrap();
    assert_eq!(placed.runner, runner(1));
    let reason = "its runner, which has its snapshot, is gone, and there is no depot";
    assert_eq!(placed.reason, reason);
}

#[test]
fn a_runner_that_goes_away_gets_nothing_more() {
    let shared = |number, capacity| Register {
        depot: true,
        ..offer(number, capacity)
    };
    let fleet = Played::new(&[shared(1, 8), shared(2, 1)]);
    fleet.register(&shared(1, 0), 1);
    let kept = Wish {
        snapshot: Some(Kept {
            id: SnapshotId::from_random([1; 16]),
            runner: Some(runner(1)),
        }),
        ..wish("main")
    };
    let placed = fleet.place(1, &kept, 2).unwrap();
    assert_eq!(placed.runner, runner(2));
    assert_eq!(placed.reason, "its runner is full: from the depot");
    let build = |runners| place_build_in(runners, &base("main"), &Default::default());
    assert_eq!(build(vec![shared(1, 0)]), None);
}

#[test]
fn a_runner_full_of_warm_sandboxes_has_room() {
    let full = Register {
        capacity: 3,
        sandboxes: vec![sandbox(90), sandbox(11), sandbox(12)],
        ..stocked(1)
    };
    let fleet = Played::new(&[full]);
    // One of them makes room for a sandbox of another base.
    assert!(fleet.place(1, &wish("develop"), 1).is_some());
    assert!(fleet.place(2, &wish("main"), 1).unwrap().warm.is_some());
    assert_eq!(fleet.place(3, &wish("main"), 1), None);
}

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
    let kept = Wish {
        snapshot: Some(Kept {
            id: SnapshotId::from_random([1; 16]),
            runner: Some(runner(1)),
        }),
        ..wish("main")
    };
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

#[test]
fn a_build_goes_to_a_holder_of_its_base_with_room_then_to_the_least_busy() {
    let register = |number: u8, images: Vec<HeldImage>| Register {
        runner: runner(number),
        url: format!("http://runner-{number}"),
        capacity: 4,
        sandboxes: Vec::new(),
        version: "1.0".to_owned(),
        images,
        warm: Vec::new(),
        depot: false,
        repositories: Vec::new(),
        pool_room: None,
    };
    let chosen = |images: Vec<HeldImage>, builds: &[(u8, u32)]| {
        let running = builds
            .iter()
            .map(|(number, count)| (runner(*number), *count));
        let runners = vec![register(1, images), register(2, Vec::new())];
        place_build_in(runners, &base("main"), &running.collect()).map(|chosen| chosen.runner)
    };
    assert_eq!(chosen(Vec::new(), &[(1, 1)]), Some(runner(2)));
    assert_eq!(chosen(Vec::new(), &[(1, 2), (2, 1)]), Some(runner(2)));
    assert_eq!(chosen(Vec::new(), &[(1, 2), (2, 2)]), None);
    let holds = vec![held(1, "main", 0)];
    assert_eq!(chosen(holds.clone(), &[(1, 1)]), Some(runner(1)));
    assert_eq!(chosen(holds, &[(1, 2)]), Some(runner(2)));
}
