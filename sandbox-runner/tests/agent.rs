#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]
//! The driver against the real agent server, which reaches the scripted model through the real
//! gateway. `OPENCODE_BIN` names its executable.

#[path = "agent/gate.rs"]
mod gate;
#[path = "agent/hooks.rs"]
mod hooks;
#[path = "gateway/ports.rs"]
mod ports;
#[path = "agent/run.rs"]
mod run;
#[path = "agent/stage.rs"]
mod stage;

use protocol::callback::Report;
use protocol::command::{Model, Provider};
use protocol::event::PartOutcome;
use sandbox_runner::agent::transcript::Turn;
use sandbox_runner::agent::{Part, PartKind, Role, Tool, ToolState};
use sandbox_runner::gateway::ledger::Verdict;

use stage::{Stage, Told, author};

#[tokio::test]
async fn a_run_is_told_as_the_agent_holds_it() {
    for provider in [Provider::Openai, Provider::Anthropic] {
        let stage = Stage::start(provider).await;
        let (conversation, mut transcript, mut events) = stage.conversation().await;
        let command = "echo one; echo two >&2; git -c user.name=Bot -c user.email=b@x.org commit -qam first && git log --format=%an:%cn";
        let prompt = format!(
            r#"[[bash command="{command}"]] [[write path="new.txt" content="x"]] [[say text="All is done, truly."]]"#
        );
        stage.prompt(&conversation, &prompt).await;
        let mut told = Told::default();
        told.until_end(&mut transcript, &mut events).await;

        assert_eq!(told.turns.last(), Some(&Turn::Idle));
        let tools = told.tools();
        assert_eq!(tools[0].0, command);
        for line in ["one\n", "two\n"] {
            assert!(tools[0].1.contains(line), "{tools:?}");
        }
        assert_eq!(tools[1].0, "write new.txt");
        assert_eq!(told.texts().last().unwrap(), "All is done, truly.");
        assert_eq!(transcript.summary(), "All is done, truly.");
        assert!(stage.workspace().join("new.txt").is_file());
        // Commits that the agent makes itself belong to whoever prompted.
        assert!(tools[0].1.contains("Ada Prompter:Bot"), "{tools:?}");

        let mut held = Vec::new();
        for message in stage.agent.messages(&conversation).await.unwrap() {
            if message.info.role == Role::Assistant {
                held.extend(message.parts.iter().filter_map(shown));
            }
        }
        let mut shown: Vec<_> = tools.into_iter().map(|(_, output)| output).collect();
        shown.extend(told.texts());
        shown.sort();
        held.sort();
        assert_eq!(shown, held);
        assert_eq!(transcript.close("all is finished"), []);

        // One request for each step: none for a title. The repository's instructions are read, its
        // configuration is not.
        let requests = stage.model.requests();
        assert_eq!(requests.len(), 3);
        for request in &requests {
            assert!(
                request
                    .body
                    .to_string()
                    .contains("Always greet the marmot.")
            );
            assert_eq!(request.body["model"], "scripted-1");
        }
        stage.assert_own_configuration_is_ignored();
        let contacts = stage.gateway.ledger().list();
        assert_eq!(contacts.len(), 1);
        assert_eq!(
            (contacts[0].requests, contacts[0].verdict),
            (3, Verdict::Allowed)
        );
    }
}

#[tokio::test]
async fn what_is_set_for_the_agents_runtime_is_not_for_its_programs() {
    let stage = Stage::start(Provider::Openai).await;
    let (conversation, mut transcript, mut events) = stage.conversation().await;
    let prompt = r#"[[bash command="env | cut -d= -f1"]] [[say text="Done."]]"#;
    stage.prompt(&conversation, prompt).await;
    let mut told = Told::default();
    told.until_end(&mut transcript, &mut events).await;
    let tools = told.tools();
    assert!(tools[0].1.contains("XDG_CONFIG_HOME"), "{tools:?}");
    assert!(!tools[0].1.contains("BUN_JSC_"), "{tools:?}");
}

#[tokio::test]
async fn tokens_are_told_before_the_answer_is_complete_and_an_abort_ends_it() {
    let stage = Stage::start(Provider::Openai).await;
    let (conversation, mut transcript, mut events) = stage.conversation().await;
    stage.prompt(&conversation, "[[hang after=3]]").await;
    let mut told = Told::default();
    told.until(&mut transcript, &mut events, |told| told.deltas() >= 3)
        .await;
    assert!(told.turns.iter().all(|turn| *turn == Turn::Busy));

    stage.agent.abort(&conversation).await.unwrap();
    told.until_end(&mut transcript, &mut events).await;
    assert_eq!(told.turns.last(), Some(&Turn::Idle));
    transcript.close("stopped");

    transcript.begin(protocol::PromptId::from_random([2; 16]));
    stage
        .prompt(&conversation, r#"[[say text="still here"]]"#)
        .await;
    let mut told = Told::default();
    told.until_end(&mut transcript, &mut events).await;
    assert_eq!(told.texts(), ["still here"]);
}

#[tokio::test]
async fn an_aborted_command_is_told_as_failed_with_what_it_showed() {
    let stage = Stage::start(Provider::Openai).await;
    let (conversation, mut transcript, mut events) = stage.conversation().await;
    stage
        .prompt(&conversation, r#"[[bash command="echo begun; sleep 60"]]"#)
        .await;
    let mut told = Told::default();
    told.until(&mut transcript, &mut events, |told| {
        told.tools()
            .iter()
            .any(|(_, output)| output.contains("begun"))
    })
    .await;
    stage.agent.abort(&conversation).await.unwrap();
    told.until_end(&mut transcript, &mut events).await;
    told.reports.extend(transcript.close("stopped"));
    let failed = told.reports.iter().filter(|report| {
        matches!(
            report,
            Report::PartFinished {
                outcome: PartOutcome::Failed { .. },
                ..
            }
        )
    });
    assert_eq!(failed.count(), 1);
    assert!(told.tools()[0].1.contains("begun"));
}

#[tokio::test]
async fn a_lost_stream_loses_and_repeats_nothing() {
    let stage = Stage::start(Provider::Openai).await;
    let (conversation, mut transcript, mut events) = stage.conversation().await;
    stage.prompt(&conversation, "[[stream tokens=300 rate=200]] [[bash command=\"echo one\"]] [[stream tokens=50 rate=100]]").await;
    let mut told = Told::default();
    for deltas in [20, 40, 60] {
        told.until(&mut transcript, &mut events, |told| {
            told.deltas() >= deltas || told.tools().len() == 1
        })
        .await;
        drop(events);
        events = stage.agent.events(&conversation).await.unwrap();
    }
    told.until_end(&mut transcript, &mut events).await;
    assert_eq!(transcript.close("all is finished"), []);
    let held: Vec<_> = stage.agent.messages(&conversation).await.unwrap();
    let held: Vec<_> = held
        .iter()
        .filter(|message| message.info.role == Role::Assistant)
        .flat_map(|message| &message.parts)
        .filter(|part| matches!(part.kind, PartKind::Text { .. }))
        .filter_map(shown)
        .collect();
    assert_eq!(told.texts(), held);
}

#[tokio::test]
async fn a_failing_model_ends_the_turn_with_its_message() {
    let stage = Stage::start(Provider::Openai).await;
    let (conversation, mut transcript, mut events) = stage.conversation().await;
    stage.prompt(&conversation, "[[fail status=400]]").await;
    let mut told = Told::default();
    told.until_end(&mut transcript, &mut events).await;
    assert!(
        matches!(told.turns.last(), Some(Turn::Error { .. })),
        "{:?}",
        told.turns
    );
}

#[tokio::test]
async fn a_model_that_the_agent_does_not_know_ends_the_turn() {
    let stage = Stage::start(Provider::Openai).await;
    let (conversation, mut transcript, mut events) = stage.conversation().await;
    let model = Model {
        provider: Provider::Openai,
        name: "unheard-of".to_owned(),
    };
    stage
        .agent
        .prompt(&conversation, "hello", &model, &author())
        .await
        .unwrap();
    let mut told = Told::default();
    told.until_end(&mut transcript, &mut events).await;
    let Some(Turn::Error { message }) = told.turns.last() else {
        panic!("{:?}", told.turns)
    };
    assert!(message.contains("unheard-of"), "{message}");
}

#[tokio::test]
async fn an_overloaded_model_is_told_and_tried_again() {
    let stage = Stage::start(Provider::Openai).await;
    let (conversation, mut transcript, mut events) = stage.conversation().await;
    stage
        .prompt(
            &conversation,
            r#"[[fail status=529 times=1]] [[say text="at last"]]"#,
        )
        .await;
    let mut told = Told::default();
    told.until_end(&mut transcript, &mut events).await;
    assert!(
        told.turns
            .iter()
            .any(|turn| matches!(turn, Turn::Retrying { .. })),
        "{:?}",
        told.turns
    );
    assert_eq!(told.turns.last(), Some(&Turn::Idle));
    assert_eq!(told.texts(), ["at last"]);
}

#[tokio::test]
async fn the_warm_up_leaves_no_trace() {
    let stage = Stage::start(Provider::Openai).await;
    let (conversation, mut transcript, mut events) = stage.conversation().await;
    stage.agent.warm_up().await.unwrap();
    assert_eq!(stage.model.requests().len(), 0);
    stage.prompt(&conversation, r#"[[say text="hello"]]"#).await;
    let mut told = Told::default();
    told.until_end(&mut transcript, &mut events).await;
    assert_eq!(told.texts(), ["hello"]);
    assert_eq!(
        told.turns
            .iter()
            .filter(|turn| **turn == Turn::Idle)
            .count(),
        1
    );
}

fn shown(part: &Part) -> Option<String> {
    match &part.kind {
        PartKind::Text { text, .. } => Some(text.clone()),
        PartKind::Tool(Tool {
            state: ToolState::Completed { output, .. },
            ..
        }) => Some(output.clone()),
        _ => None,
    }
}
