//! What Slack posts, and where people say who they are there.

use serde_json::{Value, json};

use super::operation::{Operation, public};

pub(super) fn all() -> Vec<Operation> {
    let signed = |path, summary| {
        let operation = public("post", path, summary).secured_by(&["slack"]);
        operation.refuses(&[
            "not_found",
            "missing_signature",
            "stale_timestamp",
            "bad_signature",
            "malformed",
            "body_too_large",
            "slack_unavailable",
        ])
    };
    let object = || json!({ "type": "object" });
    let html = || -> Value { json!({ "type": "string", "contentMediaType": "text/html" }) };
    let ask = public(
        "get",
        "/slack/link",
        "Asks whoever is signed in who they are in Slack",
    );
    let link = public(
        "post",
        "/slack/link",
        "Links a Slack user to whoever is signed in",
    );
    let either = &[
        "not_found",
        "bad_invitation",
        "not_allowed",
        "body_too_large",
    ];
    vec![
        signed("/slack/events", "What happened in Slack").answers(200, object()),
        signed("/slack/interactions", "What was pressed in Slack").answers(200, object()),
        signed("/slack/commands", "A slash command of Slack's").answers(200, object()),
        ask.query("invitation", json!({ "type": "string" }))
            .answers(200, html())
            .ends(302)
            .refuses(either),
        link.secured_by(&["browser"])
            .answers(200, html())
            .refuses(&["cross_site", "not_signed_in"])
            .refuses(either),
    ]
}
