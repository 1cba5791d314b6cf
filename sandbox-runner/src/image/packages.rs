//! Packages of the system's own package manager, installed by nobody: apt resolves and downloads
//! them as the sandbox's user, and their files are unpacked where they become a layer of `/usr`.
//!
//! What is installed on the host counts as installed, since sandboxes see the host's `/usr`. No
//! script of a package runs, and what a package has outside `/usr` is left out, so a service is not
//! set up by this; programs, libraries and headers are.

use std::time::Duration;

use protocol::egress::EgressPolicy;
use protocol::image::Base;

use super::log::Log;
use super::site::{Answer, Kind, Site};
use super::system::System;
use super::{ImageError, Workshop};
use crate::init::wire::ExecSpec;
use crate::layer::LayerId;

const LIMIT: Duration = Duration::from_secs(10 * 60);
/// Where apt works; nothing of it is kept.
const PLACE: &str = "/home/agent/.packages";
const STEP: &str = "install packages";

/// The sources are this program's and not the host's, which may hold credentials.
const CONFIGURATION: &str = r#"
Dir::Etc "/home/agent/.packages/etc";
Dir::State "/home/agent/.packages/state";
Dir::State::status "/opt/host/status";
Dir::Cache "/home/agent/.packages/cache";
Dir::Log "/home/agent/.packages/log";
Debug::NoLocking "true";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::EnableSrvRecords "false";
Acquire::Retries "2";
"#;

const PREPARE: &str = "\
    set -e; mkdir -p /home/agent/.packages; cd /home/agent/.packages; \
    mkdir -p etc/apt.conf.d etc/preferences.d state/lists/partial cache/archives/partial log; \
    cat > etc/sources.list";

/// Packages may have files in directories that are links to those below `/usr` on this system.
const UNPACK: &str = r#"
set -e
for package in /home/agent/.packages/cache/archives/*.deb; do
    [ -e "$package" ] || continue
    echo "unpacking ${package##*/}"
    dpkg-deb -x "$package" /opt/system
done
cd /opt/system
for name in bin sbin lib lib32 lib64 libx32; do
    [ -d "$name" ] && [ ! -L "$name" ] || continue
    mkdir -p "usr/$name"
    cp -a "$name/." "usr/$name/"
    rm -rf "$name"
done
rm -rf /home/agent/.packages
"#;

/// Makes the layer that has these packages, and all that they need.
pub(super) async fn layer(
    workshop: &Workshop,
    base: (&Base, &EgressPolicy),
    packages: &[String],
    log: &Log,
) -> Result<LayerId, ImageError> {
    let sources = sources(&workshop.supplies.system)?;
    if let Some(package) = packages.iter().find(|package| !is_name(package)) {
        return Err(unknown(package, &workshop.supplies.system));
    }
    let site = Site::open(workshop, base, &[], Kind::Packages, log).await?;
    match install(&site, packages, &sources, &workshop.supplies.system).await {
        Ok(()) => site.freeze().await,
        Err(error) => {
            site.discard().await;
            Err(error)
        }
    }
}

async fn install(
    site: &Site<'_>,
    packages: &[String],
    sources: &str,
    system: &System,
) -> Result<(), ImageError> {
    site.script("prepare for packages", PREPARE, sources, LIMIT)
        .await?;
    let configure = format!("cat > {PLACE}/apt.conf");
    site.script("prepare apt", &configure, CONFIGURATION, LIMIT)
        .await?;
    site.run("apt-get update", &apt(["update"])).await?;
    let arguments = ["install", "--yes", "--download-only", "--"];
    let arguments = arguments
        .into_iter()
        .chain(packages.iter().map(String::as_str));
    let answer = site.exec(STEP, &apt(arguments)).await?;
    if !answer.exit.success() {
        return Err(match missing(&answer) {
            Some(package) => unknown(&package, system),
            None => answer.failure(STEP),
        });
    }
    site.script("unpack packages", UNPACK, "", LIMIT).await?;
    Ok(())
}

fn apt<'a>(arguments: impl IntoIterator<Item = &'a str>) -> ExecSpec {
    let argv = ["apt-get", "--quiet"].into_iter().chain(arguments);
    ExecSpec::new(argv, LIMIT)
        .env("APT_CONFIG", &format!("{PLACE}/apt.conf"))
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C.UTF-8")
}

fn unknown(package: &str, system: &System) -> ImageError {
    ImageError::NoPackage {
        package: package.to_owned(),
        system: format!("{} {}", system.id, system.version),
    }
}

/// Other names would be patterns or removals for apt.
fn is_name(name: &str) -> bool {
    let first = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    name.len() > 1
        && name.starts_with(first)
        && !name.ends_with('-')
        && name
            .chars()
            .all(|character| first(character) || matches!(character, '+' | '-' | '.'))
}

/// The package that apt has not found.
fn missing(answer: &Answer) -> Option<String> {
    let said = String::from_utf8_lossy(&answer.stderr);
    said.lines().find_map(|line| {
        let line = line.strip_prefix("E: ")?;
        let unable = line.strip_prefix("Unable to locate package ");
        let virtual_only = || {
            let line = line.strip_prefix("Package '")?;
            line.strip_suffix("' has no installation candidate")
        };
        unable.or_else(virtual_only).map(str::to_owned)
    })
}

/// Where the system's packages come from, for apt.
fn sources(system: &System) -> Result<String, ImageError> {
    let release = &system.codename;
    let is_plain = !release.is_empty() && release.chars().all(|c| c.is_ascii_alphanumeric());
    let keyring = match system.id.as_str() {
        "debian" | "ubuntu" if is_plain && !system.packages.is_empty() => {
            format!("/usr/share/keyrings/{}-archive-keyring.gpg", system.id)
        }
        _ => return Err(ImageError::NoPackages(system.id.clone())),
    };
    let places: [(&str, String); 3] = if system.id == "debian" {
        let (main, security) = (
            "http://deb.debian.org/debian",
            "http://deb.debian.org/debian-security",
        );
        [
            (main, format!("{release} main")),
            (main, format!("{release}-updates main")),
            (security, format!("{release}-security main")),
        ]
    } else {
        let (main, security) = if cfg!(target_arch = "x86_64") {
            (
                "http://archive.ubuntu.com/ubuntu",
                "http://security.ubuntu.com/ubuntu",
            )
        } else {
            let ports = "http://ports.ubuntu.com/ubuntu-ports";
            (ports, ports)
        };
        [
            (main, format!("{release} main universe")),
            (main, format!("{release}-updates main universe")),
            (security, format!("{release}-security main universe")),
        ]
    };
    let line =
        |(place, suite): &(&str, String)| format!("deb [signed-by={keyring}] {place} {suite}\n");
    Ok(places.iter().map(line).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::system::STATUS_INSIDE;
    use super::*;
    use crate::init::wire::Exit;

    fn system(id: &str) -> System {
        System {
            id: id.to_owned(),
            version: "1".to_owned(),
            codename: "bookworm".to_owned(),
            packages: "digest".to_owned(),
        }
    }

    #[test]
    fn names_that_mean_more_than_one_package_are_none() {
        for name in ["g++", "python3.11", "libssl-dev", "7zip"] {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "hello-",
            "a*",
            "-o",
            "hello/sid",
            "a b",
            "",
            "hello=1",
            "^x",
        ] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn apt_says_which_package_there_is_not() {
        let answer = |stderr: &str| Answer {
            exit: Exit::Code(100),
            stdout: Vec::new(),
            stderr: stderr.as_bytes().to_vec(),
        };
        for (stderr, package) in [
            ("W: x\nE: Unable to locate package nosuch\n", Some("nosuch")),
            (
                "E: Package 'awk' has no installation candidate\n",
                Some("awk"),
            ),
            ("E: Unable to correct problems\n", None),
        ] {
            assert_eq!(missing(&answer(stderr)).as_deref(), package);
        }
    }

    #[test]
    fn systems_with_apt_have_sources_and_others_say_so() {
        assert_eq!(sources(&system("debian")).unwrap().lines().count(), 3);
        assert!(sources(&system("ubuntu")).unwrap().contains("universe"));
        let refused = sources(&system("alpine"));
        assert!(matches!(refused, Err(ImageError::NoPackages(id)) if id == "alpine"));
    }

    #[test]
    fn the_configuration_means_the_paths_that_are_used() {
        assert!(CONFIGURATION.contains(STATUS_INSIDE) && CONFIGURATION.contains(PLACE));
        assert!(PREPARE.contains(PLACE) && UNPACK.contains(PLACE));
    }
}
