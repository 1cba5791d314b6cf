use std::fs;
use std::path::PathBuf;

use super::bucket::Bucket;
use super::*;
use crate::layer::fixture::{Bench, id, store};

pub(super) fn incompressible(size: usize) -> Vec<u8> {
    let mut content = vec![0; size];
    getrandom::fill(&mut content).unwrap();
    content
}

fn objects(bench: &Bench) -> Vec<PathBuf> {
    let directory = bench.root.path().join("depot/layers");
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

pub(super) fn file(layers: &LayerStore, id: &LayerId) -> Option<Vec<u8>> {
    Some(fs::read(layers.files(id)?.join("file")).unwrap())
}

/// Names in the directory that holds the layers, made and unmade ones.
fn names(bench: &Bench, state: &str) -> usize {
    let layers = bench.root.path().join(state).join("layers");
    fs::read_dir(layers).unwrap().count()
}

#[tokio::test]
async fn a_snapshot_travels_from_one_runner_to_another() {
    let (bench, depot) = {
        let bench = Bench::new();
        let depot = bench.depot();
        (bench, depot)
    };
    let chain = [bench.layer(1), bench.layer(2)];
    let manifest = depot.export(&bench.store, &chain).await.unwrap();
    depot.publish("snp_1", &manifest).await.unwrap();

    let (there, depot) = (store(&bench.root.path().join("other")), bench.depot());
    let manifest = depot.manifest("snp_1").await.unwrap().unwrap();
    let _lease = depot.import(&there, &manifest).await.unwrap();
    for id in &chain {
        assert_eq!(file(&there, id), file(&bench.store, id));
    }
    assert_eq!(depot.export(&there, &chain).await.unwrap(), manifest);
    assert_eq!(depot.manifest("snp_2").await.unwrap(), None);
}

#[tokio::test]
async fn a_layer_is_uploaded_once() {
    let bench = Bench::new();
    let (chain, depot) = ([bench.layer(1)], bench.depot());
    let first = depot.export(&bench.store, &chain).await.unwrap();
    for path in objects(&bench) {
        fs::remove_file(path).unwrap();
    }
    assert_eq!(depot.export(&bench.store, &chain).await.unwrap(), first);
    assert!(objects(&bench).is_empty());
}

#[tokio::test]
async fn another_depot_is_given_the_layer_too() {
    let bench = Bench::new();
    let chain = [bench.layer(1)];
    let first = bench.depot().export(&bench.store, &chain).await.unwrap();
    let address = format!("file://{}", bench.root.path().join("second").display());
    let config = DepotConfig::parse(&address, None, None).unwrap();
    let second = Depot::open(&config).unwrap();
    assert_eq!(second.export(&bench.store, &chain).await.unwrap(), first);
    let key = layer_key(&first.layers[0].digest).to_string();
    assert!(bench.root.path().join("second").join(key).exists());
}

#[tokio::test]
async fn a_layer_that_is_wanted_by_many_is_fetched_once() {
    let (bench, bucket) = (Bench::new(), Bucket::serve().await);
    let (chain, depot) = ([bench.layer(1)], bucket.depot());
    let manifest = depot.export(&bench.store, &chain).await.unwrap();
    let there = store(&bench.root.path().join("other"));
    let both = tokio::join!(
        depot.import(&there, &manifest),
        depot.import(&there, &manifest)
    );
    both.0.unwrap();
    both.1.unwrap();
    assert_eq!(bucket.requests("GET"), 1);
}

#[tokio::test]
async fn a_layer_that_is_exported_by_many_is_uploaded_once() {
    let (bench, bucket) = (Bench::new(), Bucket::serve().await);
    let (chain, depot) = ([bench.layer(1)], bucket.depot());
    let export = || depot.export(&bench.store, &chain);
    let (first, second) = tokio::join!(export(), export());
    assert_eq!(first.unwrap(), second.unwrap());
    assert_eq!(bucket.requests("PUT"), 1);
}

#[tokio::test]
async fn what_another_runner_has_uploaded_is_not_uploaded_again() {
    let (bench, bucket) = (Bench::new(), Bucket::serve().await);
    let chain = [bench.layer(1)];
    let first = bucket.depot().export(&bench.store, &chain).await.unwrap();
    let (there, depot) = (store(&bench.root.path().join("other")), bucket.depot());
    depot.import(&there, &first).await.unwrap();
    // It remembers that it came from the depot.
    fs::remove_file(there.directory(&chain[0]).join("depot.json")).unwrap();
    assert_eq!(depot.export(&there, &chain).await.unwrap(), first);
    assert_eq!(bucket.requests("PUT"), 1);
}

#[tokio::test]
async fn a_bucket_that_fails_for_a_moment_is_asked_again() {
    let (bench, bucket) = (Bench::new(), Bucket::serve().await);
    let (chain, depot) = ([bench.layer(1)], bucket.depot());
    bucket.state.lock().unwrap().failures = 2;
    let manifest = depot.export(&bench.store, &chain).await.unwrap();
    bucket.state.lock().unwrap().failures = 2;
    let there = store(&bench.root.path().join("other"));
    depot.import(&there, &manifest).await.unwrap();
    assert_eq!(file(&there, &chain[0]), file(&bench.store, &chain[0]));
}

#[tokio::test]
async fn an_archive_of_several_pieces_travels_through_a_bucket() {
    let (bench, bucket) = (Bench::new(), Bucket::serve().await);
    let (layer, depot) = (bench.layer(1), bucket.depot());
    let content = incompressible(20 << 20);
    fs::write(bench.store.files(&layer).unwrap().join("file"), &content).unwrap();
    let chain = [layer];
    let manifest = depot.export(&bench.store, &chain).await.unwrap();
    depot.publish("snp_1", &manifest).await.unwrap();
    assert_eq!(
        depot.manifest("snp_1").await.unwrap(),
        Some(manifest.clone())
    );
    let there = store(&bench.root.path().join("other"));
    depot.import(&there, &manifest).await.unwrap();
    assert!(file(&there, &chain[0]).unwrap() == content);
    let objects = &bucket.state.lock().unwrap().objects;
    let mut keys: Vec<_> = objects.keys().collect();
    keys.sort();
    let layer = format!("/layers/prefix/layers/{}", manifest.layers[0].digest);
    assert_eq!(keys, [&layer, "/layers/prefix/snapshots/snp_1.json"]);
}

#[tokio::test]
async fn an_archive_that_is_not_what_its_name_says_leaves_nothing() {
    let bench = Bench::new();
    let depot = bench.depot();
    let manifest = depot.export(&bench.store, &[bench.layer(1)]).await.unwrap();
    let other = depot.export(&bench.store, &[bench.layer(2)]).await.unwrap();
    let path = |manifest: &Manifest| {
        let key = layer_key(&manifest.layers[0].digest).to_string();
        bench.root.path().join("depot").join(key)
    };
    fs::copy(path(&other), path(&manifest)).unwrap();
    let there = store(&bench.root.path().join("other"));
    let refused = depot.import(&there, &manifest).await;
    assert!(
        matches!(refused, Err(DepotError::Unpack { .. })),
        "{refused:?}"
    );
    assert_eq!(names(&bench, "other"), 0);
}

#[tokio::test]
async fn an_archive_that_ends_too_early_or_is_not_there_leaves_nothing() {
    let bench = Bench::new();
    let depot = bench.depot();
    let manifest = depot.export(&bench.store, &[bench.layer(1)]).await.unwrap();
    let there = store(&bench.root.path().join("other"));
    let path = objects(&bench).remove(0);
    let half = manifest.layers[0].size / 2;
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(half)
        .unwrap();
    assert!(depot.import(&there, &manifest).await.is_err());
    fs::remove_file(path).unwrap();
    let missing = depot.import(&there, &manifest).await;
    assert!(
        matches!(missing, Err(DepotError::Missing(_))),
        "{missing:?}"
    );
    assert_eq!(names(&bench, "other"), 0);
}

#[tokio::test]
async fn an_archive_of_several_pieces_arrives_whole() {
    let bench = Bench::new();
    let layer = bench.layer(1);
    let content = incompressible(20 << 20);
    fs::write(bench.store.files(&layer).unwrap().join("file"), &content).unwrap();
    let (depot, there) = (bench.depot(), store(&bench.root.path().join("other")));
    let manifest = depot
        .export(&bench.store, std::slice::from_ref(&layer))
        .await
        .unwrap();
    assert!(manifest.layers[0].size > 16 << 20);
    depot.import(&there, &manifest).await.unwrap();
    assert!(file(&there, &layer).unwrap() == content);
}

#[tokio::test]
async fn what_is_no_name_of_a_snapshot_is_refused() {
    let depot = Bench::new().depot();
    for name in ["", "..", "a/b", "a.json", &"a".repeat(129)] {
        let refused = depot.manifest(name).await;
        assert!(matches!(refused, Err(DepotError::InvalidName(_))), "{name}");
    }
}

#[tokio::test]
async fn a_layer_that_is_not_here_cannot_be_exported() {
    let bench = Bench::new();
    let refused = bench.depot().export(&bench.store, &[id(1)]).await;
    let expected = matches!(refused, Err(DepotError::Layer(LayerError::Unknown(_))));
    assert!(expected, "{refused:?}");
}

#[tokio::test]
async fn the_newest_parcel_of_a_name_is_found_and_replaced_by_itself_alone() {
    let bench = Bench::new();
    let depot = bench.depot();
    let parcel = |text: &str| {
        let path = bench.root.path().join("parcel");
        fs::write(&path, text).unwrap();
        fs::File::open(path).unwrap()
    };
    assert_eq!(depot.parcels("ses_1").await.unwrap(), [0; 0]);
    depot
        .put_parcel("ses_1", 2, parcel("second"))
        .await
        .unwrap();
    depot
        .put_parcel("ses_1", 10, parcel("tenth"))
        .await
        .unwrap();
    // Late, from whoever does not know yet that it was replaced.
    depot.put_parcel("ses_1", 2, parcel("again")).await.unwrap();
    assert_eq!(depot.parcels("ses_1").await.unwrap(), [10, 2]);
    let fetched = bench.root.path().join("fetched");
    assert!(depot.fetch_parcel("ses_1", 10, &fetched).await.unwrap());
    assert_eq!(fs::read_to_string(&fetched).unwrap(), "tenth");
    depot.remove_parcels("ses_1", 9).await.unwrap();
    assert_eq!(depot.parcels("ses_1").await.unwrap(), [10]);
    assert!(!depot.fetch_parcel("ses_1", 2, &fetched).await.unwrap());
    assert_eq!(depot.parcels("ses_2").await.unwrap(), [0; 0]);
}

#[tokio::test]
async fn what_is_old_is_removed_but_for_layers() {
    let bench = Bench::new();
    let (depot, chain) = (bench.depot(), [bench.layer(1)]);
    let manifest = depot.export(&bench.store, &chain).await.unwrap();
    for name in ["old", "new"] {
        depot.publish(name, &manifest).await.unwrap();
    }
    let file = |name: &str| {
        let path = bench.root.path().join("depot").join(name);
        fs::File::options().write(true).open(path).unwrap()
    };
    let parcel = fs::File::open(bench.root.path().join("depot/snapshots/new.json")).unwrap();
    depot.put_parcel("old", 1, parcel).await.unwrap();
    let hours_ago = std::time::SystemTime::now() - Duration::from_secs(7200);
    for name in ["snapshots/old.json", "progress/old/1"] {
        file(name).set_modified(hours_ago).unwrap();
    }
    let layer = layer_key(&manifest.layers[0].digest).to_string();
    file(&layer).set_modified(hours_ago).unwrap();
    assert_eq!(depot.expire(Duration::from_secs(3600)).await.unwrap(), 2);
    assert_eq!(depot.manifest("old").await.unwrap(), None);
    assert_eq!(depot.parcels("old").await.unwrap(), [0; 0]);
    assert!(depot.manifest("new").await.unwrap().is_some());
    let there = store(&bench.root.path().join("other"));
    depot.import(&there, &manifest).await.unwrap();
}

/// As if all times of waiting were over.
pub(super) fn at_once() -> collection::Terms {
    collection::Terms {
        grace: Duration::ZERO,
        notice: Duration::ZERO,
        margin: Duration::ZERO,
        pause: Duration::ZERO,
    }
}

#[tokio::test]
async fn archives_that_no_manifest_refers_to_are_marked_then_removed() {
    let bench = Bench::new();
    let depot = bench.depot();
    let (kept, unused) = (bench.layer(1), bench.layer(2));
    let manifest = depot.export(&bench.store, &[kept]).await.unwrap();
    depot.publish("snp_1", &manifest).await.unwrap();
    depot
        .export(&bench.store, std::slice::from_ref(&unused))
        .await
        .unwrap();
    let young = depot.collect().await.unwrap();
    assert_eq!(young, Collected::default());

    let marked = Collected {
        marked: 1,
        removed: 0,
    };
    assert_eq!(depot.collect_by(at_once()).await.unwrap(), marked);
    assert_eq!(objects(&bench).len(), 2);
    let removed = Collected {
        marked: 0,
        removed: 1,
    };
    assert_eq!(depot.collect_by(at_once()).await.unwrap(), removed);
    assert_eq!(objects(&bench).len(), 1);
    let there = store(&bench.root.path().join("other"));
    depot.import(&there, &manifest).await.unwrap();

    // Another process of the runner remembers the archive, and finds that it is gone.
    let depot = bench.depot();
    let manifest = depot
        .export(&bench.store, std::slice::from_ref(&unused))
        .await
        .unwrap();
    assert_eq!(objects(&bench).len(), 2);
    depot.publish("snp_2", &manifest).await.unwrap();
    assert_eq!(
        depot.collect_by(at_once()).await.unwrap(),
        Collected::default()
    );
    depot.import(&there, &manifest).await.unwrap();
}

#[tokio::test]
async fn an_archive_that_is_wanted_again_in_time_stays() {
    let bench = Bench::new();
    let chain = [bench.layer(1)];
    bench.depot().export(&bench.store, &chain).await.unwrap();
    let terms = at_once();
    bench.depot().collect_by(terms).await.unwrap();
    // The notice has a day to go.
    let manifest = bench.depot().export(&bench.store, &chain).await.unwrap();
    let unmarked = Collected {
        marked: 1,
        removed: 0,
    };
    assert_eq!(bench.depot().collect_by(terms).await.unwrap(), unmarked);
    bench.depot().publish("snp_1", &manifest).await.unwrap();
    assert_eq!(
        bench.depot().collect_by(terms).await.unwrap(),
        Collected::default()
    );
    assert_eq!(objects(&bench).len(), 1);
}

#[tokio::test]
async fn an_archive_that_may_be_removed_at_any_moment_is_not_relied_on() {
    let bench = Bench::new();
    let chain = [bench.layer(1)];
    let manifest = bench.depot().export(&bench.store, &chain).await.unwrap();
    bench.depot().collect_by(at_once()).await.unwrap();
    let reserved = bench
        .depot()
        .reserve_by(&manifest.layers[0].digest, at_once())
        .await;
    assert!(
        matches!(reserved, Err(DepotError::Leaving(_))),
        "{reserved:?}"
    );
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_keeps_every_archive() {
    let bench = Bench::new();
    bench
        .depot()
        .export(&bench.store, &[bench.layer(1)])
        .await
        .unwrap();
    let damaged = bench.root.path().join("depot/snapshots/snp_1.json");
    fs::create_dir_all(damaged.parent().unwrap()).unwrap();
    fs::write(damaged, "{").unwrap();
    for _ in 0..3 {
        bench.depot().collect_by(at_once()).await.unwrap_err();
    }
    assert_eq!(objects(&bench).len(), 1);
}
