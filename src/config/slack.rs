//! How Slack is reached, who may do what from there, and what leads to which repository.

use protocol::branch::is_branch_name;
use protocol::command::{Model, Provider};
use protocol::event::Repository;
use sha2::{Digest as _, Sha256};
use worker::Env;

use super::{ConfigError, optional, required};
use crate::platform::random::hex;
use crate::slack::classification::Rules;
use crate::slack::client;

pub struct Slack {
    pub api_url: String,
    pub bot_token: String,
    /// The newest first.
    pub signing_secrets: Vec<String>,
    /// Other workspaces whose people are listened to, in channels that are shared with them.
    pub workspaces: Vec<String>,
    /// Who is linked to nobody at GitHub may work on these, and on nothing if there are none.
    pub open_repositories: Vec<Repository>,
    pub rules: Rules,
    pub emoji: Emoji,
    pub classifier: Option<Classifier>,
}

/// Names of emoji, without colons, since workspaces have their own.
pub struct Emoji {
    pub seen: String,
    pub stop: String,
    pub insert: String,
}

/// The model that is asked which repository a message is about.
pub struct Classifier {
    pub url: String,
    pub key: String,
    pub model: Model,
}

impl Slack {
    /// `None` where there is no Slack.
    pub fn from_env(env: &Env) -> Result<Option<Self>, ConfigError> {
        let secrets = optional(env, "SLACK_SIGNING_SECRET", "");
        if secrets.is_empty() {
            return Ok(None);
        }
        let url = optional(env, "SLACK_API_URL", "https://slack.com/api");
        let allowed = match optional(env, "SLACK_UNLINKED", "refuse").as_str() {
            "refuse" => String::new(),
            "allow" => optional(env, "SLACK_REPOSITORIES", ""),
            _ => {
                return Err(ConfigError::Form {
                    name: "SLACK_UNLINKED",
                    expected: "refuse or allow",
                });
            }
        };
        let mut open_repositories = Vec::new();
        for name in allowed.split([',', ' ']).filter(|name| !name.is_empty()) {
            open_repositories.push(Repository::parse(name).map_err(|_| ConfigError::Form {
                name: "SLACK_REPOSITORIES",
                expected: "repositories as owner/name, separated by spaces",
            })?);
        }
        Ok(Some(Self {
            api_url: url.trim_end_matches('/').to_owned(),
            bot_token: required(env, "SLACK_BOT_TOKEN")?,
            signing_secrets: secrets.split_whitespace().map(str::to_owned).collect(),
            workspaces: workspaces(&optional(env, "SLACK_WORKSPACES", ""))?,
            open_repositories,
            rules: rules(&optional(env, "SLACK_ROUTES", ""))?,
            emoji: Emoji {
                seen: emoji(env, "SLACK_EMOJI_SEEN", "eyes"),
                stop: emoji(env, "SLACK_EMOJI_STOP", "octagonal_sign"),
                insert: emoji(env, "SLACK_EMOJI_INSERT", "fast_forward"),
            },
            classifier: Classifier::from_env(env)?,
        }))
    }

    /// By which one token is told from another.
    pub fn token_digest(&self) -> String {
        hex(&Sha256::digest(&self.bot_token))
    }

    pub fn client(&self) -> client::Slack {
        client::Slack {
            api_url: self.api_url.clone(),
            token: self.bot_token.clone(),
        }
    }
}

impl Classifier {
    fn from_env(env: &Env) -> Result<Option<Self>, ConfigError> {
        let key = optional(env, "CLASSIFIER_KEY", "");
        if key.is_empty() {
            return Ok(None);
        }
        let name = optional(env, "CLASSIFIER_MODEL", "anthropic/claude-haiku-4-5");
        let (provider, default_url, name) = match name.split_once('/') {
            Some(("anthropic", name)) if !name.is_empty() => {
                (Provider::Anthropic, "https://api.anthropic.com", name)
            }
            Some(("openai", name)) if !name.is_empty() => {
                (Provider::Openai, "https://api.openai.com/v1", name)
            }
            _ => {
                return Err(ConfigError::Form {
                    name: "CLASSIFIER_MODEL",
                    expected: "anthropic/<model> or openai/<model>",
                });
            }
        };
        let name = name.to_owned();
        let url = optional(env, "CLASSIFIER_URL", default_url);
        Ok(Some(Self {
            url: url.trim_end_matches('/').to_owned(),
            key,
            model: Model { provider, name },
        }))
    }
}

fn emoji(env: &Env, name: &str, default: &str) -> String {
    optional(env, name, default).trim_matches(':').to_owned()
}

/// Identifiers of workspaces, separated by spaces or commas.
fn workspaces(text: &str) -> Result<Vec<String>, ConfigError> {
    let names = text.split([',', ' ']).filter(|name| !name.is_empty());
    let is_team = |name: &str| {
        let rest = name.strip_prefix(['T', 'E']);
        rest.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    };
    let form = || ConfigError::Form {
        name: "SLACK_WORKSPACES",
        expected: "identifiers of workspaces (T…), separated by spaces",
    };
    names
        .map(|name| is_team(name).then(|| name.to_owned()).ok_or_else(form))
        .collect()
}

/// `word=owner/name` and `#channel=owner/name`, separated by spaces or commas, each with `@branch`
/// behind it if it has one.
fn rules(text: &str) -> Result<Rules, ConfigError> {
    let form = ConfigError::Form {
        name: "SLACK_ROUTES",
        expected: "`word=owner/name` and `#channel=owner/name`, either with `@branch`, separated by \
                   spaces",
    };
    let mut rules = Rules::default();
    for rule in text.split([',', ' ', '\n']).filter(|rule| !rule.is_empty()) {
        let parsed = rule.split_once('=').and_then(|(word, repository)| {
            let (repository, branch) = match repository.split_once('@') {
                Some((repository, branch)) if is_branch_name(branch) => (repository, Some(branch)),
                Some(_) => return None,
                None => (repository, None),
            };
            let repository = Repository::parse(repository).ok()?;
            let is_whole = !word.trim_start_matches('#').is_empty();
            is_whole.then_some((word, repository, branch))
        });
        let Some((word, repository, branch)) = parsed else {
            return Err(form);
        };
        if let Some(branch) = branch {
            let branch = (word.to_owned(), repository.clone(), branch.to_owned());
            rules.branches.push(branch);
        }
        match word.strip_prefix('#') {
            Some(channel) => rules.channels.push((channel.to_owned(), repository)),
            None => rules.words.push((word.to_owned(), repository)),
        }
    }
    Ok(rules)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{rules, workspaces};

    #[test]
    fn workspaces_are_identifiers() {
        assert_eq!(workspaces("T1, T2").unwrap(), ["T1", "T2"]);
        assert!(workspaces("").unwrap().is_empty());
        assert!(workspaces("acme").is_err());
    }

    #[test]
    fn routes_are_words_and_channels() {
        let found = rules("invoice=acme/billing,#pay=acme/payments #C123=acme/x").unwrap();
        assert_eq!(found.words.len(), 1);
        let channels: Vec<_> = found
            .channels
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(channels, ["pay", "C123"]);
        let found = rules("#pay=acme/payments@release/2").unwrap();
        let branches: Vec<_> = found
            .branches
            .iter()
            .map(|(word, _, branch)| (word.as_str(), branch.as_str()))
            .collect();
        assert_eq!(branches, [("#pay", "release/2")]);
        for wrong in [
            "x=acme/x@",
            "x=acme/x@..",
            "invoice",
            "=acme/x",
            "#=acme/x",
            "a=b",
        ] {
            assert!(rules(wrong).is_err(), "{wrong}");
        }
    }
}
