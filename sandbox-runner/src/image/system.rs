//! The system that sandboxes share with this machine: which one it is, and what is installed.
//!
//! Read once, when the runner starts, together with the copy of the package status that sandboxes
//! see: an image that was made on another state of the system is made anew.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ground::sha256;
use crate::sandbox::namespaces::Tool;

/// Which packages this machine has, as its package manager knows them.
const STATUS: &str = "/var/lib/dpkg/status";
const RELEASE: [&str; 2] = ["/etc/os-release", "/usr/lib/os-release"];
/// The name of [`tool`].
const HOST: &str = "host";
/// Where sandboxes see the status.
#[cfg(test)]
pub(super) const STATUS_INSIDE: &str = "/opt/host/status";

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct System {
    /// `debian`.
    pub id: String,
    /// `12`.
    pub version: String,
    /// `bookworm`.
    pub codename: String,
    /// Digest of what is installed; empty where packages are not known.
    pub packages: String,
}

impl System {
    /// This machine's. What it does not say of itself stays empty.
    pub fn read() -> Self {
        let release = RELEASE
            .iter()
            .find_map(|path| fs::read_to_string(path).ok());
        let mut system = Self::parse(&release.unwrap_or_default());
        if let Ok(status) = fs::read(STATUS) {
            system.packages = sha256(&status);
        }
        system
    }

    fn parse(release: &str) -> Self {
        let value = |key: &str| {
            let mut lines = release.lines();
            let found = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            found.unwrap_or_default().trim_matches('"').to_owned()
        };
        Self {
            id: value("ID"),
            version: value("VERSION_ID"),
            codename: value("VERSION_CODENAME"),
            packages: String::new(),
        }
    }
}

/// What sandboxes need to know of the host to install packages, if the host knows it.
pub fn tool() -> Option<Tool> {
    Path::new(STATUS).is_file().then(|| Tool {
        name: HOST.to_owned(),
        sources: vec![PathBuf::from(STATUS)],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_file_says_which_system_it_is() {
        let release = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nID=debian\n";
        let system = System::parse(release);
        assert_eq!(
            (&*system.id, &*system.version, &*system.codename),
            ("debian", "12", "bookworm")
        );
    }
}
