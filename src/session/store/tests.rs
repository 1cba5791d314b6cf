//! The store over real SQLite: what is committed is there, what failed is not.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use protocol::api::SessionState;
use protocol::command::{Model, Provider};
use protocol::event::{Mode, PartBody, PartOutcome, Person, Repository, Source};
use protocol::{Epoch, SessionId, SnapshotId, UserId};

use super::*;
use crate::platform::sql::Value;
use crate::platform::sql::native::NativeSql;
use crate::session::machine::{
    BOOKKEEPING_DELAY_MS, Context, Create, Deadline, Input, Kept, create,
};
use crate::tickets::{Bearer, TicketHolder};

fn person() -> Person {
    Person {
        id: UserId(1),
        login: "alice".to_owned(),
        name: "Alice".to_owned(),
        avatar: String::new(),
    }
}

fn open() -> (Store<NativeSql>, State) {
    let store = Store::open(NativeSql::in_memory()).unwrap();
    let wanted = Create {
        session: SessionId::from_random([1; 16]),
        repository: Repository::new("acme", "tool").unwrap(),
        branch: "main".to_owned(),
        model: Model {
            provider: Provider::Openai,
            name: "m".to_owned(),
        },
        environment: None,
        by: person(),
        title: String::new(),
        parent: None,
        snapshot: None,
    };
    let (state, transition) = create(
        wanted,
        Context {
            now: Millis(1),
            random: [2; 16],
            idle_ms: 600_000,
        },
    );
    store.commit(&state, transition, None, Millis(1)).unwrap();
    (store, state)
}

fn outputs(outputs: Vec<Output>) -> Transition {
    Transition {
        outputs,
        ..Transition::default()
    }
}

/// The index' place in the schedule, taken until then.
fn index(until: Millis) -> Lease {
    let key = "index".to_owned();
    Lease { key, until }
}

fn prompt() -> PromptId {
    PromptId::from_random([3; 16])
}

#[test]
fn what_was_committed_is_read_back_in_order_without_gaps() {
    let (store, state) = open();
    let notices = (0..5)
        .map(|n| {
            Output::Fact(Fact::Notice {
                message: n.to_string(),
            })
        })
        .collect();
    store
        .commit(&state, outputs(notices), None, Millis(2))
        .unwrap();
    let page = store.events(Seq(2), 3).unwrap();
    let seqs: Vec<u64> = page.events.iter().map(|event| event.seq.0).collect();
    assert_eq!((seqs, page.head_seq), (vec![3, 4, 5], Seq(6)));
    assert_eq!(store.state().unwrap(), Some(state));
}

#[test]
fn a_finished_part_keeps_its_text_in_the_log_and_nowhere_else() {
    let (store, state) = open();
    let part = PartId(1);
    let delta = |offset, text: &str| Output::Delta {
        part,
        offset,
        text: text.to_owned(),
    };
    let started = Fact::PartStarted {
        part,
        prompt: prompt(),
        body: PartBody::Text,
    };
    let grown = vec![
        Output::Fact(started),
        delta(0, "Hello"),
        delta(5, ", world"),
    ];
    store
        .commit(&state, outputs(grown), None, Millis(2))
        .unwrap();
    assert_eq!(store.growing_text(part).unwrap(), "Hello, world");

    let outcome = PartOutcome::Completed { title: None };
    let finished = Fact::PartFinished {
        part,
        prompt: prompt(),
        length: 12,
        text: None,
        outcome,
    };
    let told = store
        .commit(
            &state,
            outputs(vec![Output::Fact(finished)]),
            None,
            Millis(3),
        )
        .unwrap();
    let Some(Committed::Event(Event {
        fact: Fact::PartFinished { text, .. },
        ..
    })) = told.first()
    else {
        panic!("no event was told");
    };
    assert_eq!(*text, None, "whoever saw the deltas is not told again");
    let page = store.events(Seq(2), 10).unwrap();
    let Some(Fact::PartFinished { text, .. }) = page.events.first().map(|event| &event.fact) else {
        panic!("no event was stored");
    };
    assert_eq!(text.as_deref(), Some("Hello, world"));
    assert_eq!(store.growing_text(part).unwrap(), "");
}

#[test]
fn a_commit_that_fails_leaves_nothing_behind() {
    let (store, state) = open();
    let before = store.head().unwrap();
    let twice = |text: &str| Output::Delta {
        part: PartId(1),
        offset: 0,
        text: text.to_owned(),
    };
    let broken = vec![
        Output::Fact(Fact::Notice {
            message: "lost".to_owned(),
        }),
        twice("a"),
        twice("b"),
    ];
    assert!(
        store
            .commit(&state, outputs(broken), None, Millis(2))
            .is_err()
    );
    assert_eq!(store.head().unwrap(), before);
    assert_eq!(store.growing_text(PartId(1)).unwrap(), "");
}

#[test]
fn work_is_taken_once_until_its_lease_has_passed() {
    let (store, _) = open();
    let due = Millis(1 + BOOKKEEPING_DELAY_MS);
    assert_eq!(store.next_due().unwrap(), Some(due));
    let taken = store.take_due(due, due.plus(100)).unwrap();
    assert_eq!(taken.len(), 1, "a new session is put into the index");
    let meanwhile = store.take_due(due.plus(1), due.plus(101)).unwrap();
    assert_eq!(meanwhile, Vec::new());
    let again = store.take_due(due.plus(100), due.plus(200)).unwrap();
    let effects = |due: &[Due]| due.iter().map(|due| due.effect.clone()).collect::<Vec<_>>();
    assert_eq!(effects(&again), effects(&taken));
    // Whoever took it first is late, and says nothing about the second try.
    store.finish(&index(due.plus(100))).unwrap();
    assert_eq!(store.next_due().unwrap(), Some(due.plus(200)));
    store.finish(&index(due.plus(200))).unwrap();
    assert_eq!(store.next_due().unwrap(), None);
}

#[test]
fn work_that_was_asked_for_again_meanwhile_is_not_finished_by_the_first() {
    let (store, state) = open();
    let due = Millis(1 + BOOKKEEPING_DELAY_MS);
    store.take_due(due, Millis(2000)).unwrap();
    let again = Transition {
        effects: vec![(Millis(1500), Effect::UpdateIndex)],
        ..Transition::default()
    };
    store.commit(&state, again, None, Millis(1000)).unwrap();
    store.finish(&index(Millis(2000))).unwrap();
    assert_eq!(store.next_due().unwrap(), Some(Millis(1500)));
}

#[test]
fn a_step_that_follows_from_replaced_work_leaves_the_newer_work() {
    let (store, state) = open();
    let due = Millis(1 + BOOKKEEPING_DELAY_MS);
    store.take_due(due, Millis(2000)).unwrap();
    let again = Transition {
        effects: vec![(Millis(1500), Effect::UpdateIndex)],
        ..Transition::default()
    };
    store.commit(&state, again, None, Millis(1000)).unwrap();
    let done = index(Millis(2000));
    let nothing = Transition::default();
    store
        .commit(&state, nothing, Some(&done), Millis(1001))
        .unwrap();
    store.retry(&done, Millis(9000)).unwrap();
    assert_eq!(store.next_due().unwrap(), Some(Millis(1500)));
}

#[test]
fn work_of_the_shell_is_only_moved_forward() {
    let (store, _) = open();
    let check = Effect::CheckAccess { user: None };
    for due in [400, 300, 500] {
        store.schedule(Millis(due), &check).unwrap();
    }
    let taken = store.take_due(Millis(300), Millis(60_300)).unwrap();
    assert_eq!(taken.first().map(|due| &due.effect), Some(&check));
}

#[test]
fn history_pages_backwards_without_gap() {
    let (store, state) = open();
    let notices = (0..6).map(|n| {
        Output::Fact(Fact::Notice {
            message: n.to_string(),
        })
    });
    let notices = outputs(notices.collect());
    store.commit(&state, notices, None, Millis(2)).unwrap();
    let mut before = Seq(u64::MAX);
    let mut pages = Vec::new();
    while before > Seq(1) {
        let page = store.events_before(before, 3).unwrap();
        before = page.events.first().unwrap().seq;
        pages.push(
            page.events
                .iter()
                .map(|event| event.seq.0)
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(pages, [vec![5, 6, 7], vec![2, 3, 4], vec![1]]);
    assert_eq!(store.events_before(Seq(1), 3).unwrap().events, Vec::new());
}

#[test]
fn what_was_kept_of_a_prompt_last_is_gone_on_from() {
    let (store, state) = open();
    let kept = |number| Kept {
        id: SnapshotId::from_random([number; 16]),
        runner: None,
    };
    assert_eq!(store.kept(&prompt()).unwrap(), None);
    for number in 1..=2 {
        let prompt = prompt();
        let kept = kept(number);
        let output = outputs(vec![Output::Kept { prompt, kept }]);
        store.commit(&state, output, None, Millis(2)).unwrap();
    }
    assert_eq!(store.kept(&prompt()).unwrap(), Some(kept(2)));
}

#[test]
fn a_cancelled_deadline_never_rings() {
    let (store, mut state) = open();
    let context = Context {
        now: Millis(2),
        random: [4; 16],
        idle_ms: 600_000,
    };
    let transition = state.step(Input::Typing, context).unwrap();
    store.commit(&state, transition, None, Millis(2)).unwrap();
    assert_eq!(state.activity(), SessionState::Warming);
    let key = Deadline::Start { epoch: Epoch(1) }.key();
    let cancelled = Transition {
        cancelled: vec![key.clone()],
        ..Transition::default()
    };
    store.commit(&state, cancelled, None, Millis(3)).unwrap();
    let left = store
        .take_due(Millis(i64::MAX >> 12), Millis(i64::MAX >> 11))
        .unwrap();
    assert!(left.iter().all(|due| due.lease.key != key));
}

fn bearer() -> Bearer {
    Bearer {
        person: person(),
        source: Source::Api,
    }
}

#[test]
fn a_ticket_lets_in_once_in_time_and_from_its_own_page() {
    let (store, _) = open();
    let holder = TicketHolder {
        bearer: bearer(),
        origin: "https://a".to_owned(),
    };
    store.issue_ticket("t1", &holder, Millis(0)).unwrap();
    assert_eq!(
        store.redeem_ticket("t1", "https://a", Millis(1)).unwrap(),
        Some(bearer())
    );
    assert_eq!(
        store.redeem_ticket("t1", "https://a", Millis(2)).unwrap(),
        None
    );
    store.issue_ticket("t2", &holder, Millis(0)).unwrap();
    assert_eq!(
        store.redeem_ticket("t2", "https://b", Millis(1)).unwrap(),
        None
    );
    assert_eq!(
        store.redeem_ticket("t2", "https://a", Millis(1)).unwrap(),
        None,
        "used up"
    );
    store.issue_ticket("t3", &holder, Millis(0)).unwrap();
    assert_eq!(
        store
            .redeem_ticket("t3", "https://a", Millis(30_001))
            .unwrap(),
        None
    );
}

#[test]
fn a_ticket_is_not_readable_from_the_tables() {
    let (store, _) = open();
    let holder = TicketHolder {
        bearer: bearer(),
        origin: "https://a".to_owned(),
    };
    store
        .issue_ticket("secret-ticket", &holder, Millis(0))
        .unwrap();
    let rows = store.sql.run("SELECT hash FROM tickets", &[]).unwrap();
    assert_ne!(rows.first().unwrap().text(0).unwrap(), "secret-ticket");
}

#[test]
fn a_client_request_is_one_prompt_however_often_it_comes() {
    let (store, _) = open();
    assert_eq!(store.admit("r1", "body").unwrap(), Admission::New);
    store.remember("r1", "body", &prompt()).unwrap();
    assert_eq!(
        store.admit("r1", "body").unwrap(),
        Admission::Repeated(prompt())
    );
    assert_eq!(store.admit("r1", "other").unwrap(), Admission::Conflicting);
}

#[test]
fn a_message_identifier_is_seen_for_the_first_time_once() {
    let (store, _) = open();
    assert!(store.first_sight("m1", Millis(0)).unwrap());
    assert!(!store.first_sight("m1", Millis(1)).unwrap());
    // Its signature is void by then, so the identifier need not be kept.
    assert!(store.first_sight("m1", Millis(3_600_000)).unwrap());
}

#[test]
fn an_edited_prompt_is_stored_as_edited() {
    let (store, state) = open();
    let queued = Prompt {
        id: prompt(),
        author: person(),
        text: "old".to_owned(),
        source: Source::Web,
        mode: Mode::Queue,
        attachments: Vec::new(),
        client_request_id: None,
    };
    let edit = Fact::PromptEdited {
        prompt: prompt(),
        text: "new".to_owned(),
        by: person(),
    };
    let facts = vec![
        Output::Fact(Fact::PromptQueued { prompt: queued }),
        Output::Fact(edit),
    ];
    store
        .commit(&state, outputs(facts), None, Millis(2))
        .unwrap();
    assert_eq!(store.prompt(&prompt()).unwrap().unwrap().text, "new");
}

#[test]
fn null_is_not_text() {
    assert!(Row::new(vec![Value::Null]).text(0).is_err());
}
