//! The web client's pages: static files, with a policy that lets them reach the sandboxes' host.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::response::Response;
use worker::Env;

use crate::error::Error;
use crate::hosts;

/// What is no page, so that a wrong address there is an error and not the client.
const NO_PAGES: [&str; 7] = [
    "/api/",
    "/auth/",
    "/artifacts/",
    "/github/",
    "/runner/",
    "/slack/",
    "/terminal/",
];

/// Everything that no route answers.
#[worker::send]
pub async fn show(State(env): State<Env>, request: Request) -> Result<Response, Error> {
    let path = request.uri().path();
    if NO_PAGES.iter().any(|prefix| path.starts_with(prefix)) {
        return Err(Error::NotFound("such endpoint"));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Error::Method(request.method().to_string()));
    }
    let sandboxes = hosts::sandbox_url(&env)?;
    let assets = env.assets("ASSETS")?;
    let response = assets.fetch_request(request).await?;
    let mut response = response.map(Body::new);
    if let Some(url) = sandboxes {
        let headers = response.headers_mut();
        let policy = headers.get(header::CONTENT_SECURITY_POLICY);
        let policy = policy.and_then(|policy| policy.to_str().ok());
        if let Some(policy) = policy.map(|policy| with_sandboxes(policy, &url))
            && let Ok(policy) = HeaderValue::try_from(policy)
        {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
    }
    Ok(response)
}

/// Adds the sandboxes' sockets to where pages may connect.
fn with_sandboxes(policy: &str, url: &str) -> String {
    let sockets = hosts::socket_url(url);
    let mut found = false;
    let directives = policy.split(';').map(|directive| {
        let directive = directive.trim();
        if directive.starts_with("connect-src ") {
            found = true;
            return format!("{directive} {sockets}");
        }
        directive.to_owned()
    });
    let mut directives: Vec<String> = directives.filter(|one| !one.is_empty()).collect();
    if !found {
        directives.push(format!("connect-src 'self' {sockets}"));
    }
    directives.join("; ")
}

#[cfg(test)]
mod tests {
    use super::with_sandboxes;

    #[test]
    fn pages_may_connect_to_sandboxes_besides_where_they_could_already() {
        assert_eq!(
            with_sandboxes("default-src 'self'; object-src 'none'", "https://s.example"),
            "default-src 'self'; object-src 'none'; connect-src 'self' wss://s.example"
        );
        assert_eq!(
            with_sandboxes(
                "connect-src 'self' x; base-uri 'none';",
                "http://localhost:1"
            ),
            "connect-src 'self' x ws://localhost:1; base-uri 'none'"
        );
    }
}
