//! What the runner is told by its environment: read once, typed, checked before anything starts.
//!
//! [`VARIABLES`] is the one list of them: `--help` prints it, and every error quotes it. A value
//! is never part of an error, since it may be a secret.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use protocol::RunnerId;
use protocol::command::GitIdentity;
use protocol::egress::HostName;
use protocol::signature::{KeyError, Keys};

use self::source::Source;
use crate::gateway::billing::{Billing, BillingError};
use crate::image::{LIST_URL, MIRROR, PythonSource};
use crate::layer::depot::DepotConfig;

mod source;
mod variable;

pub use self::variable::{VARIABLES, Variable, help};

#[derive(Debug, Clone)]
pub struct Config {
    pub listen: SocketAddr,
    pub url: Option<String>,
    pub id: Option<RunnerId>,
    pub keys: Keys,
    pub worker_url: String,
    pub state_dir: PathBuf,
    pub capacity: u32,
    /// What warm sandboxes may take all together, in bytes.
    pub pool_memory: Option<u64>,
    pub github_url: String,
    pub opencode_bin: PathBuf,
    pub agent_hooks_dir: Option<PathBuf>,
    pub sandbox_uid: u32,
    /// How long a prompt may run.
    pub turn_limit: Duration,
    pub anthropic: Upstream,
    pub openai: Upstream,
    pub billing: Billing,
    /// Hosts that may be on a network around this machine.
    pub internal_hosts: BTreeSet<HostName>,
    /// Where environments get their Python.
    pub python: PythonSource,
    pub committer: GitIdentity,
    pub depot: Option<DepotConfig>,
}

/// A model provider: where it is and what it wants to see.
#[derive(Clone, PartialEq, Eq)]
pub struct Upstream {
    pub base_url: String,
    pub key: Option<String>,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Upstream")
            .field("base_url", &self.base_url)
            .field("has_key", &self.key.is_some())
            .finish()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{name} is not set; {about}")]
    Missing {
        name: &'static str,
        about: &'static str,
    },
    #[error("{name} has a value that cannot be used; {about}")]
    Invalid {
        name: &'static str,
        about: &'static str,
    },
    #[error("RUNNER_KEYS cannot be used")]
    Keys(#[source] KeyError),
    #[error("{name} cannot be used; {about}")]
    Billing {
        name: &'static str,
        about: &'static str,
        #[source]
        source: BillingError,
    },
    #[error("failed to read the file that MODEL_PRICES names")]
    Prices(#[source] std::io::Error),
}

impl Config {
    /// `lookup` is `std::env::var` outside tests. An empty value counts as absent.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let source = Source {
            lookup: &|name| lookup(name).filter(|value| !value.trim().is_empty()),
        };
        Ok(Self {
            listen: source.parsed("RUNNER_LISTEN")?,
            url: source
                .optional("RUNNER_URL")
                .map(|url| source.url("RUNNER_URL", url))
                .transpose()?,
            id: source
                .optional("RUNNER_ID")
                .map(|id| RunnerId::parse(&id).map_err(|_| source.invalid("RUNNER_ID")))
                .transpose()?,
            keys: Keys::parse(&source.required("RUNNER_KEYS")?).map_err(ConfigError::Keys)?,
            worker_url: source.url("WORKER_URL", source.required("WORKER_URL")?)?,
            state_dir: source.checked("RUNNER_STATE_DIR", |path: &PathBuf| path.is_absolute())?,
            capacity: source.checked("RUNNER_CAPACITY", |count| (1..=1000).contains(count))?,
            pool_memory: source
                .optional("POOL_MEMORY_GIB")
                .map(|_| source.checked("POOL_MEMORY_GIB", |gibibytes| *gibibytes <= 65_536))
                .transpose()?
                .map(|gibibytes: u64| gibibytes << 30),
            github_url: source.url("GITHUB_URL", source.required("GITHUB_URL")?)?,
            opencode_bin: source.parsed("OPENCODE_BIN")?,
            agent_hooks_dir: source
                .optional("AGENT_HOOKS_DIR")
                .map(|_| source.checked("AGENT_HOOKS_DIR", |path: &PathBuf| path.is_absolute()))
                .transpose()?,
            sandbox_uid: source.checked("SANDBOX_UID", |uid| *uid != 0)?,
            anthropic: Upstream {
                base_url: source
                    .url("ANTHROPIC_BASE_URL", source.required("ANTHROPIC_BASE_URL")?)?,
                key: source.optional("ANTHROPIC_API_KEY"),
            },
            openai: Upstream {
                base_url: source.url("OPENAI_BASE_URL", source.required("OPENAI_BASE_URL")?)?,
                key: source.optional("OPENAI_API_KEY"),
            },
            billing: source.billing()?,
            turn_limit: source
                .checked("PROMPT_MINUTES", |minutes| (1..=10_080).contains(minutes))
                .map(|minutes: u64| Duration::from_secs(minutes * 60))?,
            internal_hosts: source.hosts("EGRESS_INTERNAL_HOSTS")?,
            python: PythonSource {
                mirror: source.place(MIRROR)?,
                list: source.place(LIST_URL)?,
            },
            committer: GitIdentity {
                name: source.line("GIT_COMMITTER_NAME")?,
                email: source.line("GIT_COMMITTER_EMAIL")?,
            },
            depot: source.depot()?,
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn read(changes: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let mut values = vec![
            ("RUNNER_KEYS", KEY),
            ("WORKER_URL", "http://127.0.0.1:8787/"),
        ];
        values.extend_from_slice(changes);
        Config::read(|name| {
            let found = values.iter().rev().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn two_variables_are_enough() {
        let config = read(&[]).unwrap();
        assert_eq!(config.worker_url, "http://127.0.0.1:8787");
        assert_eq!(config.listen.port(), 8788);
        assert_eq!(config.github_url, "https://github.com");
        assert_eq!(config.anthropic.key, None);
    }

    #[test]
    fn an_unusable_value_is_named_and_not_shown() {
        let cases = [
            ("RUNNER_LISTEN", "localhost"),
            ("RUNNER_URL", "ftp://x"),
            ("RUNNER_ID", "ses_1"),
            ("WORKER_URL", "agents.internal"),
            ("RUNNER_STATE_DIR", "relative"),
            ("AGENT_HOOKS_DIR", "relative"),
            ("RUNNER_CAPACITY", "0"),
            ("SANDBOX_UID", "0"),
            ("GIT_COMMITTER_NAME", "a\nb"),
            ("MODEL_PRICES", "3 dollars"),
            ("SESSION_BUDGET_USD", "5"),
            ("PROMPT_MINUTES", "0"),
            ("EGRESS_INTERNAL_HOSTS", "mirror.example.com 10.0.0.1"),
            (MIRROR, "https://user:secret@mirror.example.com"),
            (LIST_URL, "/srv/pythons.json"),
            ("DEPOT_URL", "/srv/layers"),
        ];
        for (name, value) in cases {
            let error = read(&[(name, value)]).unwrap_err();
            let text = error.to_string();
            assert!(text.starts_with(name), "{text}");
            assert!(!text.contains(value) || value == "0", "{text}");
        }
    }

    #[test]
    fn an_empty_required_variable_counts_as_absent() {
        let error = read(&[("WORKER_URL", "  ")]).unwrap_err();
        assert!(matches!(
            error,
            ConfigError::Missing {
                name: "WORKER_URL",
                ..
            }
        ));
    }

    #[test]
    fn a_bucket_without_its_keys_is_refused_and_says_which_are_missing() {
        let error = read(&[("DEPOT_URL", "s3://layers")]).unwrap_err();
        assert!(
            error.to_string().contains("DEPOT_SECRET_ACCESS_KEY"),
            "{error}"
        );
        assert_eq!(read(&[]).unwrap().depot, None);
    }

    #[test]
    fn no_key_is_ever_printed() {
        let config = read(&[("OPENAI_API_KEY", "sk-secret")]).unwrap();
        let printed = format!("{config:?}");
        assert!(
            !printed.contains("sk-secret") && !printed.contains("MfKQ9r8G"),
            "{printed}"
        );
    }

    #[test]
    fn the_help_names_every_variable() {
        let text = help();
        assert!(
            VARIABLES
                .iter()
                .all(|variable| text.contains(variable.name))
        );
    }
}
