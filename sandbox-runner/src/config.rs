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

use crate::gateway::billing::{Billing, BillingError};
use crate::image::{LIST_URL, MIRROR, Place, PythonSource};
use crate::layer::depot::{DepotConfig, InvalidDepot};

/// One environment variable, as `--help` shows it.
pub struct Variable {
    pub name: &'static str,
    /// Empty when there is none.
    pub default: &'static str,
    pub about: &'static str,
}

const fn variable(name: &'static str, default: &'static str, about: &'static str) -> Variable {
    Variable {
        name,
        default,
        about,
    }
}

pub const VARIABLES: &[Variable] = &[
    variable(
        "RUNNER_KEYS",
        "",
        "required: keys shared with the Worker, newest first, separated by spaces; each is whsec_ and base64 of 24 to 64 bytes",
    ),
    variable(
        "WORKER_URL",
        "",
        "required: where the Worker is reached, like https://agents.example.com",
    ),
    variable(
        "RUNNER_LISTEN",
        "127.0.0.1:8788",
        "address and port for commands; port 0 takes a free one",
    ),
    variable(
        "RUNNER_URL",
        "",
        "where the Worker reaches this runner; made from the listening address if absent",
    ),
    variable(
        "RUNNER_ID",
        "",
        "this runner's identifier, like run_…; made once and kept in the state directory if absent",
    ),
    variable(
        "RUNNER_STATE_DIR",
        "/var/lib/sandbox-runner",
        "absolute directory for images, sandboxes and the outbox; must not be on an overlay",
    ),
    variable(
        "RUNNER_CAPACITY",
        "8",
        "sandboxes it may hold at once, 1 to 1000",
    ),
    variable(
        "POOL_MEMORY_GIB",
        "",
        "memory that warm sandboxes may take all together, in GiB, 0 to 65536; one is counted as 1; as many as there is room and free memory for if absent",
    ),
    variable(
        "GITHUB_URL",
        "https://github.com",
        "the forge that repositories are cloned from and pushed to",
    ),
    variable("OPENCODE_BIN", "opencode", "the agent server's executable"),
    variable(
        "AGENT_HOOKS_DIR",
        "",
        "absolute directory of hooks for every agent's tools, *.js; see sandbox-runner/plugin/README.md",
    ),
    variable(
        "SANDBOX_UID",
        "20001",
        "first of the numeric users and groups that sandboxes run as if the runner is root, one each, not 0; the thousand from it on must be free, another runner's on the same machine too",
    ),
    variable(
        "ANTHROPIC_API_KEY",
        "",
        "key for Anthropic models; never enters a sandbox",
    ),
    variable(
        "ANTHROPIC_BASE_URL",
        "https://api.anthropic.com",
        "server that speaks the Anthropic messages API below /v1",
    ),
    variable(
        "OPENAI_API_KEY",
        "",
        "key for OpenAI models; never enters a sandbox",
    ),
    variable(
        "OPENAI_BASE_URL",
        "https://api.openai.com/v1",
        "server that speaks the OpenAI chat completions API",
    ),
    variable(
        "MODEL_PRICES",
        "",
        "prices in dollars for a million tokens, JSON or an absolute path to it: {\"anthropic/claude-sonnet-4-5\": {\"input\": 3, \"output\": 15, \"cache_read\": 0.3, \"cache_write\": 3.75}}; without one a model's cost is unknown",
    ),
    variable(
        "SESSION_BUDGET_USD",
        "",
        "what one session may spend on models, in dollars; needs MODEL_PRICES; no limit if absent",
    ),
    variable(
        "PROMPT_MINUTES",
        "240",
        "how long one prompt may run before it is ended, in minutes, 1 to 10080",
    ),
    variable(
        "EGRESS_INTERNAL_HOSTS",
        "",
        "host names, separated by spaces, that may have private addresses; a repository's policy has to allow them as well",
    ),
    variable(
        MIRROR,
        "",
        "where uv takes Pythons from that an environment asks for, on port 80 or 443, instead of its makers' mirror; a repository's policy has to allow the host",
    ),
    variable(
        LIST_URL,
        "",
        "list of the Pythons that can be had so, with their checksums, instead of uv's own; likewise",
    ),
    variable(
        "GIT_COMMITTER_NAME",
        "hosted-agents[bot]",
        "committer of every commit; the author is whoever prompted",
    ),
    variable(
        "GIT_COMMITTER_EMAIL",
        "hosted-agents[bot]@users.noreply.github.com",
        "the committer's address",
    ),
    variable(
        "DEPOT_URL",
        "",
        "where layers travel between runners: file:///directory or s3://bucket/prefix?endpoint=https://…&region=…; without it they stay on this machine",
    ),
    variable("DEPOT_ACCESS_KEY_ID", "", "key for the bucket of DEPOT_URL"),
    variable("DEPOT_SECRET_ACCESS_KEY", "", "secret of that key"),
    variable(
        "RUST_LOG",
        "info",
        "what is logged to standard error, as tracing's filter",
    ),
];

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

/// What `sandbox-runner --help` prints.
pub fn help() -> String {
    let mut text = String::from(
        "Runs coding agents in isolated sandboxes and reports through signed callbacks.\n\n\
         Usage:\n  \
         sandbox-runner           serve commands\n  \
         sandbox-runner doctor    check that this machine can hold sandboxes\n  \
         sandbox-runner retire    end all sandboxes of a runner that is not running, and keep them in the depot: their sessions go on elsewhere\n  \
         sandbox-runner sweep     the same, and keep nothing\n  \
         sandbox-runner --help    print this\n\n\
         Environment:\n",
    );
    for variable in VARIABLES {
        text.push_str(&format!("  {}\n      {}\n", variable.name, variable.about));
        if !variable.default.is_empty() {
            text.push_str(&format!("      default: {}\n", variable.default));
        }
    }
    text
}

struct Source<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl Source<'_> {
    /// The value or the default, if there is one.
    fn optional(&self, name: &'static str) -> Option<String> {
        (self.lookup)(name).or_else(|| {
            let default = described(name).default;
            (!default.is_empty()).then(|| default.to_owned())
        })
    }

    fn required(&self, name: &'static str) -> Result<String, ConfigError> {
        let about = described(name).about;
        self.optional(name)
            .ok_or(ConfigError::Missing { name, about })
    }

    fn parsed<T: std::str::FromStr>(&self, name: &'static str) -> Result<T, ConfigError> {
        self.checked(name, |_| true)
    }

    fn checked<T: std::str::FromStr>(
        &self,
        name: &'static str,
        fits: impl Fn(&T) -> bool,
    ) -> Result<T, ConfigError> {
        let value = self
            .required(name)?
            .parse()
            .map_err(|_| self.invalid(name))?;
        if fits(&value) {
            Ok(value)
        } else {
            Err(self.invalid(name))
        }
    }

    /// An absolute HTTP address without the slash at its end, so that a path can follow it.
    fn url(&self, name: &'static str, value: String) -> Result<String, ConfigError> {
        let url = reqwest::Url::parse(&value).map_err(|_| self.invalid(name))?;
        if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || !url.has_host() {
            return Err(self.invalid(name));
        }
        Ok(value.trim_end_matches('/').to_owned())
    }

    /// An address that sandboxes may be able to reach.
    fn place(&self, name: &'static str) -> Result<Option<Place>, ConfigError> {
        let place = |url: String| Place::parse(&url).ok_or_else(|| self.invalid(name));
        self.optional(name).map(place).transpose()
    }

    fn depot(&self) -> Result<Option<DepotConfig>, ConfigError> {
        let Some(url) = self.optional("DEPOT_URL") else {
            return Ok(None);
        };
        let keys = ["DEPOT_ACCESS_KEY_ID", "DEPOT_SECRET_ACCESS_KEY"];
        let [id, secret] = keys.map(|name| self.optional(name));
        let config = DepotConfig::parse(&url, id, secret);
        config.map(Some).map_err(|error| match error {
            InvalidDepot::NoKeys => ConfigError::Missing {
                name: "DEPOT_ACCESS_KEY_ID",
                about: "a bucket needs it and DEPOT_SECRET_ACCESS_KEY",
            },
            InvalidDepot::NoAddress => self.invalid("DEPOT_URL"),
        })
    }

    /// One line without what git gives a meaning in an identity.
    fn line(&self, name: &'static str) -> Result<String, ConfigError> {
        self.checked(name, |text: &String| {
            !text.contains(['<', '>', '\n', '\r', '\0'])
        })
    }

    fn billing(&self) -> Result<Billing, ConfigError> {
        let prices = match self.optional("MODEL_PRICES") {
            Some(path) if path.starts_with('/') => {
                Some(std::fs::read_to_string(path).map_err(ConfigError::Prices)?)
            }
            inline => inline,
        };
        let budget = self.optional("SESSION_BUDGET_USD");
        Billing::parse(prices.as_deref(), budget.as_deref()).map_err(|source| {
            let name = match source {
                BillingError::Form(_) | BillingError::Price => "MODEL_PRICES",
                BillingError::Budget | BillingError::NoPrices => "SESSION_BUDGET_USD",
            };
            let about = described(name).about;
            ConfigError::Billing {
                name,
                about,
                source,
            }
        })
    }

    fn hosts(&self, name: &'static str) -> Result<BTreeSet<HostName>, ConfigError> {
        let hosts = self.optional(name).unwrap_or_default();
        hosts
            .split_whitespace()
            .map(|host| HostName::parse(host).map_err(|_| self.invalid(name)))
            .collect()
    }

    fn invalid(&self, name: &'static str) -> ConfigError {
        ConfigError::Invalid {
            name,
            about: described(name).about,
        }
    }
}

fn described(name: &str) -> &'static Variable {
    const UNDESCRIBED: Variable = variable("", "", "");
    VARIABLES
        .iter()
        .find(|variable| variable.name == name)
        .unwrap_or(&UNDESCRIBED)
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
