//! Images made from a forge through the gateway.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use protocol::Millis;
use protocol::callback::Credentials;
use protocol::event::Repository;
use protocol::image::Base;
use sandbox_runner::collector::Collector;
use sandbox_runner::config::Upstream;
use sandbox_runner::gateway::Gateway;
use sandbox_runner::image::{Image, ImageError, Images, WORKSPACE};
use sandbox_runner::layer::LayerId;
use sandbox_runner::sandbox::SandboxBackend;
use sandbox_runner::store::Store;

use crate::fixture::Fixture;
use crate::forge::Forge;

const MANIFEST: &str = "[package]\nname = \"hello\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
const PASSING: &str = "#[test]\nfn adds() { assert_eq!(1 + 1, 2); }\n";
const FAILING: &str = "#[test]\nfn adds() { assert_eq!(1 + 1, 3); }\n";

pub(crate) fn images(fixture: &Fixture, forge: &Forge) -> Images {
    let provider = Upstream {
        base_url: "http://127.0.0.1:9".to_owned(),
        key: None,
    };
    let credentials = Credentials {
        username: "x-access-token".to_owned(),
        password: "secret".to_owned(),
        expires_at: Millis(i64::MAX),
    };
    let gateway = Gateway::new(
        &forge.url,
        &provider,
        &provider,
        Arc::new(move |_| {
            let credentials = credentials.clone();
            Box::pin(async move { Ok(credentials) })
        }),
    );
    let backend = Arc::clone(&fixture.backend);
    Images::new(
        fixture.path().join("images"),
        backend,
        fixture.backend.layers().clone(),
        Arc::new(gateway.unwrap()),
    )
}

pub(crate) fn base(branch: &str) -> Base {
    Base {
        repository: Repository::parse("octo/hello").unwrap(),
        branch: branch.to_owned(),
        environment: None,
    }
}

fn steps(image: &Image) -> Vec<(&str, bool)> {
    image
        .steps
        .iter()
        .map(|step| (step.name.as_str(), step.success))
        .collect()
}

#[tokio::test]
async fn a_sandbox_on_an_image_has_the_repository_clean_and_its_caches_warm() {
    let (fixture, forge) = (Fixture::new(), Forge::start().await);
    let commit = forge.commit(
        "octo/hello",
        &[("Cargo.toml", MANIFEST), ("src/lib.rs", PASSING)],
    );
    let images = images(&fixture, &forge);
    let image = images.build(&base("main")).await.unwrap();
    assert_eq!(image.commit, commit);
    assert_eq!(steps(&image), [("cargo build", true), ("cargo test", true)]);
    assert_eq!(images.newest(&base("main")).unwrap(), Some(image.clone()));
    assert!(fixture.backend.list().await.unwrap().is_empty());

    let id = fixture.create(&image.layers).await.id;
    let enter = format!("cd {WORKSPACE}; ");
    assert_eq!(
        fixture
            .text(&id, &format!("{enter} git rev-parse HEAD"))
            .await,
        commit
    );
    assert_eq!(
        fixture
            .text(&id, &format!("{enter} git status --porcelain"))
            .await,
        ""
    );
    let rebuilt = fixture
        .run(&id, &format!("{enter} cargo test --offline"))
        .await;
    let printed = String::from_utf8(rebuilt.stderr).unwrap();
    assert!(
        rebuilt.exit.success() && !printed.contains("Compiling"),
        "{printed}"
    );
}

#[tokio::test]
async fn failing_tests_make_an_image_with_a_log_that_says_so() {
    let (fixture, forge) = (Fixture::new(), Forge::start().await);
    forge.commit(
        "octo/hello",
        &[("Cargo.toml", MANIFEST), ("src/lib.rs", FAILING)],
    );
    let image = images(&fixture, &forge).build(&base("main")).await.unwrap();
    assert_eq!(
        steps(&image),
        [("cargo build", true), ("cargo test", false)]
    );
    let log = fixture.path().join("images/octo/hello/main.log");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(
        log.contains("## cargo test: Code(101)") && log.contains("adds ... FAILED"),
        "{log}"
    );
}

#[tokio::test]
async fn a_repositorys_own_set_up_is_run_and_what_it_left_is_not_for_a_commit() {
    let (fixture, forge) = (Fixture::new(), Forge::start().await);
    let setup = "mkdir cache && echo warm > 'cache/a file' && echo changed > tracked";
    forge.commit(
        "octo/hello",
        &[(".agents/setup.sh", setup), ("tracked", "as it was\n")],
    );
    let image = images(&fixture, &forge).build(&base("main")).await.unwrap();
    assert_eq!(steps(&image), [("set-up", true)]);
    let id = fixture.create(&image.layers).await.id;
    let script = format!("cd {WORKSPACE}; git status --porcelain; cat cache/* tracked");
    assert_eq!(fixture.text(&id, &script).await, "warm\nas it was");
}

#[tokio::test]
async fn a_repository_that_cannot_be_cloned_makes_no_image_and_leaves_nothing() {
    let (fixture, forge) = (Fixture::new(), Forge::start().await);
    forge.commit("octo/hello", &[("file", "text")]);
    let images = images(&fixture, &forge);
    let failed = images.build(&base("no-such-branch")).await;
    assert!(
        matches!(&failed, Err(ImageError::Failed { step, .. }) if step == "git clone"),
        "{failed:?}"
    );
    assert_eq!(images.newest(&base("no-such-branch")).unwrap(), None);
    assert!(fixture.backend.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_image_is_made_anew_only_when_its_branch_has_moved() {
    let (fixture, forge) = (Fixture::new(), Forge::start().await);
    forge.commit("octo/hello", &[("file", "one")]);
    let images = images(&fixture, &forge);
    let first = images.build(&base("main")).await.unwrap();
    assert_eq!(images.refresh(&base("main")).await.unwrap(), first);

    let commit = forge.commit("octo/hello", &[("file", "two")]);
    assert_eq!(images.build(&base("main")).await.unwrap(), first);
    let second = images.refresh(&base("main")).await.unwrap();
    assert_eq!(second.commit, commit);
    assert_eq!(images.newest(&base("main")).unwrap(), Some(second));
}

#[tokio::test]
async fn an_image_that_several_ask_for_is_made_once() {
    let (fixture, forge) = (Fixture::new(), Forge::start().await);
    forge.commit("octo/hello", &[("file", "one")]);
    let images = images(&fixture, &forge);
    let base = base("main");
    let (first, second) = tokio::join!(images.build(&base), images.build(&base));
    assert_eq!(first.unwrap(), second.unwrap());
}

/// As if it had been made an hour ago.
fn age(fixture: &Fixture, layer: &LayerId) {
    let meta = fixture.path().join(format!("layers/{layer}/meta.json"));
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    let meta = std::fs::File::open(meta).unwrap();
    meta.set_modified(hour_ago).unwrap();
}

#[tokio::test]
async fn layers_of_an_expired_image_go_unless_a_sandbox_is_made_of_it() {
    let (fixture, forge) = (Fixture::new(), Forge::start().await);
    let images = images(&fixture, &forge);
    let mut layers = Vec::new();
    for version in ["unused", "used", "previous", "newest"] {
        forge.commit("octo/hello", &[("version", version)]);
        let image = images.refresh(&base("main")).await.unwrap();
        if version == "used" {
            fixture.create(&image.layers).await;
        }
        layers.extend(image.layers);
    }
    for layer in &layers {
        age(&fixture, layer);
    }
    let collector = Collector {
        backend: fixture.backend.clone(),
        images: Arc::new(images),
        store: Arc::new(Store::open(&fixture.path().join("runner.sqlite")).unwrap()),
        layers: fixture.backend.layers().clone(),
        depot: None,
    };
    let unused = layers.remove(0);
    assert_eq!(collector.collect().await.unwrap(), [unused]);
    assert!(layers.iter().all(|layer| collector.layers.exists(layer)));
}

#[tokio::test]
async fn an_image_whose_layers_were_lost_is_made_again() {
    let (fixture, forge) = (Fixture::new(), Forge::start().await);
    forge.commit("octo/hello", &[("file", "")]);
    let images = images(&fixture, &forge);
    let lost = images.build(&base("main")).await.unwrap();
    let path = fixture.path().join("layers").join(lost.layers[0].as_str());
    std::fs::remove_dir_all(path).unwrap();
    assert_eq!(images.newest(&base("main")).unwrap(), None);
    let image = images.refresh(&base("main")).await.unwrap();
    assert_ne!(image.id, lost.id);
}
