//! What the agent makes at its first start, made while the image is: an empty database of its own
//! version. A sandbox from the image has a copy, so its agent is up sooner.
//!
//! No conversation is in it, and nothing that names a session, a project or a person. What set-up left
//! in the agent's directory goes: the agent would take it for its own.

use std::time::Duration;

use super::site::Site;
use super::{ImageError, WORKSPACE};
use crate::agent::launch::{self, Place};
use crate::init::wire::{ExecSpec, Exit};
use crate::sandbox;

/// The agent takes two seconds on an idle machine.
const LIMIT: Duration = Duration::from_secs(60);

/// The machine's own programs: the usual path begins with a folder that set-up writes to.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The directory is as it was meant to be, or empty, which is exit code 1: then the agent does it at
/// its first start. Any other end leaves open what is in it; it is exit code 2 where something stays.
const SCRIPT: &str = r#"
    chmod -R u+rwX .
    find . -mindepth 1 -delete && "$@" && find . -name '*.log' -delete || {
        chmod -R u+rwX .
        find . -mindepth 1 -delete
        [ -z "$(find . -mindepth 1 -print -quit || echo unknown)" ] && exit 1
        echo "what set-up left in $PWD cannot be removed" >&2
        exit 2
    }"#;

/// Begins the agent's directory anew, and ends all programs first. `binary` is its executable, as the
/// sandbox sees it. That no database was made is in the image's log; without a directory that is clean
/// there is no image.
pub(super) async fn begin(site: &Site<'_>, binary: &str) -> Result<(), ImageError> {
    const STEP: &str = "the agent's database";
    site.clear().await?;
    let launch = launch::database(&Place::sandbox(binary, WORKSPACE));
    let argv = ["/bin/sh", "-c", SCRIPT, "sh"].map(str::to_owned);
    let mut spec = ExecSpec::new(argv.into_iter().chain(launch.argv), LIMIT)
        .cwd(sandbox::AGENT)
        .env("PATH", PATH);
    for (name, value) in &launch.env {
        spec = spec.env(name, value);
    }
    let answer = site.exec(STEP, &spec).await?;
    match answer.exit {
        Exit::Code(0 | 1) => Ok(()),
        Exit::Code(_) | Exit::Signal(_) | Exit::TimedOut => Err(answer.failure(STEP)),
    }
}
