//! The confinement of a sandbox's first process, on processes that are really confined.
//!
//! The program starts itself again: `confine` applies the profile and becomes another program,
//! `probe` applies it and makes one call. That process has one thread, as the contract says. It
//! needs root to begin with, and no namespace apart from one of mounts, which brings tools into
//! view from places that only root can read.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Output, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};
use sandbox_runner::sandbox::confinement::{ProcessCount, Profile};
use sandbox_runner::sandbox::limits::Limits;

#[path = "confinement/probes.rs"]
mod probes;
#[path = "confinement/programs.rs"]
mod programs;
#[path = "confinement/state.rs"]
mod state;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.split_first() {
        Some((mode, rest)) if mode == "confine" => confine(rest),
        Some((mode, rest)) if mode == "probe" => probes::run(rest),
        _ => {
            let mut trials = probes::trials();
            trials.extend(state::trials());
            trials.extend(programs::trials());
            libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
        }
    }
}

/// Applies the profile to this process, or ends it.
fn apply() {
    let applied = Profile::compile()
        .and_then(|profile| profile.apply(&Limits::default(), ProcessCount::ResourceLimit));
    if let Err(error) = applied {
        eprintln!("{error}: {:?}", std::error::Error::source(&error));
        std::process::exit(125);
    }
}

fn confine(command: &[std::ffi::OsString]) -> ExitCode {
    apply();
    let (program, arguments) = command.split_first().unwrap();
    let error = Command::new(program).args(arguments).exec();
    eprintln!("{program:?}: {error}");
    ExitCode::FAILURE
}

fn trial(name: &str, test: impl FnOnce() -> Result<(), Failed> + Send + 'static) -> Trial {
    Trial::test(name, test).with_ignored_flag(!rustix::process::getuid().is_root())
}

/// A directory of the user that the profile makes of the process.
struct Workspace(tempfile::TempDir);

impl Workspace {
    fn new() -> Self {
        let directory = tempfile::tempdir_in("/tmp").unwrap();
        std::os::unix::fs::chown(directory.path(), Some(1000), Some(1000)).unwrap();
        Self(directory)
    }

    /// Runs a program confined, with the tools of the host below /opt.
    fn run<I: AsRef<OsStr>>(&self, program: &str, arguments: &[I]) -> Output {
        // The mounts end with the process.
        const VIEW: &str = r#"
            mount -t tmpfs tools /opt
            mkdir /opt/rust /opt/node
            mount --bind "$RUST" /opt/rust
            [ -z "$NODE" ] || mount --bind "$NODE" /opt/node
            unset RUST NODE
            exec "$@"
        "#;
        Command::new("unshare")
            .args(["--mount", "bash", "-ec", VIEW, "view"])
            .arg(std::env::current_exe().unwrap())
            .args(["confine", program])
            .args(arguments)
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", "/opt/rust/bin:/opt/node:/usr/bin:/usr/sbin:/bin")
            .env("HOME", self.0.path())
            .env("RUST", rust())
            .env("NODE", node())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Runs a program that has to succeed; what it wrote.
    fn succeed<I: AsRef<OsStr>>(&self, program: &str, arguments: &[I]) -> Result<String, Failed> {
        let output = self.run(program, arguments);
        if !output.status.success() {
            return Err(format!("{program}: {output:?}").into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

fn rust() -> PathBuf {
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()))
        .args(["--print", "sysroot"])
        .output()
        .unwrap();
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

/// The directory with the program `node` that `NODE_BIN` names.
fn node() -> PathBuf {
    let node = PathBuf::from(std::env::var_os("NODE_BIN").unwrap_or_default());
    node.parent().unwrap_or(&node).to_owned()
}
