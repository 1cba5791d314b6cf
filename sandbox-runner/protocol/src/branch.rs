//! Names of branches, as every half takes them.
//!
//! A branch becomes a reference, an argument of git and a part of a path. What is accepted is less
//! than what git-check-ref-format allows, so that no command sees another branch, an option or a
//! place that is not below `refs/heads`.

use serde::de::{Deserialize, Deserializer, Error};

/// Far below what a file's name may have, and a reference is one.
const LONGEST: usize = 200;

pub fn is_branch_name(name: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
    let parts_fit = name
        .split('/')
        .all(|part| !part.is_empty() && !part.starts_with(['.', '-']) && !part.ends_with(".lock"));
    name.len() <= LONGEST
        && name.bytes().all(plain)
        && parts_fit
        && !name.contains("..")
        && !name.ends_with('.')
}

/// Whether a session whose work goes to `work` owns this branch: that one itself, or one beside it,
/// `<work>-<topic>`. None is below another, since a reference cannot be a folder as well.
pub fn is_of_session(work: &str, name: &str) -> bool {
    name == work
        || name
            .strip_prefix(work)
            .and_then(|rest| rest.strip_prefix('-'))
            .is_some_and(|topic| !topic.contains('/') && is_branch_name(topic))
            && is_branch_name(name)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    if is_branch_name(&name) {
        Ok(name)
    } else {
        Err(D::Error::custom("not a valid branch name"))
    }
}

#[cfg(test)]
mod tests {
    use super::{is_branch_name, is_of_session};

    #[test]
    fn a_session_owns_its_branch_and_those_named_after_it() {
        let work = "agent/ses_1";
        for own in ["agent/ses_1", "agent/ses_1-docs", "agent/ses_1-a-b.c"] {
            assert!(is_of_session(work, own), "{own}");
        }
        for other in [
            "main",
            "agent/ses_12",
            "agent/ses_12-docs",
            "agent/ses_1-",
            "agent/ses_1--x",
            "agent/ses_1-.x",
            "agent/ses_1-a/b",
            "agent/ses_1/docs",
            "agent/ses_1-a..b",
            "agent/ses_1-a.lock",
        ] {
            assert!(!is_of_session(work, other), "{other}");
        }
    }

    #[test]
    fn only_names_that_git_accepts_are_branches() {
        for good in ["main", "feature/a-b_c.d", "v1.2"] {
            assert!(is_branch_name(good), "{good}");
        }
        for bad in [
            "", "-x", "a/-x", "a..b", "a b", "a:b", "/a", "a/", "a.lock", ".a", "a~1", "é",
        ] {
            assert!(!is_branch_name(bad), "{bad}");
        }
    }
}
