//! The script of the demo, played with tools that say this or that.

use serde_json::{Value, json};
use support::model::Repair;

use crate::client::{chat, openai, prompt, start};

/// Plays the repair as an agent would, with tools that give these outputs.
async fn repaired(outputs: [&str; 4]) -> (Vec<(String, Value)>, String) {
    let model = start().await;
    let repair = Repair {
        directory: "/home/agent/shlex".to_owned(),
        file: "src/lib.rs".to_owned(),
        defect: "if a >= b {".to_owned(),
        fix: "if a > b {".to_owned(),
        explanation: "The bound was one too small.".to_owned(),
    };
    model.script_for(
        "repair",
        "the tests fail, find out why and fix it",
        repair.steps(),
    );
    let mut messages = prompt("the tests fail, find out why and fix it");
    let mut calls = Vec::new();
    for output in outputs {
        let said = openai(chat(&model, messages.clone()).await).await;
        let Some((id, name, arguments)) = said.calls.first().cloned() else {
            return (calls, said.tokens.concat());
        };
        let messages = messages.as_array_mut().unwrap();
        messages.push(json!({"role": "assistant", "content": said.tokens.concat()}));
        messages.push(json!({"role": "tool", "tool_call_id": id, "content": output}));
        calls.push((name, arguments));
    }
    (
        calls,
        openai(chat(&model, messages).await).await.tokens.concat(),
    )
}

const FAILED: &str = "test bounds ... FAILED\ntest result: FAILED. 3 passed; 1 failed; 0 ignored";
const PASSED: &str = "test bounds ... ok\ntest result: ok. 4 passed; 0 failed; 0 ignored";

#[tokio::test]
async fn the_repair_runs_the_tests_reads_edits_and_runs_them_again() {
    let (calls, report) = repaired([FAILED, "00012| if a >= b {", "edited", PASSED]).await;
    assert_eq!(
        calls
            .iter()
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>(),
        ["bash", "read", "edit", "bash"]
    );
    assert_eq!(calls[0].1["command"], "cargo test");
    assert_eq!(
        calls[2].1,
        json!({"filePath": "/home/agent/shlex/src/lib.rs", "oldString": "if a >= b {", "newString": "if a > b {"})
    );
    assert!(
        report.contains("`bounds`") && report.contains("4 tests, none failing"),
        "{report}"
    );
    assert!(!report.contains("not done"), "{report}");
}

#[tokio::test]
async fn the_repair_claims_no_success_that_the_tests_did_not_show() {
    let (_, report) = repaired([FAILED, "00012| if a >= b {", "edited", FAILED]).await;
    assert!(
        report.contains("not done") && report.contains("`bounds` still fails"),
        "{report}"
    );
    let (_, report) = repaired([
        FAILED,
        "00012| if a >= b {",
        "edited",
        "error: could not compile",
    ])
    .await;
    assert!(report.contains("not done"), "{report}");
}

#[tokio::test]
async fn the_repair_changes_nothing_where_nothing_is_broken_or_known() {
    let (calls, report) = repaired([PASSED, "", "", ""]).await;
    assert_eq!(
        (calls.len(), report.contains("nothing for me to mend")),
        (1, true)
    );
    let (calls, report) = repaired([FAILED, "another file", "", ""]).await;
    assert_eq!((calls.len(), report.contains("it is not there")), (2, true));
}
