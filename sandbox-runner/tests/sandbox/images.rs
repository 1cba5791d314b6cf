//! Images made from a forge through the gateway. Those with packages reach the mirrors of this
//! machine's system.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use protocol::callback::Credentials;
use protocol::command::BuildImage;
use protocol::egress::{DEFAULTS, HostName};
use protocol::event::Repository;
use protocol::image::{Base, Specification};
use protocol::{ImageId, Millis};
use sandbox_runner::config::Upstream;
use sandbox_runner::gateway::Gateway;
use sandbox_runner::gateway::egress::Egress;
use sandbox_runner::image::{Image, ImageError, Images, Log, Made, Supplies, System, WORKSPACE};
use sandbox_runner::layer::LayerId;
use sandbox_runner::sandbox::SandboxBackend;

use crate::fixture::Fixture;
use crate::forge::Forge;

mod expiry;
mod packages;
mod renewal;

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
