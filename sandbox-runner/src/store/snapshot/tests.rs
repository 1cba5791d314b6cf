use protocol::SandboxId;
use protocol::event::Repository;

use super::*;
use crate::agent::ConversationId;

fn id(number: u8) -> SnapshotId {
    SnapshotId::from_random([number; 16])
}

fn snapshot(number: u8, session: u8) -> Snapshot {
    let conversation = ConversationId::parse("ses_1").unwrap();
    Snapshot {
        id: id(number),
        session: SessionId::from_random([session; 16]),
        epoch: Epoch(1),
        base: Base {
            repository: Repository::parse("octo/hello").unwrap(),
            branch: "main".into(),
            environment: None,
        },
        image: None,
        commit: "c0ffee".into(),
        layers: vec![LayerId::of(&SandboxId::from_random([1; 16]), number.into())],
        transcript: Transcript::new(conversation, "/", protocol::PartId(1)),
        lineage: Lineage::default(),
        prompt: Some(PromptId::from_random([number; 16])),
        remains: false,
        at: Millis(i64::from(number)),
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("runner.sqlite")).unwrap();
    (directory, store)
}

fn ids(snapshots: Vec<Snapshot>) -> Vec<SnapshotId> {
    snapshots.into_iter().map(|snapshot| snapshot.id).collect()
}

#[test]
fn the_ends_of_a_sessions_newest_prompts_are_kept_and_those_of_others_are_not_touched() {
    let (_directory, store) = store();
    store.keep_snapshot(&snapshot(200, 2)).unwrap();
    for number in 1..=60 {
        store.keep_snapshot(&snapshot(number, 1)).unwrap();
    }
    let kept = ids(store.snapshots().unwrap());
    let expected: Vec<_> = (11..=60).chain([200]).map(id).collect();
    assert_eq!(kept, expected);
}

#[test]
fn what_was_put_to_sleep_does_not_take_the_place_of_a_prompts_end() {
    let (_directory, store) = store();
    store.keep_snapshot(&snapshot(1, 1)).unwrap();
    for number in 2..=9 {
        let asleep = Snapshot {
            prompt: None,
            ..snapshot(number, 1)
        };
        store.keep_snapshot(&asleep).unwrap();
    }
    let kept = ids(store.snapshots().unwrap());
    assert_eq!(kept, [1, 6, 7, 8, 9].map(id));
}

#[test]
fn a_session_that_nobody_went_on_with_is_forgotten_as_a_whole() {
    let (_directory, store) = store();
    store.keep_snapshot(&snapshot(1, 1)).unwrap();
    store.keep_snapshot(&snapshot(2, 1)).unwrap();
    let later = |ms| Snapshot {
        at: Millis(ms),
        ..snapshot(3, 2)
    };
    store.keep_snapshot(&later(KEPT_MS + 2)).unwrap();
    assert_eq!(ids(store.snapshots().unwrap()), [1, 2, 3].map(id));
    store.keep_snapshot(&later(KEPT_MS + 3)).unwrap();
    assert_eq!(ids(store.snapshots().unwrap()), [id(3)]);
}

#[test]
fn the_depot_is_owed_a_snapshot_until_it_is_noted() {
    let (_directory, store) = store();
    store.keep_snapshot(&snapshot(1, 1)).unwrap();
    store.keep_snapshot(&snapshot(2, 1)).unwrap();
    store.published(&id(1), Millis(5)).unwrap();
    assert_eq!(ids(store.unpublished().unwrap()), [id(2)]);
}

#[test]
fn remains_are_found_by_their_session_newest_first() {
    let (_directory, store) = store();
    for number in 1..=3 {
        let remains = Snapshot {
            remains: number != 2,
            ..snapshot(number, 1)
        };
        store.keep_snapshot(&remains).unwrap();
    }
    let session = SessionId::from_random([1; 16]);
    assert_eq!(ids(store.remains(&session).unwrap()), [3, 1].map(id));
    let other = SessionId::from_random([2; 16]);
    assert_eq!(store.remains(&other).unwrap(), []);
}

#[test]
fn a_lineage_is_followed_from_all_that_it_came_from() {
    let mut lineage = Lineage::new(Some(&id(1)), Some(&id(2)));
    lineage.grow(id(3));
    for asked in [Some(&id(1)), Some(&id(2)), Some(&id(3))] {
        assert!(lineage.follows(asked));
    }
    assert!(!lineage.follows(None) && !lineage.follows(Some(&id(4))));
    assert_eq!(lineage.newest(), Some(&id(3)));
    assert!(Lineage::new(None, None).follows(None));
    assert_eq!(Lineage::new(None, None).newest(), None);
}
