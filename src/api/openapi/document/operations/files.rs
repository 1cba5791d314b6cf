//! What is in a session: its files, changes and terminal.

use protocol::api::*;
use protocol::event::Artifact;
use serde_json::json;

use super::count;
use crate::api::openapi::document::Schemas;
use crate::api::openapi::document::operation::{Operation, client, public};

pub(super) fn views(schemas: &mut Schemas) -> Vec<Operation> {
    let diff = client(
        "get",
        "/api/sessions/{session}/diff",
        "What its files differ by, as they were at the end of a prompt, the newest without one",
    );
    let file = client(
        "get",
        "/api/sessions/{session}/files/{*path}",
        "A file of its workspace, as it is in its sandbox now or in its newest snapshot",
    );
    let ticket = client(
        "post",
        "/api/sessions/{session}/terminal",
        "A ticket for a terminal in its sandbox: good once, for 30 seconds",
    );
    let socket = public(
        "get",
        "/terminal/{session}",
        "The terminal's WebSocket, on the sandboxes' host: subprotocols `v1.terminal` and `ticket.<ticket>`",
    );
    vec![
        diff.query("prompt", json!({ "type": "string" }))
            .query("scope", json!({ "enum": ["session", "prompt"] }))
            .query("live", json!({ "type": "boolean" }))
            .answers(200, schemas.of::<Changes>())
            .refuses(&["no_changes"]),
        file.gives_file(200).refuses(&[
            "bad_path",
            "no_snapshot",
            "not_a_file",
            "file_too_large",
            "no_runner",
        ]),
        ticket
            .answers(201, schemas.of::<TerminalTicket>())
            .refuses(&["no_sandbox_url"]),
        socket.ends(101).refuses(&[
            "not_found",
            "not_a_websocket",
            "wrong_subprotocol",
            "bad_ticket",
            "cross_site",
        ]),
    ]
}

pub(super) fn artifacts(schemas: &mut Schemas) -> Vec<Operation> {
    let text = || json!({ "type": "string" });
    let refusals = &[
        "artifact_empty",
        "artifact_too_large",
        "length_required",
        "malformed",
    ];
    let all = "/api/sessions/{session}/artifacts";
    let one = "/api/sessions/{session}/artifacts/{artifact}";
    let url = "/api/sessions/{session}/artifacts/{artifact}/url";
    let link = public(
        "get",
        "/artifacts/{artifact}",
        "A file, by a link that expires",
    );
    let artifact = schemas.of::<Artifact>();
    vec![
        client("post", "/api/artifacts", "A file for a session to come")
            .query("name", text())
            .takes_file()
            .answers(201, artifact.clone())
            .refuses(refusals),
        client("post", all, "A file for this session")
            .query("name", text())
            .takes_file()
            .answers(200, artifact.clone())
            .answers(201, artifact)
            .refuses(refusals)
            .refuses(&["artifacts_full", "archived"]),
        client("get", all, "Its files, oldest first").answers(200, schemas.of::<ArtifactList>()),
        client("get", one, "A file")
            .gives_file(200)
            .gives_file(206)
            .gives_file(416)
            .ends(307),
        client("post", url, "A link to a file that needs no sign-in")
            .may_take(schemas.of::<RequestArtifactUrl>())
            .answers(201, schemas.of::<ArtifactUrl>()),
        link.query("session", text())
            .query("expires", count())
            .query("signature", text())
            .gives_file(200)
            .gives_file(206)
            .gives_file(416)
            .refuses(&["not_found", "link_expired", "link_invalid"]),
    ]
}
