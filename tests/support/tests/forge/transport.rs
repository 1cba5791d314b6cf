//! Git against the forge.

use reqwest::StatusCode;
use serde_json::json;
use support::forge::Permission;

use crate::bench::{Bench, complaint, git, git_ok};

#[tokio::test]
async fn git_clones_and_pushes_with_a_token_for_the_repository() {
    let bench = Bench::new().await;
    let commit = bench
        .pushed("agent/one", "src/lib.rs", "pub fn two() {}\n")
        .await;
    assert_eq!(
        bench
            .forge
            .branch("acme", "widget", "agent/one")
            .await
            .unwrap(),
        Some(commit)
    );
    let logo = std::fs::read(bench.checkout("widget").join("logo.bin")).unwrap();
    assert_eq!(logo, [0, 159, 146, 150, 255]);
}

#[tokio::test]
async fn git_is_refused_without_a_good_token() {
    let bench = Bench::new().await;
    for token in ["", "ghs_made_up"] {
        let complaint = complaint(&bench.clone("widget", token).await);
        assert!(
            complaint.contains("could not read Username") || complaint.contains("401"),
            "{complaint}"
        );
    }
    let other = bench.writer().await;
    let complaint = complaint(&bench.clone("gadget", &other).await);
    assert!(complaint.contains("not found"), "{complaint}");
}

#[tokio::test]
async fn a_token_that_may_only_read_cannot_push() {
    let bench = Bench::new().await;
    let reader = bench
        .forge
        .installation_token("acme", &["widget"], &[("contents", "read")])
        .await
        .unwrap();
    assert!(bench.clone("widget", &reader).await.status.success());
    bench.commit("agent/one", "a.txt", "a").await;
    let refused = git(
        &bench.checkout("widget"),
        &reader,
        &["push", "-q", "origin", "agent/one"],
    )
    .await;
    assert!(complaint(&refused).contains("403"));
    assert_eq!(
        bench
            .forge
            .branch("acme", "widget", "agent/one")
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn a_user_pushes_with_their_own_token_as_far_as_their_access_goes() {
    let bench = Bench::new().await;
    let (alice, carol) = (bench.user("alice").await, bench.user("carol").await);
    assert!(bench.clone("widget", &alice).await.status.success());
    bench.commit("from-alice", "a.txt", "a").await;
    git_ok(
        &bench.checkout("widget"),
        &alice,
        &["push", "-q", "origin", "from-alice"],
    )
    .await;
    assert!(complaint(&bench.clone("widget", &carol).await).contains("not found"));
    bench
        .forge
        .set_permission("acme", "widget", "carol", Some(Permission::Read))
        .await
        .unwrap();
    assert!(bench.clone("widget", &carol).await.status.success());
    bench.commit("from-carol", "c.txt", "c").await;
    let refused = git(
        &bench.checkout("widget"),
        &carol,
        &["push", "-q", "origin", "from-carol"],
    )
    .await;
    assert!(complaint(&refused).contains("403"));
}

#[tokio::test]
async fn a_large_push_arrives_whole() {
    let bench = Bench::new().await;
    let noise: String = (0..400_000_u64)
        .map(|n| format!("{:x}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    let commit = bench.pushed("agent/large", "noise.txt", &noise).await;
    assert_eq!(
        bench
            .forge
            .branch("acme", "widget", "agent/large")
            .await
            .unwrap(),
        Some(commit)
    );
}

#[tokio::test]
async fn a_compressed_request_is_understood() {
    let bench = Bench::new().await;
    bench.pushed("agent/one", "a.txt", "a").await;
    let alice = bench.user("alice").await;
    bench.open(&alice, "agent/one").await;
    let merged = bench
        .forge
        .merge("acme", "widget", 1, "alice")
        .await
        .unwrap();
    // The list of commits that only this side has makes git's question long enough to compress.
    let at = bench.checkout("widget");
    for n in 0..80 {
        let message = format!("local {n}");
        git_ok(&at, "", &["commit", "-q", "--allow-empty", "-m", &message]).await;
    }
    git_ok(&at, &alice, &["fetch", "-q", "origin"]).await;
    assert_eq!(git_ok(&at, "", &["rev-parse", "origin/main"]).await, merged);
}

#[tokio::test]
async fn a_push_is_seen_through_the_api_at_once() {
    let bench = Bench::new().await;
    let commit = bench
        .pushed("agent/one", "src/lib.rs", "pub fn two() {}\n")
        .await;
    let token = bench.writer().await;
    let (_, branch) = bench
        .get("/repos/acme/widget/branches/agent/one", &token)
        .await;
    assert_eq!(branch["commit"]["sha"], json!(commit));
    let (_, reference) = bench
        .get("/repos/acme/widget/git/ref/heads/agent/one", &token)
        .await;
    assert_eq!(reference["object"]["sha"], json!(commit));
    let (_, found) = bench
        .get(&format!("/repos/acme/widget/commits/{commit}"), &token)
        .await;
    assert_eq!(found["commit"]["author"]["name"], "Alice Martin");
    assert_eq!(found["commit"]["committer"]["name"], "hosted-agents[bot]");
    let (_, compared) = bench
        .get("/repos/acme/widget/compare/main...agent/one", &token)
        .await;
    assert_eq!(compared["ahead_by"], 1);
    assert_eq!(compared["files"][0]["filename"], "src/lib.rs");
}

#[tokio::test]
async fn a_branch_that_was_deleted_or_rewritten_by_a_push_follows_in_the_api() {
    let bench = Bench::new().await;
    bench.pushed("agent/one", "a.txt", "a").await;
    let token = bench.writer().await;
    let at = bench.checkout("widget");
    git_ok(
        &at,
        "",
        &["commit", "-q", "--amend", "-m", "Another message"],
    )
    .await;
    git_ok(
        &at,
        &token,
        &["push", "-q", "--force", "origin", "agent/one"],
    )
    .await;
    let rewritten = git_ok(&at, "", &["rev-parse", "HEAD"]).await;
    let (_, branch) = bench
        .get("/repos/acme/widget/branches/agent/one", &token)
        .await;
    assert_eq!(branch["commit"]["sha"], json!(rewritten));
    git_ok(
        &at,
        &token,
        &["push", "-q", "--delete", "origin", "agent/one"],
    )
    .await;
    let (status, _) = bench
        .get("/repos/acme/widget/branches/agent/one", &token)
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_repository_with_a_history_keeps_it() {
    let bench = Bench::new().await;
    let commit = bench.pushed("agent/one", "a.txt", "a").await;
    let at = bench.checkout("widget");
    git_ok(&at, "", &["branch", "-m", "agent/one", "trunk"]).await;
    bench
        .forge
        .create_repository("alice", "history", &at)
        .await
        .unwrap();
    assert_eq!(
        bench
            .forge
            .branch("alice", "history", "trunk")
            .await
            .unwrap(),
        Some(commit)
    );
    let alice = bench.user("alice").await;
    let (_, repository) = bench.get("/repos/alice/history", &alice).await;
    assert_eq!(repository["default_branch"], "trunk");
    let (_, commits) = bench.get("/repos/alice/history/commits", &alice).await;
    assert_eq!(commits.as_array().unwrap().len(), 2);
}
