//! What is run after the clone so that the first prompt finds warm caches.
//!
//! A repository says it itself with `.agents/setup.sh`; without that, its build files do. Nothing
//! here waits for a network that is not there.

use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// The hook of a repository, relative to its root.
pub(super) const SETUP: &str = ".agents/setup.sh";

pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) argv: &'static [&'static str],
    pub(super) env: &'static [(&'static str, &'static str)],
    pub(super) limit: Duration,
}

const HOOK: Step = Step {
    name: "set-up",
    argv: &["bash", SETUP],
    env: &[],
    limit: Duration::from_secs(30 * 60),
};

const CARGO: [(&str, &str); 1] = [("CARGO_NET_OFFLINE", "true")];
const NPM: [(&str, &str); 1] = [("npm_config_fetch_retries", "0")];

/// The files whose presence decides, relative to the repository's root.
pub(super) const FILES: [&str; 4] = [SETUP, "Cargo.toml", "package.json", "package-lock.json"];

/// The steps for a repository that has these of [`FILES`].
pub(super) fn steps(present: &[&str]) -> Vec<Step> {
    let has = |file| present.contains(&file);
    if has(SETUP) {
        return vec![HOOK];
    }
    let mut steps = Vec::new();
    if has("Cargo.toml") {
        let build: &[&str] = &["cargo", "test", "--no-run"];
        steps.push(Step {
            name: "cargo build",
            argv: build,
            env: &CARGO,
            limit: 30 * MINUTE,
        });
        let test: &[&str] = &["cargo", "test"];
        steps.push(Step {
            name: "cargo test",
            argv: test,
            env: &CARGO,
            limit: 10 * MINUTE,
        });
    }
    if has("package.json") && has("package-lock.json") {
        let install: &[&str] = &["npm", "ci", "--no-audit", "--no-fund"];
        steps.push(Step {
            name: "npm ci",
            argv: install,
            env: &NPM,
            limit: 10 * MINUTE,
        });
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(present: &[&str]) -> Vec<&'static str> {
        steps(present).iter().map(|step| step.name).collect()
    }

    #[test]
    fn a_repositorys_own_set_up_replaces_what_would_be_guessed() {
        assert_eq!(names(&[SETUP, "Cargo.toml"]), ["set-up"]);
    }

    #[test]
    fn build_files_decide_where_there_is_no_set_up() {
        assert_eq!(names(&["Cargo.toml"]), ["cargo build", "cargo test"]);
        assert_eq!(names(&["package.json", "package-lock.json"]), ["npm ci"]);
        assert_eq!(names(&["package.json"]), [""; 0]);
    }
}
