//! When an image is made anew, and what the next one has from the last.

use protocol::image::EnvironmentName;

use super::*;

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
async fn an_image_that_several_ask_for_is_made_once() {
    let (fixture, forge) = (Fixture::new(), Forge::start().await);
    forge.commit("octo/hello", &[("file", "one")]);
    let images = images(&fixture, &forge);
    let base = base("main");
    let (first, second) = tokio::join!(images.build(&base), images.build(&base));
    assert_eq!(first.unwrap(), second.unwrap());
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
