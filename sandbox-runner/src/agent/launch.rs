//! How the agent server is started inside a sandbox.
//!
//! All its state is in a directory of its own, which a snapshot keeps beside the home: the agent
//! holds nothing open in the home while it has nothing to do, so the home can be replaced under it.
//! What decides how it
//! behaves comes from here, above the repository's own configuration, which could otherwise load
//! code into the server. It holds no secret: the gateway adds the keys.

use std::path::Path;
use std::{fs, io};

use protocol::command::{Model, Provider};
use serde_json::{Value, json};

use crate::sandbox;

/// Version that the driver is written for.
pub const VERSION: &str = "1.18.33";

/// Port that the agent listens on, on the sandbox's own loopback.
pub const PORT: u16 = 4096;

/// Provider that the gateway answers itself, see [`super::Agent::warm_up`].
pub const WARM_UP_PROVIDER: &str = "warmup";
pub const WARM_UP_MODEL: &str = "warmup";

/// The models' own limits are not known here; these are what current ones have at least.
const CONTEXT_TOKENS: u32 = 200_000;
const OUTPUT_TOKENS: u32 = 32_000;

/// What the agent's runtime allocates before it looks for garbage. At its start and its first prompt
/// nearly everything stays in use, and to look for the rest would take a tenth of the time. The
/// plugin takes it back for the programs that the agent runs.
pub const HEAP: &str = "BUN_JSC_largeHeapSize";
const HEAP_BYTES: u32 = 256 << 20;

/// The plugin, by the paths that its parts have below the agent's configuration. The agent loads
/// what is directly in `plugin`.
const PLUGIN: &[(&str, &str)] = &[
    ("plugin/session.js", include_str!("../../plugin/session.js")),
    (
        "plugin/session/command.js",
        include_str!("../../plugin/session/command.js"),
    ),
    (
        "plugin/session/conversations.js",
        include_str!("../../plugin/session/conversations.js"),
    ),
    (
        "plugin/session/gate.js",
        include_str!("../../plugin/session/gate.js"),
    ),
    (
        "plugin/session/hooks.js",
        include_str!("../../plugin/session/hooks.js"),
    ),
    (
        "plugin/session/keeping.js",
        include_str!("../../plugin/session/keeping.js"),
    ),
    (
        "plugin/session/pull-request.js",
        include_str!("../../plugin/session/pull-request.js"),
    ),
    (
        "plugin/session/runner.js",
        include_str!("../../plugin/session/runner.js"),
    ),
    (
        "plugin/session/share.js",
        include_str!("../../plugin/session/share.js"),
    ),
    (
        "plugin/session/update.js",
        include_str!("../../plugin/session/update.js"),
    ),
    (
        "plugin/session/variables.js",
        include_str!("../../plugin/session/variables.js"),
    ),
    (
        "plugin/session/waiting.js",
        include_str!("../../plugin/session/waiting.js"),
    ),
    (
        "plugin/session/writes.js",
        include_str!("../../plugin/session/writes.js"),
    ),
];

/// Where the deployment's hooks are in the folder of [`Place::tools`].
const HOOKS: &str = "hooks";

/// Command line and environment of the agent server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    pub argv: Vec<String>,
    /// Added to the environment that every program in the sandbox has.
    pub env: Vec<(String, String)>,
}

/// Where the agent finds what it needs, as it sees it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The agent's executable.
    pub binary: &'a str,
    /// The repository.
    pub workspace: &'a str,
    pub home: &'a str,
    /// What the agent writes for itself; also where it runs.
    pub state: &'a str,
    /// The folder that [`write_tools`] wrote, read only.
    pub tools: &'a str,
    pub port: u16,
    /// URL of the gateway.
    pub gateway: &'a str,
}

impl<'a> Place<'a> {
    /// The places that every sandbox has.
    pub fn sandbox(binary: &'a str, workspace: &'a str) -> Self {
        Self {
            binary,
            workspace,
            home: sandbox::HOME,
            state: sandbox::AGENT,
            tools: "/opt/agent",
            port: PORT,
            gateway: "http://127.0.0.1:3129",
        }
    }
}

pub fn launch(place: &Place<'_>, model: &Model) -> Launch {
    let argv = [
        "serve",
        "--hostname",
        "127.0.0.1",
        "--port",
        &place.port.to_string(),
    ];
    let mut env = surroundings(place);
    let own = [
        ("OPENCODE_CONFIG_CONTENT", config(place, model).to_string()),
        ("OPENCODE_CLIENT", "runner".to_owned()),
        // The plugin asks there whether the workspace is up to date.
        ("AGENT_GATEWAY", place.gateway.to_owned()),
        ("AGENT_HOOKS", format!("{}/{HOOKS}", place.tools)),
        (HEAP, HEAP_BYTES.to_string()),
    ];
    env.extend(own.map(|(name, value)| (name.to_owned(), value)));
    Launch {
        argv: command(place, argv),
        env,
    }
}

/// How the agent's database is made where there is none: empty, and in one file. It ends by itself.
pub fn database(place: &Place<'_>) -> Launch {
    Launch {
        // The agent brings its database to its own version before it answers any question about it.
        argv: command(place, ["db", "PRAGMA wal_checkpoint(TRUNCATE)"]),
        env: surroundings(place),
    }
}

fn command<const N: usize>(place: &Place<'_>, arguments: [&str; N]) -> Vec<String> {
    let argv = std::iter::once(place.binary).chain(arguments);
    argv.map(str::to_owned).collect()
}

/// Where it keeps what, and what it leaves alone.
fn surroundings(place: &Place<'_>) -> Vec<(String, String)> {
    let state = place.state;
    let env = [
        ("HOME", place.home.to_owned()),
        ("XDG_DATA_HOME", format!("{state}/data")),
        ("XDG_STATE_HOME", format!("{state}/state")),
        ("XDG_CACHE_HOME", format!("{state}/cache")),
        // Not the home's: into a configuration folder of its own the agent would install a package
        // first. The plugin takes this back for the programs that the agent runs.
        ("XDG_CONFIG_HOME", format!("{}/config", place.tools)),
        // Nor the home's own settings and plugins, which set-up could have left there: this is where
        // the agent looks for them, and for nothing that it writes.
        ("OPENCODE_TEST_HOME", place.tools.to_owned()),
        // The repository could load code into the server, and there is no registry to install
        // from: the first request would wait for it for a minute.
        ("OPENCODE_DISABLE_PROJECT_CONFIG", "1".to_owned()),
        ("OPENCODE_DISABLE_MODELS_FETCH", "1".to_owned()),
        ("OPENCODE_DISABLE_AUTOUPDATE", "1".to_owned()),
        ("OPENCODE_DISABLE_LSP_DOWNLOAD", "1".to_owned()),
        ("OPENCODE_DISABLE_DEFAULT_PLUGINS", "1".to_owned()),
        ("OPENCODE_DISABLE_SHARE", "1".to_owned()),
    ];
    env.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Writes the folder of [`Place::tools`]; the agent's executable is not part of it.
///
/// The agent installs its plugin package into every configuration folder that does not have it,
/// and its first answer waits for that. The lock file says that it is there; the plugin needs
/// nothing of it.
pub fn write_tools(directory: &Path) -> io::Result<()> {
    let config = directory.join("config/opencode");
    fs::create_dir_all(config.join("node_modules"))?;
    fs::create_dir_all(config.join("plugin/session"))?;
    let dependencies = json!({ "@opencode-ai/plugin": VERSION });
    let package = json!({ "dependencies": dependencies });
    let lock = json!({
        "name": "config",
        "lockfileVersion": 3,
        "packages": { "": { "dependencies": dependencies } },
    });
    fs::write(config.join("package.json"), package.to_string())?;
    fs::write(config.join("package-lock.json"), lock.to_string())?;
    // The agent would write it, and cannot: the folder is read only in a sandbox.
    fs::write(
        config.join(".gitignore"),
        "node_modules\npackage.json\npackage-lock.json\nbun.lock\n.gitignore\n",
    )?;
    for (path, text) in PLUGIN {
        fs::write(config.join(path), text)?;
    }
    Ok(())
}

/// Puts the deployment's hooks, the `*.js` files of `hooks`, into the folder of [`Place::tools`], in
/// place of those that were there.
pub fn write_hooks(directory: &Path, hooks: Option<&Path>) -> io::Result<()> {
    let target = directory.join(HOOKS);
    match fs::remove_dir_all(&target) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => fs::create_dir_all(&target)?,
    }
    for entry in hooks.map(fs::read_dir).transpose()?.into_iter().flatten() {
        let path = entry?.path();
        if let Some(name) = path.file_name()
            && path.extension().is_some_and(|extension| extension == "js")
        {
            fs::copy(&path, target.join(name))?;
        }
    }
    Ok(())
}

fn config(place: &Place<'_>, model: &Model) -> Value {
    let chosen = format!("{}/{}", model.provider.as_str(), model.name);
    let provider = |name: &str, package: &str, model: &str| {
        json!({
            "npm": package,
            "options": {
                "baseURL": format!("{}/llm/{name}/v1", place.gateway),
                "apiKey": "the gateway adds it",
            },
            "models": { (model): {
                "tool_call": true,
                "attachment": true,
                "modalities": { "input": ["text", "image"], "output": ["text"] },
                "limit": { "context": CONTEXT_TOKENS, "output": OUTPUT_TOKENS },
            } },
        })
    };
    let package = match model.provider {
        Provider::Anthropic => "@ai-sdk/anthropic",
        Provider::Openai => "@ai-sdk/openai-compatible",
    };
    json!({
        "model": chosen,
        "small_model": chosen,
        "enabled_providers": [model.provider.as_str(), WARM_UP_PROVIDER],
        "provider": {
            (model.provider.as_str()): provider(model.provider.as_str(), package, &model.name),
            (WARM_UP_PROVIDER):
                provider(WARM_UP_PROVIDER, "@ai-sdk/openai-compatible", WARM_UP_MODEL),
        },
        "autoupdate": false,
        "share": "disabled",
        // Diffs and commits are made with git: the agent's own snapshots would cost every step.
        "snapshot": false,
        // The sandbox is the limit, and nobody could be asked.
        "permission": {
            "*": "allow",
            "webfetch": "deny",
            "websearch": "deny",
            "codesearch": "deny",
        },
        // The switch that ignores the repository's configuration ignores this file as well.
        "instructions": [format!("{}/AGENTS.md", place.workspace)],
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    fn model() -> Model {
        Model {
            provider: Provider::Openai,
            name: "scripted-1".to_owned(),
        }
    }

    #[test]
    fn all_state_is_apart_from_the_home_directory() {
        let place = Place::sandbox("/opt/agent/opencode", "/workspace");
        let environment = launch(&place, &model()).env;
        let directories = ["XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"];
        for wanted in directories {
            let found = environment.iter().find(|(name, _)| name == wanted);
            assert!(found.unwrap().1.starts_with("/var/lib/agent/"), "{found:?}");
        }
    }

    #[test]
    fn every_model_is_reached_through_the_gateway() {
        let config = config(
            &Place::sandbox("/opt/agent/opencode", "/workspace"),
            &model(),
        );
        for (name, provider) in config["provider"].as_object().unwrap() {
            let url = provider["options"]["baseURL"].as_str().unwrap();
            assert_eq!(url, format!("http://127.0.0.1:3129/llm/{name}/v1"));
        }
    }

    #[test]
    fn every_part_of_the_plugin_is_written() {
        let directory = tempfile::tempdir().unwrap();
        write_tools(directory.path()).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugin/session");
        for part in fs::read_dir(source).unwrap() {
            let name = part.unwrap().file_name();
            let written = directory.path().join("config/opencode/plugin/session");
            assert!(written.join(&name).is_file(), "{}", name.display());
        }
    }

    #[test]
    fn a_hook_that_was_taken_away_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let (tools, hooks) = (
            directory.path().join("tools"),
            directory.path().join("mine"),
        );
        fs::create_dir(&hooks).unwrap();
        fs::write(hooks.join("a.js"), "").unwrap();
        fs::write(hooks.join("notes.txt"), "").unwrap();
        write_hooks(&tools, Some(&hooks)).unwrap();
        assert!(tools.join("hooks/a.js").is_file() && !tools.join("hooks/notes.txt").exists());
        write_hooks(&tools, None).unwrap();
        assert!(!tools.join("hooks/a.js").exists());
        assert!(write_hooks(&tools, Some(&directory.path().join("missing"))).is_err());
    }

    #[test]
    fn the_tools_folder_can_be_written_over_an_older_one() {
        let directory = tempfile::tempdir().unwrap();
        write_tools(directory.path()).unwrap();
        write_tools(directory.path()).unwrap();
        assert!(
            directory
                .path()
                .join("config/opencode/package-lock.json")
                .is_file()
        );
    }
}
