//! What the agent makes at its first start, made while the image is: an empty database of its own
//! version. A sandbox from the image has a copy, so its agent is up sooner.
//!
//! No conversation is in it, and nothing that names a session, a project or a person. What set-up left
//! in the agent's directory goes: the agent would take it for its own.

use std::time::Duration;

use super::site::Site;
use super::{ImageError, WORKSPACE};
use crate::agent::launch::{self, Place};
use crate::init::wire::ExecSpec;
use crate::sandbox;

/// The agent takes two seconds on an idle machine.
const LIMIT: Duration = Duration::from_secs(60);

/// The directory is as it was meant to be, or empty: then the agent does it at its first start.
const SCRIPT: &str = "find . -mindepth 1 -delete && \"$@\" && find . -name '*.log' -delete || \
    { find . -mindepth 1 -delete; exit 1; }";

/// Begins the agent's directory anew. `binary` is its executable, as the sandbox sees it. That it fails
/// is in the image's log.
pub(super) async fn begin(site: &Site<'_>, binary: &str) -> Result<(), ImageError> {
    let launch = launch::database(&Place::sandbox(binary, WORKSPACE));
    let argv = ["sh", "-c", SCRIPT, "sh"].map(str::to_owned);
    let mut spec = ExecSpec::new(argv.into_iter().chain(launch.argv), LIMIT).cwd(sandbox::AGENT);
    for (name, value) in &launch.env {
        spec = spec.env(name, value);
    }
    site.exec("the agent's database", &spec).await.map(drop)
}
