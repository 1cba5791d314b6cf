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
    use super::is_branch_name;

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
