//! Whole files of a session's workspace, as they are in its sandbox or its newest snapshot.

use serde::{Deserialize, Serialize};

use crate::id::{SandboxId, SnapshotId};

/// Most bytes of a file that is shown.
pub const MAX_SHOWN_FILE: u64 = 10 * 1024 * 1024;

/// Longest path, in bytes, and longest name in it.
const MAX_PATH: usize = 4096;
const MAX_NAME: usize = 255;

/// `POST /files` of a runner: a file as it is in one of the two; signed. Answered with its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadFile {
    pub place: FilePlace,
    /// From the workspace.
    pub path: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FilePlace {
    Sandbox { sandbox: SandboxId },
    Snapshot { snapshot: SnapshotId },
}

/// The names in a path that leads down from where it begins; nothing if it is any other.
pub fn names_of(path: &str) -> Option<Vec<&str>> {
    let is_name = |name: &&str| {
        let is_none = name.is_empty() || matches!(*name, "." | "..");
        !is_none && name.len() <= MAX_NAME && !name.contains('\0')
    };
    let names: Vec<&str> = path.split('/').collect();
    (path.len() <= MAX_PATH && names.iter().all(is_name)).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_only_leads_down() {
        assert_eq!(names_of("src/lib.rs"), Some(vec!["src", "lib.rs"]));
        assert_eq!(names_of("...").as_deref(), Some(["..."].as_slice()));
        let long = "a".repeat(256);
        for path in [
            "",
            "/",
            "/etc/passwd",
            "a/",
            "a//b",
            ".",
            "..",
            "../a",
            "a/../b",
            "a/./b",
            "a\0b",
            &long,
        ] {
            assert_eq!(names_of(path), None, "{path}");
        }
    }
}
