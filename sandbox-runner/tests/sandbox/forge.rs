//! A forge that is nothing but `git http-backend`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

pub(crate) struct Forge {
    pub(crate) url: String,
    root: TempDir,
}

impl Forge {
    pub(crate) async fn start() -> Self {
        let root = TempDir::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .fallback(answer)
            .with_state(root.path().to_owned());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, root }
    }

    /// Commits these files to `main` and returns the commit.
    pub(crate) fn commit(&self, repository: &str, files: &[(&str, &str)]) -> String {
        self.commit_on(repository, "main", files)
    }

    /// Commits these files to a branch, which begins where `main` is, and returns the commit.
    pub(crate) fn commit_on(
        &self,
        repository: &str,
        branch: &str,
        files: &[(&str, &str)],
    ) -> String {
        let bare = self.root.path().join(format!("{repository}.git"));
        let work = self.root.path().join("work").join(repository);
        if !bare.exists() {
            git(
                self.root.path(),
                &["init", "--quiet", "--bare", bare.to_str().unwrap()],
            );
            git(
                self.root.path(),
                &["init", "--quiet", "-b", "main", work.to_str().unwrap()],
            );
        }
        if branch != "main" {
            git(&work, &["checkout", "--quiet", "-B", branch, "main"]);
        }
        for (name, content) in files {
            let path = work.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        git(&work, &["add", "--all"]);
        git(
            &work,
            &["commit", "--quiet", "--allow-empty", "-m", "change"],
        );
        git(&work, &["push", "--quiet", bare.to_str().unwrap(), branch]);
        let commit = git(&work, &["rev-parse", "HEAD"]);
        if branch != "main" {
            git(&work, &["checkout", "--quiet", "main"]);
        }
        commit
    }
}

async fn answer(State(root): State<PathBuf>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
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
