//! The broken crate is broken as advertised, and no further.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::path::Path;
use std::process::Command;

/// The names of the failing tests, and whether any ran.
fn failing(directory: &Path) -> (Vec<String>, bool) {
    let output = Command::new("cargo")
        .args(["test", "--offline", "--no-fail-fast"])
        .current_dir(directory)
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let names = output
        .lines()
        .filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    (
        names.map(str::to_owned).collect(),
        output.contains("test result:"),
    )
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn exactly_one_test_fails_and_the_fix_mends_it() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("shlex");
    let cache = directory.path().join("cache");
    let project = support::defect::prepare(&cache, &target).await.unwrap();
    assert_eq!(
        failing(&target),
        (vec![project.failing_test.to_owned()], true)
    );
    assert_eq!(
        git(&target, &["status", "--porcelain"]),
        "",
        "a run of the tests leaves something behind"
    );
    assert_eq!(git(&target, &["rev-list", "--count", "main"]), "1");

    let file = target.join(project.file);
    let source = std::fs::read_to_string(&file).unwrap();
    assert_eq!(source.matches(project.defect).count(), 1);
    std::fs::write(&file, source.replace(project.defect, project.fix)).unwrap();
    assert_eq!(failing(&target), (vec![], true));

    let again = support::defect::prepare(&cache, &target).await.unwrap();
    assert!(
        std::fs::read_to_string(&file)
            .unwrap()
            .contains(again.defect)
    );
}
