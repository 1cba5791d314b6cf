//! Every message as it is on the wire, kept in `golden/`: a peer of another version was written
//! against these files, so a change to one of them is a change for it.
//!
//! `UPDATE_GOLDEN=1 cargo test -p protocol` writes them anew and removes those of no message.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "golden/example.rs"]
mod example;
#[path = "golden/messages.rs"]
mod messages;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use protocol::event::Mode;
use protocol::frame::ClientFrame;
use protocol::{Event, Fact, Millis, Seq, api, callback};
use serde_json::{Value, json};

use example::{Example, Unknown};

/// The examples, with their files written first when that is asked for.
static EXAMPLES: LazyLock<Vec<Example>> = LazyLock::new(|| {
    let examples = messages::all();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        for file in files() {
            fs::remove_file(directory().join(format!("{file}.json"))).unwrap();
        }
        for example in &examples {
            fs::write(path(example), &example.text).unwrap();
        }
    }
    examples
});

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn path(example: &Example) -> PathBuf {
    directory().join(format!("{}.json", example.name))
}

/// Names of the files that are there.
fn files() -> BTreeSet<String> {
    fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_message_is_written_as_its_file_says() {
    for example in EXAMPLES.iter() {
        let file = fs::read_to_string(path(example)).unwrap_or_default();
        assert!(
            example.text == file,
            "{} is not what is written now; other versions still say it. \
             If the change is wanted: UPDATE_GOLDEN=1 cargo test -p protocol\n{}",
            path(example).display(),
            example.text
        );
    }
}

#[test]
fn every_file_is_read_as_the_message_that_it_was_written_from() {
    for example in EXAMPLES.iter() {
        let file = fs::read_to_string(path(example)).unwrap();
        if let Err(error) = example.read(&file) {
            panic!("{}: {error}", example.name);
        }
    }
}

#[test]
fn every_file_belongs_to_a_message() {
    let names: BTreeSet<String> = EXAMPLES
        .iter()
        .map(|example| example.name.clone())
        .collect();
    assert_eq!(
        names.len(),
        EXAMPLES.len(),
        "two examples share a file: {:?}",
        EXAMPLES
            .iter()
            .map(|example| &example.name)
            .collect::<Vec<_>>()
    );
    let stale: Vec<_> = files().difference(&names).cloned().collect();
    assert!(stale.is_empty(), "files of no message: {stale:?}");
}

/// Reads the sources, since the compiler cannot list a crate's types.
#[test]
fn every_type_that_travels_has_an_example() {
    let shown: BTreeSet<&str> = EXAMPLES.iter().map(|example| example.type_name).collect();
    let mut found = 0;
    for module in [
        "api",
        "api/registry",
        "api/secret",
        "api/token",
        "api/audit",
        "callback",
        "command",
        "egress",
        "event",
        "frame",
        "ledger",
    ] {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/{module}.rs"));
        let mut travels = false;
        for line in fs::read_to_string(source).unwrap().lines() {
            if line.starts_with("#[derive(") {
                travels = line.contains("Serialize");
            }
            let item = ["pub struct ", "pub enum "]
                .iter()
                .find_map(|start| line.strip_prefix(start));
            let Some(item) = item.filter(|_| travels) else {
                continue;
            };
            travels = false;
            found += 1;
            let end = item.find(|letter: char| !letter.is_ascii_alphanumeric());
            let name = end.map_or(item, |end| item.split_at(end).0);
            // The log's entry is a fact with its place, so each fact is shown as one.
            assert!(
                shown.contains(name) || name == "Fact",
                "{module}::{name} has no example in tests/golden/messages.rs"
            );
        }
    }
    assert!(
        found > 40,
        "only {found} types were found: the search is broken"
    );
}

#[test]
fn what_a_client_sends_is_refused_with_an_unknown_field() {
    for (example, text) in with_unknown_field(Unknown::Refused) {
        let error = example.read(&text).unwrap_err();
        assert!(error.contains("unknown field"), "{}: {error}", example.name);
    }
}

#[test]
fn what_a_newer_peer_adds_is_passed_over() {
    for (example, text) in with_unknown_field(Unknown::PassedOver) {
        if let Err(error) = example.read(&text) {
            panic!("{}: {error}", example.name);
        }
    }
}

/// The examples that are objects and treat unknown fields so, with one added to each.
fn with_unknown_field(unknown: Unknown) -> Vec<(&'static Example, String)> {
    let changed: Vec<_> = EXAMPLES
        .iter()
        .filter(|example| example.unknown == unknown)
        .filter_map(|example| {
            let mut value: Value = serde_json::from_str(&example.text).unwrap();
            value
                .as_object_mut()?
                .insert("added_later".to_owned(), json!({ "a": [1] }));
            Some((example, value.to_string()))
        })
        .collect();
    assert!(changed.len() > 5, "only {} examples", changed.len());
    changed
}

#[test]
fn what_an_older_client_leaves_out_has_a_default() {
    let frame: ClientFrame = serde_json::from_str(r#"{"type":"prompt","text":"a"}"#).unwrap();
    let prompt = ClientFrame::Prompt {
        text: "a".to_owned(),
        mode: Mode::Queue,
        client_request_id: None,
        attachments: Vec::new(),
    };
    assert_eq!(frame, prompt);
    let body: api::CreatePrompt = serde_json::from_str(r#"{"text":"a"}"#).unwrap();
    assert_eq!(body.mode, Mode::Queue);
    let body: api::CreateSession = serde_json::from_str(r#"{"repository":"acme/api"}"#).unwrap();
    assert_eq!(body.prompt, None);
}

#[test]
fn a_message_of_an_unknown_kind_is_refused() {
    let unknown = r#"{"type":"added_later"}"#;
    assert!(serde_json::from_str::<ClientFrame>(unknown).is_err());
    assert!(serde_json::from_str::<callback::Report>(unknown).is_err());
    let event = r#"{"seq":1,"at":0,"type":"notice","message":"a"}"#;
    let notice = Event {
        seq: Seq(1),
        at: Millis(0),
        fact: Fact::Notice {
            message: "a".to_owned(),
        },
    };
    assert_eq!(serde_json::from_str::<Event>(event).unwrap(), notice);
    let event = event.replace("notice", "added_later");
    assert!(serde_json::from_str::<Event>(&event).is_err());
}

#[test]
fn an_identifier_of_another_kind_makes_the_message_unreadable() {
    let example = EXAMPLES
        .iter()
        .find(|example| example.name == "command-stop")
        .unwrap();
    let swapped = example.text.replace("sbx_", "ses_");
    assert_ne!(swapped, example.text);
    assert!(example.read(&swapped).is_err());
}
