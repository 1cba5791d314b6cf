//! The message of a commit: what was asked, what was done, and who and what it came from.

use protocol::SessionId;
use protocol::command::{GitIdentity, Model, SendPrompt};

/// The trailer that names a prompt.
pub const PROMPT: &str = "Prompt-Id";
/// Longest subject, as git's own tools show it in one line.
const MAX_SUBJECT: usize = 72;
/// Longest account of the work. A summary beyond it belongs into the pull request.
const MAX_BODY: usize = 8 * 1024;

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
    message.push_str(&format!("\n\nSession-Id: {session}\n"));
    for prompt in prompts {
        message.push_str(&format!("{PROMPT}: {}\n", prompt.prompt));
    }
    message.push_str(&format!(
        "Model: {}/{}\n",
        model.provider.as_str(),
        one_line(&model.name)
    ));
    for person in co_authors(prompts) {
        message.push_str(&format!(
            "Co-authored-by: {} <{}>\n",
            person.name, person.email
        ));
    }
    message
}

/// Everybody who prompted besides the author, once each.
fn co_authors(prompts: &[SendPrompt]) -> Vec<GitIdentity> {
    let author = prompts.first().map(|prompt| identity(&prompt.author));
    let mut people: Vec<GitIdentity> = Vec::new();
    let others = prompts.iter().skip(1).map(|prompt| &prompt.author);
    for person in prompts
        .iter()
        .flat_map(|prompt| &prompt.co_authors)
        .chain(others)
    {
        let person = identity(person);
        let known = author
            .iter()
            .chain(&people)
            .any(|other| other.email == person.email);
        if !known {
            people.push(person);
        }
    }
    people
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

    #[test]
    fn git_itself_finds_the_trailers() {
        let summary =
            "Signed-off-by: not a trailer, since this is no last paragraph\n\n# Heading\ntext";
        let message = compose(&[fixture::prompt(1, "x")], summary, &session(), &model());
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
        let names: Vec<_> = trailers
            .lines()
            .filter_map(|line| line.split(':').next())
            .collect();
        assert_eq!(names, ["Session-Id", "Prompt-Id", "Model"]);
    }
}
