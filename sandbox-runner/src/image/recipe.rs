//! What is run after the clone so that the first prompt finds warm caches: set-up, then one run of
//! the build and the tests.
//!
//! Set-up is what the environment's specification says, else the repository's `.agents/setup.sh`,
//! else what its build files call for. What is decided here is decided from what was found; raise
//! [`super::ground::RECIPE`] with each change.

use std::collections::BTreeSet;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// The hook of a repository, relative to its root.
pub(super) const SETUP: &str = ".agents/setup.sh";
const PYTEST: &str = ".venv/bin/pytest";
const PIP: &str = ".venv/bin/pip";

/// The files whose presence decides, relative to the repository's root.
pub(super) const FILES: [&str; 15] = [
    SETUP,
    "Cargo.toml",
    "package.json",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "pnpm-lock.yaml",
    "yarn.lock",
    "uv.lock",
    "pyproject.toml",
    "requirements.txt",
    "requirements-dev.txt",
    "setup.py",
    "go.mod",
    "pom.xml",
    PYTEST,
];

/// The programs whose presence decides.
pub(super) const TOOLS: [&str; 11] = [
    "bash", "cargo", "npm", "npx", "pnpm", "yarn", "corepack", "uv", "python3", "go", "mvn",
];

/// What a repository and its environment are.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Of [`FILES`] and [`TOOLS`].
    pub(super) present: BTreeSet<String>,
    /// `package.json` has a test script.
    pub(super) has_npm_test: bool,
    /// The package manager with its version, as `package.json` names it.
    pub(super) package_manager: Option<String>,
    /// `pyproject.toml` is of something that can be installed.
    pub(super) is_python_project: bool,
    /// The specification's own script.
    pub(super) setup: Option<String>,
}

/// One thing to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Work {
    Run(Step),
    /// Something that is needed is not there.
    Missing(&'static str),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) argv: Vec<String>,
    pub(super) env: &'static [(&'static str, &'static str)],
    pub(super) limit: Duration,
}

/// Whoever waits for a registry that does not answer should not wait long.
const CARGO: [(&str, &str); 2] = [("CARGO_NET_RETRY", "1"), ("CARGO_HTTP_TIMEOUT", "20")];
const NODE: [(&str, &str); 7] = [
    ("CI", "1"),
    ("npm_config_fetch_retries", "1"),
    ("npm_config_fetch_retry_mintimeout", "1000"),
    ("npm_config_fetch_timeout", "60000"),
    ("npm_config_update_notifier", "false"),
    ("COREPACK_ENABLE_DOWNLOAD_PROMPT", "0"),
    // A lock file that is out of date is no reason to have nothing; it is put back afterwards.
    ("YARN_ENABLE_IMMUTABLE_INSTALLS", "false"),
];
pub(super) const PYTHON: [(&str, &str); 4] = [
    ("PIP_RETRIES", "1"),
    ("PIP_TIMEOUT", "20"),
    ("PIP_NO_INPUT", "1"),
    ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
];

impl Findings {
    fn has(&self, name: &str) -> bool {
        self.present.contains(name)
    }
}

/// What comes first: everything that the build and the tests need.
pub(super) fn set_up(found: &Findings) -> Vec<Work> {
    let hook = |argv: [&str; 3]| {
        let argv = argv.into_iter().filter(|part| !part.is_empty());
        vec![step("set-up", argv, &[], 30)]
    };
    if let Some(script) = &found.setup {
        return hook(["bash", "-c", script]);
    }
    if found.has(SETUP) {
        return hook(["bash", SETUP, ""]);
    }
    let mut work = Vec::new();
    if found.has("Cargo.toml") {
        work.push(tool(found, "cargo", "cargo fetch", ["fetch"], &CARGO, 10));
    }
    work.extend(node_packages(found));
    work.extend(python_packages(found));
    if found.has("go.mod") {
        work.push(tool(
            found,
            "go",
            "go mod download",
            ["mod", "download"],
            &[],
            10,
        ));
    }
    if found.has("pom.xml") {
        let fetch = ["-q", "-B", "dependency:go-offline"];
        work.push(tool(
            found,
            "mvn",
            "mvn dependency:go-offline",
            fetch,
            &[],
            15,
        ));
    }
    work
}

/// What comes then. The findings are those after the set-up.
pub(super) fn build_and_test(found: &Findings) -> Vec<Work> {
    let mut work = Vec::new();
    if found.has("Cargo.toml") {
        let build = ["test", "--no-run"];
        work.push(tool(found, "cargo", "cargo build", build, &CARGO, 30));
        work.push(tool(found, "cargo", "cargo test", ["test"], &CARGO, 10));
    }
    if found.has("go.mod") {
        work.push(tool(found, "go", "go build", ["build", "./..."], &[], 20));
        work.push(tool(found, "go", "go test", ["test", "./..."], &[], 10));
    }
    if found.has("pom.xml") {
        work.push(tool(
            found,
            "mvn",
            "mvn test",
            ["-q", "-B", "test"],
            &[],
            20,
        ));
    }
    if found.has_npm_test {
        let manager = manager(found);
        work.push(managed(found, manager, &["test"], 10));
    }
    if found.has(PYTEST) {
        work.push(step("pytest", [PYTEST, "-q"], &[], 10));
    }
    work
}

/// Whether `package.json` has a test script that somebody wrote.
pub(super) fn has_npm_test(package: &str) -> bool {
    let package: serde_json::Value = serde_json::from_str(package).unwrap_or_default();
    let script = package
        .pointer("/scripts/test")
        .and_then(serde_json::Value::as_str);
    script.is_some_and(|script| !script.contains("no test specified"))
}

/// `pnpm@9.15.0` of `"packageManager": "pnpm@9.15.0+sha512.…"`.
pub(super) fn package_manager(package: &str) -> Option<String> {
    let package: serde_json::Value = serde_json::from_str(package).ok()?;
    let named = package.get("packageManager")?.as_str()?;
    let named = named.split('+').next()?;
    let (name, version) = named.split_once('@')?;
    let plain = |text: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
        text.starts_with(|first: char| first.is_ascii_alphanumeric()) && text.bytes().all(plain)
    };
    (plain(name) && plain(version)).then(|| named.to_owned())
}

/// Whether `pyproject.toml` is of something that can be installed, and not of settings alone.
pub(super) fn is_python_project(project: &str) -> bool {
    let tables = ["[project]", "[build-system]", "[tool.poetry]"];
    project.lines().any(|line| tables.contains(&line.trim()))
}

fn manager(found: &Findings) -> &'static str {
    if found.has("pnpm-lock.yaml") {
        "pnpm"
    } else if found.has("yarn.lock") {
        "yarn"
    } else {
        "npm"
    }
}

fn node_packages(found: &Findings) -> Option<Work> {
    if !found.has("package.json") {
        return None;
    }
    let manager = manager(found);
    let is_locked = found.has("package-lock.json") || found.has("npm-shrinkwrap.json");
    let arguments: &[&str] = match manager {
        "pnpm" => &["install", "--frozen-lockfile"],
        "yarn" => &["install"],
        _ if is_locked => &["ci", "--no-audit", "--no-fund"],
        _ => &["install", "--no-package-lock", "--no-audit", "--no-fund"],
    };
    Some(managed(found, manager, arguments, 15))
}

/// A package manager of Node, which may be there through another.
fn managed(found: &Findings, manager: &'static str, arguments: &[&str], minutes: u32) -> Work {
    let named = found.package_manager.as_deref();
    let named = named.filter(|named| named.split('@').next() == Some(manager));
    let npx = ["npx", "--yes", named.unwrap_or(manager)];
    let front: &[&str] = if found.has(manager) {
        &[manager]
    } else if manager == "npm" {
        return Work::Missing("npm");
    } else if manager == "pnpm" && found.has("npx") {
        // A corepack that is older than the registry's keys refuses every version. It is needed for
        // yarn, whose later ones are not in the package of that name.
        &npx
    } else if found.has("corepack") {
        &["corepack", manager]
    } else if found.has("npx") {
        &npx
    } else {
        return Work::Missing(manager);
    };
    let argv = front.iter().chain(arguments).copied();
    let name = format!(
        "{manager} {}",
        arguments.first().copied().unwrap_or_default()
    );
    step(&name, argv, &NODE, minutes)
}

fn python_packages(found: &Findings) -> Vec<Work> {
    if found.has("uv.lock") && found.has("uv") {
        return vec![step("uv sync", ["uv", "sync", "--all-extras"], &[], 15)];
    }
    let lists = ["requirements.txt", "requirements-dev.txt"];
    let lists = lists.into_iter().filter(|list| found.has(list));
    let is_project = found.is_python_project || found.has("setup.py");
    let mut work = Vec::new();
    if found.has("uv.lock") {
        work.push(Work::Missing("uv"));
    }
    if lists.clone().next().is_none() && !is_project {
        return work;
    }
    if !found.has("python3") {
        work.push(Work::Missing("python3"));
        return work;
    }
    let venv = ["python3", "-m", "venv", ".venv"];
    work.push(step("python venv", venv, &PYTHON, 2));
    for list in lists {
        let argv = [PIP, "install", "-r", list];
        work.push(step(&format!("pip install -r {list}"), argv, &PYTHON, 15));
    }
    if is_project {
        // pip passes over extras that there are not.
        let argv = [PIP, "install", "-e", ".[dev,test]"];
        work.push(step("pip install -e .", argv, &PYTHON, 15));
    }
    work
}

fn tool<const N: usize>(
    found: &Findings,
    program: &'static str,
    name: &str,
    arguments: [&str; N],
    env: &'static [(&'static str, &'static str)],
    minutes: u32,
) -> Work {
    if !found.has(program) {
        return Work::Missing(program);
    }
    let argv = std::iter::once(program).chain(arguments);
    step(name, argv, env, minutes)
}

fn step<'a>(
    name: &str,
    argv: impl IntoIterator<Item = &'a str>,
    env: &'static [(&'static str, &'static str)],
    minutes: u32,
) -> Work {
    Work::Run(Step {
        name: name.to_owned(),
        argv: argv.into_iter().map(str::to_owned).collect(),
        env,
        limit: MINUTE * minutes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(present: &[&str]) -> Findings {
        Findings {
            present: present.iter().map(|name| (*name).to_owned()).collect(),
            ..Findings::default()
        }
    }

    fn names(work: &[Work]) -> Vec<String> {
        let name = |work: &Work| match work {
            Work::Run(step) => step.name.clone(),
            Work::Missing(tool) => format!("no {tool}"),
        };
        work.iter().map(name).collect()
    }

    fn commands(work: &[Work]) -> Vec<String> {
        let command = |work: &Work| match work {
            Work::Run(step) => Some(step.argv.join(" ")),
            Work::Missing(_) => None,
        };
        work.iter().filter_map(command).collect()
    }

    fn both(found: &Findings) -> Vec<String> {
        [names(&set_up(found)), names(&build_and_test(found))].concat()
    }

    #[test]
    fn a_set_up_of_ones_own_replaces_what_would_be_guessed_and_the_tests_are_run_after_it() {
        let mut own = found(&[SETUP, "Cargo.toml", "cargo"]);
        assert_eq!(both(&own), ["set-up", "cargo build", "cargo test"]);
        own.setup = Some("make deps".to_owned());
        assert_eq!(commands(&set_up(&own)), ["bash -c make deps"]);
    }

    #[test]
    fn build_files_decide_where_there_is_no_set_up() {
        for (present, expected) in [
            (
                &["Cargo.toml", "cargo"][..],
                &["cargo fetch", "cargo build", "cargo test"][..],
            ),
            (&["package.json", "package-lock.json", "npm"], &["npm ci"]),
            (&["package.json", "npm"], &["npm install"]),
            (
                &["go.mod", "go"],
                &["go mod download", "go build", "go test"],
            ),
            (
                &["pom.xml", "mvn"],
                &["mvn dependency:go-offline", "mvn test"],
            ),
            (
                &["requirements.txt", "python3", PYTEST],
                &["python venv", "pip install -r requirements.txt", "pytest"],
            ),
            (&["uv.lock", "pyproject.toml", "uv"], &["uv sync"]),
            (&["pyproject.toml", "python3"], &[]),
            (&[], &[]),
        ] {
            assert_eq!(both(&found(present)), expected);
        }
    }

    #[test]
    fn a_package_manager_may_be_there_through_another() {
        for (lock, tools, expected) in [
            (
                "pnpm-lock.yaml",
                &["pnpm", "npx"][..],
                "pnpm install --frozen-lockfile",
            ),
            (
                "pnpm-lock.yaml",
                &["corepack", "npx"],
                "npx --yes pnpm install --frozen-lockfile",
            ),
            (
                "pnpm-lock.yaml",
                &["corepack"],
                "corepack pnpm install --frozen-lockfile",
            ),
            ("yarn.lock", &["corepack", "npx"], "corepack yarn install"),
            ("yarn.lock", &["npx"], "npx --yes yarn install"),
        ] {
            let work = set_up(&found(&[&["package.json", lock], tools].concat()));
            assert_eq!(commands(&work), [expected]);
        }
        let mut named = found(&["package.json", "pnpm-lock.yaml", "npx"]);
        named.package_manager = Some("pnpm@9.15.0".to_owned());
        let expected = "npx --yes pnpm@9.15.0 install --frozen-lockfile";
        assert_eq!(commands(&set_up(&named)), [expected]);
        let locked = found(&["package.json", "pnpm-lock.yaml"]);
        assert_eq!(set_up(&locked), [Work::Missing("pnpm")]);
    }

    #[test]
    fn files_say_whether_there_are_tests_and_a_project() {
        assert!(has_npm_test(r#"{"scripts":{"test":"node --test"}}"#));
        for package in [
            "",
            "{}",
            r#"{"scripts":{"test":"echo \"Error: no test specified\" && exit 1"}}"#,
        ] {
            assert!(!has_npm_test(package), "{package}");
        }
        let named =
            |manager: &str| package_manager(&format!(r#"{{"packageManager":"{manager}"}}"#));
        assert_eq!(
            named("pnpm@9.15.0+sha512.ab").as_deref(),
            Some("pnpm@9.15.0")
        );
        assert_eq!(named("pnpm@https://example.com/x.tgz"), None);
        assert!(is_python_project("[project]\nname = \"x\"\n"));
        assert!(!is_python_project("[tool.ruff]\nline-length = 100\n"));
    }

    #[test]
    fn what_is_missing_is_said_instead_of_run() {
        assert_eq!(both(&found(&["go.mod"])), ["no go", "no go", "no go"]);
        let mut npm = found(&["package.json"]);
        npm.has_npm_test = true;
        assert_eq!(both(&npm), ["no npm", "no npm"]);
        let uv = found(&["uv.lock", "requirements.txt"]);
        assert_eq!(both(&uv), ["no uv", "no python3"]);
    }
}
