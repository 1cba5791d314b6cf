//! Pushes.

use protocol::event::Repository;
use serde::Deserialize;

use super::common::RepositoryId;

/// A branch that has a new head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    pub id: RepositoryId,
    pub repository: Repository,
    pub branch: String,
    /// All zeros when the branch is new.
    pub before: String,
    pub head: String,
    pub forced: bool,
    /// What is new on the branch, the oldest first; GitHub tells at most 2048.
    pub commits: Vec<String>,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "ref")]
    reference: String,
    before: String,
    after: String,
    #[serde(default)]
    deleted: bool,
    #[serde(default)]
    forced: bool,
    #[serde(default)]
    commits: Vec<Commit>,
    repository: Named,
}

#[derive(Deserialize)]
struct Commit {
    id: String,
}

#[derive(Deserialize)]
struct Named {
    id: RepositoryId,
    full_name: Repository,
}

/// `None` for tags, and for branches that were deleted.
pub(super) fn parse(body: &[u8]) -> Result<Option<Push>, serde_json::Error> {
    let payload: Payload = serde_json::from_slice(body)?;
    let is_commit = payload.after.bytes().any(|digit| digit != b'0');
    let branch = payload.reference.strip_prefix("refs/heads/");
    Ok(branch
        .filter(|_| is_commit && !payload.deleted)
        .map(|branch| Push {
            id: payload.repository.id,
            branch: branch.to_owned(),
            repository: payload.repository.full_name.clone(),
            before: payload.before.clone(),
            head: payload.after.clone(),
            forced: payload.forced,
            commits: payload
                .commits
                .iter()
                .map(|commit| commit.id.clone())
                .collect(),
        }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn push(reference: &str, after: &str, deleted: bool) -> Option<Push> {
        let body = serde_json::json!({
            "ref": reference, "before": "1", "after": after, "deleted": deleted,
            "repository": { "id": 1, "full_name": "acme/api" }, "commits": [{ "id": after }],
        });
        parse(body.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_push_tells_the_new_head_of_a_branch() {
        let push = push("refs/heads/feature/a", "5d6e7f8", false).unwrap();
        assert_eq!(
            (push.branch.as_str(), push.head.as_str()),
            ("feature/a", "5d6e7f8")
        );
        assert_eq!(push.repository, Repository::new("acme", "api").unwrap());
        assert_eq!(push.commits, ["5d6e7f8"]);
    }

    #[test]
    fn tags_and_deleted_branches_are_passed_over() {
        assert_eq!(push("refs/tags/v1", "5d6e7f8", false), None);
        assert_eq!(push("refs/heads/main", "0000000", true), None);
        assert_eq!(push("refs/heads/main", "0000000", false), None);
        assert!(parse(b"{}").is_err());
    }
}
