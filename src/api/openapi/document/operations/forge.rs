//! Pull requests and what came of them.

use protocol::api::*;
use serde_json::json;

use super::count;
use crate::api::openapi::document::Schemas;
use crate::api::openapi::document::operation::{Operation, client};

pub(super) fn forge(schemas: &mut Schemas) -> Vec<Operation> {
    let text = || json!({ "type": "string" });
    let blame = "/api/repositories/{owner}/{name}/blame";
    let wish = "/api/sessions/{session}/pull-requests";
    let change = "/api/sessions/{session}/pull-requests/{number}";
    vec![
        client("get", blame, "Who asked for a line, and why")
            .query("path", text())
            .query("line", count())
            .query("ref", text())
            .answers(200, schemas.of::<Blame>())
            .refuses(&["bad_branch"]),
        client("post", wish, "How a branch's pull request is to be")
            .takes(schemas.of::<WishPullRequest>())
            .ends(202)
            .refuses(&["bad_branch", "bad_title", "archived"]),
        client("patch", change, "Changes a pull request of the session")
            .takes(schemas.of::<ChangePullRequest>())
            .answers(200, schemas.of::<PullRequest>())
            .refuses(&["bad_branch", "bad_title", "github_refused"]),
        client("get", "/api/statistics", "What sessions came to")
            .query("days", json!({ "enum": WINDOWS }))
            .query("repository", text())
            .answers(200, schemas.of::<Statistics>())
            .refuses(&["bad_window", "not_found"]),
    ]
}
