//! What runners and GitHub bring, signed.

use protocol::api::*;
use protocol::callback::*;
use protocol::event::Artifact;
use serde_json::json;

use crate::api::openapi::document::Schemas;
use crate::api::openapi::document::operation::{Operation, public, runner};

pub(super) fn runners(schemas: &mut Schemas) -> Vec<Operation> {
    let acknowledged = schemas.of::<Acknowledgement>();
    let callbacks = runner(
        "/runner/callbacks/{session}",
        "Reports of a sandbox, in order",
        schemas.of::<Batch>(),
    );
    let image = runner(
        "/runner/images/{image}",
        "How the making of an image goes on",
        schemas.of::<ImageReport>(),
    );
    let register = runner(
        "/runner/register",
        "A runner offers itself",
        schemas.of::<Register>(),
    );
    let credentials = runner(
        "/runner/credentials",
        "A git token for one repository",
        schemas.of::<CredentialsRequest>(),
    );
    let secrets = runner(
        "/runner/secrets",
        "What a session's repository keeps secret, for the gateway",
        schemas.of::<SecretsRequest>(),
    );
    let signed = &[
        "missing_signature",
        "stale_timestamp",
        "bad_signature",
        "replayed",
        "not_found",
    ];
    let fetched = public(
        "get",
        "/runner/artifacts/{session}/{artifact}",
        "A file that comes with a prompt",
    );
    let changes = runner(
        "/runner/changes/{session}",
        "What a prompt has changed",
        schemas.of::<KeepChanges>(),
    );
    let terminals = runner(
        "/runner/terminals/{session}",
        "Somebody types in a sandbox's terminal",
        schemas.of::<TerminalUsed>(),
    );
    let shared = public(
        "post",
        "/runner/artifacts/{session}",
        "A file that an agent shows",
    );
    let webhooks = public("post", "/github/webhooks", "What GitHub tells");
    let status = json!({ "type": "object", "properties": { "status": { "type": "string" } } });
    let pong = json!({ "type": "object", "properties": { "pong": { "const": true } } });
    vec![
        callbacks
            .answers(200, acknowledged.clone())
            .answers(409, acknowledged.clone())
            .refuses(&["not_found", "void"]),
        image
            .answers(200, acknowledged.clone())
            .answers(409, acknowledged)
            .refuses(&["not_found", "void"]),
        register
            .answers(200, schemas.of::<Registered>())
            .refuses(&["wrong_version"]),
        credentials
            .answers(200, schemas.of::<Credentials>())
            .refuses(&["not_found", "github_unavailable"]),
        fetched
            .secured_by(&["runner"])
            .gives_file(200)
            .refuses(signed),
        shared
            .secured_by(&["runner"])
            .query("id", json!({ "type": "string" }))
            .query("name", json!({ "type": "string" }))
            .query("prompt", json!({ "type": "string" }))
            .query("caption", json!({ "type": "string" }))
            .takes_file()
            .answers(200, schemas.of::<Artifact>())
            .answers(201, schemas.of::<Artifact>())
            .refuses(signed)
            .refuses(&[
                "malformed",
                "artifact_empty",
                "artifact_too_large",
                "artifacts_full",
            ]),
        secrets
            .answers(200, schemas.of::<Secrets>())
            .refuses(&["not_found"]),
        changes.ends(204).refuses(&["not_found", "void"]),
        terminals.ends(204).refuses(&["not_found", "void"]),
        webhooks
            .secured_by(&["github"])
            .takes(json!({ "type": "object" }))
            .answers(200, pong)
            .answers(202, status)
            .refuses(&["not_found", "missing_signature", "bad_signature"]),
    ]
}
