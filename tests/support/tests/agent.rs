//! The scripted model drives the real agent server through the whole repair, in both protocols.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::json;
use support::model::{Model, ModelOptions};
use tokio::process::Command;

const PROMPT: &str = "the tests fail, find out why and fix it";

async fn opencode(home: &Path, directory: &Path, model: &Model, provider: &str) -> Output {
    let package = match provider {
        "openai" => "@ai-sdk/openai-compatible",
        _ => "@ai-sdk/anthropic",
    };
    let config = json!({
        "model": "scripted/scripted-1", "small_model": "scripted/scripted-1",
        "autoupdate": false, "share": "disabled", "enabled_providers": ["scripted"],
        "permission": {"edit": "allow", "bash": "allow", "external_directory": "allow"},
        "provider": {"scripted": {
            "npm": package,
            "options": {"baseURL": format!("{}/v1", model.url()), "apiKey": "sk-test"},
            "models": {"scripted-1": {"tool_call": true, "limit": {"context": 128_000, "output": 8192}}},
        }},
    });
    std::fs::create_dir_all(home).unwrap();
    let mut command =
        Command::new(std::env::var_os("OPENCODE_BIN").expect("OPENCODE_BIN is set by `. .ci/env`"));
    command
        .args(["run", PROMPT])
        .current_dir(directory)
        // It works where this variable says, not where it was started.
        .env("PWD", directory)
        .env("HOME", home)
        .env("XDG_DATA_HOME", home.join("data"))
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("XDG_CACHE_HOME", home.join("cache"))
        .env("XDG_STATE_HOME", home.join("state"))
        .env("CARGO_HOME", tool_home("CARGO_HOME", ".cargo"))
        .env("RUSTUP_HOME", tool_home("RUSTUP_HOME", ".rustup"))
        .env_remove("CARGO_TARGET_DIR")
        .env("OPENCODE_CONFIG_CONTENT", config.to_string())
        .env("OPENCODE_DISABLE_MODELS_FETCH", "1")
        .env("OPENCODE_DISABLE_AUTOUPDATE", "1")
        .env("OPENCODE_DISABLE_LSP_DOWNLOAD", "1")
        .env("OPENCODE_DISABLE_DEFAULT_PLUGINS", "1")
        .env("OPENCODE_DISABLE_PROJECT_CONFIG", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    tokio::time::timeout(Duration::from_secs(180), command.output())
        .await
        .expect("the agent ends")
        .unwrap()
}

/// The agent has a home of its own, its tools have the real one.
fn tool_home(variable: &str, folder: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap()).join(folder),
        PathBuf::from,
    )
}

async fn repairs(provider: &str) {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("shlex");
    let project = support::defect::prepare(&directory.path().join("cache"), &target)
        .await
        .unwrap();
    let model = Model::start(ModelOptions {
        port: 0,
        api_key: "sk-test".to_owned(),
    })
    .await
    .unwrap();
    model.script_for(
        "repair",
        PROMPT,
        project.repair(target.to_str().unwrap()).steps(),
    );

    let output = opencode(&directory.path().join("home"), &target, &model, provider).await;

    let said = String::from_utf8_lossy(&output.stdout);
    let source = std::fs::read_to_string(target.join(project.file)).unwrap();
    assert!(
        source.contains(project.fix) && !source.contains(project.defect),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        said.contains("now passes: 11 tests, none failing"),
        "{said}"
    );
    assert!(model.requests().iter().all(|request| request.status == 200));
}

#[tokio::test]
async fn the_agent_repairs_the_crate_over_the_openai_protocol() {
    repairs("openai").await;
}

#[tokio::test]
async fn the_agent_repairs_the_crate_over_the_anthropic_protocol() {
    repairs("anthropic").await;
}
