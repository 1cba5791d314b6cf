//! The escape suite: programs inside a sandbox that try to get out of it, or to hurt the runner or
//! another sandbox. Each attempt is a test, and each must fail.
//!
//! - `attempts/*.py` ask the kernel for what it must refuse: one function, one test ([`table`]).
//! - The other modules decide outside: a service of the host got no connection, a file of a layer
//!   is what it was, no process is left.
//!
//! Harmless attempts share a pair of sandboxes, an attacker and its neighbour; after each of them
//! both still answer ([`world`]). Those that take all that there is have sandboxes of their own.
//! Some ideas are from peers' suites: Anthropic's sandbox-runtime and codex's `landlock.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]

#[path = "../sandbox/fixture.rs"]
#[allow(dead_code, reason = "shared with the tests of sandboxes")]
mod fixture;

mod api;
mod bombs;
mod layers;
mod neighbours;
mod orphans;
mod reach;
mod table;
mod ways;
mod world;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::Arguments;

use crate::world::{Group, World};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Whatever takes the whole machine would be blamed on its neighbour's test; and where all sandboxes
    // are one user's, whatever takes all that this user may have.
    let at_once = 1 + usize::from(rustix::process::getuid().is_root());
    arguments.test_threads.get_or_insert(at_once);
    let world = Arc::new(World::new());
    let mut trials = Vec::new();
    table::group(&world, &mut trials);
    for (name, group) in [
        ("reach", reach::group as fn(&mut Group<'_>)),
        ("neighbours", neighbours::group),
        ("layers", layers::group),
        ("bombs", bombs::group),
        ("orphans", orphans::group),
        ("api", api::group),
        ("ways", ways::group),
    ] {
        group(&mut Group::new(name, &world, &mut trials));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    world.end();
    conclusion.exit_code()
}
