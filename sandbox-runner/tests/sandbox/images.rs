//! Images made from a forge through the gateway. Those with packages reach the mirrors of this
//! machine's system.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use protocol::callback::Credentials;
use protocol::command::BuildImage;
use protocol::egress::{DEFAULTS, HostName};
use protocol::event::Repository;
use protocol::image::{Base, EnvironmentName, Specification};
use protocol::{Epoch, ImageId, Millis, PartId, SessionId, SnapshotId};
use sandbox_runner::agent::ConversationId;
use sandbox_runner::agent::transcript::Transcript;
use sandbox_runner::collector::Collector;
use sandbox_runner::config::Upstream;
use sandbox_runner::gateway::Gateway;
use sandbox_runner::gateway::egress::Egress;
use sandbox_runner::image::{
    self, Image, ImageError, Images, Log, Made, Supplies, System, WORKSPACE,
};
use sandbox_runner::layer::LayerId;
use sandbox_runner::sandbox::SandboxBackend;
use sandbox_runner::store::Store;
use sandbox_runner::store::snapshot::{Lineage, Snapshot};

use crate::fixture::Fixture;
use crate::forge::Forge;

const TOKEN: &str = "a-token-that-no-file-may-hold";
const MANIFEST: &str = "[package]\nname = \"hello\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
const PASSING: &str = "#[test]\nfn adds() { assert_eq!(1 + 1, 2); }\n";
const FAILING: &str = "#[test]\nfn adds() { assert_eq!(1 + 1, 3); }\n";

pub(crate) fn images(fixture: &Fixture, forge: &Forge) -> Images {
    images_for(fixture, forge, None)
}

/// Images that the agent with this executable is to run in.
pub(crate) fn images_for(fixture: &Fixture, forge: &Forge, agent: Option<String>) -> Images {
    // Mirrors may be on this machine's own network.
    let hosts = DEFAULTS
        .iter()
        .filter_map(|host| HostName::parse(host).ok());
    let supplies = Supplies {
        system: System::read(),
        agent,
        ..Supplies::default()
    };
    images_of(fixture, forge, Egress::system(hosts.collect()), supplies)
}

pub(crate) fn images_of(
    fixture: &Fixture,
    forge: &Forge,
    egress: Egress,
    supplies: Supplies,
) -> Images {
    let provider = Upstream {
        base_url: "http://127.0.0.1:9".to_owned(),
        key: None,
    };
    let credentials = Credentials {
        username: "x-access-token".to_owned(),
        password: TOKEN.to_owned(),
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
    Images::new(
        fixture.path().join("images"),
        Arc::clone(&fixture.backend) as Arc<dyn SandboxBackend>,
        fixture.backend.layers().clone(),
        Arc::new(gateway.unwrap().with_egress(egress)),
        None,
        supplies,
    )
}

/// An order that was not made before.
pub(crate) fn order(branch: &str, seed: u8) -> BuildImage {
    BuildImage {
        image: ImageId::from_random([seed; 16]),
        base: base(branch),
        specification: None,
        egress: None,
        force: false,
        callback_url: String::new(),
    }
}

pub(crate) fn specified(seed: u8, specification: Specification) -> BuildImage {
    BuildImage {
        specification: Some(specification),
        ..order("main", seed)
    }
}

pub(crate) fn runtime(language: &str, version: &str) -> Specification {
    Specification {
        runtime: BTreeMap::from([(language.to_owned(), version.to_owned())]),
        ..Specification::default()
    }
}

pub(crate) async fn ready(images: &Images, order: &BuildImage) -> Image {
    match images.order(order, Arc::default()).await.unwrap() {
        Made::Ready(image) => image,
        Made::Unchanged(image) => panic!("{image:?} was made already"),
    }
}

/// With what packages need to know of the host.
fn with_packages() -> Fixture {
    Fixture::with_tools(image::tool().into_iter().collect())
}

fn layer(fixture: &Fixture, id: &LayerId) -> PathBuf {
    fixture.path().join("layers").join(id.as_str())
}

pub(crate) fn base(branch: &str) -> Base {
    Base {
        repository: Repository::parse("octo/hello").unwrap(),
        branch: branch.to_owned(),
        environment: None,
    }
}

pub(crate) fn steps(image: &Image) -> Vec<(&str, bool)> {
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
    let expected = [
        ("cargo fetch", true),
        ("cargo build", true),
        ("cargo test", true),
    ];
    assert_eq!(steps(&image), expected);
    assert!(image.runtime.contains_key("rust") && image.bytes > 0);
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
    let expected = [
        ("cargo fetch", true),
        ("cargo build", true),
        ("cargo test", false),
    ];
    assert_eq!(steps(&image), expected);
    let log = fixture.path().join("images/octo/hello/main.log");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(
        log.contains("## cargo test: exit code 101") && log.contains("adds ... FAILED"),
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
async fn an_image_is_made_anew_only_when_something_changed_or_it_is_asked_for() {
    let (fixture, forge) = (Fixture::new(), Forge::start().await);
    let old = forge.commit("octo/hello", &[("file", "one")]);
    let images = images(&fixture, &forge);
    let first = ready(&images, &order("main", 1)).await;
    assert_eq!(first.reason, "no image yet");
    let again = images.order(&order("main", 2), Arc::default()).await;
    assert_eq!(again.unwrap(), Made::Unchanged(first.clone()));

    let new = forge.commit("octo/hello", &[("file", "two")]);
    assert_eq!(images.build(&base("main")).await.unwrap(), first);
    let second = ready(&images, &order("main", 3)).await;
    let short = |commit: &str| commit.chars().take(7).collect::<String>();
    let moved = format!("main moved from {} to {}", short(&old), short(&new));
    assert_eq!((&second.commit, &second.reason), (&new, &moved));
    assert_ne!(second.built().fingerprint, first.built().fingerprint);
    assert_eq!(images.newest(&base("main")).unwrap(), Some(second.clone()));

    let forced = BuildImage {
        force: true,
        ..order("main", 4)
    };
    let third = ready(&images, &forced).await;
    assert_eq!(third.reason, "asked for");
    assert_eq!(third.built().fingerprint, second.built().fingerprint);

    let setup = Some("touch made".to_owned());
    let specification = Specification {
        setup,
        ..Specification::default()
    };
    let fourth = ready(&images, &specified(5, specification)).await;
    assert_eq!(fourth.reason, "the specification changed");
    assert_eq!(steps(&fourth), [("set-up", true)]);
}

#[tokio::test]
async fn an_order_that_has_led_to_an_image_gives_it_again_with_its_log() {
    let (fixture, forge) = (Fixture::new(), Forge::start().await);
    forge.commit("octo/hello", &[("file", "one")]);
    let images = images(&fixture, &forge);
    let (first, second) = (Arc::new(Log::default()), Arc::new(Log::default()));
    let forced = BuildImage {
        force: true,
        ..order("main", 1)
    };
    let made = images.order(&forced, Arc::clone(&first)).await.unwrap();
    let again = images.order(&forced, Arc::clone(&second)).await.unwrap();
    assert_eq!(again, made);
    assert_eq!(second.text(), first.text());
    assert!(first.text().contains("## git clone: exit code 0"));
}

#[tokio::test]
async fn the_next_image_starts_from_the_last_one_and_keeps_what_git_ignores() {
    let (fixture, forge) = (Fixture::new(), Forge::start().await);
    let setup = "mkdir -p cache && echo run >> cache/runs && echo stray > stray.txt";
    forge.commit(
        "octo/hello",
        &[
            (".agents/setup.sh", setup),
            (".gitignore", "cache/\n"),
            ("gone", "x"),
        ],
    );
    let images = images(&fixture, &forge);
    let first = ready(&images, &order("main", 1)).await;
    let commit = forge.commit("octo/hello", &[("gone", "changed"), ("new", "y")]);
    let second = ready(&images, &order("main", 2)).await;
    assert_eq!(second.layers.len(), 2);
    assert_eq!(second.layers[..1], first.layers);

    let id = fixture.create(&second.layers).await.id;
    let script = format!(
        "cd {WORKSPACE}; git rev-parse HEAD; git status --porcelain; cat cache/runs gone new"
    );
    let expected = format!("{commit}\nrun\nrun\nchangedy");
    assert_eq!(fixture.text(&id, &script).await, expected);

    // What is forced starts from nothing.
    let forced = BuildImage {
        force: true,
        ..order("main", 3)
    };
    assert_eq!(ready(&images, &forced).await.layers.len(), 1);
}

#[tokio::test]
async fn a_chain_of_layers_ends_with_a_fresh_clone() {
    let (fixture, forge) = (Fixture::new(), Forge::start().await);
    let images = images(&fixture, &forge);
    let mut lengths = Vec::new();
    for seed in 1..10 {
        forge.commit("octo/hello", &[("file", &seed.to_string())]);
        lengths.push(ready(&images, &order("main", seed)).await.layers.len());
    }
    assert_eq!(lengths, [1, 2, 3, 4, 5, 6, 7, 8, 1]);
}

#[tokio::test]
async fn a_failed_order_says_why_and_keeps_the_last_good_image() {
    let (fixture, forge) = (Fixture::new(), Forge::start().await);
    forge.commit("octo/hello", &[("file", "one")]);
    let images = images(&fixture, &forge);
    let good = ready(&images, &order("main", 1)).await;
    let wanted = specified(2, runtime("rust", "0.9"));
    let log = Arc::new(Log::default());
    let failed = images.order(&wanted, Arc::clone(&log)).await.unwrap_err();
    let message = failed.to_string();
    assert!(
        message.starts_with("rust 0.9 cannot be had here: there is 1."),
        "{message}"
    );
    assert_eq!(images.newest(&base("main")).unwrap(), Some(good));
    let kept = fixture.path().join("images/octo/hello/main.failed.log");
    assert_eq!(std::fs::read_to_string(kept).unwrap(), log.text());
    assert!(log.text().ends_with(&format!("## {message}\n")));
    assert!(fixture.backend.list().await.unwrap().is_empty());

    let failed = images.order(&order("gone", 3), Arc::default()).await;
    let message = failed.unwrap_err().to_string();
    assert!(
        message.starts_with("git clone failed, exit code 128: ") && message.contains("gone"),
        "{message}"
    );
}

#[tokio::test]
async fn a_set_up_that_fails_keeps_the_last_image_in_which_it_did_not() {
    let (fixture, forge) = (Fixture::new(), Forge::start().await);
    let images = images(&fixture, &forge);
    let commit = |script: &str| forge.commit("octo/hello", &[(".agents/setup.sh", script)]);
    commit("echo one > made");
    let good = ready(&images, &order("main", 1)).await;
    commit("echo it is broken >&2; exit 3");
    let failed = images.order(&order("main", 2), Arc::default()).await;
    let message = failed.unwrap_err().to_string();
    assert_eq!(message, "set-up failed, exit code 3: it is broken");
    assert_eq!(images.newest(&base("main")).unwrap(), Some(good));
    assert!(fixture.backend.list().await.unwrap().is_empty());
    let repaired = commit("echo two > made");
    assert_eq!(ready(&images, &order("main", 3)).await.commit, repaired);

    // A branch in which it never succeeded is worked on as well; an environment would not be what
    // was asked for.
    let broken = Specification {
        setup: Some("exit 3".to_owned()),
        ..Specification::default()
    };
    forge.commit_on("octo/hello", "broken", &[(".agents/setup.sh", "exit 3")]);
    let first = ready(&images, &order("broken", 4)).await;
    assert_eq!(steps(&first), [("set-up", false)]);
    let mut environment = specified(5, broken);
    environment.base.environment = Some(EnvironmentName::parse("legacy").unwrap());
    let failed = images.order(&environment, Arc::default()).await;
    let message = failed.unwrap_err().to_string();
    assert_eq!(message, "set-up failed, exit code 3: it printed nothing");
}

#[tokio::test]
async fn an_image_holds_no_token() {
    let (fixture, forge) = (Fixture::new(), Forge::start().await);
    let setup = "env > environment; git config --list --show-origin > settings; git fetch origin";
    forge.commit("octo/hello", &[(".agents/setup.sh", setup)]);
    let log = Arc::new(Log::default());
    let images = images(&fixture, &forge);
    let made = images.order(&order("main", 1), Arc::clone(&log)).await;
    let Made::Ready(image) = made.unwrap() else {
        panic!("there was an image");
    };
    assert_eq!(steps(&image), [("set-up", true)]);
    assert!(forge.was_given(TOKEN), "no token was used at all");
    assert!(!log.text().contains(TOKEN));
    for id in &image.layers {
        let searched = std::process::Command::new("grep")
            .args(["--recursive", "--files-with-matches", TOKEN])
            .arg(layer(&fixture, id))
            .output()
            .unwrap();
        let found = String::from_utf8_lossy(&searched.stdout);
        assert_eq!((searched.status.code(), &*found), (Some(1), ""));
    }
}

#[tokio::test]
async fn a_tool_that_is_not_there_is_said_in_the_log_and_fails_nothing() {
    let (fixture, forge) = (Fixture::new(), Forge::start().await);
    let package = r#"{"scripts":{"test":"node --test"}}"#;
    let test = "require('node:test')('adds', () => {});\n";
    forge.commit(
        "octo/hello",
        &[
            ("package.json", package),
            ("a.test.js", test),
            ("uv.lock", ""),
        ],
    );
    let images = images(&fixture, &forge);
    let log = Arc::new(Log::default());
    let made = images.order(&order("main", 1), Arc::clone(&log)).await;
    let Made::Ready(image) = made.unwrap() else {
        panic!("there was an image");
    };
    assert_eq!(steps(&image), [("npm install", true), ("npm test", true)]);
    assert!(
        log.text()
            .contains("## uv is not installed in this environment\n")
    );
}

#[tokio::test]
async fn a_package_is_installed_without_root_and_stays_in_later_images() {
    let (fixture, forge) = (with_packages(), Forge::start().await);
    forge.commit("octo/hello", &[("file", "one")]);
    let images = images(&fixture, &forge);
    let hello = Specification {
        packages: vec!["hello".to_owned()],
        ..Specification::default()
    };
    let first = ready(&images, &specified(1, hello.clone())).await;
    forge.commit("octo/hello", &[("file", "two")]);
    let second = ready(&images, &specified(2, hello)).await;
    assert_eq!(second.layers[..2], first.layers);
    let id = fixture.create(&second.layers).await.id;
    let script = format!("command -v hello; hello; cat {WORKSPACE}/file; ls -A ~");
    assert_eq!(
        fixture.text(&id, &script).await,
        "/usr/bin/hello\nHello, world!\ntwoworkspace"
    );
}

#[tokio::test]
async fn a_package_that_there_is_not_is_named() {
    let (fixture, forge) = (with_packages(), Forge::start().await);
    forge.commit("octo/hello", &[("file", "one")]);
    let unknown = Specification {
        packages: vec!["hello".to_owned(), "no-such-package".to_owned()],
        ..Specification::default()
    };
    let images = images(&fixture, &forge);
    let failed = images.order(&specified(1, unknown), Arc::default()).await;
    let message = failed.unwrap_err().to_string();
    assert!(
        message.ends_with(" has no package no-such-package"),
        "{message}"
    );
    assert!(fixture.backend.list().await.unwrap().is_empty());
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

#[tokio::test]
async fn an_image_whose_layers_were_lost_is_made_again() {
    let (fixture, forge) = (Fixture::new(), Forge::start().await);
    forge.commit("octo/hello", &[("file", "")]);
    let images = images(&fixture, &forge);
    let lost = images.build(&base("main")).await.unwrap();
    let path = fixture.path().join("layers").join(lost.layers[0].as_str());
    // The store may be writing beside the files.
    std::fs::rename(path, fixture.path().join("lost")).unwrap();
    assert_eq!(images.newest(&base("main")).unwrap(), None);
    let image = ready(&images, &order("main", 1)).await;
    assert_ne!(image.id, lost.id);
    assert_eq!(image.reason, "no image yet");
}
