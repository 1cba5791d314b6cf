//! Cookies, and the rules that keep other sites from using them.

use axum::http::request::Parts;
use axum::http::{HeaderName, Method, header};

use crate::error::Error;

/// `__Host-`: the browser keeps it to this host, this path and secure connections.
pub const SESSION_COOKIE: &str = "__Host-session";
pub const LOGIN_COOKIE: &str = "__Host-login";

/// A custom header makes a browser ask first when another site sends the request.
const REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

pub fn session_cookie(parts: &Parts) -> Option<&str> {
    cookie(parts, SESSION_COOKIE)
}

pub fn cookie<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts
        .headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(known, value)| (known == name).then_some(value))
}

pub fn set_cookie(name: &str, value: &str, max_age_seconds: i64) -> String {
    format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={max_age_seconds}")
}

/// Refuses a change that was not asked for by our own pages.
pub fn check_origin(parts: &Parts, public_url: &str) -> Result<(), Error> {
    if matches!(parts.method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let from = |name: &HeaderName| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let same_origin = from(&header::ORIGIN).is_none_or(|origin| origin == public_url);
    // Browsers tell this where they leave the origin out.
    let same_site = from(&FETCH_SITE).is_none_or(|site| site == "same-origin");
    if from(&REQUESTED_WITH).is_some() && same_origin && same_site {
        Ok(())
    } else {
        Err(Error::CrossSite)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use axum::http::Request;

    use super::*;

    const URL: &str = "https://agents.example";

    fn parts(method: &str, headers: &[(&str, &str)]) -> Parts {
        let builder = Request::builder().method(method).uri("/api/sessions");
        let builder = headers.iter().fold(builder, |builder, (name, value)| {
            builder.header(*name, *value)
        });
        builder.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_change_from_another_site_is_refused() {
        let ours = parts(
            "POST",
            &[("x-requested-with", "hosted-agents"), ("origin", URL)],
        );
        assert!(check_origin(&ours, URL).is_ok());
        let theirs = parts(
            "POST",
            &[
                ("x-requested-with", "x"),
                ("origin", "https://evil.example"),
            ],
        );
        assert!(check_origin(&theirs, URL).is_err());
        let elsewhere = parts(
            "POST",
            &[("x-requested-with", "x"), ("sec-fetch-site", "same-site")],
        );
        assert!(check_origin(&elsewhere, URL).is_err());
        assert!(check_origin(&parts("DELETE", &[("origin", URL)]), URL).is_err());
        assert!(check_origin(&parts("GET", &[]), URL).is_ok());
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let parts = parts("GET", &[("cookie", "a=b; __Host-session=abc; c=d")]);
        assert_eq!(session_cookie(&parts), Some("abc"));
        assert_eq!(cookie(&parts, "session"), None);
    }
}
