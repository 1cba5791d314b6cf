//! Hooks of a deployment and of a repository, around the agent's real tools.

use serde_json::json;
use support::model::Turn;

use crate::run::Run;
use crate::stage::Stage;

const PROTECT_PATHS: &str = include_str!("../../plugin/examples/protect-paths.js");
const RUNBOOK: &str = include_str!("../../plugin/examples/runbook.js");

#[tokio::test]
async fn a_hook_blocks_writes_below_a_path_whoever_makes_them() {
    let stage = Stage::hooked(&[("protect-paths.js", PROTECT_PATHS)], &[]).await;
    let task = json!({
        "description": "write a file",
        "prompt": r#"[[write path="migrations/1.sql" content="x"]] [[say text="Done."]]"#,
        "subagent_type": "general",
    });
    let delegate = Turn::say("I delegate.").call("task", task);
    stage
        .model
        .script("delegate", [delegate, Turn::say("Done.")]);
    let prompt = r#"[[write path="infra/a.tf" content="x"]] [[bash command="mkdir infra/"]] [[write path="free.txt" content="x"]] [[say text="Done."]]"#;
    let mut run = Run::of(stage, prompt).await;
    run.end().await;
    let refusals = run.refusals();
    assert_eq!(refusals.len(), 2, "{refusals:?}");
    for refusal in &refusals {
        assert!(
            refusal.contains("Blocked by the hook protect-paths"),
            "{refusal}"
        );
    }
    assert!(run.wrote("free.txt") && !run.wrote("infra"));

    run.prompt("[[delegate]]").await;
    run.end().await;
    assert_eq!(run.refusals().len(), 1, "{:?}", run.told);
    assert!(!run.wrote("migrations"));
}

#[tokio::test]
async fn the_runbook_is_in_the_instructions_of_every_request() {
    let stage = Stage::hooked(&[], &[("runbook.js", RUNBOOK)]).await;
    std::fs::create_dir(stage.workspace().join("docs")).unwrap();
    std::fs::write(
        stage.workspace().join("docs/on-call.md"),
        "Page the walrus.",
    )
    .unwrap();
    let prompt = r#"[[read path="AGENTS.md"]] [[say text="Read."]]"#;
    let mut run = Run::of(stage, prompt).await;
    run.end().await;
    let requests = run.stage.model.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert!(request.body.to_string().contains("Page the walrus."));
    }
}

#[tokio::test]
async fn a_hook_changes_what_a_tool_is_given_and_knows_who_prompted() {
    let hook = r#"export default {
        beforeTool({ tool, args, author }) {
            if (tool === "write") return { args: { ...args, content: `${args.content} for ${author.name}` } }
        },
    }"#;
    let stage = Stage::hooked(&[], &[("sign.js", hook)]).await;
    let prompt = r#"[[write path="a.txt" content="written"]] [[say text="Written."]]"#;
    let mut run = Run::of(stage, prompt).await;
    run.end().await;
    let written = std::fs::read_to_string(run.stage.workspace().join("a.txt")).unwrap();
    assert_eq!(written, "written for Ada Prompter");
}

#[tokio::test]
async fn a_repositorys_broken_hooks_do_no_harm() {
    let hooks = [
        ("broken.js", "export default {"),
        (
            "hanging.js",
            "export default { beforeTool: () => new Promise(() => {}) }",
        ),
        (
            "throwing.js",
            "export default { beforeTool() { throw new Error('x') }, afterTool() { throw new Error('x') }, context() { throw new Error('x') } }",
        ),
    ];
    let stage = Stage::hooked(&[("runbook.js", RUNBOOK)], &hooks).await;
    let prompt = r#"[[write path="a.txt" content="x"]] [[say text="Written."]]"#;
    let mut run = Run::of(stage, prompt).await;
    run.end().await;
    assert!(run.wrote("a.txt"));
    assert_eq!(run.refusals(), Vec::<String>::new());
}
