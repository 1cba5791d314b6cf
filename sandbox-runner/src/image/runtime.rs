//! Languages of an environment: which versions there are, and those that can be had.
//!
//! A version is asked for by its beginning: `3.11` is any 3.11. What the system has is used where it
//! fits; other versions of Go, Node and Python are installed for the sandbox's user, and are what its
//! programs find first. Whatever else is asked for is refused with what there is, since an environment
//! that is not what it says is worse than none.

mod go;
mod node;
mod pip;
mod python;
mod source;
mod version;

use std::collections::BTreeMap;
use std::time::Duration;

use self::source::{Others, Source, refusal};
use super::ImageError;
use super::site::Site;
use crate::init::wire::ExecSpec;

pub(crate) use self::python::{LIST_URL, MIRROR};
pub use self::python::{Place, PythonSource};

const SHORT: Duration = Duration::from_secs(60);
/// Asks a registry, which may be slow.
const LIST: Duration = Duration::from_secs(2 * 60);
/// Where languages are installed. The sandbox's path leads to its Python, and to links to the others.
const DIRECTORY: &str = "/home/agent/.local/runtime";

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

pub(super) type Versions = BTreeMap<String, String>;

/// The versions of all languages that are there.
pub(super) async fn measure(site: &Site<'_>) -> Result<Versions, ImageError> {
    let answer = site.script("measure languages", MEASURE, "", SHORT).await?;
    Ok(parse(&String::from_utf8_lossy(&answer.stdout)))
}

/// Makes sure that these versions are there. What cannot be had is said before anything is installed.
pub(super) async fn ensure(
    site: &Site<'_>,
    wanted: &Versions,
    python: &PythonSource,
) -> Result<(), ImageError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let present = measure(site).await?;
    let (mut chosen, mut refusals) = (Vec::new(), Vec::new());
    for (language, wanted) in unmet(wanted, &present) {
        let present = present.get(language);
        let Some(source) = Source::of(language, python) else {
            refusals.push(refusal(language, wanted, present, &Others::None));
            continue;
        };
        let others = source.others(site).await?;
        match others.newest(wanted) {
            Some(version) => chosen.push((source, version)),
            None => refusals.push(refusal(language, wanted, present, &others)),
        }
    }
    if !refusals.is_empty() {
        return Err(ImageError::Runtime(refusals.join("; ")));
    }
    if chosen.is_empty() {
        return Ok(());
    }
    let make = format!("mkdir -p {DIRECTORY} ~/.local/bin");
    site.script("make room for languages", &make, "", SHORT)
        .await?;
    for (source, version) in chosen {
        source.install(site, &version).await?;
    }
    let present = measure(site).await?;
    let unmet = unmet(wanted, &present).map(|(language, wanted)| {
        let found = present.get(language).map_or("none", String::as_str);
        format!("{language} {wanted} was installed, but programs find {found}")
    });
    let unmet: Vec<String> = unmet.collect();
    if unmet.is_empty() {
        return Ok(());
    }
    Err(ImageError::Runtime(unmet.join("; ")))
}

fn unmet<'a>(wanted: &'a Versions, present: &Versions) -> impl Iterator<Item = (&'a str, &'a str)> {
    wanted
        .iter()
        .filter(|(language, version)| !is_met(present.get(*language), version))
        .map(|(language, version)| (language.as_str(), version.as_str()))
}

/// Makes a program of a language what is found first.
async fn link(site: &Site<'_>, program: &str) -> Result<(), ImageError> {
    let link = ["sh", "-c", "ln -sf \"$1\" ~/.local/bin/", "sh", program];
    let spec = ExecSpec::new(link, SHORT);
    site.run(&format!("link {program}"), &spec).await.map(drop)
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
}
