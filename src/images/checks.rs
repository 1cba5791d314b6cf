//! What people may ask an image to hold and a sandbox to reach. Nothing else gets to a runner.

use protocol::api::Settings;
use protocol::image::Specification;

use crate::error::Error;

/// Languages whose versions can be asked for.
const RUNTIMES: [&str; 5] = ["python", "node", "rust", "go", "java"];

const MAX_PACKAGES: usize = 100;
const MAX_SETUP: usize = 16 * 1024;
const MAX_HOSTS: usize = 200;
/// Characters, as people count them.
const MAX_HINTS: usize = 1000;

fn bad(message: impl Into<String>) -> Error {
    Error::invalid("bad_specification", message)
}

pub fn check_specification(specification: &Specification) -> Result<(), Error> {
    let Specification {
        runtime,
        packages,
        setup,
    } = specification;
    for (name, version) in runtime {
        if !RUNTIMES.contains(&name.as_str()) {
            let known = RUNTIMES.join(", ");
            return Err(bad(format!(
                "there is no runtime {name:?}: the runtimes are {known}"
            )));
        }
        if !is_version(version) {
            return Err(bad(format!(
                "{version:?} is no version of {name}: write one like \"3\" or \"3.11.2\""
            )));
        }
    }
    if packages.len() > MAX_PACKAGES {
        return Err(bad(format!("at most {MAX_PACKAGES} packages")));
    }
    if let Some(package) = packages.iter().find(|package| !is_package(package)) {
        return Err(bad(format!(
            "{package:?} is no package name: those have lower-case letters, digits, +, . and -"
        )));
    }
    if setup.as_ref().is_some_and(|setup| setup.len() > MAX_SETUP) {
        return Err(bad(format!(
            "the set-up is longer than {MAX_SETUP} bytes: keep the script in the repository, as \
             .agents/setup.sh"
        )));
    }
    if setup.as_ref().is_some_and(|setup| setup.contains('\0')) {
        return Err(bad("the set-up is a script and has no NUL in it"));
    }
    Ok(())
}

fn is_version(text: &str) -> bool {
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+' | b'_');
    (1..=40).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(rest)
}

fn is_package(text: &str) -> bool {
    let of_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=100).contains(&text.len())
        && text.bytes().next().is_some_and(of_name)
        && text
            .bytes()
            .all(|byte| of_name(byte) || matches!(byte, b'+' | b'.' | b'-'))
}

pub fn check_settings(settings: &Settings) -> Result<(), Error> {
    let bad = |message: String| Error::invalid("bad_settings", message);
    if let Some(specification) = &settings.specification {
        check_specification(specification)?;
    }
    if settings.egress.allow.len() > MAX_HOSTS {
        return Err(bad(format!("at most {MAX_HOSTS} hosts can be allowed")));
    }
    if settings.hints.chars().count() > MAX_HINTS {
        return Err(bad(format!(
            "the hints are longer than {MAX_HINTS} characters: a few words that people use are enough"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specification(json: &str) -> Result<(), Error> {
        let parsed: Result<Specification, _> = serde_json::from_str(json);
        check_specification(&parsed?)
    }

    #[test]
    fn a_specification_names_runtimes_versions_and_packages_that_there_can_be() {
        for good in [
            r"{}",
            r#"{"runtime":{"python":"3.11","node":"20","rust":"1.90.0","go":"1.24","java":"21-tem"}}"#,
            r#"{"packages":["libssl-dev","g++","python3.11"],"setup":"make"}"#,
        ] {
            assert!(specification(good).is_ok(), "{good}");
        }
        for bad in [
            r#"{"runtime":{"cobol":"1"}}"#,
            r#"{"runtime":{"python":""}}"#,
            r#"{"runtime":{"python":"-r x"}}"#,
            r#"{"runtime":{"python":"3.11; reboot"}}"#,
            r#"{"packages":["-o"]}"#,
            r#"{"packages":["Curl"]}"#,
            r#"{"packages":["a b"]}"#,
            r#"{"packages":[""]}"#,
            r#"{"setup":"a\u0000b"}"#,
            r#"{"surprise":1}"#,
        ] {
            assert!(specification(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_too_much_is_refused() {
        let many = Specification {
            packages: vec!["jq".to_owned(); MAX_PACKAGES + 1],
            ..Specification::default()
        };
        assert!(check_specification(&many).is_err());
        let long = Specification {
            setup: Some("x".repeat(MAX_SETUP + 1)),
            ..Specification::default()
        };
        assert!(check_specification(&long).is_err());
        let hosts = vec!["example.com"; MAX_HOSTS + 1];
        let settings = serde_json::json!({ "egress": { "allow": hosts } });
        let settings = serde_json::from_value(settings);
        assert!(settings.is_ok_and(|settings| check_settings(&settings).is_err()));
        let of = |length: usize| Settings {
            hints: "é".repeat(length),
            ..Settings::default()
        };
        assert!(check_settings(&of(MAX_HINTS)).is_ok());
        assert!(check_settings(&of(MAX_HINTS + 1)).is_err());
    }
}
