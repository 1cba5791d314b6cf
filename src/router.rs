//! Every route of the Worker. What is not here is a static file of the web client.

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use axum::routing::{delete, get, patch, post, put};
use worker::Env;

use crate::api::{
    self, blame, environments, images, me, pull_requests, repositories, runner, sessions,
    statistics, webhooks,
};
use crate::auth::sign_in;

pub fn router(env: Env) -> Router {
    let router = Router::new();
    #[cfg(feature = "fault-drill")]
    let router = router.route("/runner/drill/{session}", post(runner::drill));
    router
        .route("/healthz", get(api::health))
        // Browsers sign in.
        .route("/auth/github/login", get(sign_in::login))
        .route("/auth/github/callback", get(sign_in::callback))
        .route("/auth/logout", post(sign_in::logout))
        // Clients work.
        .route("/api/me", get(me::show).put(me::set))
        .route("/api/repositories", get(repositories::list))
        .route("/api/repositories/{owner}/{name}", get(repositories::show))
        .route(
            "/api/repositories/{owner}/{name}/settings",
            put(repositories::set),
        )
        .route(
            "/api/repositories/{owner}/{name}/images",
            get(images::list).post(images::request),
        )
        .route(
            "/api/repositories/{owner}/{name}/images/{image}",
            get(images::show),
        )
        .route(
            "/api/repositories/{owner}/{name}/images/{image}/log",
            get(images::log),
        )
        .route(
            "/api/repositories/{owner}/{name}/environments",
            get(environments::list).post(environments::create),
        )
        .route(
            "/api/repositories/{owner}/{name}/environments/{environment}",
            get(environments::show).delete(environments::remove),
        )
        .route("/api/repositories/{owner}/{name}/blame", get(blame::show))
        .route("/api/sessions", get(sessions::list).post(sessions::create))
        .route(
            "/api/sessions/{id}",
            get(sessions::show).delete(sessions::archive),
        )
        .route("/api/sessions/{id}/prompts", post(sessions::prompt))
        .route(
            "/api/sessions/{id}/prompts/{prompt}",
            patch(sessions::edit_prompt).merge(delete(sessions::cancel_prompt)),
        )
        .route(
            "/api/sessions/{id}/pull-requests",
            post(pull_requests::wish),
        )
        .route(
            "/api/sessions/{id}/pull-requests/{number}",
            patch(pull_requests::change),
        )
        .route("/api/sessions/{id}/stop", post(sessions::stop))
        .route("/api/sessions/{id}/events", get(sessions::events))
        .route("/api/sessions/{id}/waterfall", get(sessions::waterfall))
        .route("/api/sessions/{id}/contacts", get(sessions::contacts))
        .route("/api/sessions/{id}/ws-ticket", post(sessions::ticket))
        .route("/api/sessions/{id}/ws", get(sessions::socket))
        .route("/api/statistics", get(statistics::show))
        .route("/api/statistics/pool", get(statistics::pool))
        // GitHub tells.
        .route("/github/webhooks", post(webhooks::github))
        // Runners report.
        .route("/runner/callbacks/{session}", post(runner::callbacks))
        .route("/runner/images/{image}", post(runner::image))
        .route("/runner/register", post(runner::register))
        .route("/runner/credentials", post(runner::credentials))
        .fallback(api::unknown)
        .with_state(env)
}

/// Headers of every answer (OWASP ASVS 3.4): nothing is framed, sniffed, cached or shared.
pub fn secure(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}
