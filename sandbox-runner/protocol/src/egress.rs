//! What a sandbox may reach outside: hosts by name, on the ports of HTTP and HTTPS.
//!
//! Everything is denied unless a pattern allows it. A pattern is one host (`example.com`) or all
//! hosts below one (`*.example.com`, which is not `example.com` itself). Addresses are no names:
//! whoever allows a name allows whatever public address it has at the moment.

use serde::{Deserialize, Serialize};

/// The egress policy of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EgressPolicy {
    #[serde(default)]
    #[cfg_attr(test, ts(optional, as = "Option<Vec<HostPattern>>"))]
    pub allow: Vec<HostPattern>,
    /// Whether [`DEFAULTS`] are allowed as well.
    #[serde(default = "yes")]
    #[cfg_attr(test, ts(optional, as = "Option<bool>"))]
    pub defaults: bool,
}

fn yes() -> bool {
    true
}

/// Where packages, toolchains and sources are downloaded from.
pub const DEFAULTS: &[&str] = &[
    // npm and Node
    "registry.npmjs.org",
    "registry.yarnpkg.com",
    "nodejs.org",
    // Python
    "pypi.org",
    "files.pythonhosted.org",
    "www.python.org",
    "releases.astral.sh",
    // Rust
    "crates.io",
    "index.crates.io",
    "static.crates.io",
    "static.rust-lang.org",
    "sh.rustup.rs",
    // Go
    "proxy.golang.org",
    "sum.golang.org",
    "go.dev",
    "dl.google.com",
    // Java
    "repo.maven.apache.org",
    "repo1.maven.org",
    "plugins.gradle.org",
    "services.gradle.org",
    "downloads.gradle.org",
    // Ruby
    "rubygems.org",
    "index.rubygems.org",
    "cache.ruby-lang.org",
    // Debian and Ubuntu
    "deb.debian.org",
    "security.debian.org",
    "archive.ubuntu.com",
    "*.archive.ubuntu.com",
    "security.ubuntu.com",
    "ports.ubuntu.com",
    // GitHub, where it only gives: what takes uploads is reached through the gateway's own paths
    "codeload.github.com",
    "raw.githubusercontent.com",
    "objects.githubusercontent.com",
    "release-assets.githubusercontent.com",
];

impl Default for EgressPolicy {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            defaults: true,
        }
    }
}

impl EgressPolicy {
    pub fn allows(&self, host: &HostName) -> bool {
        self.allow.iter().any(|pattern| pattern.matches(host))
            || self.defaults && DEFAULTS.iter().any(|pattern| matches(pattern, host))
    }
}

/// A host's full name in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(String);

/// One host, or `*.` and the host above all that are meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(test, derive(ts_rs::TS), ts(as = "String"))]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(with = "String", extend("pattern" = "^(\\*\\.)?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*\\.[a-z]([a-z0-9-]{0,61}[a-z0-9])?$"))
)]
pub struct HostPattern(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHost {
    #[error("an address is not a host name: allow the name that it has")]
    Address,
    #[error("a host has at least two labels, like example.com")]
    TooShort,
    #[error("a star stands for hosts below a name of at least two labels, like *.example.com")]
    Star,
    #[error("a host name has letters, digits, dots and dashes; others are written as xn--…")]
    Letters,
}

impl HostName {
    /// Takes any case, and the dot that may end a full name.
    pub fn parse(text: &str) -> Result<Self, InvalidHost> {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if name.parse::<std::net::IpAddr>().is_ok() || name.starts_with('[') {
            return Err(InvalidHost::Address);
        }
        if name.contains('*') {
            return Err(InvalidHost::Star);
        }
        if name.len() > 253 || !name.split('.').all(is_label) {
            return Err(InvalidHost::Letters);
        }
        match name.rsplit_once('.') {
            None => Err(InvalidHost::TooShort),
            // `1.2.3` and `0x7f.1` are addresses for some programs.
            Some((_, last)) if last.starts_with(|first: char| first.is_ascii_digit()) => {
                Err(InvalidHost::Address)
            }
            Some(_) => Ok(Self(name)),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

impl HostPattern {
    pub fn parse(text: &str) -> Result<Self, InvalidHost> {
        match text.strip_prefix("*.") {
            None => HostName::parse(text).map(|name| Self(name.0)),
            Some(above) => match HostName::parse(above) {
                Ok(above) => Ok(Self(format!("*.{}", above.0))),
                Err(InvalidHost::TooShort) => Err(InvalidHost::Star),
                Err(error) => Err(error),
            },
        }
    }

    pub fn matches(&self, host: &HostName) -> bool {
        matches(&self.0, host)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn matches(pattern: &str, host: &HostName) -> bool {
    match pattern.strip_prefix('*') {
        // What is left begins with a dot, so only whole labels match.
        Some(above) => host.0.len() > above.len() && host.0.ends_with(above),
        None => host.0 == pattern,
    }
}

impl std::fmt::Display for HostName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for HostPattern {
    type Error = InvalidHost;

    fn try_from(text: String) -> Result<Self, InvalidHost> {
        Self::parse(&text)
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> String {
        pattern.0
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn host(text: &str) -> HostName {
        HostName::parse(text).unwrap()
    }

    #[test]
    fn a_star_means_whole_labels_below_and_not_the_name_itself() {
        let pattern = HostPattern::parse("*.Example.com").unwrap();
        assert!(pattern.matches(&host("a.example.com")));
        assert!(pattern.matches(&host("a.b.example.COM.")));
        for other in ["example.com", "aexample.com", "a.example.com.evil.org"] {
            assert!(!pattern.matches(&host(other)), "{other}");
        }
    }

    #[test]
    fn what_would_allow_too_much_or_nothing_is_no_pattern() {
        for (text, error) in [
            ("*.com", InvalidHost::Star),
            ("*", InvalidHost::Star),
            ("*.*.example.com", InvalidHost::Star),
            ("a.*.example.com", InvalidHost::Star),
            ("localhost", InvalidHost::TooShort),
            ("127.0.0.1", InvalidHost::Address),
            ("*.0.0.1", InvalidHost::Address),
            ("10.1", InvalidHost::Address),
            ("example.0x7f", InvalidHost::Address),
            ("::1", InvalidHost::Address),
            ("[::1]", InvalidHost::Address),
            ("", InvalidHost::Letters),
            ("example..com", InvalidHost::Letters),
            ("exämple.com", InvalidHost::Letters),
            ("-a.example.com", InvalidHost::Letters),
            ("example.com:443", InvalidHost::Letters),
            ("https://example.com", InvalidHost::Letters),
            ("user@example.com", InvalidHost::Letters),
        ] {
            assert_eq!(HostPattern::parse(text), Err(error), "{text}");
        }
        let long = format!("{}.example.com", "a".repeat(64));
        assert_eq!(HostPattern::parse(&long), Err(InvalidHost::Letters));
        let long = format!("{}example.com", "a.".repeat(130));
        assert_eq!(HostPattern::parse(&long), Err(InvalidHost::Letters));
        assert!(HostPattern::parse("xn--exmple-cua.com").is_ok());
    }

    #[test]
    fn every_default_is_a_pattern_and_allowed_unless_defaults_are_off() {
        let off = EgressPolicy {
            allow: vec![HostPattern::parse("example.com").unwrap()],
            defaults: false,
        };
        for text in DEFAULTS {
            let pattern = HostPattern::parse(text).unwrap();
            assert_eq!(pattern.as_str(), *text);
            let name = host(&text.replace('*', "de"));
            assert!(EgressPolicy::default().allows(&name), "{name}");
            assert!(!off.allows(&name), "{name}");
        }
        assert!(off.allows(&host("example.com")));
    }

    #[test]
    fn a_policy_that_says_nothing_allows_the_defaults() {
        let policy: EgressPolicy = serde_json::from_str("{}").unwrap();
        assert_eq!(policy, EgressPolicy::default());
    }
}
