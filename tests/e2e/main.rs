//! End to end: the real Worker under workerd, the real runner, agent, git and sandboxes, through
//! HTTP and WebSocket with the protocol's types.
//!
//! Tests of the Worker's own promises play the runner themselves ([`support::puppet`]), so that
//! they decide what is reported; tests of the whole run on the whole. Each kind shares a stack,
//! started by its first test; those that kill something have one of their own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod artifacts;
mod callbacks;
mod conflicts;
mod drill;
mod forge;
mod github;
mod images;
mod lists;
mod platform;
mod refusals;
mod slack;
mod stage;
mod survival;
mod together;
mod views;
mod warm;
mod whole;
#[path = "loop.rs"]
mod whole_loop;
mod world;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::Arguments;

use crate::world::{Group, World};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // More sandboxes at once would fight for the cores of a small machine and tell nothing.
    arguments.test_threads.get_or_insert(2);
    let world = Arc::new(World::new());
    let mut trials = Vec::new();
    for (name, group) in [
        ("refusals", refusals::group as fn(&mut Group<'_>)),
        ("callbacks", callbacks::group),
        ("artifacts", artifacts::group),
        ("together", together::group),
        ("lists", lists::group),
        ("views", views::group),
        ("warm", warm::group),
        ("conflicts", conflicts::group),
        ("images", images::group),
        ("loop", whole_loop::group),
        ("github", github::group),
        ("forge", forge::group),
        ("drill", drill::group),
        ("platform", platform::group),
        ("whole", whole::group),
        ("slack", slack::group),
        ("survival", survival::group),
    ] {
        group(&mut Group::new(name, &world, &mut trials));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    world.end();
    conclusion.exit_code()
}
