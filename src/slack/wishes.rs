//! What a message asks for in so many words, purely: a branch to begin on, and a model.
//!
//! Nobody has to know these words. Something that only looks like a wish is none: the branch has to
//! be there, and the model has to be one of the deployment's.

use protocol::api::ModelChoice;
use protocol::command::{Model, Provider};

const BEFORE: &[&str] = &["on", "from", "against"];

/// The branch that a message says to begin on, if it does: "on branch x", "from the x branch",
/// "branch: x".
pub fn branch(text: &str) -> Option<&str> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is = |at: usize, wanted: &[&str]| {
        let word = words.get(at).map(|word| bare(word).to_lowercase());
        word.is_some_and(|word| wanted.contains(&word.as_str()))
    };
    for (at, word) in words.iter().enumerate() {
        let named = match word.to_lowercase().as_str() {
            "branch:" | "branch=" => words.get(at + 1),
            "branch" => {
                let the = at.checked_sub(1).is_some_and(|before| is(before, &["the"]));
                let skipped = if the { 2 } else { 1 };
                match at.checked_sub(skipped) {
                    // "on branch x", "on the branch x"
                    Some(before) if is(before, BEFORE) => words.get(at + 1),
                    _ => None,
                }
            }
            _ => None,
        };
        if let Some(name) = named.map(|name| bare(name)).filter(|name| !name.is_empty()) {
            return Some(name);
        }
        // "on the x branch", "from x branch"
        let name = at + if is(at + 1, &["the"]) { 2 } else { 1 };
        let is_named = is(at, BEFORE) && is(name + 1, &["branch"]);
        let name = words.get(name).filter(|_| is_named).map(|name| bare(name));
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            return Some(name);
        }
    }
    None
}

/// The model that a message says to use, if it does: "with model x", "use the model x", "model: x".
pub fn model(text: &str, choices: &[ModelChoice]) -> Option<Model> {
    let text = text.to_lowercase();
    let said = [
        "model: ",
        "model=",
        "with model ",
        "use model ",
        "with the model ",
        "use the model ",
    ];
    let rests = said
        .iter()
        .flat_map(|words| text.match_indices(words).map(|(at, _)| (at, *words)))
        .filter_map(|(at, words)| text.get(at + words.len()..));
    let mut found: Option<(usize, &ModelChoice)> = None;
    for rest in rests {
        let rest = rest.trim_start_matches(['`', '"', '“', ' ']);
        for choice in choices {
            let names = [
                key(&choice.model),
                choice.model.name.clone(),
                choice.label.clone(),
            ];
            for name in names.map(|name| name.to_lowercase()) {
                // "gpt-5" is not "gpt-5-mini": what is named longest is meant.
                let goes_on = rest.strip_prefix(&name).map(|rest| {
                    let mut rest = rest.chars();
                    match rest.next() {
                        Some('.') => rest.next().is_some_and(char::is_alphanumeric),
                        next => next.is_some_and(|it| it.is_alphanumeric() || "-_/".contains(it)),
                    }
                });
                let is_longer = found.is_none_or(|(length, _)| name.len() > length);
                if goes_on == Some(false) && is_longer {
                    found = Some((name.len(), choice));
                }
            }
        }
    }
    found.map(|(_, choice)| choice.model.clone())
}

/// `provider/name`, by which a model is known in `MODELS`.
pub fn key(model: &Model) -> String {
    let provider = match model.provider {
        Provider::Anthropic => "anthropic",
        Provider::Openai => "openai",
    };
    format!("{provider}/{}", model.name)
}

/// A name without the marks that people put around it.
fn bare(word: &str) -> &str {
    let word = word.trim_matches(['`', '"', '\'', '“', '”', '(', ')', '*']);
    word.trim_end_matches(['.', ',', ';', ':', '!', '?', '`', '"', ')'])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_named_in_plain_words() {
        for (text, wanted) in [
            ("fix it on branch release/2.1, please", "release/2.1"),
            ("On the branch `next`: fix it", "next"),
            ("start from the release-2 branch.", "release-2"),
            ("fix it on next branch, please", "next"),
            ("fix it. branch: next", "next"),
        ] {
            assert_eq!(branch(text), Some(wanted), "{text}");
        }
        for text in [
            "make a branch for it",
            "the branch is stale",
            "add a branch to the switch on errors",
            "on branch",
            "",
        ] {
            assert_eq!(branch(text), None, "{text}");
        }
    }

    #[test]
    fn a_model_is_one_of_the_deployments_and_the_longest_that_is_named() {
        let choice = |provider, name: &str, label: &str| ModelChoice {
            model: Model {
                provider,
                name: name.to_owned(),
            },
            label: label.to_owned(),
        };
        let choices = [
            choice(Provider::Openai, "gpt-5", "GPT-5"),
            choice(Provider::Openai, "gpt-5-mini", "GPT-5 mini"),
            choice(Provider::Anthropic, "claude-opus-4-5", "Claude Opus 4.5"),
        ];
        let named = |text: &str| model(text, &choices).map(|model| key(&model));
        for (text, wanted) in [
            ("fix it, with model gpt-5.", "openai/gpt-5"),
            ("use the model `GPT-5-mini` here", "openai/gpt-5-mini"),
            ("use model gpt-5 mini", "openai/gpt-5-mini"),
            (
                "model: anthropic/claude-opus-4-5",
                "anthropic/claude-opus-4-5",
            ),
            (
                "with the model Claude Opus 4.5, fix it",
                "anthropic/claude-opus-4-5",
            ),
        ] {
            assert_eq!(named(text).as_deref(), Some(wanted), "{text}");
        }
        for text in [
            "call gpt-5 in the API",
            "use model gpt-4",
            "model: gpt-5-nano",
            "a new model",
        ] {
            assert_eq!(named(text), None, "{text}");
        }
    }
}
