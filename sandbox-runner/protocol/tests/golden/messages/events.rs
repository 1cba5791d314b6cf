//! The log.

use super::samples::*;
use crate::example::Unknown::PassedOver;
use crate::example::{Example, each_in, list, message};
use protocol::event::*;
use protocol::{Epoch, Fact, PartId};

pub fn events() -> Vec<Example> {
    let facts = vec![
        Fact::SessionCreated {
            repository: repository(),
            branch: "main".to_owned(),
            by: alice(),
            parent: Some(parent()),
        },
        Fact::SessionTitled {
            title: TEXT.to_owned(),
        },
        Fact::SessionArchived { by: alice() },
        Fact::PromptQueued { prompt: prompt() },
        Fact::PromptEdited {
            prompt: prompt_id(),
            text: "another text".to_owned(),
            by: alice(),
        },
        Fact::PromptCancelled {
            prompt: prompt_id(),
            by: alice(),
        },
        Fact::PromptsReordered {
            order: vec![prompt_id()],
            by: alice(),
        },
        Fact::QueuePaused { by: alice() },
        Fact::QueueResumed { by: alice() },
        Fact::PromptStarted {
            prompt: prompt_id(),
        },
        Fact::PromptResumed {
            prompt: prompt_id(),
            epoch: Epoch(2),
        },
        Fact::PromptFinished {
            prompt: prompt_id(),
            outcome: Outcome::Stopped { by: alice() },
        },
        Fact::SandboxStarting {
            sandbox: sandbox(),
            epoch: Epoch(1),
        },
        Fact::SandboxReady {
            sandbox: sandbox(),
            epoch: Epoch(1),
            image: Some(image()),
            commit: COMMIT.to_owned(),
        },
        Fact::SandboxLost {
            sandbox: sandbox(),
            epoch: Epoch(1),
            reason: "the agent server ended".to_owned(),
        },
        Fact::SandboxSlept {
            sandbox: sandbox(),
            epoch: Epoch(1),
            snapshot: snapshot(),
        },
        Fact::SandboxReleased {
            sandbox: sandbox(),
            epoch: Epoch(1),
        },
        Fact::Snapshotted {
            snapshot: snapshot(),
            prompt: Some(prompt_id()),
        },
        Fact::LimitReached {
            limit: Limit::Memory,
            message: "cargo was ended: the sandbox has 4 GiB".to_owned(),
        },
        Fact::Step { step: step() },
        Fact::PartStarted {
            part: PartId(3),
            prompt: prompt_id(),
            body: tool(),
        },
        Fact::PartFinished {
            part: PartId(3),
            prompt: prompt_id(),
            length: 5,
            text: Some("final".to_owned()),
            outcome: PartOutcome::Completed { title: None },
        },
        Fact::Pushed {
            prompt: prompt_id(),
            branch: format!("agent/{}", session()),
            commit: COMMIT.to_owned(),
            files: vec![text_file(), binary_file()],
        },
        Fact::PullRequestOpened {
            prompt: prompt_id(),
            number: 12,
            url: "https://github.com/acme/api/pull/12".to_owned(),
            title: TEXT.to_owned(),
            by: Opener::User { person: alice() },
        },
        Fact::PullRequestChanged {
            number: 481,
            state: PullRequestState::Merged,
            by: "bob".to_owned(),
        },
        Fact::PullRequestReviewed {
            number: 481,
            verdict: ReviewVerdict::Approved,
            by: "bob".to_owned(),
        },
        Fact::ChecksFinished {
            number: 481,
            commit: COMMIT.to_owned(),
            failed: vec!["test (stable)".to_owned()],
        },
        Fact::ArtifactAdded {
            artifact: artifact(),
            prompt: Some(prompt_id()),
        },
        Fact::ChangesKept {
            prompt: prompt_id(),
            files: 2,
            additions: 12,
            deletions: 3,
        },
        Fact::Update {
            prompt: prompt_id(),
            text: "The condition is inverted; a test for it comes first.".to_owned(),
        },
        Fact::Notice {
            message: "the pull request could not be opened".to_owned(),
        },
    ];
    let mut examples = each_in("event", PassedOver, facts, event);
    examples.extend([
        message(
            "event-part_finished-streamed",
            PassedOver,
            event(Fact::PartFinished {
                part: PartId(3),
                prompt: prompt_id(),
                length: 21,
                text: None,
                outcome: PartOutcome::Completed { title: None },
            }),
        ),
        message(
            "event-sandbox_ready-no_image",
            PassedOver,
            event(Fact::SandboxReady {
                sandbox: sandbox(),
                epoch: Epoch(1),
                image: None,
                commit: COMMIT.to_owned(),
            }),
        ),
        message("repository", PassedOver, repository()),
        message("person", PassedOver, alice()),
        message("prompt", PassedOver, prompt()),
        message("step", PassedOver, step()),
        message("file_change", PassedOver, text_file()),
        message("file_change-binary", PassedOver, binary_file()),
        list(
            "limit",
            vec![
                Limit::Memory,
                Limit::Processes,
                Limit::Disk,
                Limit::Time,
                Limit::Money,
            ],
        ),
        message("build_step", PassedOver, build_step()),
        list(
            "source",
            vec![
                Source::Web,
                Source::Api,
                Source::Github,
                Source::Slack,
                Source::Extension,
                Source::Editor,
            ],
        ),
        message("parent", PassedOver, parent()),
        message("artifact", PassedOver, artifact()),
        list(
            "pull_request_state",
            vec![
                PullRequestState::Draft,
                PullRequestState::Open,
                PullRequestState::Merged,
                PullRequestState::Closed,
            ],
        ),
        list(
            "review_verdict",
            vec![
                ReviewVerdict::Approved,
                ReviewVerdict::ChangesRequested,
                ReviewVerdict::Commented,
            ],
        ),
        list("mode", vec![Mode::Queue, Mode::Insert]),
        list(
            "outcome",
            vec![
                Outcome::Completed,
                Outcome::Stopped { by: alice() },
                Outcome::Failed {
                    message: "the model refused".to_owned(),
                },
            ],
        ),
        list(
            "step_name",
            vec![
                StepName::Typing,
                StepName::Claim,
                StepName::Image,
                StepName::Restore,
                StepName::Sync,
                StepName::WriteWait,
                StepName::AgentUp,
                StepName::FirstToken,
                StepName::Run,
                StepName::Snapshot,
                StepName::Push,
                StepName::PullRequest,
            ],
        ),
        list(
            "part_body",
            vec![PartBody::Text, PartBody::Reasoning, tool()],
        ),
        list(
            "part_outcome",
            vec![
                PartOutcome::Completed { title: None },
                PartOutcome::Completed {
                    title: Some("cargo test".to_owned()),
                },
                PartOutcome::Failed {
                    message: "exit code 1".to_owned(),
                },
            ],
        ),
        list(
            "opener",
            vec![Opener::User { person: alice() }, Opener::App],
        ),
    ]);
    examples
}
