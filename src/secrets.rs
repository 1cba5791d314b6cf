//! What can be a secret of a repository. The gateway and the sandbox's programs are given what passes
//! here, so nothing passes that would change what they do.

use protocol::api::{MAX_SECRET, SecretScope};

const LONGEST_NAME: usize = 64;
const LONGEST_HEADER: usize = 100;
const LONGEST_PREFIX: usize = 100;
const MOST_HOSTS: usize = 20;

/// Variables that decide what programs do, rather than what they know. Whoever may set secrets could
/// run code in a session anyway; but not by accident.
const RESERVED: &[&str] = &[
    "HOME",
    "PATH",
    "SHELL",
    "USER",
    "IFS",
    "ENV",
    "NODE_OPTIONS",
];
const RESERVED_PREFIXES: &[&str] = &["AGENT_", "BASH_", "GIT_", "LD_", "OPENCODE_", "XDG_"];

/// Headers that say how a request is read, or where it goes.
const STRUCTURAL: &[&str] = &[
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Why something cannot be a secret, for people. The value is not in it.
pub fn check(name: &str, value: &str, scope: &SecretScope) -> Result<(), String> {
    check_name(name)?;
    if value.is_empty() || value.len() > MAX_SECRET {
        return Err(format!("a secret has 1 to {MAX_SECRET} bytes"));
    }
    match scope {
        SecretScope::Sandbox if value.contains('\0') => {
            Err("a variable cannot have a zero byte".to_owned())
        }
        SecretScope::Sandbox if is_reserved(name) => Err(format!(
            "{name} decides what programs in the sandbox do: choose another name"
        )),
        SecretScope::Sandbox => Ok(()),
        SecretScope::Header {
            hosts,
            header,
            prefix,
        } => {
            if !(1..=MOST_HOSTS).contains(&hosts.len()) {
                return Err(format!("name 1 to {MOST_HOSTS} hosts"));
            }
            check_header(header)?;
            let whole = [prefix.as_str(), value];
            if prefix.len() > LONGEST_PREFIX || !whole.iter().all(|text| is_field_value(text)) {
                return Err(
                    "what is put into a header is printable ASCII, on one line; the prefix is short"
                        .to_owned(),
                );
            }
            Ok(())
        }
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let fits = (1..=LONGEST_NAME).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_uppercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    match fits {
        true => Ok(()),
        false => Err(format!(
            "a secret is named with 1 to {LONGEST_NAME} upper-case letters, digits and underscores"
        )),
    }
}

fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
        || RESERVED_PREFIXES
            .iter()
            .any(|start| name.starts_with(start))
}

fn check_header(header: &str) -> Result<(), String> {
    let is_token = (1..=LONGEST_HEADER).contains(&header.len())
        && header
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if !is_token {
        return Err("a header is named with letters, digits and dashes".to_owned());
    }
    match STRUCTURAL.contains(&header.to_ascii_lowercase().as_str()) {
        true => Err(format!(
            "{header} cannot be a secret: choose another header"
        )),
        false => Ok(()),
    }
}

fn is_field_value(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use protocol::egress::HostPattern;

    use super::*;

    fn header(name: &str) -> SecretScope {
        SecretScope::Header {
            hosts: vec![HostPattern::parse("npm.example.com").unwrap()],
            header: name.to_owned(),
            prefix: "Bearer ".to_owned(),
        }
    }

    #[test]
    fn a_name_is_a_variable_that_decides_nothing() {
        for good in ["A", "NPM_TOKEN", "K8S"] {
            assert_eq!(check(good, "x", &SecretScope::Sandbox), Ok(()), "{good}");
        }
        for bad in [
            "",
            "a",
            "1A",
            "A-B",
            "A B",
            "A=B",
            "Ä",
            "PATH",
            "LD_PRELOAD",
            "BASH_ENV",
        ] {
            assert!(check(bad, "x", &SecretScope::Sandbox).is_err(), "{bad}");
        }
        assert!(check(&"A".repeat(65), "x", &SecretScope::Sandbox).is_err());
    }

    #[test]
    fn a_value_fits_where_it_is_put() {
        let (sandbox, header) = (SecretScope::Sandbox, header("authorization"));
        assert_eq!(check("A", "two\nlines", &sandbox), Ok(()));
        for (value, scope) in [
            ("", &sandbox),
            ("a\0b", &sandbox),
            ("two\nlines", &header),
            ("a\r\nHost: evil.example", &header),
            ("ü", &header),
        ] {
            assert!(check("A", value, scope).is_err(), "{value:?}");
        }
        assert!(check("A", &"x".repeat(MAX_SECRET + 1), &sandbox).is_err());
        assert_eq!(check("A", &"x".repeat(MAX_SECRET), &header), Ok(()));
    }

    #[test]
    fn a_header_that_says_how_a_request_is_read_is_no_secret() {
        for good in ["authorization", "X-Api-Key", "PRIVATE-TOKEN"] {
            assert_eq!(check("A", "x", &header(good)), Ok(()), "{good}");
        }
        for bad in [
            "",
            "Host",
            "Content-Length",
            "transfer-encoding",
            "a b",
            "a:b",
            "x\r\n",
        ] {
            assert!(check("A", "x", &header(bad)).is_err(), "{bad:?}");
        }
        let SecretScope::Header { header, prefix, .. } = header("x") else {
            return;
        };
        let nowhere = SecretScope::Header {
            hosts: Vec::new(),
            header,
            prefix,
        };
        assert!(check("A", "x", &nowhere).is_err());
    }
}
