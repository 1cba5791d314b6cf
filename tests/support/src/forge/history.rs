//! Commits, files and patches between two commits, read from the bare repository.

use serde_json::{Value, json};

use super::git::{Git, GitError};
use super::json::text;
use super::people::PEOPLE;
use super::repository::Repository;

/// Oldest first, in the API's form.
pub(super) async fn commits(
    repository: &Repository,
    url: &str,
    base: &str,
    head: &str,
) -> Result<Value, GitError> {
    let arguments = [
        "log",
        "--reverse",
        "--date=format-local:%Y-%m-%dT%H:%M:%SZ",
        "--format=%H%x1f%T%x1f%P%x1f%an%x1f%ae%x1f%ad%x1f%cn%x1f%ce%x1f%cd%x1f%B%x1e",
        &format!("{base}..{head}"),
    ];
    let output = repository
        .git
        .bytes_from(&arguments, &[("TZ", "UTC")], b"")
        .await?;
    let output = String::from_utf8_lossy(&output);
    let api = format!("{url}{}", repository.api_path());
    let page = format!("{url}/{}", repository.full_name());
    let commits: Vec<_> = output
        .split('\x1e')
        .map(str::trim_start)
        .filter(|record| !record.is_empty())
        .map(|record| {
            let mut fields = record.split('\x1f');
            let mut next = || fields.next().unwrap_or_default();
            let (sha, tree, parents) = (next(), next(), next());
            let author = json!({"name": next(), "email": next(), "date": next()});
            let committer = json!({"name": next(), "email": next(), "date": next()});
            let parents: Vec<_> = parents
                .split_whitespace()
                .map(|sha| json!({"sha": sha, "url": format!("{api}/commits/{sha}")}))
                .collect();
            json!({
                "sha": sha,
                "url": format!("{api}/commits/{sha}"),
                "html_url": format!("{page}/commit/{sha}"),
                "author": account_of(&author),
                "committer": account_of(&committer),
                "parents": parents,
                "commit": {
                    "message": next().trim_end(),
                    "author": author,
                    "committer": committer,
                    "tree": {"sha": tree},
                },
            })
        })
        .collect();
    Ok(Value::Array(commits))
}

/// What changed in which file since the two parted, in the API's form.
pub(super) async fn files(
    repository: &Repository,
    url: &str,
    base: &str,
    head: &str,
) -> Result<Value, GitError> {
    let git = &repository.git;
    let range = format!("{base}...{head}");
    let statuses = git
        .text(&["diff", "--no-renames", "--name-status", "-z", &range])
        .await?;
    let numbers = git
        .text(&["diff", "--no-renames", "--numstat", "-z", &range])
        .await?;
    let mut statuses = statuses.split('\0');
    let mut files = Vec::new();
    for line in numbers.split('\0').filter(|line| !line.is_empty()) {
        let mut columns = line.splitn(3, '\t');
        let mut count = || columns.next().and_then(|count| count.parse::<u64>().ok());
        let (additions, deletions) = (count().unwrap_or_default(), count().unwrap_or_default());
        let path = columns.next().unwrap_or_default();
        let status = match statuses.next() {
            Some("A") => "added",
            Some("D") => "removed",
            _ => "modified",
        };
        statuses.next();
        let patch = git
            .bytes(&["diff", "--no-renames", &range, "--", path])
            .await?;
        let patch = String::from_utf8_lossy(&patch);
        let hunks = patch.find("\n@@").and_then(|start| patch.get(start + 1..));
        let object = git
            .text(&["rev-parse", &format!("{head}:{path}")])
            .await
            .unwrap_or_default();
        let page = format!("{url}/{}", repository.full_name());
        files.push(json!({
            "sha": object,
            "filename": path,
            "status": status,
            "additions": additions,
            "deletions": deletions,
            "changes": additions + deletions,
            "blob_url": format!("{page}/blob/{head}/{path}"),
            "raw_url": format!("{page}/raw/{head}/{path}"),
            "contents_url": format!("{url}{}/contents/{path}?ref={head}", repository.api_path()),
            "patch": hunks.map(str::trim_end),
        }));
    }
    Ok(Value::Array(files))
}

pub(super) async fn diff(git: &Git, base: &str, head: &str) -> Result<String, GitError> {
    let diff = git.bytes(&["diff", &format!("{base}...{head}")]).await?;
    Ok(String::from_utf8_lossy(&diff).into_owned())
}

/// Added lines, deleted lines, changed files.
pub(super) async fn size(git: &Git, base: &str, head: &str) -> Result<(u64, u64, u64), GitError> {
    let range = format!("{base}...{head}");
    let text = git
        .text(&["diff", "--no-renames", "--numstat", &range])
        .await?;
    Ok(text
        .lines()
        .fold((0, 0, 0), |(added, deleted, files), line| {
            let mut columns = line.split('\t');
            let mut count = || columns.next().and_then(|count| count.parse::<u64>().ok());
            let (more, fewer) = (count().unwrap_or_default(), count().unwrap_or_default());
            (added + more, deleted + fewer, files + 1)
        }))
}

/// Whose address it is, as far as the forge knows.
fn account_of(signature: &Value) -> Value {
    let email = text(signature, "/email");
    PEOPLE
        .iter()
        .find(|person| {
            let private = format!("+{}@users.noreply.github.com", person.login);
            email == person.email || email.ends_with(&private)
        })
        .map_or(Value::Null, |person| {
            let id = email
                .split_once('+')
                .and_then(|(id, _)| id.parse::<u64>().ok());
            json!({"login": person.login, "id": id.unwrap_or_default(), "type": "User"})
        })
}
