//! Which repository somebody means, purely: a cascade of rules, the channel's association, as people
//! set it, the only repository there is, what a model says, and, when none of these is sure, asking.
//!
//! Whoever asks a model brings its answer back to [`judged`]; without one the cascade ends in a
//! question. Nothing is ever guessed: two rules that disagree, a model that is unsure, or that names
//! what it was not given, lead to a question.

pub mod answer;
pub mod request;

use protocol::event::Repository;
use serde::{Deserialize, Serialize};

use self::answer::{Answer, Confidence};

/// Most repositories that a question offers as buttons.
pub const MAX_OFFERED: usize = 5;

/// Why it is the channel's.
const OF_CHANNEL: &str = "this channel is for it";

/// A repository that the person reaches, and what is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    pub repository: Repository,
    #[serde(default)]
    pub description: String,
    /// What people wrote in its settings: words by which it is meant.
    #[serde(default)]
    pub hints: String,
    /// Messages of this channel that were for it.
    #[serde(default)]
    pub examples: Vec<String>,
}

/// What leads to a repository without any thought: a word, or a channel's name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    pub words: Vec<(String, Repository)>,
    pub channels: Vec<(String, Repository)>,
    /// On which branch a session begins that a word, or a channel behind `#`, has led to.
    pub branches: Vec<(String, Repository, String)>,
}

impl Rules {
    /// The branch that the rules have for what led to a repository.
    pub fn branch(
        &self,
        repository: &Repository,
        text: &str,
        (channel, channel_name): (&str, &str),
    ) -> Option<&str> {
        let is_meant = |trigger: &str| match trigger.strip_prefix('#') {
            Some(name) => name == channel || name == channel_name,
            None => has_word(text, trigger),
        };
        let mut meant = self
            .branches
            .iter()
            .filter(|(trigger, of, _)| is_same(of, repository) && is_meant(trigger));
        meant.next().map(|(.., branch)| branch.as_str())
    }
}

/// What there is to decide by.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub text: &'a str,
    /// What was said in the thread before, oldest first.
    pub thread: &'a [String],
    pub channel: &'a str,
    pub channel_name: &'a str,
    pub candidates: &'a [Candidate],
    pub rules: &'a Rules,
    /// For which repository people said that the channel is.
    pub association: Option<&'a Repository>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// It is this one; why, for people.
    Known(Repository, String),
    /// A model may know.
    Unsure,
    /// Only a person knows: these are the likeliest.
    Ask {
        likely: Vec<Repository>,
        reason: String,
    },
    /// There is nothing to choose from.
    Nothing,
}

/// Whether two names are of one repository: people write them in whatever case they like.
fn is_same(one: &Repository, other: &Repository) -> bool {
    one.owner().eq_ignore_ascii_case(other.owner()) && one.name().eq_ignore_ascii_case(other.name())
}

/// The part of the cascade that needs no model.
pub fn decide(question: &Question<'_>) -> Decision {
    let known = |repository: &Repository| {
        let mut all = question.candidates.iter().map(|known| &known.repository);
        all.find(|known| is_same(known, repository))
    };
    if question.candidates.is_empty() {
        return Decision::Nothing;
    }
    let mut named = named(question.text, question.candidates);
    for (word, repository) in &question.rules.words {
        if let Some(repository) = known(repository)
            && has_word(question.text, word)
            && !named.contains(repository)
        {
            named.push(repository.clone());
        }
    }
    match named.as_slice() {
        [] => {}
        [only] => return Decision::Known(only.clone(), "the message names it".to_owned()),
        several => {
            return Decision::Ask {
                likely: several.iter().take(MAX_OFFERED).cloned().collect(),
                reason: "The message names more than one repository.".to_owned(),
            };
        }
    }
    let mut of_channel: Vec<&Repository> = Vec::new();
    for (channel, repository) in &question.rules.channels {
        let is_this = channel == question.channel || channel == question.channel_name;
        if let Some(repository) = known(repository)
            && is_this
            && !of_channel.contains(&repository)
        {
            of_channel.push(repository);
        }
    }
    let association = question.association.and_then(known);
    match (of_channel.as_slice(), association, question.candidates) {
        ([only], ..) => Decision::Known((*only).clone(), OF_CHANNEL.to_owned()),
        ([], Some(only), _) => Decision::Known(only.clone(), OF_CHANNEL.to_owned()),
        ([], None, [only]) => Decision::Known(
            only.repository.clone(),
            "it is the only repository here".to_owned(),
        ),
        _ => Decision::Unsure,
    }
}

/// The end of the cascade: what a model said, or that there is none that could say.
pub fn judged(question: &Question<'_>, answer: Option<Answer>) -> Decision {
    let Some(answer) = answer else {
        return Decision::Ask {
            likely: likely(question, &[]),
            reason: "Nothing here says which repository this is about.".to_owned(),
        };
    };
    let is_candidate = |name: &String| {
        let known = question.candidates.iter();
        known
            .map(|known| &known.repository)
            .find(|repository| repository.to_string() == *name)
            .cloned()
    };
    let named = answer.repository.as_ref().and_then(is_candidate);
    let others: Vec<Repository> = answer
        .alternatives
        .iter()
        .filter_map(is_candidate)
        .collect();
    match named {
        Some(repository) if answer.confidence == Confidence::High => {
            Decision::Known(repository, answer.reason)
        }
        named => {
            let first: Vec<Repository> = named.into_iter().chain(others).collect();
            Decision::Ask {
                likely: likely(question, &first),
                reason: answer.reason,
            }
        }
    }
}

/// All candidates, those that resemble the message most first; those that do so equally stay in the
/// order that they came in.
fn nearest<'a>(question: &Question<'a>) -> impl Iterator<Item = &'a Candidate> {
    let mut scored: Vec<(usize, &Candidate)> = question
        .candidates
        .iter()
        .map(|candidate| (resemblance(question.text, candidate), candidate))
        .collect();
    scored.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    scored.into_iter().map(|(_, candidate)| candidate)
}

/// The likeliest, those of `first` before all others.
fn likely(question: &Question<'_>, first: &[Repository]) -> Vec<Repository> {
    let mut likely: Vec<Repository> = Vec::new();
    let others = nearest(question).map(|candidate| &candidate.repository);
    let all = first.iter().chain(others);
    for repository in all {
        if likely.len() < MAX_OFFERED && !likely.contains(repository) {
            likely.push(repository.clone());
        }
    }
    likely
}

/// How many words of a message are also in what is known of a repository.
fn resemblance(text: &str, candidate: &Candidate) -> usize {
    let known = format!(
        "{} {} {} {}",
        candidate.repository,
        candidate.description,
        candidate.hints,
        candidate.examples.join(" ")
    )
    .to_lowercase();
    let words: Vec<&str> = words(&known).collect();
    let text = text.to_lowercase();
    let said = self::words(&text).filter(|word| word.chars().count() > 3);
    said.filter(|word| words.contains(word)).count()
}

/// Candidates that a message names in full, or by a name that is no word otherwise.
fn named(text: &str, candidates: &[Candidate]) -> Vec<Repository> {
    let text = text.to_lowercase();
    let is_named = |candidate: &&Candidate| {
        let full = candidate.repository.to_string().to_lowercase();
        has_word(&text, &full) || has_name(&text, candidate.repository.name())
    };
    candidates
        .iter()
        .filter(is_named)
        .map(|candidate| candidate.repository.clone())
        .collect()
}

/// Whether a text has a repository's name alone, if that is none that people use as a word.
fn has_name(text: &str, name: &str) -> bool {
    let name = name.to_lowercase();
    let is_part = |letter: char| letter.is_alphanumeric() || "-_/.".contains(letter);
    name.contains(['-', '_'])
        && text
            .split(|letter: char| !is_part(letter))
            .any(|word| word.trim_end_matches('.') == name)
}

/// Whether a text has this word, not only as a piece of another.
fn has_word(text: &str, word: &str) -> bool {
    let (text, word) = (text.to_lowercase(), word.to_lowercase());
    if word.is_empty() {
        return false;
    }
    let is_part = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '/');
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find(&word)) {
        let (start, end) = (from + at, from + at + word.len());
        let before = text
            .get(..start)
            .and_then(|before| before.chars().next_back());
        let mut after = text.get(end..).unwrap_or_default().chars();
        let next = after.next();
        // "acme/api.js" is another name; "acme/api." ends a sentence.
        let goes_on = match next {
            Some('.') => after.next().is_some_and(is_part),
            Some('/') => false,
            next => next.is_some_and(is_part),
        };
        // An address has the name after a slash.
        if !before.is_some_and(|before| is_part(before) && before != '/') && !goes_on {
            return true;
        }
        from = end;
    }
    false
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    fn repository(name: &str) -> Repository {
        Repository::new("acme", name).unwrap()
    }

    fn candidates(names: &[&str]) -> Vec<Candidate> {
        let candidate = |name: &&str| Candidate {
            repository: repository(name),
            description: format!("The {name} of the shop"),
            hints: String::new(),
            examples: Vec::new(),
        };
        names.iter().map(candidate).collect()
    }

    fn decided(text: &str, candidates: &[Candidate], rules: &Rules) -> Decision {
        decide(&question(text, candidates, rules))
    }

    fn question<'a>(text: &'a str, candidates: &'a [Candidate], rules: &'a Rules) -> Question<'a> {
        Question {
            text,
            thread: &[],
            channel: "C1",
            channel_name: "payments",
            candidates,
            rules,
            association: None,
        }
    }

    #[test]
    fn a_name_in_full_goes_before_everything_and_two_of_them_are_a_question() {
        let all = candidates(&["api", "web"]);
        let rules = Rules {
            channels: vec![("payments".to_owned(), repository("web"))],
            ..Rules::default()
        };
        for text in [
            "fix acme/api.",
            "see https://github.com/acme/api/issues/1",
            "ACME/API: fix",
        ] {
            let known = decided(text, &all, &rules);
            assert!(
                matches!(known, Decision::Known(found, _) if found == repository("api")),
                "{text}"
            );
        }
        let two = decided("move it from acme/api to acme/web", &all, &rules);
        let likely = vec![repository("api"), repository("web")];
        assert!(matches!(two, Decision::Ask { likely: found, .. } if found == likely));
        assert!(
            matches!(decided("in acme/api.js", &all, &rules), Decision::Known(found, _) if found == repository("web"))
        );
    }

    #[test]
    fn a_name_that_is_no_word_is_enough_and_one_that_is_a_word_is_not() {
        let all = candidates(&["design-system", "docs"]);
        let rules = Rules::default();
        for text in [
            "fix the button in design-system.",
            "`design-system`: fix it",
        ] {
            let known = decided(text, &all, &rules);
            assert!(
                matches!(known, Decision::Known(found, _) if found == repository("design-system")),
                "{text}"
            );
        }
        for text in ["in evil/design-system", "design-system-2", "fix the docs"] {
            assert_eq!(decided(text, &all, &rules), Decision::Unsure, "{text}");
        }
    }

    #[test]
    fn a_rule_is_of_whole_words_and_only_for_what_the_person_reaches() {
        let all = candidates(&["api", "web"]);
        let rules = Rules {
            words: vec![
                ("invoice".to_owned(), repository("api")),
                ("secret".to_owned(), repository("vault")),
            ],
            ..Rules::default()
        };
        assert!(
            matches!(decided("the invoice is wrong", &all, &rules), Decision::Known(found, _) if found == repository("api"))
        );
        assert_eq!(
            decided("the invoices are wrong", &all, &rules),
            Decision::Unsure
        );
        assert_eq!(decided("the secret is out", &all, &rules), Decision::Unsure);
    }

    #[test]
    fn a_rule_may_have_a_branch() {
        let rules = Rules {
            branches: vec![
                ("hotfix".to_owned(), repository("api"), "release".to_owned()),
                ("#payments".to_owned(), repository("api"), "next".to_owned()),
            ],
            ..Rules::default()
        };
        let branch = |name, text, channel| rules.branch(&repository(name), text, ("C1", channel));
        assert_eq!(
            branch("api", "a hotfix, please", "payments"),
            Some("release")
        );
        assert_eq!(branch("api", "fix it", "payments"), Some("next"));
        assert_eq!(branch("api", "fix it", "general"), None);
        assert_eq!(branch("web", "a hotfix, please", "payments"), None);
    }

    #[test]
    fn the_channel_decides_and_then_that_there_is_only_one() {
        let rules = Rules {
            channels: vec![("C1".to_owned(), repository("web"))],
            ..Rules::default()
        };
        let all = candidates(&["api", "web"]);
        assert!(
            matches!(decided("fix it", &all, &rules), Decision::Known(found, _) if found == repository("web"))
        );
        let one = candidates(&["api"]);
        assert!(
            matches!(decided("fix it", &one, &rules), Decision::Known(found, _) if found == repository("api"))
        );
        assert_eq!(decided("fix it", &[], &rules), Decision::Nothing);
    }

    #[test]
    fn what_people_said_of_a_channel_counts_after_rules_and_only_for_whoever_reaches_it() {
        let all = candidates(&["api", "web"]);
        let rules = Rules::default();
        let (web, vault) = (repository("web"), repository("vault"));
        let of = |text: &str, rules: &Rules, all: &[Candidate], known: &Repository| {
            decide(&Question {
                association: Some(known),
                ..question(text, all, rules)
            })
        };
        let is = |decision: Decision, name: &str| matches!(decision, Decision::Known(found, _) if found == repository(name));
        assert!(is(of("fix it", &rules, &all, &web), "web"));
        assert!(is(of("fix acme/api", &rules, &all, &web), "api"));
        let configured = Rules {
            channels: vec![("C1".to_owned(), repository("api"))],
            ..Rules::default()
        };
        assert!(is(of("fix it", &configured, &all, &web), "api"));
        // However it is written, it is the one that the person reaches.
        let shouted = Repository::new("Acme", "WEB").unwrap();
        assert!(is(of("fix it", &rules, &all, &shouted), "web"));
        let configured = Rules {
            words: vec![("invoice".to_owned(), shouted.clone())],
            channels: vec![("C1".to_owned(), shouted)],
            ..Rules::default()
        };
        for text in ["fix it", "the invoice is wrong"] {
            assert!(is(decided(text, &all, &configured), "web"), "{text}");
        }
        // Nothing of it shows where it is not reached.
        assert_eq!(of("fix it", &rules, &all, &vault), Decision::Unsure);
        let one = candidates(&["api"]);
        assert!(is(of("fix it", &rules, &one, &vault), "api"));
    }

    #[test]
    fn a_model_is_believed_only_when_it_is_sure_of_what_it_was_given() {
        let all = candidates(&["api", "web", "docs"]);
        let rules = Rules::default();
        let question = question("the page about the docs is blank", &all, &rules);
        let answer = |repository: &str, confidence| Answer {
            repository: Some(repository.to_owned()),
            confidence,
            reason: "it says so".to_owned(),
            alternatives: vec!["acme/web".to_owned(), "evil/web".to_owned()],
        };
        let sure = judged(&question, Some(answer("acme/docs", Confidence::High)));
        assert_eq!(
            sure,
            Decision::Known(repository("docs"), "it says so".to_owned())
        );
        for (name, confidence) in [
            ("evil/docs", Confidence::High),
            ("acme/docs", Confidence::Medium),
        ] {
            let asked = judged(&question, Some(answer(name, confidence)));
            let Decision::Ask { likely, .. } = asked else {
                panic!("{name}")
            };
            assert!(
                likely.contains(&repository("web")) && likely.len() == 3,
                "{likely:?}"
            );
        }
        let Decision::Ask { likely, .. } = judged(&question, None) else {
            panic!("no model")
        };
        assert_eq!(likely.first(), Some(&repository("docs")));
    }
}
