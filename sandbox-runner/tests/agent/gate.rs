//! Reads before the sync, and writes that wait for it, with the agent's real tools.

use futures_util::FutureExt as _;
use protocol::command::Provider;
use serde_json::json;
use support::model::Turn;
use tokio::time::timeout;

use crate::run::Run;
use crate::stage::{DEADLINE, Stage, Told};

#[tokio::test]
async fn reads_pass_before_anything_is_known_and_a_write_waits() {
    let prompt = r#"[[read path="AGENTS.md"]] [[bash command="cat AGENTS.md | wc -l"]] [[write path="new.txt" content="x"]] [[say text="Written."]]"#;
    let mut run = Run::of(Stage::behind(Provider::Openai).await, prompt).await;
    run.started(3).await;
    let tools = run.told.tools();
    assert!(tools[0].1.contains("greet the marmot"), "{tools:?}");
    assert_eq!(tools[1].1.trim(), "1");
    assert!(!run.wrote("new.txt"));

    run.change(&["other.txt"]);
    run.end().await;
    assert!(run.wrote("new.txt"));
    let wait = run.wait().await;
    assert_eq!(wait.tool, "write");
    assert!(wait.path.ends_with("new.txt"), "{wait:?}");
}

#[tokio::test]
async fn only_a_write_to_a_path_that_changes_waits_until_the_workspace_is_up_to_date() {
    let prompt = r#"[[write path="sub/free.txt" content="x"]] [[write path="sub/taken.txt" content="x"]] [[say text="Written."]]"#;
    let stage = Stage::behind(Provider::Openai).await;
    let paths = ["sub/taken.txt".to_owned()];
    stage.gateway.gate().changing(Some(&paths));
    let mut run = Run::of(stage, prompt).await;
    run.started(2).await;
    assert!(run.wrote("sub/free.txt") && !run.wrote("sub/taken.txt"));

    run.stage.gateway.gate().up_to_date();
    run.end().await;
    assert!(run.wrote("sub/taken.txt"));
    assert!(run.wait().await.path.ends_with("sub/taken.txt"));
    assert!(run.stage.gateway.gate().waited().now_or_never().is_none());
}

#[tokio::test]
async fn a_command_that_writes_waits_if_anything_changes() {
    let prompt = r#"[[bash command="ls; echo x > made.txt"]] [[say text="Written."]]"#;
    let stage = Stage::behind(Provider::Openai).await;
    stage
        .gateway
        .gate()
        .changing(Some(&["other.txt".to_owned()]));
    let mut run = Run::of(stage, prompt).await;
    run.started(1).await;
    assert!(!run.wrote("made.txt"));
    run.stage.gateway.gate().up_to_date();
    run.end().await;
    assert!(run.wrote("made.txt"));
    assert_eq!(run.wait().await.tool, "bash");
}

#[tokio::test]
async fn a_sub_agents_write_waits_too() {
    let stage = Stage::behind(Provider::Openai).await;
    let task = json!({
        "description": "write a file",
        "prompt": r#"[[write path="child.txt" content="x"]] [[say text="The child is done."]]"#,
        "subagent_type": "general",
    });
    stage.model.script(
        "delegate",
        [
            Turn::say("I delegate.").call("task", task),
            Turn::say("All done."),
        ],
    );
    let mut run = Run::of(stage, "[[delegate]]").await;
    let started = |told: &Told| {
        told.tools()
            .iter()
            .any(|(title, _)| title.contains("child.txt"))
    };
    run.told
        .until(&mut run.transcript, &mut run.events, started)
        .await;
    assert!(!run.wrote("child.txt"));
    run.change(&[]);
    run.end().await;
    assert!(run.wrote("child.txt"));
}

#[tokio::test]
async fn an_edit_waits_too() {
    let stage = Stage::behind(Provider::Openai).await;
    let edit = json!({
        "filePath": stage.workspace().join("AGENTS.md"),
        "oldString": "marmot",
        "newString": "walrus",
    });
    let turns = [
        Turn::say("I read.").call("read", json!({ "filePath": edit["filePath"] })),
        Turn::say("I edit.").call("edit", edit),
        Turn::say("All done."),
    ];
    stage.model.script("edit", turns);
    let mut run = Run::of(stage, "[[edit]]").await;
    run.started(2).await;
    let text =
        |run: &Run| std::fs::read_to_string(run.stage.workspace().join("AGENTS.md")).unwrap();
    assert!(text(&run).contains("marmot"));
    run.change(&["other.txt"]);
    run.end().await;
    assert!(text(&run).contains("walrus"), "{:?}", run.told);
    assert_eq!(run.wait().await.tool, "edit");
}

fn patch(lines: &[&str]) -> Turn {
    let lines = [&["*** Begin Patch"], lines, &["*** End Patch"]].concat();
    let patch = json!({ "patchText": lines.join("\n") });
    Turn::say("I patch.").call("apply_patch", patch)
}

#[tokio::test]
async fn a_patch_waits_for_every_path_that_it_writes_moves_or_deletes() {
    let free = ["*** Add File: free.txt", "+x"];
    let update = [
        "*** Update File: AGENTS.md",
        "@@",
        "-Always greet the marmot.",
        "+No.",
    ];
    let moved = [
        update[0],
        "*** Move to: sub/moved.txt",
        update[1],
        update[2],
        update[3],
    ];
    // The agent's tool wants no blank before a name.
    let delete = ["*** Add File: other.txt", "+x", "*** Delete File:AGENTS.md"];
    let cases = [
        (
            "taken.txt",
            ["*** Add File: taken.txt", "+x"].as_slice(),
            "taken.txt",
        ),
        ("AGENTS.md", &update, "AGENTS.md"),
        ("sub/moved.txt", &moved, "AGENTS.md, sub/moved.txt"),
        ("AGENTS.md", &delete, "other.txt, AGENTS.md"),
    ];
    for (changed, lines, named) in cases {
        let stage = Stage::behind_and_patching().await;
        stage.gateway.gate().changing(Some(&[changed.to_owned()]));
        let turns = [patch(&free), patch(lines), Turn::say("All done.")];
        stage.model.script("patch", turns);
        let mut run = Run::of(stage, "[[patch]]").await;
        run.started(2).await;
        assert!(run.wrote("free.txt"), "{changed}: {:?}", run.told);
        let now = || ["taken.txt", "sub/moved.txt", "other.txt"].map(|path| run.wrote(path));
        assert_eq!(now(), [false; 3], "{changed}");
        let before = std::fs::read_to_string(run.stage.workspace().join("AGENTS.md"));
        assert_eq!(before.unwrap(), "Always greet the marmot.\n");

        run.stage.gateway.gate().up_to_date();
        run.end().await;
        let wait = run.wait().await;
        assert_eq!(
            (wait.tool.as_str(), wait.path.as_str()),
            ("apply_patch", named)
        );
        assert_eq!(run.refusals(), Vec::<String>::new());
        let written = [
            changed == "taken.txt",
            changed == "sub/moved.txt",
            lines == delete,
        ];
        let now = ["taken.txt", "sub/moved.txt", "other.txt"].map(|path| run.wrote(path));
        assert_eq!(now, written, "{changed}");
        assert_eq!(run.wrote("AGENTS.md"), lines != moved && lines != delete);
        // It is work to be kept, as any tool's is.
        let gate = run.stage.gateway.gate();
        timeout(DEADLINE, gate.writes().after(0)).await.unwrap();
    }
}

#[tokio::test]
async fn a_patch_of_what_was_read_before_it_changed_is_refused_until_it_is_read_again() {
    let stage = Stage::behind_and_patching().await;
    let path = stage.workspace().join("AGENTS.md");
    let read = || Turn::say("I read.").call("read", json!({ "filePath": path }));
    let lines = ["*** Update File: AGENTS.md", "@@", "-newer", "+mine"];
    let turns = [
        read(),
        patch(&lines),
        read(),
        patch(&lines),
        Turn::say("Done."),
    ];
    stage.model.script("patch", turns);
    let mut run = Run::of(stage, "[[patch]]").await;
    run.started(2).await;
    run.change(&["AGENTS.md"]);
    std::fs::write(&path, "newer\n").unwrap();
    run.stage.gateway.gate().up_to_date();
    run.end().await;
    let refusals = run.refusals();
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    assert!(refusals[0].contains("Read it again"), "{refusals:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine\n");
}

#[tokio::test]
async fn a_command_of_the_shell_endpoint_waits_too() {
    let stage = Stage::behind(Provider::Openai).await;
    let (conversation, _, _events) = stage.conversation().await;
    let mut run = Run::of(stage, r#"[[read path="AGENTS.md"]] [[say text="Read."]]"#).await;
    let gate = run.stage.gateway.gate();
    {
        let server = run.stage.server();
        let shell = server.shell(&conversation, "echo x > made.txt");
        tokio::pin!(shell);
        tokio::select! {
            // In that time the command would be done.
            () = run.end() => {}
            status = &mut shell => panic!("it did not wait: {status}"),
        }
        assert!(!run.wrote("made.txt"));
        gate.changing(Some(&["other.txt".to_owned()]));
        assert!(shell.as_mut().now_or_never().is_none());
        gate.up_to_date();
        assert_eq!(shell.await, 200);
    }
    assert!(run.wrote("made.txt"));
    assert_eq!(run.wait().await.tool, "shell");
    // Nothing is in its way any more.
    let server = run.stage.server();
    let status = server.shell(&conversation, "echo y >> made.txt");
    assert_eq!(status.await, 200);
}

#[tokio::test]
async fn a_write_based_on_what_the_sync_replaced_is_refused() {
    let prompt = r#"[[read path="AGENTS.md"]] [[write path="AGENTS.md" content="mine"]] [[read path="AGENTS.md"]] [[write path="AGENTS.md" content="mine"]] [[say text="Written."]]"#;
    let stage = Stage::behind(Provider::Openai).await;
    let mut run = Run::of(stage, prompt).await;
    run.started(2).await;
    run.change(&["AGENTS.md"]);
    std::fs::write(run.stage.workspace().join("AGENTS.md"), "newer\n").unwrap();
    run.stage.gateway.gate().up_to_date();
    run.end().await;
    let refusals = run.refusals();
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    assert!(refusals[0].contains("Read it again"), "{refusals:?}");
    let written = std::fs::read_to_string(run.stage.workspace().join("AGENTS.md")).unwrap();
    assert_eq!(written, "mine");
}

#[tokio::test]
async fn a_write_that_is_stopped_while_it_waits_never_happens() {
    let prompt = r#"[[write path="new.txt" content="x"]] [[say text="Written."]]"#;
    let mut run = Run::of(Stage::behind(Provider::Openai).await, prompt).await;
    run.started(1).await;
    run.stage.agent.abort(&run.conversation).await.unwrap();
    run.end().await;
    run.stage.gateway.gate().up_to_date();

    run.prompt(r#"[[write path="next.txt" content="x"]] [[say text="Next."]]"#)
        .await;
    run.end().await;
    assert!(run.wrote("next.txt") && !run.wrote("new.txt"));
}

#[tokio::test]
async fn the_agent_is_told_what_kept_its_workspace_behind() {
    let stage = Stage::behind(Provider::Anthropic).await;
    let paths = ["src/lib.rs".to_owned()];
    stage.gateway.gate().conflict(&paths, "abc123");
    let prompt = r#"[[write path="new.txt" content="x"]] [[say text="Written."]]"#;
    let mut run = Run::of(stage, prompt).await;
    run.end().await;
    assert!(run.wrote("new.txt"));
    let requests = run.stage.model.requests();
    let last = requests.last().unwrap().body.to_string();
    assert!(
        last.contains("on an older commit") && last.contains("src/lib.rs"),
        "{last}"
    );
}

#[tokio::test]
async fn the_runner_is_told_of_tools_that_wrote_and_of_no_others() {
    let stage = Stage::start(Provider::Openai).await;
    let prompt = r#"[[read path="AGENTS.md"]] [[bash command="git status"]] [[say text="Read."]]"#;
    let mut run = Run::of(stage, prompt).await;
    run.end().await;
    let gate = run.stage.gateway.gate();
    run.prompt(r#"[[write path="new.txt" content="x"]] [[say text="Written."]]"#)
        .await;
    run.end().await;
    let told = timeout(DEADLINE, gate.writes().after(0)).await;
    assert_eq!(told.unwrap(), 1);
    assert!(run.wrote("new.txt"));
}
