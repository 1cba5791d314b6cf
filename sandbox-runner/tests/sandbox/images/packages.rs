//! Packages of the system in images.

use sandbox_runner::image;

use super::*;

/// With what packages need to know of the host.
fn with_packages() -> Fixture {
    Fixture::with_tools(image::tool().into_iter().collect())
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
