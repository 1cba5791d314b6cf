//! A forge with three repositories, a checkout, and the hands to use them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::forge::{Forge, ForgeOptions};
use tempfile::TempDir;

/// Private `acme/widget` and `acme/gadget`, public `bob/open`.
pub(crate) struct Bench {
    pub(crate) forge: Forge,
    directory: TempDir,
    pub(crate) client: reqwest::Client,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("forge");
        std::fs::create_dir(&state).unwrap();
        let forge = Forge::start(ForgeOptions::from_environment(state).unwrap())
            .await
            .unwrap();
        let source = directory.path().join("source");
        std::fs::create_dir_all(source.join("src")).unwrap();
        std::fs::write(source.join("README.md"), "# Widget\n").unwrap();
        std::fs::write(
            source.join("src/lib.rs"),
            "pub fn one() -> u8 {\n    1\n}\n",
        )
        .unwrap();
        std::fs::write(source.join("logo.bin"), [0, 159, 146, 150, 255]).unwrap();
        forge
            .create_repository("acme", "widget", &source)
            .await
            .unwrap();
        forge
            .create_repository("acme", "gadget", &source)
            .await
            .unwrap();
        forge
            .create_public_repository("bob", "open", &source)
            .await
            .unwrap();
        let client = reqwest::Client::builder()
            .user_agent("forge-test")
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        Self {
            forge,
            directory,
            client,
        }
    }

    pub(crate) async fn user(&self, login: &str) -> String {
        self.forge.sign_in(login).await.unwrap().access_token
    }

    pub(crate) async fn writer(&self) -> String {
        self.forge
            .installation_token(
                "acme",
                &["widget"],
                &[("contents", "write"), ("pull_requests", "write")],
            )
            .await
            .unwrap()
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Value,
    ) -> (StatusCode, Value) {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.forge.url()));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        (
            status,
            serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default(),
        )
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> (StatusCode, Value) {
        self.call(Method::GET, path, token, Value::Null).await
    }

    pub(crate) async fn clone(&self, repository: &str, token: &str) -> Output {
        let url = format!("{}/acme/{repository}.git", self.forge.url());
        let into = self.checkout(repository);
        let _ = std::fs::remove_dir_all(&into);
        git(
            self.directory.path(),
            token,
            &["clone", "-q", &url, into.to_str().unwrap()],
        )
        .await
    }

    pub(crate) fn checkout(&self, repository: &str) -> PathBuf {
        self.directory.path().join("checkouts").join(repository)
    }

    /// Commits a change on a branch of the checkout; answers the commit.
    pub(crate) async fn commit(&self, branch: &str, file: &str, content: &str) -> String {
        let at = self.checkout("widget");
        git_ok(&at, "", &["checkout", "-q", "-B", branch]).await;
        std::fs::write(at.join(file), content).unwrap();
        git_ok(&at, "", &["add", "-A"]).await;
        let message = format!("Change {file}\n\nBecause of a test.");
        git_ok(&at, "", &["commit", "-q", "-m", &message]).await;
        git_ok(&at, "", &["rev-parse", "HEAD"]).await
    }

    pub(crate) async fn pushed(&self, branch: &str, file: &str, content: &str) -> String {
        let token = self.writer().await;
        if !self.checkout("widget").exists() {
            assert!(self.clone("widget", &token).await.status.success());
        }
        let at = self.checkout("widget");
        git_ok(&at, "", &["checkout", "-q", "main"]).await;
        let commit = self.commit(branch, file, content).await;
        git_ok(&at, &token, &["push", "-q", "origin", branch]).await;
        commit
    }

    pub(crate) async fn open(&self, token: &str, head: &str) -> (StatusCode, Value) {
        let body =
            json!({"title": "Count to two", "head": head, "base": "main", "body": "It was one."});
        self.call(Method::POST, "/repos/acme/widget/pulls", token, body)
            .await
    }
}

/// Git with a token as it is handed to it by a gateway: as Basic authentication.
pub(crate) async fn git(at: &Path, token: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new("git");
    if !token.is_empty() {
        let basic = STANDARD.encode(format!("x-access-token:{token}"));
        command.args([
            "-c",
            &format!("http.extraHeader=Authorization: Basic {basic}"),
        ]);
    }
    command
        .args(arguments)
        .current_dir(at)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_AUTHOR_NAME", "Alice Martin")
        .env("GIT_AUTHOR_EMAIL", "alice@example.com")
        .env("GIT_AUTHOR_DATE", "2026-02-03T04:05:06+0200")
        .env("GIT_COMMITTER_NAME", "hosted-agents[bot]")
        .env("GIT_COMMITTER_EMAIL", "bot@example.com");
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

pub(crate) async fn git_ok(at: &Path, token: &str, arguments: &[&str]) -> String {
    let output = git(at, token, arguments).await;
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub(crate) fn complaint(output: &Output) -> String {
    assert!(!output.status.success(), "git succeeded");
    String::from_utf8_lossy(&output.stderr).into_owned()
}
