//! The two hosts of a deployment: people's, where they are signed in, and that of what listens in
//! sandboxes, which is another origin and answers nothing else.

use axum::http::Uri;
use worker::Env;

use crate::config::{self, ConfigError};

/// What the sandboxes' host answers.
const ON_SANDBOX_HOST: &str = "/terminal/";

/// Where sandboxes are reached, without a slash at the end; none if there is no such host.
pub fn sandbox_url(env: &Env) -> Result<Option<String>, ConfigError> {
    let configured = config::sandbox_url(env);
    match configured {
        Some(url) => Ok(Some(url)),
        None => Ok(beside(&config::public_url(env)?)),
    }
}

/// The same address for sockets.
pub fn socket_url(url: &str) -> String {
    url.replacen("http", "ws", 1)
}

/// Whether this host answers this path at all.
pub fn answers(env: &Env, uri: &Uri) -> bool {
    match sandbox_url(env) {
        Ok(sandboxes) => is_answered(sandboxes.as_deref(), uri),
        // Whatever is asked says what is not set.
        Err(_) => true,
    }
}

fn is_answered(sandboxes: Option<&str>, uri: &Uri) -> bool {
    let host = |uri: &Uri| {
        uri.authority()
            .map(|host| host.as_str().to_ascii_lowercase())
    };
    let sandboxes = sandboxes.and_then(|url| url.parse::<Uri>().ok());
    let on_sandbox_host = match sandboxes.as_ref().and_then(host) {
        Some(sandboxes) => host(uri).is_some_and(|asked| asked == sandboxes),
        None => false,
    };
    on_sandbox_host == uri.path().starts_with(ON_SANDBOX_HOST)
}

/// On one machine, its other name is another origin to browsers and needs no setting up.
fn beside(public_url: &str) -> Option<String> {
    let (here, other) = ("http://127.0.0.1", "http://localhost");
    let is_port = |rest: &str| rest.is_empty() || rest.starts_with(':');
    if let Some(rest) = public_url.strip_prefix(here).filter(|rest| is_port(rest)) {
        return Some(format!("{other}{rest}"));
    }
    let rest = public_url
        .strip_prefix(other)
        .filter(|rest| is_port(rest))?;
    Some(format!("{here}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(url: &str) -> bool {
        let uri = url.parse::<Uri>().ok();
        uri.is_some_and(|uri| is_answered(Some("https://sandbox.example"), &uri))
    }

    #[test]
    fn each_host_answers_its_own_and_nothing_of_the_others() {
        assert!(answered("https://sandbox.example/terminal/ses_1"));
        assert!(answered("https://SANDBOX.example/terminal/ses_1"));
        for path in [
            "/",
            "/api/me",
            "/auth/github/login",
            "/healthz",
            "/terminal",
        ] {
            assert!(
                !answered(&format!("https://sandbox.example{path}")),
                "{path}"
            );
            assert!(answered(&format!("https://agents.example{path}")), "{path}");
        }
        assert!(!answered("https://agents.example/terminal/ses_1"));
        assert!(!answered("https://sandbox.example:8443/terminal/ses_1"));
    }

    #[test]
    fn without_a_host_of_their_own_sandboxes_are_not_reached() {
        let uri = Uri::from_static("https://agents.example/terminal/ses_1");
        assert!(!is_answered(None, &uri));
    }

    #[test]
    fn a_machines_other_name_is_its_other_origin() {
        let beside = |url| beside(url);
        assert_eq!(
            beside("http://127.0.0.1:8787").as_deref(),
            Some("http://localhost:8787")
        );
        assert_eq!(
            beside("http://localhost").as_deref(),
            Some("http://127.0.0.1")
        );
        assert_eq!(beside("https://agents.example"), None);
        assert_eq!(beside("http://localhost.example"), None);
    }
}
