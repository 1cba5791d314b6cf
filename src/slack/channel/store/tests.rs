//! The statements against real SQLite.

#![allow(clippy::unwrap_used, clippy::unreachable, reason = "tests")]

use protocol::event::Repository;
use protocol::{Millis, PromptId};

use super::{Stage, Store, Utterance};
use crate::platform::sql::native::NativeSql;
use crate::slack::blocks::Said;
use crate::slack::channel::Item;
use crate::slack::event::{Heard, Revised};
use crate::slack::progress::Progress;

fn store() -> Store<NativeSql> {
    Store::open(NativeSql::in_memory()).unwrap()
}

fn heard(root: &str, ts: &str) -> Item {
    Item::Heard(Heard {
        ts: ts.to_owned(),
        root: root.to_owned(),
        user: "U1".to_owned(),
        text: "x".to_owned(),
        files: Vec::new(),
        is_addressed: true,
    })
}

fn message(text: &str) -> Utterance {
    let said = Said::line(text);
    Utterance::Message { said }
}

#[test]
fn what_is_heard_four_times_is_acted_on_once() {
    let store = store();
    for _ in 0..4 {
        store.take("1.1", &heard("1.1", "1.1"), Millis(0)).unwrap();
    }
    let taken = store.next_heard(Millis(0)).unwrap().unwrap();
    store.finish(taken.number).unwrap();
    store.take("1.1", &heard("1.1", "1.1"), Millis(0)).unwrap();
    assert_eq!(store.next_heard(Millis(0)).unwrap(), None);
}

#[test]
fn a_thread_waits_for_what_came_before_and_others_do_not() {
    let store = store();
    for (root, ts) in [("1.1", "1.1"), ("1.1", "1.2"), ("2.1", "2.1")] {
        store.take(ts, &heard(root, ts), Millis(0)).unwrap();
    }
    let first = store.next_heard(Millis(0)).unwrap().unwrap();
    store.retry(first.number, Millis(100)).unwrap();
    let next = store.next_heard(Millis(0)).unwrap().unwrap();
    assert_eq!(next.item.root(), "2.1");
    store.finish(next.number).unwrap();
    assert_eq!(store.next_heard(Millis(0)).unwrap(), None);
    assert_eq!(
        store.next_heard(Millis(100)).unwrap().unwrap().number,
        first.number
    );
}

#[test]
fn what_waits_for_somebody_is_taken_up_when_they_are_linked() {
    let store = store();
    store.take("1.1", &heard("1.1", "1.1"), Millis(0)).unwrap();
    let taken = store.next_heard(Millis(0)).unwrap().unwrap();
    store.wait(taken.number, "U1").unwrap();
    assert_eq!(store.next_heard(Millis(9)).unwrap(), None);
    store.wake("U2", Millis(9)).unwrap();
    assert_eq!(store.next_heard(Millis(9)).unwrap(), None);
    store.wake("U1", Millis(9)).unwrap();
    assert_eq!(store.next_heard(Millis(9)).unwrap().unwrap(), taken);
}

#[test]
fn only_the_newest_form_is_said_and_the_last_one_always_is() {
    let store = store();
    store
        .say("1.1", "status", &message("one"), Millis(0))
        .unwrap();
    store
        .say("1.1", "status", &message("two"), Millis(1))
        .unwrap();
    let due = store.next_said(Millis(1)).unwrap().unwrap();
    assert_eq!((&due.utterance, &due.ts), (&message("two"), &None));
    store.try_to_say(due.number).unwrap();
    // While it is on its way, there is news.
    store
        .say("1.1", "status", &message("three"), Millis(2))
        .unwrap();
    store.said(&due, Some("5.1")).unwrap();
    let due = store.next_said(Millis(2)).unwrap().unwrap();
    assert_eq!(due.utterance, message("three"));
    assert_eq!((due.ts.as_deref(), due.is_tried), (Some("5.1"), false));
    store.said(&due, None).unwrap();
    assert_eq!(store.next_said(Millis(9)).unwrap(), None);
    // The same again is nothing new.
    store
        .say("1.1", "status", &message("three"), Millis(9))
        .unwrap();
    assert_eq!(store.next_said(Millis(9)).unwrap(), None);
    assert_eq!(store.root_of("5.1").unwrap().as_deref(), Some("1.1"));
}

#[test]
fn what_failed_is_said_later_in_its_newest_form() {
    let store = store();
    store
        .say("1.1", "status", &message("one"), Millis(0))
        .unwrap();
    let due = store.next_said(Millis(0)).unwrap().unwrap();
    store.say_later(due.number, Millis(50)).unwrap();
    store
        .say("1.1", "status", &message("two"), Millis(10))
        .unwrap();
    assert_eq!(store.next_said(Millis(49)).unwrap(), None);
    let due = store.next_said(Millis(50)).unwrap().unwrap();
    assert_eq!((due.utterance, due.attempts), (message("two"), 1));
}

#[test]
fn a_message_is_its_prompt_however_it_came() {
    let store = store();
    let prompt = PromptId::parse("pmt_1").unwrap();
    for (id, ts) in [("1.1", "1.1"), ("shortcut:2.1", "2.1")] {
        store.take(id, &heard(ts, ts), Millis(0)).unwrap();
        let taken = store.next_heard(Millis(0)).unwrap().unwrap();
        store.note_prompt(ts, "U1", &prompt).unwrap();
        store.finish(taken.number).unwrap();
        assert_eq!(store.prompt_of(ts).unwrap().as_ref(), Some(&prompt));
        assert!(store.is_prompt(ts).unwrap());
    }
    assert!(!store.is_prompt("3.1").unwrap());
}

#[test]
fn what_somebody_else_pointed_at_is_no_prompt_of_whoever_wrote_it() {
    let store = store();
    let prompt = PromptId::parse("pmt_1").unwrap();
    store.take("1.2", &heard("1.1", "1.2"), Millis(0)).unwrap();
    let Item::Heard(pointed_at) = heard("1.1", "1.2") else {
        unreachable!()
    };
    let pointed_at = Item::Heard(Heard {
        user: "U2".to_owned(),
        ..pointed_at
    });
    store.take("shortcut:1.2", &pointed_at, Millis(0)).unwrap();
    store.note_prompt("1.2", "U2", &prompt).unwrap();
    assert_eq!(store.prompt_said_at("1.2").unwrap(), None);
    assert_eq!(store.prompt_of("1.2").unwrap(), Some(prompt));
    assert!(store.is_prompt("1.2").unwrap());
    assert_eq!(store.given_before("1.1", "1.3").unwrap(), "1.2");
}

#[test]
fn how_far_something_is_outlives_its_newer_forms() {
    let store = store();
    store
        .say("1.1", "status", &message("one"), Millis(0))
        .unwrap();
    let due = store.next_said(Millis(0)).unwrap().unwrap();
    assert_eq!(due.stage, None);
    let told = Progress {
        title: "Working".to_owned(),
        ..Progress::default()
    };
    let stage = Stage::Streaming { told };
    store.reach(due.number, &stage, Some("5.1")).unwrap();
    store.said(&due, Some("5.1")).unwrap();
    store
        .say("1.1", "status", &message("two"), Millis(1))
        .unwrap();
    let due = store.next_said(Millis(1)).unwrap().unwrap();
    assert_eq!((due.stage, due.ts.as_deref()), (Some(stage), Some("5.1")));
    store.reach(due.number, &Stage::Streamed, None).unwrap();
    let due = store.next_said(Millis(1)).unwrap().unwrap();
    assert_eq!(due.ts.as_deref(), Some("5.1"));
}

fn revised(ts: &str, at: &str, text: Option<&str>) -> Revised {
    let Item::Heard(heard) = heard("1.1", ts) else {
        unreachable!()
    };
    Revised {
        heard: Heard {
            text: text.unwrap_or_default().to_owned(),
            ..heard
        },
        at: at.to_owned(),
        is_deleted: text.is_none(),
    }
}

#[test]
fn the_latest_revision_of_a_message_counts_in_whatever_order_they_come() {
    let store = store();
    let says = |ts: &str| store.revision(ts).unwrap().map(|known| known.text);
    assert_eq!(says("1.2"), None);
    assert!(store.revise(&revised("1.2", "9.2", Some("later"))).unwrap());
    assert!(
        !store
            .revise(&revised("1.2", "9.1", Some("earlier")))
            .unwrap()
    );
    // Another try of the same.
    assert!(store.revise(&revised("1.2", "9.2", Some("later"))).unwrap());
    assert_eq!(says("1.2"), Some(Some("later".to_owned())));
    assert!(store.revise(&revised("1.2", "9.3", None)).unwrap());
    assert_eq!(says("1.2"), Some(None));
    for number in 0..600 {
        let ts = format!("2.{number:06}");
        store.revise(&revised(&ts, "9.4", Some("x"))).unwrap();
    }
    assert_eq!(says("1.2"), None, "the oldest are forgotten");
    assert!(says("2.000599").is_some());
}

#[test]
fn the_prompt_before_a_message_is_one_of_its_thread() {
    let store = store();
    let prompt = PromptId::parse("pmt_1").unwrap();
    for (root, ts) in [
        ("1.1", "1.1"),
        ("1.1", "1.2"),
        ("0.1", "1.3"),
        ("1.1", "1.4"),
    ] {
        store.take(ts, &heard(root, ts), Millis(0)).unwrap();
        store.note_prompt(ts, "U1", &prompt).unwrap();
    }
    store.take("1.5", &heard("1.1", "1.5"), Millis(0)).unwrap();
    assert_eq!(store.given_before("1.1", "1.4").unwrap(), "1.2");
    assert_eq!(store.given_before("1.1", "1.6").unwrap(), "1.4");
    assert_eq!(store.given_before("1.1", "1.1").unwrap(), "");
    assert_eq!(store.prompt_said_at("1.4").unwrap(), Some(prompt));
    assert_eq!(store.prompt_said_at("1.5").unwrap(), None);
}

#[test]
fn what_was_held_is_released_at_once() {
    let store = store();
    for (name, at) in [("a", 0), ("b", 5), ("c", 900)] {
        store.say("1.1", name, &message(name), Millis(at)).unwrap();
    }
    store.hold(Millis(500)).unwrap();
    assert_eq!(store.next_said(Millis(499)).unwrap(), None);
    store.release(Millis(500), Millis(10)).unwrap();
    let mut said = Vec::new();
    while let Some(due) = store.next_said(Millis(10)).unwrap() {
        store.said(&due, None).unwrap();
        said.push(due.key);
    }
    assert_eq!(said, ["1.1:a", "1.1:b"]);
    assert_eq!(store.next_due().unwrap(), Some(Millis(900)));
}

#[test]
fn what_was_heard_is_held_as_well_and_was_not_tried() {
    let store = store();
    for (root, ts) in [("1.1", "1.1"), ("1.1", "1.2"), ("2.1", "2.1")] {
        store.take(ts, &heard(root, ts), Millis(0)).unwrap();
    }
    let later = store.next_heard(Millis(0)).unwrap().unwrap();
    store.wait(later.number, "U1").unwrap();
    store
        .say("1.1", "status", &message("one"), Millis(0))
        .unwrap();
    store.hold_all(Millis(500)).unwrap();
    assert_eq!(store.next_heard(Millis(499)).unwrap(), None);
    assert_eq!(store.next_due().unwrap(), Some(Millis(500)));
    store.release_all(Millis(500), Millis(10)).unwrap();
    let mut acted_on = Vec::new();
    while let Some(taken) = store.next_heard(Millis(10)).unwrap() {
        assert_eq!(taken.attempts, 0);
        store.finish(taken.number).unwrap();
        acted_on.push(taken.item.root().to_owned());
    }
    assert_eq!(acted_on, ["1.1", "2.1"], "who is not known still waits");
    assert!(store.next_said(Millis(10)).unwrap().is_some());
}

#[test]
fn what_people_chose_is_known_for_its_repository_and_the_oldest_is_forgotten() {
    let store = store();
    let [api, web] = ["api", "web"].map(|name| Repository::new("acme", name).unwrap());
    store.learn(&web, "the page is blank").unwrap();
    for number in 0..100 {
        store.learn(&api, &format!("call {number}")).unwrap();
    }
    let examples = store.examples().unwrap();
    assert_eq!(examples.get(&web), None);
    let last = examples.get(&api).unwrap().last().unwrap();
    assert_eq!((examples.len(), last.as_str()), (1, "call 99"));
}
