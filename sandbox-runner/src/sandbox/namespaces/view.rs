//! What a sandbox sees.
//!
//! The host's programs are there, read-only, and nothing else of the host: `/etc` is made up, the
//! home is an overlay on the layers, `/proc` and `/dev` are the sandbox's own. Nothing but the home,
//! the agent's own directory, `/tmp`, `/run` and `/dev/shm` can be written.
//!
//! It is built by the sandbox's own first process, whose rights over its mounts end with it: first
//! what is the same for all, then what makes it a certain sandbox. Owners on disk are those that the
//! state directory's tree shows; see [`super::birth`].

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::process::{chdir, pivot_root};

use super::etc::SHARED;
use super::message::{Ground, Home, Start};
use super::mount::{file_system, overlay, put, seal, share, share_device, show, take, tmpfs};
use crate::sandbox::{AGENT, HOME};

/// A directory that every host has and everybody can pass; the new root hides it until it is the
/// root.
const SCAFFOLD: &str = "/tmp";
/// Where the state directory is while the view is built.
const STAGE: &str = "stage";
const SYSTEM: &str = "opt/system";

/// A sandbox could otherwise fill the machine's memory through its `/tmp`.
const TMP: &str = "mode=1777,size=1073741824";
const RUN: &str = "mode=0755,size=16777216";
/// The machine has some thousand terminals for all its sandboxes, which one could otherwise take.
const TERMINALS: &str = "newinstance,ptmxmode=0666,mode=620,max=256";
/// Directories, links and mount points only.
const ROOT: &str = "mode=0755,size=1048576";

const DIRECTORIES: [&str; 12] = [
    "usr",
    "etc",
    "proc",
    "dev",
    "tmp",
    "run",
    "opt",
    "home",
    "home/agent",
    "var",
    "var/lib",
    "var/lib/agent",
];
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
const DEVICE_LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];
/// Settings and controls of the machine, which no program needs to change.
const SEALED: [&str; 4] = ["sys", "bus", "fs", "irq"];
/// What tells of the machine or controls it and is no business of a sandbox.
const MASKED: [&str; 10] = [
    "sysrq-trigger",
    "kcore",
    "keys",
    "key-users",
    "timer_list",
    "sched_debug",
    "kallsyms",
    "scsi",
    "acpi",
    "pressure",
];

/// A step that failed.
#[derive(Debug, thiserror::Error)]
#[error("failed to {step}")]
pub(super) struct ViewError {
    pub(super) step: String,
    #[source]
    pub(super) source: io::Error,
}

fn step<T>(
    name: impl Into<String>,
    result: Result<T, impl Into<io::Error>>,
) -> Result<T, ViewError> {
    result.map_err(|source| ViewError {
        step: name.into(),
        source: source.into(),
    })
}

/// Makes what all sandboxes see this process's root. `state` is the state directory's tree, which
/// can be seen until the view is complete.
pub(super) fn lay(ground: &Ground, state: &OwnedFd) -> Result<(), ViewError> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    step("keep mounts private", mount_change("/", private))?;
    step("mount the root", tmpfs(SCAFFOLD, ROOT))?;
    step("enter the root", chdir(SCAFFOLD))?;
    step("make directories", directories())?;
    step("show the state directory", put(state, STAGE))?;

    step("show /usr", show("/usr", "usr"))?;
    step("show /etc", etc())?;
    step("mount /proc", proc())?;
    step("mount /dev", dev())?;
    step("mount /tmp", tmpfs("tmp", TMP))?;
    step("mount /run", tmpfs("run", RUN))?;
    for (name, path) in &ground.tools {
        let place = Path::new("opt").join(name);
        let shown = directory(&place).and_then(|()| show(staged(path), &place));
        step(format!("show /opt/{name}"), shown)?;
    }
    step("change the root", pivot_root(".", "."))?;
    step(
        "let go of the host's root",
        unmount(".", UnmountFlags::DETACH),
    )?;
    step("enter the root", chdir("/"))
}

/// Adds what a sandbox has of its own, and leaves nothing but what it may see.
pub(super) fn complete(start: &Start) -> Result<(), ViewError> {
    step("show packages", system(&start.systems))?;
    let own = staged(&start.sandbox);
    step(
        "show the agent's directory",
        share(own.join("agent"), below_root(AGENT)),
    )?;
    if start.workshop {
        let shown = directory(SYSTEM.as_ref()).and_then(|()| share(own.join("system"), SYSTEM));
        step("show /opt/system", shown)?;
    }
    let home = step("mount the home", home(Path::new(STAGE), &start.home))?;
    step("show the home", put(&home, below_root(HOME)))?;

    step(
        "let go of the state directory",
        unmount(STAGE, UnmountFlags::DETACH),
    )?;
    step("remove a mount point", fs::remove_dir(STAGE))?;
    step("seal the root", seal("/".as_ref()))
}

/// The home directory's overlay, whose paths are below `stage`.
pub(super) fn home(stage: &Path, home: &Home) -> io::Result<OwnedFd> {
    let lower: Vec<PathBuf> = home.lower.iter().map(|path| stage.join(path)).collect();
    let (upper, work) = (stage.join(&home.upper), stage.join(&home.work));
    overlay(&lower, Some((&upper, &work)))
}

fn directories() -> io::Result<()> {
    for name in DIRECTORIES.iter().chain([&STAGE]) {
        directory(name.as_ref())?;
    }
    for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
        let host = Path::new("/").join(name);
        match fs::read_link(&host) {
            Ok(target) => symlink(target, name)?,
            Err(_) if host.is_dir() => {
                directory(name.as_ref())?;
                show(&host, name)?;
            }
            Err(_) => {}
        }
    }
    Ok(())
}

fn system(layers: &[PathBuf]) -> io::Result<()> {
    if layers.is_empty() {
        return Ok(());
    }
    let mut lower = vec![PathBuf::from("usr")];
    lower.extend(layers.iter().map(staged));
    put(overlay(&lower, None)?, "usr")
}

fn etc() -> io::Result<()> {
    show(staged("etc"), "etc")?;
    for name in SHARED {
        let host = Path::new("/etc").join(name);
        let place = Path::new("etc").join(name);
        if host.exists() && place.exists() {
            show(host, place)?;
        }
    }
    Ok(())
}

fn proc() -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    // A process sees those that it could debug, which init is not one of.
    file_system("proc", "proc", flags, "hidepid=ptraceable")
        .or_else(|_| file_system("proc", "proc", flags, ""))?;
    let proc = Path::new("proc");
    // Who may not make a namespace of users has no rights over any other.
    fs::write(proc.join("sys/user/max_user_namespaces"), "0")?;
    for path in SEALED.map(|name| proc.join(name)) {
        if path.exists() {
            show(&path, &path)?;
        }
    }
    for path in MASKED.map(|name| proc.join(name)) {
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => show(staged("empty"), &path)?,
            Ok(_) => share_device("/dev/null", &path)?,
            Err(_) => {}
        }
    }
    Ok(())
}

fn dev() -> io::Result<()> {
    let dev = Path::new("dev");
    tmpfs("dev", ROOT)?;
    for name in DEVICES {
        let place = dev.join(name);
        File::create(&place)?;
        share_device(Path::new("/dev").join(name), &place)?;
    }
    for (name, target) in DEVICE_LINKS {
        symlink(target, dev.join(name))?;
    }
    directory(&dev.join("pts"))?;
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    file_system("devpts", "dev/pts", flags, TERMINALS)?;
    directory(&dev.join("shm"))?;
    tmpfs("dev/shm", TMP)?;
    seal(dev)
}

fn directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o755).create(path)
}

fn staged(path: impl AsRef<Path>) -> PathBuf {
    Path::new(STAGE).join(path)
}

fn below_root(path: &str) -> &Path {
    Path::new(path.trim_start_matches('/'))
}

/// The state directory as this process itself finds it: only who is not root on the host needs it.
pub(super) fn take_state(state: &Path) -> io::Result<OwnedFd> {
    take(state)
}
