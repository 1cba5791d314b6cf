//! A forge that is nothing but `git http-backend`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

pub(crate) struct Forge {
    pub(crate) url: String,
    root: TempDir,
    credentials: Credentials,
}

/// What requests were authorised with.
type Credentials = Arc<Mutex<Vec<String>>>;

impl Forge {
    pub(crate) async fn start() -> Self {
        let root = TempDir::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let credentials = Credentials::default();
        let router = Router::new()
            .fallback(answer)
            .with_state((root.path().to_owned(), Credentials::clone(&credentials)));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            url,
            root,
            credentials,
        }
    }

    /// Whether somebody authorised with this password.
    pub(crate) fn was_given(&self, password: &str) -> bool {
        let given = self.credentials.lock().unwrap();
        given.iter().any(|header| {
            let encoded = header.strip_prefix("Basic ").unwrap();
            let decoded = BASE64_STANDARD.decode(encoded).unwrap();
            decoded.ends_with(format!(":{password}").as_bytes())
        })
    }

    /// Commits these files to `main` and returns the commit.
    pub(crate) fn commit(&self, repository: &str, files: &[(&str, &str)]) -> String {
        let work = self.work(repository);
        for (name, content) in files {
            let path = work.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        git(&work, &["add", "--all"]);
        git(&work, &["commit", "--quiet", "-m", "change"]);
        self.push(repository)
    }

    /// Commits to `main` what a script in the working tree puts into the index, whatever it is.
    pub(crate) fn commit_by(&self, repository: &str, script: &str) -> String {
        let work = self.work(repository);
        let status = Command::new("bash")
            .args(["-euc", script])
            .env("GIT_AUTHOR_NAME", "Ada")
            .env("GIT_AUTHOR_EMAIL", "ada@example.com")
            .env("GIT_COMMITTER_NAME", "Ada")
            .env("GIT_COMMITTER_EMAIL", "ada@example.com")
            .current_dir(&work)
            .status();
        assert!(status.unwrap().success());
        self.push(repository)
    }

    fn push(&self, repository: &str) -> String {
        let (work, bare) = (self.work(repository), self.bare(repository));
        git(&work, &["push", "--quiet", bare.to_str().unwrap(), "main"]);
        git(&work, &["rev-parse", "HEAD"])
    }

    fn bare(&self, repository: &str) -> PathBuf {
        self.root.path().join(format!("{repository}.git"))
    }

    /// The working tree that is pushed from.
    fn work(&self, repository: &str) -> PathBuf {
        let work = self.root.path().join("work").join(repository);
        if !work.exists() {
            let bare = self.bare(repository);
            for arguments in [
                &["init", "--quiet", "--bare", bare.to_str().unwrap()][..],
                &["init", "--quiet", "-b", "main", work.to_str().unwrap()],
            ] {
                git(self.root.path(), arguments);
            }
            // Whoever comes may push: what a gateway lets through is not the forge's matter here.
            git(&bare, &["config", "http.receivepack", "true"]);
        }
        work
    }
}

async fn answer(
    State((root, credentials)): State<(PathBuf, Credentials)>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    if let Some(header) = parts.headers.get("authorization") {
        let header = header.to_str().unwrap().to_owned();
        credentials.lock().unwrap().push(header);
    }
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let header = |name: &str| {
        let value = parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let mut child = tokio::process::Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&body).await.unwrap();
    reply(&child.wait_with_output().await.unwrap())
}

fn reply(output: &Output) -> Response {
    let end = output
        .stdout
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    let (head, body) = output.stdout.split_at(end);
    let mut response = Response::builder();
    for line in String::from_utf8_lossy(head).lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = match name {
            "Status" => response.status(value.split(' ').next().unwrap()),
            _ => response.header(name, value),
        };
    }
    response
        .body(Body::from(Bytes::copy_from_slice(body.get(4..).unwrap())))
        .unwrap()
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(directory)
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
