//! Tells the emulator about the commits and branches of a bare repository.
//!
//! The emulator names its objects as git does, so that the same content gets the same name in
//! both; a commit for which that fails (a signed one) is an error.

use std::collections::{BTreeMap, HashSet};

use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::emulator::{Emulator, EmulatorError};
use super::git::{Git, GitError};
use super::repository::Repository;

/// What the emulator has been told so far about one repository.
#[derive(Debug, Default)]
pub(super) struct Mirrored {
    references: BTreeMap<String, String>,
    commits: HashSet<String>,
    blobs: HashSet<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    #[error("the repository could not be read")]
    Git(#[from] GitError),
    #[error("the emulator could not be told")]
    Emulator(#[from] EmulatorError),
    #[error("git described object {object} in an unknown way")]
    Format { object: String },
}

/// Brings the emulator up to date. `token` is the pusher's, in whose name the branches move.
pub(super) async fn update(
    emulator: &Emulator,
    repository: &Repository,
    mirrored: &mut Mirrored,
    token: Option<&str>,
) -> Result<(), MirrorError> {
    let acting = emulator.acting(repository.administrator());
    let token = token.unwrap_or(acting);
    let now = references(&repository.git).await?;
    for commit in missing_commits(&repository.git, mirrored, &now).await? {
        mirror_commit(emulator, repository, mirrored, acting, &commit).await?;
        mirrored.commits.insert(commit);
    }
    let path = format!("{}/git/refs", repository.api_path());
    // Each is noted as it is done: what one failed attempt did is not done again by the next.
    for (name, commit) in &now {
        let body = json!({"ref": name, "sha": commit, "force": true});
        match mirrored.references.get(name) {
            None => {
                emulator
                    .demand(Method::POST, &path, token, Some(&body))
                    .await?;
            }
            Some(known) if known != commit => {
                let path = format!("{path}/{}", in_path(name));
                emulator
                    .demand(Method::PATCH, &path, token, Some(&body))
                    .await?;
            }
            Some(_) => {}
        }
        mirrored.references.insert(name.clone(), commit.clone());
    }
    let known: Vec<String> = mirrored.references.keys().cloned().collect();
    for name in known.iter().filter(|name| !now.contains_key(*name)) {
        let path = format!("{path}/{}", in_path(name));
        emulator.demand(Method::DELETE, &path, acting, None).await?;
        mirrored.references.remove(name);
    }
    Ok(())
}

/// Notes that the emulator itself moved a branch, so that the next update sets it right.
pub(super) fn forget_position(mirrored: &mut Mirrored, reference: &str) {
    if let Some(commit) = mirrored.references.get_mut(reference) {
        commit.clear();
    }
}

/// A reference as the API has it in paths.
fn in_path(reference: &str) -> String {
    let short = reference.trim_start_matches("refs/");
    utf8_percent_encode(short, NON_ALPHANUMERIC).to_string()
}

/// Branches and tags with the commits that they stand for.
async fn references(git: &Git) -> Result<BTreeMap<String, String>, GitError> {
    let format = "--format=%(refname) %(objectname) %(*objectname)";
    let text = git
        .text(&["for-each-ref", format, "refs/heads", "refs/tags"])
        .await?;
    Ok(text
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let name = words.next()?;
            let object = words.next()?;
            let peeled = words.next().filter(|peeled| !peeled.is_empty());
            Some((name.to_owned(), peeled.unwrap_or(object).to_owned()))
        })
        .collect())
}

/// Parents before children.
async fn missing_commits(
    git: &Git,
    mirrored: &Mirrored,
    now: &BTreeMap<String, String>,
) -> Result<Vec<String>, GitError> {
    let mut arguments = vec!["rev-list", "--reverse", "--topo-order"];
    let before = arguments.len();
    arguments.extend(
        now.values()
            .filter(|commit| !mirrored.commits.contains(*commit))
            .map(String::as_str),
    );
    if arguments.len() == before {
        return Ok(Vec::new());
    }
    let text = git.text(&arguments).await?;
    Ok(text
        .lines()
        .filter(|commit| !mirrored.commits.contains(*commit))
        .map(str::to_owned)
        .collect())
}

async fn mirror_commit(
    emulator: &Emulator,
    repository: &Repository,
    mirrored: &mut Mirrored,
    token: &str,
    commit: &str,
) -> Result<(), MirrorError> {
    let path = format!("{}/git", repository.api_path());
    let entries = tree_entries(&repository.git, mirrored, commit).await?;
    let mut tree = Vec::with_capacity(entries.len());
    for entry in entries {
        let mut item = json!({"path": entry.path, "mode": entry.mode, "type": entry.kind});
        let (key, value) = match entry.new_content {
            None => ("sha", entry.object.clone()),
            Some(content) => match String::from_utf8(content) {
                Ok(text) => ("content", text),
                Err(error) => {
                    let content = STANDARD.encode(error.as_bytes());
                    let blob = json!({"content": content, "encoding": "base64"});
                    emulator
                        .demand(Method::POST, &format!("{path}/blobs"), token, Some(&blob))
                        .await?;
                    ("sha", entry.object.clone())
                }
            },
        };
        if let Some(item) = item.as_object_mut() {
            item.insert(key.to_owned(), Value::String(value));
        }
        tree.push(item);
        mirrored.blobs.insert(entry.object);
    }
    let tree = emulator
        .demand(
            Method::POST,
            &format!("{path}/trees"),
            token,
            Some(&json!({"tree": tree})),
        )
        .await?;
    let mut body = commit_body(&repository.git, commit).await?;
    if let (Some(body), Some(tree)) = (body.as_object_mut(), tree.get("sha")) {
        body.insert("tree".to_owned(), tree.clone());
    }
    let made = emulator
        .demand(Method::POST, &format!("{path}/commits"), token, Some(&body))
        .await?;
    let actual = made.get("sha").and_then(Value::as_str).unwrap_or_default();
    if actual != commit {
        return Err(EmulatorError::DifferentCommit {
            commit: commit.to_owned(),
            actual: actual.to_owned(),
        }
        .into());
    }
    Ok(())
}

struct Entry {
    path: String,
    mode: String,
    kind: String,
    object: String,
    /// For a file that the emulator does not have yet.
    new_content: Option<Vec<u8>>,
}

async fn tree_entries(
    git: &Git,
    mirrored: &Mirrored,
    commit: &str,
) -> Result<Vec<Entry>, MirrorError> {
    let listing = git.bytes(&["ls-tree", "-r", "-z", commit]).await?;
    let listing = String::from_utf8_lossy(&listing);
    let mut entries = Vec::new();
    for line in listing.split('\0').filter(|line| !line.is_empty()) {
        let format = || MirrorError::Format {
            object: commit.to_owned(),
        };
        let (description, path) = line.split_once('\t').ok_or_else(format)?;
        let mut words = description.split(' ');
        let (Some(mode), Some(kind), Some(object)) = (words.next(), words.next(), words.next())
        else {
            return Err(format());
        };
        let new = kind == "blob" && !mirrored.blobs.contains(object);
        let new_content = if new {
            Some(git.bytes(&["cat-file", "blob", object]).await?)
        } else {
            None
        };
        entries.push(Entry {
            path: path.to_owned(),
            mode: mode.to_owned(),
            kind: kind.to_owned(),
            object: object.to_owned(),
            new_content,
        });
    }
    Ok(entries)
}

async fn commit_body(git: &Git, commit: &str) -> Result<Value, MirrorError> {
    let format = || MirrorError::Format {
        object: commit.to_owned(),
    };
    let raw = git.bytes(&["cat-file", "commit", commit]).await?;
    let raw = String::from_utf8(raw).map_err(|_| format())?;
    // The message as it is stored: porcelain would trim it, and the name would change.
    let (_, message) = raw.split_once("\n\n").ok_or_else(format)?;
    let fields = git
        .text(&[
            "show",
            "--no-patch",
            "--format=%an%n%ae%n%aI%n%cn%n%ce%n%cI%n%P",
            commit,
        ])
        .await?;
    let mut lines = fields.lines();
    let mut next = || lines.next().unwrap_or_default();
    let author = json!({"name": next(), "email": next(), "date": next()});
    let committer = json!({"name": next(), "email": next(), "date": next()});
    let parents: Vec<_> = next().split_whitespace().collect();
    Ok(json!({
        "message": message,
        "author": author,
        "committer": committer,
        "parents": parents,
    }))
}
