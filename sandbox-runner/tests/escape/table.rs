//! The attempts in `attempts/*.py`: what the kernel must refuse to programs in a sandbox.
//!
//! The same functions are run outside by root where that is harmless. There they must not be
//! refused: an attempt that fails everywhere says nothing about a sandbox.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;

use libtest_mimic::Trial;
use sandbox_runner::init::wire::{ExecSpec, Exit};
use serde::Deserialize;

use crate::world::{LIMIT, PYTHON, World, attempts, run};

/// Killed by a filter of system calls.
const SIGSYS: i32 = 31;

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Outcome {
    came: Came,
    /// The kernel says that it does not have the thing at all.
    #[serde(default)]
    lacking: bool,
    /// The name of the error that stopped it.
    #[serde(default)]
    error: String,
    /// What it came back with.
    #[serde(default)]
    with: String,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:?} {}{}", self.came, self.error, self.with)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Came {
    Through,
    Refused,
    /// Stopped by an error that is no refusal: the attempt itself may be wrong.
    Oddly,
    Killed,
}

pub(crate) type Controls = BTreeMap<String, Outcome>;

pub(crate) fn group(world: &Arc<World>, trials: &mut Vec<Trial>) {
    let output = script("list", &[]).output().unwrap();
    let listed: BTreeMap<String, bool> =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
        });
    for (key, has_control) in listed {
        let world = Arc::clone(world);
        let trial = Trial::test(key.replace('.', "::"), move || {
            world.block_on(is_refused(&world, &key, has_control));
            Ok(())
        });
        trials.push(trial);
    }
}

async fn is_refused(world: &World, key: &str, has_control: bool) {
    let pair = world.pair().await;
    let argv = [PYTHON, "-B", "/opt/attempts/attempt.py", "run", key];
    let output = run(
        &pair.fixture,
        &pair.attacker.id,
        &ExecSpec::new(argv, LIMIT),
    )
    .await;
    if output.exit != Exit::Signal(SIGSYS) {
        let outcome: Outcome = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
            let stderr = String::from_utf8_lossy(&output.stderr);
            panic!("{:?}: {stderr}", output.exit);
        });
        assert_eq!(outcome.came, Came::Refused, "inside: {outcome}");
    }
    if has_control && rustix::process::getuid().is_root() {
        let controls = world.controls.get_or_init(|| async { controls() }).await;
        let outside = &controls[key];
        assert!(
            outside.came != Came::Refused || outside.lacking,
            "outside it is refused as well: {outside}"
        );
    }
    pair.assert_sound().await;
}

/// In namespaces of their own, where what they change is seen by nobody.
fn controls() -> Controls {
    let namespaces = "--mount --pid --fork --net --ipc --uts --cgroup --mount-proc".split(' ');
    let namespaces: Vec<&str> = namespaces.collect();
    let output = script("controls", &namespaces).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    })
}

fn script(command: &str, namespaces: &[&str]) -> Command {
    let mut process = Command::new("unshare");
    process
        .args(namespaces)
        .args(["--", PYTHON, "-B"])
        .arg(attempts().join("attempt.py"))
        .arg(command);
    process
}
