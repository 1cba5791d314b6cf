//! What sessions can be started with: `MODELS`, with `MODEL` before them.

use protocol::api::ModelChoice;
use protocol::command::{Model, Provider};
use worker::Env;

use super::{ConfigError, optional};

/// Where neither variable is set.
const DEFAULT: &str = "anthropic/claude-sonnet-4-5=Claude Sonnet 4.5, \
                       anthropic/claude-opus-4-5=Claude Opus 4.5, \
                       anthropic/claude-haiku-4-5=Claude Haiku 4.5, \
                       openai/gpt-5=GPT-5, openai/gpt-5-mini=GPT-5 mini";

/// All that can be chosen, each once. The first is the model of sessions that name none.
pub fn models(env: &Env) -> Result<Vec<ModelChoice>, ConfigError> {
    chosen(&optional(env, "MODEL", ""), &optional(env, "MODELS", ""))
}

/// The model of sessions that name none.
pub fn default_model(env: &Env) -> Result<Model, ConfigError> {
    let first = models(env)?.into_iter().next();
    Ok(first.ok_or(form("MODELS"))?.model)
}

fn chosen(first: &str, list: &str) -> Result<Vec<ModelChoice>, ConfigError> {
    let list = match (first, list.trim()) {
        ("", "") => DEFAULT,
        (_, list) => list,
    };
    let mut choices = Vec::new();
    if !first.is_empty() {
        choices.push(choice(first).ok_or(form("MODEL"))?);
    }
    let entries = list.split(',').map(str::trim);
    for entry in entries.filter(|entry| !entry.is_empty()) {
        let listed = choice(entry).ok_or(form("MODELS"))?;
        match choices.iter_mut().find(|one| one.model == listed.model) {
            // The list may know a better name for the first.
            Some(known) => known.label = listed.label,
            None => choices.push(listed),
        }
    }
    Ok(choices)
}

/// `provider/name`, and how people read it behind `=`.
fn choice(entry: &str) -> Option<ModelChoice> {
    let (model, label) = match entry.split_once('=') {
        Some((model, label)) => (model.trim(), label.trim()),
        None => (entry.trim(), ""),
    };
    let (provider, name) = model.split_once('/')?;
    let provider = match provider {
        "anthropic" => Provider::Anthropic,
        "openai" => Provider::Openai,
        _ => return None,
    };
    let label = if label.is_empty() { name } else { label };
    (!name.is_empty()).then(|| ModelChoice {
        model: Model {
            provider,
            name: name.to_owned(),
        },
        label: label.to_owned(),
    })
}

fn form(name: &'static str) -> ConfigError {
    let expected = "anthropic/<model> or openai/<model>, in MODELS several of them separated by \
                    commas, each with `=<label>` behind it if it has one";
    ConfigError::Form { name, expected }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn labels(first: &str, list: &str) -> Vec<String> {
        let choices = chosen(first, list).unwrap();
        choices.into_iter().map(|choice| choice.label).collect()
    }

    #[test]
    fn without_a_variable_there_is_something_to_choose_from() {
        let choices = chosen("", "").unwrap();
        assert_eq!(choices.first().unwrap().model.name, "claude-sonnet-4-5");
        assert!(choices.len() > 1);
    }

    #[test]
    fn the_first_of_the_list_is_the_default_unless_one_is_named() {
        let list = "openai/a=Model A, anthropic/b/c";
        assert_eq!(labels("", list), ["Model A", "b/c"]);
        assert_eq!(labels("anthropic/d", list), ["d", "Model A", "b/c"]);
        assert_eq!(labels("openai/a", list), ["Model A", "b/c"]);
        assert_eq!(labels("openai/gpt", ""), ["gpt"]);
    }

    #[test]
    fn what_is_no_model_is_refused() {
        for list in ["gpt", "openai/", "=x", "google/gemini", "openai/a;openai"] {
            let is_model = list == "openai/a;openai";
            assert_eq!(chosen("", list).is_ok(), is_model, "{list}");
        }
        assert!(chosen("gpt", "").is_err());
    }
}
