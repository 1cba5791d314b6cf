//! A Landlock domain: once more what the mounts already say, by other code of the kernel.
//!
//! It is best effort: an older kernel enforces less of it or nothing. What it adds on its own are
//! the scopes (abstract sockets of other domains, signals to processes outside) and that nothing
//! in the domain can mount.

use ::landlock::{
    ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, Scope,
    path_beneath_rules,
};

/// The newest version that the tests have run on; rights of later ones are not asked for.
const VERSION: ABI = ABI::V7;

/// The system, the tools and their settings. A place that the view lacks is left out.
const READ: [&str; 12] = [
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/var", "/srv",
    "/sys",
];

/// What belongs to the sandbox.
const WRITE: [&str; 7] = [
    // Not what is mounted in it: that is another one after a snapshot.
    "/home",
    // There in sandboxes that images are built in.
    "/opt/system",
    "/tmp",
    "/var/tmp",
    "/var/lib/agent",
    "/run",
    "/dev/shm",
];

pub(super) fn enter() -> Result<(), RulesetError> {
    let all = AccessFs::from_all(VERSION);
    let read = AccessFs::from_read(VERSION);
    // No device is ever made: there is no capability for it.
    let write = all & !(AccessFs::MakeChar | AccessFs::MakeBlock);
    // Terminals and the harmless devices: nothing is made here, but all can be used.
    let devices = AccessFs::ReadFile
        | AccessFs::WriteFile
        | AccessFs::ReadDir
        | AccessFs::Truncate
        | AccessFs::IoctlDev;
    // Names, scores and memory of the sandbox's own processes are written by debuggers, browsers
    // and shells. A rule for /proc/self would hold for this process alone.
    let processes =
        AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::ReadDir | AccessFs::Truncate;

    Ruleset::default()
        .handle_access(all)?
        .scope(Scope::from_all(VERSION))?
        .create()?
        .add_rules(path_beneath_rules(READ, read))?
        .add_rules(path_beneath_rules(WRITE, write))?
        .add_rules(path_beneath_rules(["/dev"], devices))?
        .add_rules(path_beneath_rules(["/proc"], processes))?
        // What the view shows may be listed: `ls /` and `find /` work as everywhere.
        .add_rules(path_beneath_rules(["/"], AccessFs::ReadDir))?
        .restrict_self()?;
    Ok(())
}
