//! What pages show beside the log: changes, terminals, the lobby, what can be chosen.

use super::samples::*;
use crate::example::Unknown::{PassedOver, Refused};
use crate::example::{Example, each, list, message};
use protocol::api::*;

fn changes() -> Changes {
    let changed = |path: &str, change, patch| ChangedFile {
        path: path.to_owned(),
        previous: None,
        change,
        additions: Some(1),
        deletions: Some(1),
        patch,
    };
    let hunks = "@@ -1 +1 @@\n-a\n+b\n".to_owned();
    Changes {
        prompt: prompt_id(),
        scope: ChangesScope::Session,
        files: vec![
            ChangedFile {
                previous: Some("src/old.rs".to_owned()),
                ..changed("src/lib.rs", Change::Renamed, Patch::Text { hunks })
            },
            ChangedFile {
                additions: None,
                deletions: None,
                ..changed("logo.png", Change::Added, Patch::Binary)
            },
            changed("package-lock.json", Change::Modified, Patch::TooLarge),
        ],
        omitted: 0,
    }
}

pub fn views() -> Vec<Example> {
    let requests = vec![
        TerminalRequest::TakeControl {},
        TerminalRequest::ReleaseControl {},
        TerminalRequest::Resize {
            columns: 120,
            rows: 40,
        },
        TerminalRequest::Ping {},
    ];
    let notices = vec![
        TerminalNotice::State {
            columns: 120,
            rows: 40,
            viewers: vec![alice()],
            controller: Some(alice()),
            yours: true,
        },
        TerminalNotice::Ended { code: Some(0) },
        TerminalNotice::Error {
            code: "no_sandbox".to_owned(),
            message: "the sandbox is asleep; the next prompt wakes it".to_owned(),
        },
        TerminalNotice::Pong,
    ];
    let told = vec![
        LobbyNotice::Session { session: summary() },
        LobbyNotice::Seen { session: session() },
        LobbyNotice::Prompting { people: 3 },
        LobbyNotice::Pong,
    ];
    let choice = ModelChoice {
        model: model(),
        label: "Claude Sonnet".to_owned(),
    };
    let mut examples = each("terminal_request", Refused, requests);
    examples.extend(each("terminal_notice", PassedOver, notices));
    examples.extend(each("lobby_notice", PassedOver, told));
    examples.extend([
        message("changes", PassedOver, changes()),
        message(
            "keep_changes",
            PassedOver,
            KeepChanges {
                sandbox: sandbox(),
                epoch: protocol::Epoch(2),
                prompt: prompt_id(),
                changes: vec![changes()],
            },
        ),
        message(
            "terminal_expulsion",
            PassedOver,
            TerminalExpulsion {
                user: protocol::UserId(1),
            },
        ),
        message(
            "look_at_changes",
            PassedOver,
            LookAtChanges {
                sandbox: sandbox(),
                scope: ChangesScope::Prompt,
            },
        ),
        message(
            "read_file",
            PassedOver,
            ReadFile {
                place: FilePlace::Sandbox { sandbox: sandbox() },
                path: "src/lib.rs".to_owned(),
            },
        ),
        list(
            "file_place",
            vec![
                FilePlace::Sandbox { sandbox: sandbox() },
                FilePlace::Snapshot {
                    snapshot: snapshot(),
                },
            ],
        ),
        message(
            "terminal_used",
            PassedOver,
            TerminalUsed {
                sandbox: sandbox(),
                epoch: protocol::Epoch(2),
            },
        ),
        message("changed_file", PassedOver, changes().files.remove(0)),
        list(
            "changes_scope",
            vec![ChangesScope::Session, ChangesScope::Prompt],
        ),
        list(
            "change",
            vec![
                Change::Added,
                Change::Modified,
                Change::Deleted,
                Change::Renamed,
            ],
        ),
        list(
            "patch",
            vec![
                Patch::Text {
                    hunks: "@@ -1 +1 @@\n-a\n+b\n".to_owned(),
                },
                Patch::Binary,
                Patch::TooLarge,
            ],
        ),
        list(
            "checks_verdict",
            vec![ChecksVerdict::Passed, ChecksVerdict::Failed],
        ),
        message(
            "terminal_ticket",
            PassedOver,
            TerminalTicket {
                url: format!("wss://sandbox.agents.example/terminal/{}", session()),
                ticket: "c2VjcmV0".to_owned(),
            },
        ),
        message(
            "branch_list",
            PassedOver,
            BranchList {
                branches: vec!["main".to_owned()],
            },
        ),
        message("model_choice", PassedOver, choice.clone()),
        message(
            "model_list",
            PassedOver,
            ModelList {
                models: vec![choice],
            },
        ),
        message(
            "image_age",
            PassedOver,
            ImageAge {
                state: ImageState::Building,
                built_at: Some(NOW),
            },
        ),
    ]);
    examples
}
