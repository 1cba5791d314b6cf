//! What each route takes and answers. A new route is one entry here.

use protocol::api::*;
use protocol::callback::*;
use protocol::event::Artifact;
use serde_json::{Value, json};

use super::Schemas;
use super::operation::{Operation, client, public, runner};

pub(super) fn all(schemas: &mut Schemas) -> Vec<Operation> {
    let mut all = sign_in(schemas);
    all.extend(account(schemas));
    all.extend(repositories(schemas));
    all.extend(sessions(schemas));
    all.extend(lists(schemas));
    all.extend(queue(schemas));
    all.extend(artifacts(schemas));
    all.extend(views(schemas));
    all.extend(forge(schemas));
    all.extend(runners(schemas));
    all.extend(super::slack::all());
    all
}

/// What counts bytes, events or milliseconds: as large as a double is exact.
fn count() -> Value {
    json!({ "type": "integer", "minimum": 0, "maximum": 9_007_199_254_740_991_u64 })
}

fn sign_in(_schemas: &mut Schemas) -> Vec<Operation> {
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

fn account(schemas: &mut Schemas) -> Vec<Operation> {
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

fn repositories(schemas: &mut Schemas) -> Vec<Operation> {
    let list = client(
        "get",
        "/api/repositories",
        "What the user reaches on GitHub",
    );
    let show = client(
        "get",
        "/api/repositories/{owner}/{name}",
        "Default branch, settings, newest image",
    );
    let branches = client(
        "get",
        "/api/repositories/{owner}/{name}/branches",
        "Branches whose name contains `query`, the default one first",
    );
    let settings = client(
        "put",
        "/api/repositories/{owner}/{name}/settings",
        "Sets all settings; another specification is built at once",
    );
    let secrets = client(
        "get",
        "/api/repositories/{owner}/{name}/secrets",
        "Secrets, without their values",
    );
    let secret = "/api/repositories/{owner}/{name}/secrets/{secret}";
    let images = "/api/repositories/{owner}/{name}/images";
    let image = client(
        "get",
        "/api/repositories/{owner}/{name}/images/{image}",
        "One image",
    );
    let log = client(
        "get",
        "/api/repositories/{owner}/{name}/images/{image}/log",
        "What the making of an image printed, from a byte on; as a stream if `Accept` says so",
    );
    let environments = "/api/repositories/{owner}/{name}/environments";
    let environment = "/api/repositories/{owner}/{name}/environments/{environment}";
    vec![
        list.answers(200, schemas.of::<RepositoryList>()),
        show.answers(200, schemas.of::<RepositoryDetail>()),
        branches
            .query("query", json!({ "type": "string", "maxLength": 255 }))
            .answers(200, schemas.of::<BranchList>()),
        settings
            .takes(schemas.of::<Settings>())
            .answers(200, schemas.of::<Settings>())
            .refuses(&["bad_settings", "bad_specification"]),
        secrets.answers(200, schemas.of::<SecretList>()),
        client("put", secret, "Sets a secret")
            .takes(schemas.of::<SetSecret>())
            .ends(204)
            .refuses(&["bad_secret", "too_many"]),
        client("delete", secret, "Removes a secret").ends(204),
        client("get", images, "The newest 50 images").answers(200, schemas.of::<ImageList>()),
        client("post", images, "Asks for an image")
            .may_take(schemas.of::<RequestImage>())
            .answers(202, schemas.of::<RequestedImage>())
            .refuses(&["bad_branch"]),
        image.answers(200, schemas.of::<Image>()),
        log.query("offset", count())
            .answers(200, schemas.of::<ImageLog>())
            .ends(204),
        client("get", environments, "Environments that the user may use")
            .answers(200, schemas.of::<EnvironmentList>()),
        client("post", environments, "Makes an environment, or changes it")
            .takes(schemas.of::<CreateEnvironment>())
            .answers(202, schemas.of::<Environment>())
            .refuses(&["bad_environment", "bad_specification", "unknown_member"]),
        client("get", environment, "One environment").answers(200, schemas.of::<Environment>()),
        client(
            "delete",
            environment,
            "Deletes an environment and its images",
        )
        .ends(204),
        client(
            "get",
            "/api/statistics/pool",
            "What warm sandboxes did and cost",
        )
        .answers(200, schemas.of::<PoolFigures>()),
    ]
}

fn sessions(schemas: &mut Schemas) -> Vec<Operation> {
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

fn lists(schemas: &mut Schemas) -> Vec<Operation> {
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

fn queue(schemas: &mut Schemas) -> Vec<Operation> {
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

fn views(schemas: &mut Schemas) -> Vec<Operation> {
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

fn artifacts(schemas: &mut Schemas) -> Vec<Operation> {
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

fn forge(schemas: &mut Schemas) -> Vec<Operation> {
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

fn runners(schemas: &mut Schemas) -> Vec<Operation> {
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
