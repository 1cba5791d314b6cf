//! Where other versions of a language come from than the system's, and what is said of a version that
//! there is not.

use protocol::egress::HostName;

use super::python::PythonSource;
use super::version::{self, Version};
use super::{LANGUAGES, SHORT, go, node};
use crate::image::ImageError;
use crate::image::site::Site;
use crate::init::wire::ExecSpec;

/// How another version of a language is had than the system's.
pub(super) enum Source<'a> {
    Go,
    Node,
    Python(&'a PythonSource),
}

impl<'a> Source<'a> {
    pub(super) fn of(language: &str, python: &'a PythonSource) -> Option<Self> {
        match language {
            "go" => Some(Self::Go),
            "node" => Some(Self::Node),
            "python" => Some(Self::Python(python)),
            _ => None,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Go => "PyPI",
            Self::Node => "npm",
            Self::Python(_) => "uv",
        }
    }

    /// The program that it takes, and what succeeds where that is.
    fn tool(&self) -> (&'static str, &'static str) {
        match self {
            Self::Node => ("npm", "npm --version"),
            Self::Go | Self::Python(_) => ("Python's pip", "python3 -m pip --version"),
        }
    }

    fn hosts(&self) -> Vec<&str> {
        const PYPI: [&str; 2] = ["pypi.org", "files.pythonhosted.org"];
        match self {
            Self::Go => PYPI.to_vec(),
            Self::Node => vec!["registry.npmjs.org"],
            Self::Python(source) => [&PYPI[..], &source.hosts()].concat(),
        }
    }

    /// How many numbers of a version say which line of releases it is of.
    fn numbers(&self) -> usize {
        match self {
            Self::Node => 1,
            Self::Go | Self::Python(_) => 2,
        }
    }

    pub(super) async fn others(&self, site: &Site<'_>) -> Result<Others, ImageError> {
        let is_closed =
            |host: &&str| !HostName::parse(host).is_ok_and(|host| site.may_reach(&host));
        if let Some(host) = self.hosts().into_iter().find(is_closed) {
            return Ok(Others::Closed(host.to_owned()));
        }
        let (tool, check) = self.tool();
        let check = ExecSpec::new(["sh", "-c", check], SHORT);
        let found = site.exec(&format!("look for {tool}"), &check).await?;
        if !found.exit.success() {
            return Ok(Others::Without(tool));
        }
        Ok(Others::Offered {
            by: self.name(),
            numbers: self.numbers(),
            versions: match self {
                Self::Go => go::offered(site).await?,
                Self::Node => node::offered(site).await?,
                Self::Python(source) => source.offered(site).await?,
            },
        })
    }

    pub(super) async fn install(
        &self,
        site: &Site<'_>,
        version: &Version,
    ) -> Result<(), ImageError> {
        match self {
            Self::Go => go::install(site, version).await,
            Self::Node => node::install(site, version).await,
            Self::Python(source) => source.install(site, version).await,
        }
    }
}

/// What there is besides the version that the system has.
#[derive(Debug)]
pub(super) enum Others {
    None,
    Offered {
        by: &'static str,
        numbers: usize,
        versions: Vec<Version>,
    },
    /// They come from a host that the repository's policy does not allow.
    Closed(String),
    /// What they are installed with is missing.
    Without(&'static str),
}

impl Others {
    pub(super) fn newest(&self, wanted: &str) -> Option<Version> {
        match self {
            Self::Offered { versions, .. } => version::newest(versions, wanted).cloned(),
            Self::None | Self::Closed(_) | Self::Without(_) => None,
        }
    }
}

pub(super) fn refusal(
    language: &str,
    wanted: &str,
    present: Option<&String>,
    others: &Others,
) -> String {
    if !LANGUAGES.contains(&language) {
        let known = LANGUAGES.join(", ");
        return format!("{language} is not a language that can be asked for: those are {known}");
    }
    let mut there = match present {
        Some(present) => format!("there is {present}"),
        None => "there is none".to_owned(),
    };
    match others {
        Others::None => {}
        Others::Offered { versions, .. } if versions.is_empty() => {}
        Others::Offered {
            by,
            numbers,
            versions,
        } => {
            let versions = version::alternatives(versions, wanted, *numbers);
            there.push_str(&format!(", and {by} has {versions}"));
        }
        Others::Closed(host) => there.push_str(&format!(
            ", and others come from {host}: to allow that, add it to egress.allow in the \
             repository's settings"
        )),
        Others::Without(tool) => there.push_str(&format!(
            ", and others need {tool}, which the runner's machine lacks"
        )),
    }
    format!("{language} {wanted} cannot be had here: {there}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_there_is() {
        let present = "1.19.8".to_owned();
        let said = |others: &Others| refusal("go", "1.99", Some(&present), others);
        assert_eq!(
            said(&Others::None),
            "go 1.99 cannot be had here: there is 1.19.8"
        );
        let offered = |versions: &[&str]| Others::Offered {
            by: "PyPI",
            numbers: 2,
            versions: version::all(versions.iter().copied()),
        };
        assert_eq!(said(&offered(&[])), said(&Others::None));
        assert_eq!(
            said(&offered(&["1.9.1", "1.23.1", "1.23.2", "1.24.0"])),
            "go 1.99 cannot be had here: there is 1.19.8, and PyPI has 1.24, 1.23, 1.9"
        );
        assert_eq!(
            refusal("go", "1.99", None, &offered(&["1.23.1"])),
            "go 1.99 cannot be had here: there is none, and PyPI has 1.23"
        );
        assert!(refusal("cobol", "1", None, &Others::None).contains("python, node"));
    }

    #[test]
    fn a_refusal_says_what_others_would_need() {
        let said = |others: &Others| refusal("python", "3.9", None, others);
        assert_eq!(
            said(&Others::Closed("example.com".to_owned())),
            "python 3.9 cannot be had here: there is none, and others come from example.com: to \
             allow that, add it to egress.allow in the repository's settings"
        );
        assert_eq!(
            said(&Others::Without("npm")),
            "python 3.9 cannot be had here: there is none, and others need npm, which the \
             runner's machine lacks"
        );
    }
}
