//! The message of a commit: what was asked, what was done, and who and what it came from.

use protocol::SessionId;
use protocol::command::{GitIdentity, Model, SendPrompt};

use super::Marks;

/// The trailer that names a prompt.
pub const PROMPT: &str = "Prompt-Id";

/// Longest subject, as git's own tools show it in one line.
const MAX_SUBJECT: usize = 72;
/// Longest account of the work. A summary beyond it belongs into the pull request.
const MAX_BODY: usize = 8 * 1024;

/// What every commit of a session has.
pub const SESSION_TRAILER: &str = "Session-Id: ";

/// `prompts` are those that the commit answers, the first of which its author gave.
pub fn compose(
    prompts: &[SendPrompt],
    summary: &str,
    session: &SessionId,
    model: &Model,
) -> String {
    let asked = prompts.first().map_or("", |prompt| prompt.text.as_str());
    let mut message = subject(asked);
    let body = body(summary);
    if !body.is_empty() {
        message.push_str("\n\n");
        message.push_str(&body);
    }
    let Marks { mut lines, people } = marks(prompts, session, model);
    // The first one is the author.
    lines.extend(people.iter().skip(1).map(co_author));
    // What an agent wrote in its last paragraph is no trailer, whatever it looks like.
    format!("{message}\n\n{}\n", lines.join("\n"))
}

/// What commits of these prompts say of where they came from, and of whom: the author first.
pub fn marks(prompts: &[SendPrompt], session: &SessionId, model: &Model) -> Marks {
    let mut lines = vec![format!("{SESSION_TRAILER}{session}")];
    let identifiers = prompts.iter().map(|prompt| &prompt.prompt);
    lines.extend(identifiers.map(|prompt| format!("{PROMPT}: {prompt}")));
    let name = one_line(&model.name);
    lines.push(format!("Model: {}/{name}", model.provider.as_str()));
    let mut people: Vec<GitIdentity> = Vec::new();
    let authors = prompts.iter().map(|prompt| &prompt.author);
    let co_authors = prompts.iter().flat_map(|prompt| &prompt.co_authors);
    let first = authors.clone().take(1);
    for person in first.chain(co_authors).chain(authors.skip(1)).map(identity) {
        if !people.iter().any(|known| known.email == person.email) {
            people.push(person);
        }
    }
    Marks { lines, people }
}

pub fn co_author(person: &GitIdentity) -> String {
    format!("Co-authored-by: {} <{}>", person.name, person.email)
}

/// A message with trailers that it does not have yet, beside those that it has.
pub fn with_trailers(message: &str, trailers: &[String]) -> String {
    let message = message.trim_end();
    let missing: Vec<_> = trailers
        .iter()
        .filter(|trailer| !message.lines().any(|line| line == trailer.as_str()))
        .map(String::as_str)
        .collect();
    if missing.is_empty() {
        return format!("{message}\n");
    }
    let is_trailer = |line: &str| {
        line.split_once(": ").is_some_and(|(name, _)| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            !name.is_empty() && name.bytes().all(plain)
        })
    };
    let has_some = message
        .rsplit_once("\n\n")
        .is_some_and(|(_, last)| last.lines().all(is_trailer));
    let between = if has_some { "\n" } else { "\n\n" };
    format!("{message}{between}{}\n", missing.join("\n"))
}

/// An identity as git can write it: one line, no angle brackets, never empty.
pub fn identity(person: &GitIdentity) -> GitIdentity {
    let clean = |text: &str| {
        let text: String = text
            .chars()
            .filter(|letter| !matches!(letter, '<' | '>') && !letter.is_control())
            .collect();
        text.trim().to_owned()
    };
    let email = clean(&person.email);
    let name = clean(&person.name);
    GitIdentity {
        name: if name.is_empty() {
            "unknown".to_owned()
        } else {
            name
        },
        email,
    }
}

/// The first sentence of the prompt, as a subject.
fn subject(prompt: &str) -> String {
    let line = prompt
        .lines()
        .map(str::trim)
        .find(|line| line.chars().any(char::is_alphanumeric));
    let line = one_line(line.unwrap_or("Update the repository"));
    let line = line.trim_start_matches(['#', '*', '-', '>', ' ']);
    let sentence = ends_of_sentences(line)
        .filter_map(|end| line.get(..end))
        .find(|sentence| sentence.contains(char::is_alphanumeric))
        .unwrap_or(line)
        .trim_end_matches(['.', ':', ' ']);
    let mut letters = sentence.chars();
    let capital: String = letters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .chain(letters)
        .collect();
    shorten(&capital)
}

/// Where a full stop, an exclamation or a question mark is followed by a space.
fn ends_of_sentences(line: &str) -> impl Iterator<Item = usize> + '_ {
    line.char_indices()
        .zip(line.chars().skip(1))
        .filter(|((_, letter), next)| matches!(letter, '.' | '!' | '?') && *next == ' ')
        .map(|((at, letter), _)| at + letter.len_utf8())
}

/// Cuts between words.
fn shorten(text: &str) -> String {
    if text.chars().count() <= MAX_SUBJECT {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut length = 0;
    for word in text.split(' ') {
        let word_length = word.chars().count() + usize::from(!kept.is_empty());
        if length + word_length >= MAX_SUBJECT {
            break;
        }
        if !kept.is_empty() {
            kept.push(' ');
        }
        kept.push_str(word);
        length += word_length;
    }
    if kept.is_empty() {
        kept = text.chars().take(MAX_SUBJECT - 1).collect();
    }
    kept.push('…');
    kept
}

fn body(summary: &str) -> String {
    let mut text = String::new();
    for line in summary.trim().lines() {
        if text.len() + line.len() > MAX_BODY {
            text.push_str("…\n");
            break;
        }
        text.extend(
            line.trim_end()
                .chars()
                .filter(|letter| !letter.is_control() || *letter == '\t'),
        );
        text.push('\n');
    }
    text.trim_end().to_owned()
}

fn one_line(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use proptest::prelude::*;
    use protocol::command::Provider;

    use super::*;
    use crate::fixture;

    fn model() -> Model {
        Model {
            provider: Provider::Anthropic,
            name: "claude-x".into(),
        }
    }

    fn session() -> SessionId {
        SessionId::from_random([1; 16])
    }

    fn person(name: &str, email: &str) -> GitIdentity {
        GitIdentity {
            name: name.into(),
            email: email.into(),
        }
    }

    #[test]
    fn the_subject_is_the_first_sentence() {
        assert_eq!(
            subject("the tests fail, find out why. Then fix it."),
            "The tests fail, find out why"
        );
        assert_eq!(
            subject("\n\n# Fix v1.2 of the parser!  \nmore"),
            "Fix v1.2 of the parser!"
        );
        assert_eq!(subject("- [ ] tidy"), "[ ] tidy");
        assert_eq!(subject("éclair"), "Éclair");
        assert_eq!(subject("  \n "), "Update the repository");
    }

    proptest! {
        #[test]
        fn a_subject_is_one_short_line(prompt: String) {
            let subject = subject(&prompt);
            prop_assert!(!subject.is_empty());
            prop_assert!(subject.chars().count() <= MAX_SUBJECT, "{}", subject);
            prop_assert!(!subject.contains(['\n', '\r']));
        }
    }

    #[test]
    fn a_message_has_what_was_asked_done_and_by_whom() {
        let mut first = fixture::prompt(1, "fix the parser");
        first.co_authors = vec![person("Bob", "bob@example.com"), first.author.clone()];
        let mut second = fixture::prompt(2, "and the tests");
        second.author = person("Eve\n<x>", "eve@example.com");
        let message = compose(
            &[first.clone(), second.clone()],
            "The bound was off by one.\n",
            &session(),
            &model(),
        );
        assert_eq!(
            message,
            format!(
                "Fix the parser\n\nThe bound was off by one.\n\nSession-Id: {}\nPrompt-Id: {}\nPrompt-Id: {}\n\
                 Model: anthropic/claude-x\nCo-authored-by: Bob <bob@example.com>\n\
                 Co-authored-by: Evex <eve@example.com>\n",
                session(),
                first.prompt,
                second.prompt,
            )
        );
    }

    /// Names of the trailers that git itself finds.
    fn trailers(message: &str) -> Vec<String> {
        let mut git = Command::new("git")
            .args(["interpret-trailers", "--parse"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        git.stdin
            .take()
            .unwrap()
            .write_all(message.as_bytes())
            .unwrap();
        let output = git.wait_with_output().unwrap();
        let trailers = String::from_utf8(output.stdout).unwrap();
        trailers
            .lines()
            .filter_map(|line| Some(line.split_once(':')?.0.to_owned()))
            .collect()
    }

    #[test]
    fn git_itself_finds_the_trailers() {
        let summary =
            "Signed-off-by: not a trailer, since this is no last paragraph\n\n# Heading\ntext";
        let message = compose(&[fixture::prompt(1, "x")], summary, &session(), &model());
        assert_eq!(trailers(&message), ["Session-Id", "Prompt-Id", "Model"]);
    }

    #[test]
    fn trailers_join_those_that_a_message_has() {
        let ours = ["Session-Id: s".to_owned(), "Model: m".to_owned()];
        for (message, expected) in [
            ("Fix it\n", &["Session-Id", "Model"][..]),
            ("Fix: it", &["Session-Id", "Model"]),
            (
                "Fix it\n\nWhy: it broke.\nAnd more.\n",
                &["Session-Id", "Model"],
            ),
            (
                "Fix it\n\nSigned-off-by: A <a@x.org>\nModel: m\n",
                &["Signed-off-by", "Model", "Session-Id"],
            ),
        ] {
            assert_eq!(
                trailers(&with_trailers(message, &ours)),
                expected,
                "{message}"
            );
        }
        let marked = with_trailers("Fix it", &ours);
        assert_eq!(with_trailers(&marked, &ours), marked);
    }
}
