//! Layers of images go once nothing is made of them.

use std::time::{Duration, SystemTime};

use protocol::{Epoch, PartId, SessionId, SnapshotId};
use sandbox_runner::agent::ConversationId;
use sandbox_runner::agent::transcript::Transcript;
use sandbox_runner::collector::Collector;
use sandbox_runner::store::Store;
use sandbox_runner::store::snapshot::{Lineage, Snapshot};

use super::*;

/// As if it had been made an hour ago.
fn age(fixture: &Fixture, layer: &LayerId) {
    let meta = fixture.path().join(format!("layers/{layer}/meta.json"));
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    let meta = std::fs::File::open(meta).unwrap();
    meta.set_modified(hour_ago).unwrap();
}

#[tokio::test]
async fn layers_of_an_expired_image_go_unless_a_sandbox_or_a_snapshot_is_made_of_it() {
    let (fixture, forge) = (Fixture::new(), Forge::start().await);
    let images = images(&fixture, &forge);
    let store = Store::open(&fixture.path().join("runner.sqlite")).unwrap();
    let mut layers = Vec::new();
    forge.commit("octo/hello", &[("file", "")]);
    for (seed, version) in (1..).zip(["unused", "used", "kept", "previous", "newest"]) {
        // From nothing each, so that none lies upon another.
        let forced = BuildImage {
            force: true,
            ..order("main", seed)
        };
        let image = ready(&images, &forced).await;
        if version == "used" {
            fixture.create(&image.layers).await;
        }
        if version == "kept" {
            store.keep_snapshot(&snapshot(&image)).unwrap();
        }
        layers.extend(image.layers);
    }
    for layer in &layers {
        age(&fixture, layer);
    }
    let collector = Collector {
        backend: fixture.backend.clone(),
        images: Arc::new(images),
        store: Arc::new(store),
        layers: fixture.backend.layers().clone(),
        depot: None,
    };
    let unused = layers.remove(0);
    assert_eq!(collector.collect().await.unwrap(), [unused]);
    assert!(layers.iter().all(|layer| collector.layers.exists(layer)));

    // Nothing has started from either of the two newest for long.
    let newest = fixture.path().join("images/octo/hello/main.json");
    let newest = std::fs::File::options().write(true).open(newest).unwrap();
    let days = |days: u64| SystemTime::now() - Duration::from_secs(days * 24 * 3600);
    newest.set_modified(days(13)).unwrap();
    assert_eq!(collector.collect().await.unwrap(), []);
    newest.set_modified(days(15)).unwrap();
    let mut removed = collector.collect().await.unwrap();
    let mut expired = layers.split_off(2);
    removed.sort();
    expired.sort();
    assert_eq!(removed, expired);
    assert!(layers.iter().all(|layer| collector.layers.exists(layer)));
}

/// What a session may go on from, upon an image.
fn snapshot(image: &Image) -> Snapshot {
    let conversation = ConversationId::parse("ses_1").unwrap();
    Snapshot {
        id: SnapshotId::from_random([1; 16]),
        session: SessionId::from_random([1; 16]),
        epoch: Epoch(1),
        base: image.base.clone(),
        image: Some(image.id.clone()),
        commit: image.commit.clone(),
        layers: image.layers.clone(),
        transcript: Transcript::new(conversation, WORKSPACE, PartId(1)),
        lineage: Lineage::default(),
        prompt: None,
        remains: false,
        at: image.built_at,
    }
}
