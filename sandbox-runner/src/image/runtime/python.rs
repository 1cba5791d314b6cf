//! Python, as uv installs it: builds of CPython that run wherever they are unpacked.
//!
//! uv itself is a package of PyPI. It has the list of builds with their checksums in it and takes
//! them from its makers' mirror, unless the operator names another mirror or another list by uv's
//! own variables.

use std::time::Duration;

use protocol::egress::HostName;
use serde::Deserialize;

use super::version::{self, Version};
use super::{DIRECTORY, LIST, pip};
use crate::image::ImageError;
use crate::image::site::{AUTHORITIES, Site};
use crate::init::wire::ExecSpec;

pub(crate) const MIRROR: &str = "UV_PYTHON_INSTALL_MIRROR";
pub(crate) const LIST_URL: &str = "UV_PYTHON_DOWNLOADS_JSON_URL";

const INSTALL: Duration = Duration::from_secs(10 * 60);
/// Memory, which is gone with the image's sandbox: no image has use for it.
const UV: &str = "/tmp/uv";
/// Where builds come from if nothing else is said.
const HOST: &str = "releases.astral.sh";

/// The build's own programs are where the sandbox's path leads, and with them the scripts of what its
/// pip installs. The directory keeps the name by which uv has told the build where it is. The mark
/// that it belongs to uv would have pip refuse to install anything.
const SETTLE: &str = r#"
    cd "$1" && ln -s cpython/cpython-"$2"-* python && rm -f python/lib/python*/EXTERNALLY-MANAGED"#;

/// Where uv takes builds from, as its own variables say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PythonSource {
    pub mirror: Option<Place>,
    pub list: Option<Place>,
}

/// An address that a sandbox may be able to reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    url: String,
    host: HostName,
}

impl Place {
    /// Only names are reached, on the usual ports; what sandboxes see is no secret.
    pub fn parse(text: &str) -> Option<Self> {
        let url = reqwest::Url::parse(text).ok()?;
        let is_plain = url.username().is_empty() && url.password().is_none();
        let is_web = matches!(url.scheme(), "http" | "https") && url.port().is_none();
        let host = HostName::parse(url.host_str()?).ok()?;
        (is_plain && is_web).then(|| Self {
            url: text.to_owned(),
            host,
        })
    }
}

impl PythonSource {
    pub(super) fn hosts(&self) -> Vec<&str> {
        let mirror = self.mirror.as_ref().map(|place| place.host.as_str());
        let list = self.list.as_ref().map(|place| place.host.as_str());
        let hosts = [Some(mirror.unwrap_or(HOST)), list];
        hosts.into_iter().flatten().collect()
    }

    pub(super) async fn offered(&self, site: &Site<'_>) -> Result<Vec<Version>, ImageError> {
        pip::install(site, "uv", UV).await?;
        let list = [
            "list",
            "cpython",
            "--only-downloads",
            "--all-versions",
            "--output-format=json",
        ];
        let listed = site
            .run("list versions of python", &self.uv(&list, LIST))
            .await?;
        Ok(parse(&listed.stdout))
    }

    pub(super) async fn install(
        &self,
        site: &Site<'_>,
        version: &Version,
    ) -> Result<(), ImageError> {
        let (directory, version) = (
            format!("--install-dir={DIRECTORY}/cpython"),
            version.to_string(),
        );
        let install = ["install", "--no-bin", &directory, "--", &version];
        site.run("install python", &self.uv(&install, INSTALL))
            .await?;
        let settle = ExecSpec::new(["sh", "-c", SETTLE, "sh", DIRECTORY, &version], LIST);
        site.run("settle python", &settle).await.map(drop)
    }

    fn uv(&self, arguments: &[&str], limit: Duration) -> ExecSpec {
        let program = format!("{UV}/bin/uv");
        let argv = [program.as_str(), "python"].into_iter();
        let mut spec = ExecSpec::new(argv.chain(arguments.iter().copied()), limit)
            .env("SSL_CERT_FILE", AUTHORITIES)
            .env("NO_COLOR", "1")
            .env("UV_NO_CACHE", "1")
            .env("UV_NO_CONFIG", "1")
            .env("UV_NO_PROGRESS", "1");
        for (name, place) in [(MIRROR, &self.mirror), (LIST_URL, &self.list)] {
            if let Some(place) = place {
                spec = spec.env(name, &place.url);
            }
        }
        spec
    }
}

/// One build in uv's list.
#[derive(Deserialize)]
struct Listed {
    version: String,
    /// Others lack the global lock, or are made for looking for mistakes.
    variant: String,
}

fn parse(json: &[u8]) -> Vec<Version> {
    let listed: Vec<Listed> = serde_json::from_slice(json).unwrap_or_default();
    let usual = listed.iter().filter(|build| build.variant == "default");
    version::all(usual.map(|build| build.version.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uv_lists_builds_of_which_the_usual_ones_are_offered() {
        let listed = br#"[
            {"key": "cpython-3.16.0a2-linux-x86_64-gnu", "version": "3.16.0a2", "variant": "default"},
            {"key": "cpython-3.15.2-linux-x86_64-gnu", "version": "3.15.2", "variant": "default"},
            {"key": "cpython-3.15.1+freethreaded-linux-x86_64-gnu", "version": "3.15.1", "variant": "freethreaded"}
        ]"#;
        assert_eq!(parse(listed), version::all(["3.15.2"]));
        assert_eq!(parse(b"error"), []);
    }

    #[test]
    fn builds_come_from_uvs_makers_or_from_where_the_operator_says() {
        let usual = PythonSource::default();
        assert_eq!(usual.hosts(), [HOST]);
        let own = PythonSource {
            mirror: Place::parse("https://mirror.example.com/pythons"),
            list: Place::parse("https://lists.example.com/pythons.json"),
        };
        assert_eq!(own.hosts(), ["mirror.example.com", "lists.example.com"]);
    }

    #[test]
    fn a_place_that_no_sandbox_can_reach_or_that_holds_a_secret_is_none() {
        assert!(Place::parse("http://mirror.example.com").is_some());
        for other in [
            "",
            "mirror.example.com",
            "file:///srv/pythons",
            "ftp://mirror.example.com/",
            "https://mirror.example.com:8443/",
            "https://10.0.0.1/",
            "https://mirror/",
            "https://user@mirror.example.com/",
            "https://:password@mirror.example.com/",
        ] {
            assert_eq!(Place::parse(other), None, "{other}");
        }
    }
}
