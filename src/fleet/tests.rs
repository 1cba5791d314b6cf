//! The Fleet over real SQLite: who is placed where, what is leased, what pools should hold.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

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

/// A session that goes on from a snapshot which this runner made.
fn kept_by(number: u8) -> Wish {
    Wish {
        snapshot: Some(Kept {
            id: SnapshotId::from_random([1; 16]),
            runner: Some(runner(number)),
        }),
        ..wish("main")
    }
}

fn held(image: u8, branch: &str, built_at: i64) -> HeldImage {
    HeldImage {
        image: ImageId::from_random([image; 16]),
        base: base(branch),
        commit: "c0ffee".to_owned(),
        built_at: Millis(built_at),
        stale: false,
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
        self.stock(register, now).pool
    }

    fn stock(&self, register: &Register, now: i64) -> Stock {
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
fn a_base_without_an_image_goes_to_the_most_room() {
    let fleet = Played::new(&[stocked(1), offer(2, 9)]);
    let placed = fleet.place(1, &wish("develop"), 1).unwrap();
    assert_eq!(placed.runner, runner(2));
    assert_eq!(placed.reason, "no image yet: from a fresh clone");
}

#[test]
fn a_session_goes_on_where_its_snapshot_is_and_never_from_the_pool() {
    let fleet = Played::new(&[stocked(1), offer(2, 1)]);
    let kept = kept_by(2);
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
    let kept = kept_by(2);
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
    let kept = kept_by(1);
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
fn a_build_goes_to_a_holder_of_its_base_with_room_then_to_the_least_busy() {
    let register = |number: u8, images: Vec<HeldImage>| Register {
        images,
        ..offer(number, 4)
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

mod demand;
mod lapse;
mod leases;
mod staleness;
