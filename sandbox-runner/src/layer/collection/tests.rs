use super::*;
use crate::layer::fixture::{Bench, id};
use crate::layer::lease::REST;

fn left(bench: &Bench) -> Vec<LayerId> {
    let mut left = bench.store.ids().unwrap();
    left.sort();
    left
}

#[test]
fn only_old_layers_that_nothing_uses_go() {
    let bench = Bench::new();
    let (used, unused, young) = (bench.old_layer(1), bench.old_layer(2), bench.layer(3));
    let removed = collect(&bench.store, [used.clone()]).unwrap();
    assert_eq!(removed, [unused]);
    assert_eq!(left(&bench), [used, young]);
}

#[test]
fn a_layer_that_somebody_is_about_to_use_stays_until_a_while_after_the_lease() {
    let bench = Bench::new();
    let layer = bench.old_layer(1);
    let leases = [(); 2].map(|()| bench.store.lease(std::slice::from_ref(&layer)).unwrap());
    let collect = |now| collect_at(&bench.store, [], now).unwrap();
    for lease in leases {
        assert!(collect(Instant::now() + REST * 2).is_empty());
        drop(lease);
    }
    assert!(collect(Instant::now()).is_empty());
    assert_eq!(collect(Instant::now() + REST * 2), [layer]);
}

#[test]
fn a_lease_on_what_is_not_there_is_refused() {
    let bench = Bench::new();
    let there = bench.layer(1);
    let refused = bench.store.lease(&[there, id(2)]);
    assert!(matches!(refused, Err(LayerError::Unknown(unknown)) if unknown == id(2)));
}

fn idle(layers: &[&LayerId], used_at: i64) -> Idle {
    Idle {
        layers: layers.iter().map(|id| (*id).clone()).collect(),
        used_at: Millis(used_at),
    }
}

#[tokio::test]
async fn the_least_recently_used_snapshot_goes_first_and_no_further_than_it_must() {
    let (bench, nothing) = (Bench::new(), HashSet::new());
    let [base, older, newer] = [1, 2, 3].map(|number| bench.layer(number));
    let depot = bench.depot();
    let all = [&base, &older, &newer].map(Clone::clone);
    depot.export(&bench.store, &all).await.unwrap();
    let snapshots = vec![idle(&[&base, &newer], 9), idle(&[&base, &older], 5)];
    let evict = |bytes| {
        let snapshots = snapshots.clone();
        let now = Instant::now() + REST * 2;
        evict_at(&bench.store, &depot, &nothing, snapshots, bytes, now).unwrap()
    };
    assert!(evict(0).is_empty());
    assert_eq!(evict(1), [older]);
    // The first one has nothing to give any more.
    assert_eq!(evict(1), [base, newer]);
}

#[tokio::test]
async fn what_is_in_use_or_nowhere_else_is_not_evicted() {
    let bench = Bench::new();
    let [used, here_only, uploaded] = [1, 2, 3].map(|number| bench.layer(number));
    let depot = bench.depot();
    let both = [used.clone(), uploaded.clone()];
    depot.export(&bench.store, &both).await.unwrap();
    let snapshot = vec![idle(&[&used, &here_only, &uploaded], 1)];
    let users = HashSet::from([used.clone()]);
    let now = Instant::now() + REST * 2;
    let removed = evict_at(&bench.store, &depot, &users, snapshot, u64::MAX, now).unwrap();
    assert_eq!(removed, [uploaded]);
    assert_eq!(left(&bench), [used, here_only]);
}

#[test]
fn a_volume_is_short_of_what_is_missing_to_a_tenth() {
    let volume = |free_bytes, free_files| Usage {
        bytes: 1000,
        free_bytes,
        files: 1000,
        free_files,
    };
    assert_eq!(volume(100, 100).shortage(), 0);
    assert_eq!(volume(30, 100).shortage(), 70);
    assert_eq!(volume(100, 99).shortage(), 1);
    assert!(Usage::of(Path::new("/")).unwrap().bytes > 0);
}
