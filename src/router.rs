//! Every route of the Worker. What is not here is a static file of the web client.

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use axum::routing::MethodRouter;
use worker::Env;

use crate::api::{
    self, account, artifacts, audit, blame, changes, environments, files, forks, images,
    integrations, lobby, log, me, models, openapi, pull_requests, queue, repositories, runner,
    secrets, sessions, slack, statistics, terminals, webhooks,
};
use crate::auth::sign_in;
use crate::pages;

/// Registers every route, and lists them, so that what describes them can be compared.
macro_rules! routes {
    ($($path:literal => { $($method:ident $handler:path),+ $(,)? })+) => {
        /// Paths, with the methods that each takes and what answers them.
        pub const ROUTES: &[(&str, &[(&str, &str)])] =
            &[$(($path, &[$((stringify!($method), stringify!($handler))),+])),+];

        fn routes() -> Router<Env> {
            Router::new()$(.route($path, MethodRouter::new()$(.$method($handler))+))+
        }
    };
}

routes! {
    "/healthz" => { get api::health }
    // Browsers sign in.
    "/auth/github/login" => { get sign_in::login }
    "/auth/github/callback" => { get sign_in::callback }
    "/auth/logout" => { post sign_in::logout }
    // Clients work.
    "/api/openapi.json" => { get openapi::document }
    "/api/me" => { get me::show, put me::set }
    "/api/logins" => { delete account::end_logins }
    "/api/tokens" => { get account::list_tokens, post account::create_token }
    "/api/tokens/{token}" => { delete account::revoke_token }
    "/api/audit" => { get audit::list }
    "/api/repositories" => { get repositories::list }
    "/api/repositories/{owner}/{name}" => { get repositories::show }
    "/api/repositories/{owner}/{name}/branches" => { get repositories::branches }
    "/api/repositories/{owner}/{name}/settings" => { put repositories::set }
    "/api/repositories/{owner}/{name}/secrets" => { get secrets::list }
    "/api/repositories/{owner}/{name}/secrets/{secret}" => {
        put secrets::set, delete secrets::remove
    }
    "/api/repositories/{owner}/{name}/images" => { get images::list, post images::request }
    "/api/repositories/{owner}/{name}/images/{image}" => { get images::show }
    "/api/repositories/{owner}/{name}/images/{image}/log" => { get images::log }
    "/api/repositories/{owner}/{name}/environments" => {
        get environments::list, post environments::create
    }
    "/api/repositories/{owner}/{name}/environments/{environment}" => {
        get environments::show, delete environments::remove
    }
    "/api/repositories/{owner}/{name}/blame" => { get blame::show }
    "/api/integrations" => { get integrations::show }
    "/api/models" => { get models::list }
    "/api/lobby/ws-ticket" => { post lobby::ticket }
    "/api/lobby/ws" => { get lobby::socket }
    "/api/sessions" => { get sessions::list, post sessions::create }
    "/api/sessions/{session}" => {
        get sessions::show, patch sessions::rename, delete sessions::archive
    }
    "/api/sessions/{session}/seen" => { put lobby::see }
    "/api/sessions/{session}/prompts" => { post sessions::prompt }
    "/api/sessions/{session}/prompts/{prompt}" => {
        patch sessions::edit_prompt, delete sessions::cancel_prompt
    }
    "/api/sessions/{session}/prompts/{prompt}/insert" => { post queue::insert }
    "/api/sessions/{session}/queue" => { put queue::reorder }
    "/api/sessions/{session}/queue/resume" => { post queue::resume }
    "/api/sessions/{session}/queue/clear" => { post queue::clear }
    "/api/sessions/{session}/stop" => { post sessions::stop }
    "/api/sessions/{session}/fork" => { post forks::fork }
    "/api/sessions/{session}/children" => { get forks::children }
    "/api/sessions/{session}/pull-requests" => { post pull_requests::wish }
    "/api/sessions/{session}/pull-requests/{number}" => { patch pull_requests::change }
    "/api/sessions/{session}/events" => { get log::events }
    "/api/sessions/{session}/waterfall" => { get sessions::waterfall }
    "/api/sessions/{session}/diff" => { get changes::diff }
    "/api/sessions/{session}/files/{*path}" => { get files::read }
    "/api/sessions/{session}/terminal" => { post terminals::ticket }
    "/api/sessions/{session}/contacts" => { get sessions::contacts }
    "/api/sessions/{session}/ws-ticket" => { post sessions::ticket }
    "/api/sessions/{session}/ws" => { get sessions::socket }
    "/api/artifacts" => { post artifacts::upload }
    "/api/sessions/{session}/artifacts" => { get artifacts::list, post artifacts::add }
    "/api/sessions/{session}/artifacts/{artifact}" => { get artifacts::show }
    "/api/sessions/{session}/artifacts/{artifact}/url" => { post artifacts::url }
    "/artifacts/{artifact}" => { get artifacts::open }
    "/api/statistics" => { get statistics::show }
    "/api/statistics/pool" => { get statistics::pool }
    // Sandboxes are looked into, on a host of their own.
    "/terminal/{session}" => { get terminals::socket }
    // GitHub tells.
    "/github/webhooks" => { post webhooks::github }
    // Slack tells, and people say who they are there.
    "/slack/events" => { post slack::events }
    "/slack/interactions" => { post slack::interactions }
    "/slack/commands" => { post slack::commands }
    "/slack/link" => { get slack::ask_link, post slack::link }
    // Runners report.
    "/runner/callbacks/{session}" => { post runner::callbacks }
    "/runner/artifacts/{session}" => { post runner::artifacts::put }
    "/runner/artifacts/{session}/{artifact}" => { get runner::artifacts::get }
    "/runner/changes/{session}" => { post runner::changes::keep }
    "/runner/terminals/{session}" => { post runner::terminals::used }
    "/runner/images/{image}" => { post runner::image }
    "/runner/register" => { post runner::register }
    "/runner/credentials" => { post runner::credentials }
    "/runner/secrets" => { post runner::secrets }
}

pub fn router(env: Env) -> Router {
    let router = routes();
    #[cfg(feature = "fault-drill")]
    let router = router.route(
        "/runner/drill/{session}",
        axum::routing::post(runner::drill),
    );
    #[cfg(feature = "fault-drill")]
    let router = router.route(
        "/runner/drill/{session}/life",
        axum::routing::post(runner::life),
    );
    router
        .fallback(pages::show)
        .method_not_allowed_fallback(api::unknown_method)
        .with_state(env)
}

/// Headers of every answer (OWASP ASVS 3.4): nothing is framed, sniffed, cached or shared, and what
/// was once asked with encryption is never asked without.
pub fn secure(mut response: Response, is_encrypted: bool) -> Response {
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
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
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
    if is_encrypted {
        let value = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
    response
}
