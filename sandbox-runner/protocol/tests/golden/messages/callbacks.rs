//! Runner to Worker.

use super::samples::*;
use crate::example::Unknown::PassedOver;
use crate::example::{Example, each, list, message};
use protocol::callback::*;
use protocol::event::*;
use protocol::image::*;
use protocol::{Epoch, PartId, RunnerId, VERSION};

pub fn callbacks() -> Vec<Example> {
    let delta = Report::Delta {
        part: PartId(3),
        offset: 12,
        text: "naïve 🦀\n".to_owned(),
    };
    let finished = Report::PromptFinished {
        prompt: prompt_id(),
        result: PromptResult::Completed,
    };
    let reports = vec![
        Report::Step { step: step() },
        Report::Ready {
            image: Some(image()),
            commit: COMMIT.to_owned(),
        },
        Report::PartStarted {
            part: PartId(3),
            prompt: prompt_id(),
            body: tool(),
        },
        delta.clone(),
        Report::PartFinished {
            part: PartId(3),
            prompt: prompt_id(),
            length: 21,
            text: None,
            outcome: PartOutcome::Completed { title: None },
        },
        Report::Pushed {
            prompt: prompt_id(),
            branch: format!("agent/{}", session()),
            commit: COMMIT.to_owned(),
            files: vec![text_file(), binary_file()],
            summary: "The condition was inverted.".to_owned(),
            base: Some(format!("agent/{}", session())),
        },
        finished.clone(),
        Report::Update {
            prompt: prompt_id(),
            text: "The condition is inverted; a test for it comes first.".to_owned(),
        },
        Report::Notice {
            message: "set-up failed: see the image's log".to_owned(),
        },
        Report::Snapshotted {
            snapshot: snapshot(),
            prompt: Some(prompt_id()),
        },
        Report::Slept {
            snapshot: snapshot(),
        },
        Report::LimitReached {
            limit: Limit::Memory,
            message: "cargo was ended: the sandbox has 4 GiB".to_owned(),
        },
        Report::PullRequestWished {
            prompt: prompt_id(),
            branch: "agent/ses_1-docs".to_owned(),
            wish: PullRequestWish {
                title: Some("Document the parser".to_owned()),
                body: Some("It was in nobody's head.".to_owned()),
                draft: Some(true),
            },
        },
        Report::Contacts {
            contacts: vec![model_contact(), denied_contact()],
        },
        Report::Lost {
            reason: "the agent server ended".to_owned(),
        },
    ];
    let mut examples = each("report", PassedOver, reports);
    examples.extend([
        message(
            "report-part_finished-other_text",
            PassedOver,
            Report::PartFinished {
                part: PartId(3),
                prompt: prompt_id(),
                length: 5,
                text: Some("final".to_owned()),
                outcome: PartOutcome::Completed {
                    title: Some("cargo test".to_owned()),
                },
            },
        ),
        message(
            "batch",
            PassedOver,
            Batch {
                sandbox: sandbox(),
                epoch: Epoch(1),
                first: 7,
                reports: vec![delta, finished],
            },
        ),
        message(
            "acknowledgement",
            PassedOver,
            Acknowledgement { received: 8 },
        ),
        message(
            "register",
            PassedOver,
            Register {
                runner: RunnerId::from_random([6; 16]),
                url: "https://runner-1.example:8788".to_owned(),
                capacity: 8,
                sandboxes: vec![sandbox()],
                version: VERSION.to_owned(),
                images: vec![held_image()],
                warm: vec![warm_sandbox()],
                depot: true,
                repositories: vec![repository()],
                pool_room: Some(4),
            },
        ),
        message("held_image", PassedOver, held_image()),
        message("warm_sandbox", PassedOver, warm_sandbox()),
        message(
            "registered",
            PassedOver,
            Registered {
                registered: true,
                pool: vec![pool_target()],
                egress: vec![repository_egress()],
                lapsed: vec![sandbox()],
            },
        ),
        message("repository_egress", PassedOver, repository_egress()),
        message("pool_target", PassedOver, pool_target()),
        message(
            "image_report",
            PassedOver,
            ImageReport {
                runner: RunnerId::from_random([6; 16]),
                base: Some(base()),
                log_offset: 120,
                log: "   Compiling api\n".to_owned(),
                outcome: Some(ImageOutcome::Ready(built_image())),
            },
        ),
        message("built_image", PassedOver, built_image()),
        list(
            "image_outcome",
            vec![
                ImageOutcome::Ready(built_image()),
                ImageOutcome::Unchanged {
                    commit: COMMIT.to_owned(),
                },
                ImageOutcome::Failed {
                    message: "the repository has no branch main".to_owned(),
                },
            ],
        ),
        message(
            "credentials_request",
            PassedOver,
            CredentialsRequest {
                repository: repository(),
                purpose: Purpose::Session { session: session() },
            },
        ),
        message(
            "credentials",
            PassedOver,
            Credentials {
                username: "x-access-token".to_owned(),
                password: "example".to_owned(),
                expires_at: NOW.plus(3_600_000),
            },
        ),
        message(
            "secrets_request",
            PassedOver,
            SecretsRequest { session: session() },
        ),
        message("secret", PassedOver, secret()),
        message(
            "secrets",
            PassedOver,
            Secrets {
                secrets: vec![secret()],
            },
        ),
        list(
            "purpose",
            vec![Purpose::Image, Purpose::Session { session: session() }],
        ),
        message(
            "pull_request_wish",
            PassedOver,
            PullRequestWish {
                title: Some("Document the parser".to_owned()),
                body: None,
                draft: Some(true),
            },
        ),
        list(
            "prompt_result",
            vec![
                PromptResult::Completed,
                PromptResult::Stopped,
                PromptResult::Failed {
                    message: "the model refused".to_owned(),
                },
            ],
        ),
    ]);
    examples
}
