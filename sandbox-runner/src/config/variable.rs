//! The list of environment variables, and the help that is made of it.

use crate::image::{LIST_URL, MIRROR};

/// One environment variable, as `--help` shows it.
pub struct Variable {
    pub name: &'static str,
    /// Empty when there is none.
    pub default: &'static str,
    pub about: &'static str,
}

const fn variable(name: &'static str, default: &'static str, about: &'static str) -> Variable {
    Variable {
        name,
        default,
        about,
    }
}

pub const VARIABLES: &[Variable] = &[
    variable(
        "RUNNER_KEYS",
        "",
        "required: keys shared with the Worker, newest first, separated by spaces; each is whsec_ and base64 of 24 to 64 bytes",
    ),
    variable(
        "WORKER_URL",
        "",
        "required: where the Worker is reached, like https://agents.example.com",
    ),
    variable(
        "RUNNER_LISTEN",
        "127.0.0.1:8788",
        "address and port for commands; port 0 takes a free one",
    ),
    variable(
        "RUNNER_URL",
        "",
        "where the Worker reaches this runner; made from the listening address if absent",
    ),
    variable(
        "RUNNER_ID",
        "",
        "this runner's identifier, like run_…; made once and kept in the state directory if absent",
    ),
    variable(
        "RUNNER_STATE_DIR",
        "/var/lib/sandbox-runner",
        "absolute directory for images, sandboxes and the outbox; must not be on an overlay",
    ),
    variable(
        "RUNNER_CAPACITY",
        "8",
        "sandboxes it may hold at once, 1 to 1000",
    ),
    variable(
        "POOL_MEMORY_GIB",
        "",
        "memory that warm sandboxes may take all together, in GiB, 0 to 65536; one is counted as 1; as many as there is room and free memory for if absent",
    ),
    variable(
        "GITHUB_URL",
        "https://github.com",
        "the forge that repositories are cloned from and pushed to",
    ),
    variable("OPENCODE_BIN", "opencode", "the agent server's executable"),
    variable(
        "AGENT_HOOKS_DIR",
        "",
        "absolute directory of hooks for every agent's tools, *.js; see sandbox-runner/plugin/README.md",
    ),
    variable(
        "SANDBOX_UID",
        "20001",
        "first of the numeric users and groups that sandboxes run as if the runner is root, one each, not 0; the thousand from it on must be free, another runner's on the same machine too",
    ),
    variable(
        "ANTHROPIC_API_KEY",
        "",
        "key for Anthropic models; never enters a sandbox",
    ),
    variable(
        "ANTHROPIC_BASE_URL",
        "https://api.anthropic.com",
        "server that speaks the Anthropic messages API below /v1",
    ),
    variable(
        "OPENAI_API_KEY",
        "",
        "key for OpenAI models; never enters a sandbox",
    ),
    variable(
        "OPENAI_BASE_URL",
        "https://api.openai.com/v1",
        "server that speaks the OpenAI chat completions API",
    ),
    variable(
        "MODEL_PRICES",
        "",
        "prices in dollars for a million tokens, JSON or an absolute path to it: {\"anthropic/claude-sonnet-4-5\": {\"input\": 3, \"output\": 15, \"cache_read\": 0.3, \"cache_write\": 3.75}}; without one a model's cost is unknown",
    ),
    variable(
        "SESSION_BUDGET_USD",
        "",
        "what one session may spend on models, in dollars; needs MODEL_PRICES; no limit if absent",
    ),
    variable(
        "PROMPT_MINUTES",
        "240",
        "how long one prompt may run before it is ended, in minutes, 1 to 10080",
    ),
    variable(
        "EGRESS_INTERNAL_HOSTS",
        "",
        "host names, separated by spaces, that may have private addresses; a repository's policy has to allow them as well",
    ),
    variable(
        MIRROR,
        "",
        "where uv takes Pythons from that an environment asks for, on port 80 or 443, instead of its makers' mirror; a repository's policy has to allow the host",
    ),
    variable(
        LIST_URL,
        "",
        "list of the Pythons that can be had so, with their checksums, instead of uv's own; likewise",
    ),
    variable(
        "GIT_COMMITTER_NAME",
        "hosted-agents[bot]",
        "committer of every commit; the author is whoever prompted",
    ),
    variable(
        "GIT_COMMITTER_EMAIL",
        "hosted-agents[bot]@users.noreply.github.com",
        "the committer's address",
    ),
    variable(
        "DEPOT_URL",
        "",
        "where layers travel between runners: file:///directory or s3://bucket/prefix?endpoint=https://…&region=…; without it they stay on this machine",
    ),
    variable("DEPOT_ACCESS_KEY_ID", "", "key for the bucket of DEPOT_URL"),
    variable("DEPOT_SECRET_ACCESS_KEY", "", "secret of that key"),
    variable(
        "RUST_LOG",
        "info",
        "what is logged to standard error, as tracing's filter",
    ),
];

/// What `sandbox-runner --help` prints.
pub fn help() -> String {
    let mut text = String::from(
        "Runs coding agents in isolated sandboxes and reports through signed callbacks.\n\n\
         Usage:\n  \
         sandbox-runner           serve commands\n  \
         sandbox-runner doctor    check that this machine can hold sandboxes\n  \
         sandbox-runner retire    end all sandboxes of a runner that is not running, and keep them in the depot: their sessions go on elsewhere\n  \
         sandbox-runner sweep     the same, and keep nothing\n  \
         sandbox-runner --help    print this\n\n\
         Environment:\n",
    );
    for variable in VARIABLES {
        text.push_str(&format!("  {}\n      {}\n", variable.name, variable.about));
        if !variable.default.is_empty() {
            text.push_str(&format!("      default: {}\n", variable.default));
        }
    }
    text
}

pub(super) fn described(name: &str) -> &'static Variable {
    const UNDESCRIBED: Variable = variable("", "", "");
    VARIABLES
        .iter()
        .find(|variable| variable.name == name)
        .unwrap_or(&UNDESCRIBED)
}
