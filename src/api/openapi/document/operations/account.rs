//! Signing in, and what belongs to the one who asks.

use protocol::api::*;
use serde_json::json;

use super::count;
use crate::api::openapi::document::Schemas;
use crate::api::openapi::document::operation::{Operation, client, public};

pub(super) fn sign_in() -> Vec<Operation> {
    let text = || json!({ "type": "string" });
    let health = json!({
        "type": "object",
        "required": ["status", "version"],
        "properties": { "status": { "const": "ok" }, "version": { "type": "string" } },
    });
    let login = public(
        "get",
        "/auth/github/login",
        "To GitHub, and back to a path of this host",
    );
    let callback = public("get", "/auth/github/callback", "Signs in");
    let logout = public("post", "/auth/logout", "Signs this browser out").ends(204);
    let document = public("get", "/api/openapi.json", "This document");
    vec![
        public("get", "/healthz", "Whether the Worker answers").answers(200, health),
        document.answers(200, json!({ "type": "object" })),
        login
            .query("return_to", text())
            .ends(302)
            .refuses(&["rate_limited"]),
        callback
            .query("code", text())
            .query("state", text())
            .query("error", text())
            .ends(302)
            .refuses(&["rate_limited", "github_unavailable"]),
        logout.secured_by(&["browser"]).refuses(&["cross_site"]),
    ]
}

pub(super) fn account(schemas: &mut Schemas) -> Vec<Operation> {
    let browser = &["browser"];
    let logins = client("delete", "/api/logins", "Signs out everywhere").ends(204);
    let tokens = client("get", "/api/tokens", "One's own valid tokens, newest first");
    let create = client(
        "post",
        "/api/tokens",
        "Makes a token; its secret is shown this once",
    );
    let revoke = client("delete", "/api/tokens/{token}", "Revokes a token at once").ends(204);
    let audit = client(
        "get",
        "/api/audit",
        "Who did what, newest first; for administrators",
    );
    vec![
        client("get", "/api/me", "Who asks").answers(200, schemas.of::<Me>()),
        client("put", "/api/me", "Sets the address of one's commits")
            .secured_by(browser)
            .takes(schemas.of::<SetMe>())
            .ends(204)
            .refuses(&["emails_unknown", "email_not_verified"]),
        logins.secured_by(browser),
        tokens
            .secured_by(browser)
            .answers(200, schemas.of::<ApiTokenList>()),
        create
            .secured_by(browser)
            .takes(schemas.of::<CreateApiToken>())
            .answers(201, schemas.of::<CreatedApiToken>())
            .refuses(&["bad_token_request", "too_many"]),
        revoke.secured_by(browser),
        audit
            .query("cursor", count())
            .answers(200, schemas.of::<AuditPage>()),
    ]
}
