//! A depot in a bucket of somebody else's S3 server, which checks every signature and keeps to the
//! protocol: what [`super::bucket`] cannot prove, since it is written for what is sent to it.

use std::fs;

use axum::Router;
use axum::error_handling::HandleError;
use axum::http::StatusCode;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::tests::{at_once, file, incompressible};
use super::*;
use crate::layer::fixture::{Bench, store};

struct Peer {
    address: String,
    root: TempDir,
    serving: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Peer {
    async fn serve() -> Self {
        let root = TempDir::new().unwrap();
        fs::create_dir(root.path().join("layers")).unwrap();
        let mut builder = S3ServiceBuilder::new(FileSystem::new(root.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single("id", "secret"));
        let failed = |error: s3s::HttpError| async move {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:?}"))
        };
        let service = HandleError::new(builder.build(), failed);
        let router = Router::new().fallback_service(service);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            root,
            serving,
        }
    }

    fn depot(&self, secret: &str) -> Depot {
        let address = format!(
            "s3://layers/prefix?endpoint=http://{}&region=us-east-1",
            self.address
        );
        let [id, secret] = ["id", secret].map(|key| Some(key.to_owned()));
        Depot::open(&DepotConfig::parse(&address, id, secret).unwrap()).unwrap()
    }
}

#[tokio::test]
async fn snapshots_travel_through_a_bucket_of_another_maker() {
    let (bench, peer) = (Bench::new(), Peer::serve().await);
    let depot = peer.depot("secret");
    let chain = [bench.layer(1), bench.layer(2)];
    // Several pieces, so that it is uploaded in parts and fetched in ranges.
    let content = incompressible(20 << 20);
    fs::write(bench.store.files(&chain[0]).unwrap().join("file"), &content).unwrap();
    let manifest = depot.export(&bench.store, &chain).await.unwrap();
    depot.publish("snp_1", &manifest).await.unwrap();

    let there = store(&bench.root.path().join("other"));
    let other = peer.depot("secret");
    assert_eq!(other.manifest("snp_2").await.unwrap(), None);
    let found = other.manifest("snp_1").await.unwrap().unwrap();
    assert_eq!(found, manifest);
    let _lease = other.import(&there, &found).await.unwrap();
    assert!(file(&there, &chain[0]).unwrap() == content);
    assert_eq!(file(&there, &chain[1]), file(&bench.store, &chain[1]));

    // Nothing but what these requests were about was touched.
    assert_eq!(
        depot.collect_by(at_once()).await.unwrap(),
        Collected::default()
    );
    assert!(
        peer.root
            .path()
            .join("layers/prefix/snapshots/snp_1.json")
            .exists()
    );
}

#[tokio::test]
async fn work_in_progress_and_collection_work_in_a_bucket_of_another_maker() {
    let (bench, peer) = (Bench::new(), Peer::serve().await);
    let depot = peer.depot("secret");
    let path = bench.root.path().join("parcel");
    for number in [2, 10] {
        fs::write(&path, number.to_string()).unwrap();
        let parcel = fs::File::open(&path).unwrap();
        depot.put_parcel("ses_1", number, parcel).await.unwrap();
    }
    assert_eq!(depot.parcels("ses_1").await.unwrap(), [10, 2]);
    let fetched = bench.root.path().join("fetched");
    assert!(depot.fetch_parcel("ses_1", 10, &fetched).await.unwrap());
    assert_eq!(fs::read_to_string(&fetched).unwrap(), "10");
    depot.remove_parcels("ses_1", 9).await.unwrap();
    assert_eq!(depot.parcels("ses_1").await.unwrap(), [10]);

    let unused = [bench.layer(1)];
    depot.export(&bench.store, &unused).await.unwrap();
    for collected in [(1, 0), (0, 1), (0, 0)] {
        let (marked, removed) = collected;
        let expected = Collected { marked, removed };
        assert_eq!(depot.collect_by(at_once()).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn whoever_signs_with_another_key_is_refused() {
    let (bench, peer) = (Bench::new(), Peer::serve().await);
    let chain = [bench.layer(1)];
    let refused = peer.depot("another").export(&bench.store, &chain).await;
    assert!(refused.is_err(), "{refused:?}");
    let layers = fs::read_dir(peer.root.path().join("layers")).unwrap();
    assert_eq!(layers.count(), 0);
}
