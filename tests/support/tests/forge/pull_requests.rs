//! Pull requests and merges.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::bench::{Bench, git_ok};

#[tokio::test]
async fn a_pull_request_is_opened_in_the_users_name_with_the_pushed_commit() {
    let bench = Bench::new().await;
    let commit = bench
        .pushed("agent/one", "src/lib.rs", "pub fn two() {}\n")
        .await;
    let alice = bench.user("alice").await;
    let (status, pull) = bench.open(&alice, "agent/one").await;
    assert_eq!(status, StatusCode::CREATED, "{pull}");
    assert_eq!(pull["user"]["login"], "alice");
    assert_eq!(pull["head"]["sha"], json!(commit));
    assert_eq!(pull["commits"], 1);
    assert_eq!(
        (
            &pull["additions"],
            &pull["deletions"],
            &pull["changed_files"]
        ),
        (&json!(1), &json!(3), &json!(1))
    );
    let (_, files) = bench.get("/repos/acme/widget/pulls/1/files", &alice).await;
    assert_eq!(files[0]["filename"], "src/lib.rs");
    assert!(
        files[0]["patch"]
            .as_str()
            .unwrap()
            .starts_with("@@ -1,3 +1 @@"),
        "{files}"
    );
    let (_, commits) = bench
        .get("/repos/acme/widget/pulls/1/commits", &alice)
        .await;
    assert_eq!(commits.as_array().unwrap().len(), 1);
    assert_eq!(commits[0]["author"]["login"], "alice");
    assert_eq!(
        commits[0]["commit"]["author"]["date"],
        "2026-02-03T02:05:06Z"
    );
    let page = bench
        .client
        .get(pull["html_url"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    assert!(page.text().await.unwrap().contains("Count to two"));
}

#[tokio::test]
async fn a_second_pull_request_for_the_same_branch_is_refused_as_github_does() {
    let bench = Bench::new().await;
    bench.pushed("agent/one", "a.txt", "a").await;
    let alice = bench.user("alice").await;
    assert_eq!(bench.open(&alice, "agent/one").await.0, StatusCode::CREATED);
    let (status, refused) = bench.open(&alice, "acme:agent/one").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused["message"], "Validation Failed");
    assert_eq!(
        refused["errors"][0]["message"],
        "A pull request already exists for acme:agent/one."
    );
    assert_eq!(
        bench
            .forge
            .pull_requests("acme", "widget")
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_pull_request_needs_a_pushed_branch_with_something_new() {
    let bench = Bench::new().await;
    let alice = bench.user("alice").await;
    let (status, refused) = bench.open(&alice, "agent/never-pushed").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused["errors"][0]["field"], "head");
    let base = bench
        .forge
        .branch("acme", "widget", "main")
        .await
        .unwrap()
        .unwrap();
    let token = bench.writer().await;
    let body = json!({"ref": "refs/heads/same", "sha": base});
    bench
        .call(Method::POST, "/repos/acme/widget/git/refs", &token, body)
        .await;
    let (status, refused) = bench.open(&alice, "same").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        refused["errors"][0]["message"],
        "No commits between main and same"
    );
}

#[tokio::test]
async fn a_pull_request_follows_its_branch() {
    let bench = Bench::new().await;
    bench.pushed("agent/one", "a.txt", "a").await;
    let alice = bench.user("alice").await;
    bench.open(&alice, "agent/one").await;
    let token = bench.writer().await;
    let second = bench.commit("agent/one", "b.txt", "b").await;
    git_ok(
        &bench.checkout("widget"),
        &token,
        &["push", "-q", "origin", "agent/one"],
    )
    .await;
    let (_, pull) = bench.get("/repos/acme/widget/pulls/1", &alice).await;
    assert_eq!(pull["head"]["sha"], json!(second));
    assert_eq!(pull["commits"], 2);
    let (_, listed) = bench
        .get(
            "/repos/acme/widget/pulls?head=acme:agent/one&state=open",
            &alice,
        )
        .await;
    assert_eq!(listed[0]["head"]["sha"], json!(second));
}

#[tokio::test]
async fn a_merge_lands_in_the_bare_repository() {
    let bench = Bench::new().await;
    let head = bench.pushed("agent/one", "a.txt", "a").await;
    let base = bench
        .forge
        .branch("acme", "widget", "main")
        .await
        .unwrap()
        .unwrap();
    let alice = bench.user("alice").await;
    bench.open(&alice, "agent/one").await;
    let merged = bench.forge.merge("acme", "widget", 1, "bob").await.unwrap();
    assert_eq!(
        bench
            .forge
            .branch("acme", "widget", "main")
            .await
            .unwrap()
            .as_ref(),
        Some(&merged)
    );
    let at = bench.checkout("widget");
    git_ok(&at, &bench.writer().await, &["fetch", "-q", "origin"]).await;
    assert_eq!(
        git_ok(&at, "", &["show", "-s", "--format=%P", "origin/main"]).await,
        format!("{base} {head}")
    );
    assert_eq!(
        git_ok(&at, "", &["show", "-s", "--format=%an", "origin/main"]).await,
        "Bob Okafor"
    );
    let (_, pull) = bench.get("/repos/acme/widget/pulls/1", &alice).await;
    assert_eq!(
        (&pull["merged"], &pull["merge_commit_sha"]),
        (&json!(true), &json!(merged))
    );
    assert_eq!(
        (&pull["head"]["sha"], &pull["commits"]),
        (&json!(head), &json!(1))
    );
    let (_, branch) = bench.get("/repos/acme/widget/branches/main", &alice).await;
    assert_eq!(branch["commit"]["sha"], json!(merged));
    let again = bench
        .call(
            Method::PUT,
            "/repos/acme/widget/pulls/1/merge",
            &alice,
            Value::Null,
        )
        .await;
    assert_eq!(again.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_conflict_or_a_moved_head_is_not_merged() {
    let bench = Bench::new().await;
    bench.pushed("agent/one", "README.md", "# One\n").await;
    bench.pushed("agent/two", "README.md", "# Two\n").await;
    let alice = bench.user("alice").await;
    bench.open(&alice, "agent/one").await;
    bench.open(&alice, "agent/two").await;
    let path = "/repos/acme/widget/pulls/1/merge";
    let moved = json!({"sha": "0".repeat(40)});
    assert_eq!(
        bench.call(Method::PUT, path, &alice, moved).await.0,
        StatusCode::CONFLICT
    );
    let merged = bench
        .forge
        .merge("acme", "widget", 1, "alice")
        .await
        .unwrap();
    let (_, pull) = bench.get("/repos/acme/widget/pulls/2", &alice).await;
    assert_eq!(
        (&pull["mergeable"], &pull["mergeable_state"]),
        (&json!(false), &json!("dirty"))
    );
    let path = "/repos/acme/widget/pulls/2/merge";
    assert_eq!(
        bench.call(Method::PUT, path, &alice, json!({})).await.0,
        StatusCode::METHOD_NOT_ALLOWED
    );
    assert_eq!(
        bench.forge.branch("acme", "widget", "main").await.unwrap(),
        Some(merged)
    );
}
