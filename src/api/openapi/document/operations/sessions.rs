//! Sessions, their queue, and lists of them.

use protocol::api::*;
use serde_json::json;

use super::count;
use crate::api::openapi::document::Schemas;
use crate::api::openapi::document::operation::{Operation, client, public};

pub(super) fn sessions(schemas: &mut Schemas) -> Vec<Operation> {
    let prompt_codes = &[
        "prompt_empty",
        "prompt_too_long",
        "conflicting_request",
        "archived",
        "queue_full",
        "unknown_attachment",
        "too_many_attachments",
    ];
    let one = "/api/sessions/{session}";
    let prompts = "/api/sessions/{session}/prompts";
    let prompt = "/api/sessions/{session}/prompts/{prompt}";
    let stop = "/api/sessions/{session}/stop";
    let events = "/api/sessions/{session}/events";
    let waterfall = "/api/sessions/{session}/waterfall";
    let contacts = "/api/sessions/{session}/contacts";
    let ticket = "/api/sessions/{session}/ws-ticket";
    let socket = public(
        "get",
        "/api/sessions/{session}/ws",
        "The WebSocket: subprotocols `v1.agent` and `ticket.<ticket>`",
    );
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": 500 });
    vec![
        client(
            "get",
            "/api/sessions",
            "Sessions of repositories that the user reaches",
        )
        .query("mine", json!({ "type": "boolean" }))
        .query("state", json!({ "type": "string", "pattern": states() }))
        .query("query", json!({ "type": "string", "maxLength": 200 }))
        .query("cursor", count())
        .answers(200, schemas.of::<SessionList>()),
        client(
            "post",
            "/api/sessions",
            "Makes a session; without a prompt it only warms",
        )
        .takes(schemas.of::<CreateSession>())
        .answers(201, schemas.of::<CreatedSession>())
        .refuses(&["not_found", "bad_branch", "unknown_model", "artifacts_full"])
        .refuses(prompt_codes),
        client("get", one, "Its summary").answers(200, schemas.of::<SessionSummary>()),
        client("patch", one, "Gives it another title")
            .takes(schemas.of::<RenameSession>())
            .ends(204)
            .refuses(&["bad_title", "archived"]),
        client("delete", one, "Archives it and ends its sandbox").ends(204),
        client("post", prompts, "Gives it a prompt")
            .takes(schemas.of::<CreatePrompt>())
            .answers(201, schemas.of::<CreatedPrompt>())
            .refuses(prompt_codes),
        client("patch", prompt, "Changes a prompt that waits")
            .takes(schemas.of::<EditPrompt>())
            .ends(204)
            .refuses(&["prompt_empty", "prompt_too_long", "not_waiting", "archived"]),
        client("delete", prompt, "Takes a prompt back that waits")
            .ends(204)
            .refuses(&["not_waiting", "archived"]),
        client("post", stop, "Ends the running prompt")
            .ends(202)
            .refuses(&["nothing_runs", "archived"]),
        client(
            "get",
            events,
            "The log after `since` or before `before`; as a stream if `Accept` says so",
        )
        .query("since", count())
        .query("before", count())
        .query("limit", limit)
        .answers(200, schemas.of::<EventPage>())
        .refuses(&["unknown_seq", "too_many_streams"]),
        client("get", waterfall, "Where the time went").answers(200, schemas.of::<Waterfall>()),
        client("get", contacts, "Whom its sandboxes reached or tried to")
            .answers(200, schemas.of::<ContactList>()),
        client("post", ticket, "A ticket for one socket, for 30 seconds")
            .answers(201, schemas.of::<Ticket>()),
        socket.ends(101).refuses(&[
            "not_found",
            "not_a_websocket",
            "wrong_subprotocol",
            "bad_ticket",
            "cross_site",
        ]),
    ]
}

/// States, or what a list knows of them, separated by commas.
fn states() -> String {
    let one = "(warming|working|idle|failed|archived|needs_you|ready_for_review)";
    format!("^{one}(,{one})*$")
}

pub(super) fn lists(schemas: &mut Schemas) -> Vec<Operation> {
    let seen = "/api/sessions/{session}/seen";
    let socket = public(
        "get",
        "/api/lobby/ws",
        "The list of sessions as it changes: subprotocols `v1.lobby` and `ticket.<ticket>`",
    );
    vec![
        client(
            "get",
            "/api/integrations",
            "What this deployment is connected to",
        )
        .answers(200, schemas.of::<Integrations>()),
        client("get", "/api/models", "What a session can be started with")
            .answers(200, schemas.of::<ModelList>()),
        client("put", seen, "The caller has seen what happened in it").ends(204),
        client(
            "post",
            "/api/lobby/ws-ticket",
            "A ticket for one socket, for 30 seconds",
        )
        .answers(201, schemas.of::<Ticket>()),
        socket.ends(101).refuses(&[
            "not_a_websocket",
            "wrong_subprotocol",
            "bad_ticket",
            "cross_site",
        ]),
    ]
}

pub(super) fn queue(schemas: &mut Schemas) -> Vec<Operation> {
    let insert = "/api/sessions/{session}/prompts/{prompt}/insert";
    let order = "/api/sessions/{session}/queue";
    let resume = "/api/sessions/{session}/queue/resume";
    let clear = "/api/sessions/{session}/queue/clear";
    let fork = "/api/sessions/{session}/fork";
    let children = "/api/sessions/{session}/children";
    vec![
        client("post", insert, "Gives a prompt that waits to the agent now")
            .ends(204)
            .refuses(&["not_waiting", "archived"]),
        client("put", order, "Orders the prompts that wait")
            .takes(schemas.of::<ReorderQueue>())
            .ends(204)
            .refuses(&["queue_changed", "archived"]),
        client("post", resume, "Ends a pause")
            .ends(204)
            .refuses(&["archived"]),
        client("post", clear, "Cancels every prompt that waits")
            .ends(204)
            .refuses(&["archived"]),
        client(
            "post",
            fork,
            "A session that goes on from the end of a prompt",
        )
        .takes(schemas.of::<ForkSession>())
        .answers(201, schemas.of::<CreatedSession>())
        .refuses(&[
            "conflicting_request",
            "not_finished",
            "no_snapshot",
            "archived",
        ]),
        client("get", children, "Sessions that went on from this one")
            .query("cursor", count())
            .answers(200, schemas.of::<SessionList>()),
    ]
}
