//! Versions that can be had, and which of them somebody means.

use std::collections::BTreeSet;
use std::fmt;

/// How many are listed to somebody who asked for another one.
const LISTED: usize = 8;

/// Numbers between dots. What has anything else in it is a preview, or could mean something to the
/// program that is to install it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(Vec<u32>);

impl Version {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let numbers = text.split('.').map(|part| part.parse().ok());
        let version = Self(numbers.collect::<Option<_>>()?);
        // `+3` and `03` are numbers too, and no version is written like that.
        (version.to_string() == text).then_some(version)
    }

    /// Without what comes after so many numbers.
    pub(super) fn shortened(mut self, numbers: usize) -> Self {
        self.0.truncate(numbers);
        self
    }

    fn begins_with(&self, beginning: &Self) -> bool {
        self.0.starts_with(&beginning.0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&joined(&self.0))
    }
}

/// All that are versions, of text that a program printed.
pub(super) fn all<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Version> {
    texts.into_iter().filter_map(Version::parse).collect()
}

/// The one that is meant by its beginning.
pub(super) fn newest<'a>(offered: &'a [Version], wanted: &str) -> Option<&'a Version> {
    let wanted = Version::parse(wanted)?;
    let meant = offered
        .iter()
        .filter(|version| version.begins_with(&wanted));
    meant.max()
}

/// The newest that are like the wanted one, which is not there: where there is a 1.23, those of it
/// if one of them was wanted, else all by their first `numbers` numbers.
pub(super) fn alternatives(offered: &[Version], wanted: &str, numbers: usize) -> String {
    let wanted: Vec<u32> = wanted
        .split('.')
        .map_while(|part| part.parse().ok())
        .collect();
    let shared = |version: &Version| {
        let pairs = version.0.iter().zip(&wanted);
        pairs.take_while(|(one, other)| one == other).count()
    };
    let most = offered.iter().map(shared).max().unwrap_or_default();
    let numbers = numbers.max(most + 1);
    let like: BTreeSet<Version> = offered
        .iter()
        .filter(|version| shared(version) == most)
        .map(|version| version.clone().shortened(numbers))
        .collect();
    let newest = like.iter().rev().take(LISTED).map(Version::to_string);
    newest.collect::<Vec<_>>().join(", ")
}

fn joined(numbers: &[u32]) -> String {
    let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
    numbers.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFERED: [&str; 9] = [
        "1.21.13", "1.23.1", "1.23.10", "1.23.9", "1.24.0", "1.9.0", "2.0.0", "2.1.0rc1", "latest",
    ];

    fn meant(wanted: &str) -> Option<String> {
        newest(&all(OFFERED), wanted).map(Version::to_string)
    }

    #[test]
    fn a_beginning_means_the_newest_that_begins_with_it() {
        for (wanted, version) in [
            ("1", Some("1.24.0")),
            ("1.23", Some("1.23.10")),
            ("1.23.1", Some("1.23.1")),
            ("2", Some("2.0.0")),
            ("1.2", None),
            ("1.23.1.0", None),
            ("3", None),
        ] {
            assert_eq!(meant(wanted).as_deref(), version, "{wanted}");
        }
    }

    #[test]
    fn what_is_no_version_means_nothing() {
        for wanted in ["", "1.", ".1", "+1", "01", "1.23rc1", "latest", "-r", "1.x"] {
            assert_eq!(meant(wanted), None, "{wanted}");
        }
    }

    #[test]
    fn whoever_asks_for_another_is_shown_the_newest_that_are_like_it() {
        for (wanted, listed) in [
            ("1.23.7", "1.23.10, 1.23.9, 1.23.1"),
            ("1.22", "1.24, 1.23, 1.21, 1.9"),
            ("3", "2.0, 1.24, 1.23, 1.21, 1.9"),
            ("1.23rc1", "1.24, 1.23, 1.21, 1.9"),
            ("newest", "2.0, 1.24, 1.23, 1.21, 1.9"),
        ] {
            assert_eq!(alternatives(&all(OFFERED), wanted, 2), listed, "{wanted}");
        }
        assert_eq!(alternatives(&all(OFFERED), "3", 1), "2, 1");
        assert_eq!(alternatives(&[], "3", 1), "");
        let many: Vec<String> = (0..20).map(|major| format!("{major}.0")).collect();
        let many = all(many.iter().map(String::as_str));
        assert_eq!(
            alternatives(&many, "99", 1),
            "19, 18, 17, 16, 15, 14, 13, 12"
        );
    }
}
