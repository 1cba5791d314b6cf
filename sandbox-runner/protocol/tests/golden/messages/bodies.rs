//! HTTP bodies of sessions.

use super::samples::*;
use crate::example::Unknown::{PassedOver, Refused};
use crate::example::{Example, list, message};
use protocol::api::*;
use protocol::event::*;
use protocol::image::*;
use protocol::ledger::*;
use protocol::{Fact, Seq};

pub fn bodies() -> Vec<Example> {
    let repository_summary = RepositorySummary {
        repository: repository(),
        default_branch: "main".to_owned(),
        private: true,
        may_write: true,
        image: Some(ImageAge {
            state: ImageState::Ready,
            built_at: Some(NOW),
        }),
    };
    let error = ErrorDetail {
        code: "not_found".to_owned(),
        message: "there is no session here, or you have no access to it".to_owned(),
    };
    vec![
        message(
            "me",
            PassedOver,
            Me {
                person: alice(),
                role: Role::Administrator,
            },
        ),
        message(
            "create_session",
            Refused,
            CreateSession {
                repository: repository(),
                branch: Some("develop".to_owned()),
                prompt: Some(TEXT.to_owned()),
                model: Some(model()),
                environment: Some(EnvironmentName::parse("python-3").unwrap()),
                attachments: vec![artifact().id],
                client_request_id: Some("7f3c".to_owned()),
            },
        ),
        message(
            "create_session-least",
            Refused,
            CreateSession {
                repository: repository(),
                branch: None,
                prompt: None,
                model: None,
                environment: None,
                attachments: Vec::new(),
                client_request_id: None,
            },
        ),
        message(
            "created_session",
            PassedOver,
            CreatedSession {
                id: session(),
                url: format!("https://agents.example/sessions/{}", session()),
            },
        ),
        message(
            "rename_session",
            Refused,
            RenameSession {
                title: "Fix the build".to_owned(),
            },
        ),
        message("session_summary", PassedOver, summary()),
        list(
            "session_state",
            vec![
                SessionState::Warming,
                SessionState::Working,
                SessionState::Idle,
                SessionState::Failed,
                SessionState::Archived,
            ],
        ),
        message("pull_request", PassedOver, pull_request()),
        message(
            "session_list",
            PassedOver,
            SessionList {
                sessions: vec![summary()],
                cursor: Some(NOW.to_string()),
            },
        ),
        message(
            "session_list-end",
            PassedOver,
            SessionList {
                sessions: Vec::new(),
                cursor: None,
            },
        ),
        message(
            "create_prompt",
            Refused,
            CreatePrompt {
                text: TEXT.to_owned(),
                mode: Mode::Insert,
                attachments: vec![artifact().id],
                client_request_id: Some("7f3c".to_owned()),
            },
        ),
        message(
            "created_prompt",
            PassedOver,
            CreatedPrompt { id: prompt_id() },
        ),
        message(
            "edit_prompt",
            Refused,
            EditPrompt {
                text: "another text".to_owned(),
            },
        ),
        message(
            "reorder_queue",
            Refused,
            ReorderQueue {
                order: vec![prompt_id()],
            },
        ),
        message(
            "fork_session",
            Refused,
            ForkSession {
                prompt: prompt_id(),
                client_request_id: Some("7f3c".to_owned()),
            },
        ),
        message(
            "event_page",
            PassedOver,
            EventPage {
                events: vec![event(Fact::SessionTitled {
                    title: TEXT.to_owned(),
                })],
                head_seq: Seq(9),
            },
        ),
        message(
            "ticket",
            PassedOver,
            Ticket {
                ticket: "0a1b2c".to_owned(),
            },
        ),
        message(
            "waterfall",
            PassedOver,
            Waterfall {
                steps: vec![step()],
            },
        ),
        message(
            "contact_list",
            PassedOver,
            ContactList {
                contacts: vec![denied_contact()],
            },
        ),
        message("contact", PassedOver, model_contact()),
        message("tokens", PassedOver, tokens()),
        list(
            "contact_kind",
            vec![
                ContactKind::Model,
                ContactKind::Git,
                ContactKind::Https,
                ContactKind::Http,
                ContactKind::Name,
            ],
        ),
        list(
            "verdict",
            vec![Verdict::Allowed, Verdict::Denied, Verdict::Failed],
        ),
        message(
            "repository_list",
            PassedOver,
            RepositoryList {
                repositories: vec![repository_summary.clone()],
            },
        ),
        message("repository_summary", PassedOver, repository_summary),
        message(
            "pool_figures",
            PassedOver,
            PoolFigures {
                days: 7,
                hits: 12,
                hit_percent: Some(80),
                misses: vec![pool_miss()],
                median_warm_ms: Some(140),
                median_cold_ms: Some(2640),
                seconds_saved: Some(30),
                warm_sandbox_seconds: 86_400,
                cost_microdollars: Some(2_400_000),
                cost_today_microdollars: Some(300_000),
                budget_microdollars: Some(1_000_000),
            },
        ),
        message("pool_miss", PassedOver, pool_miss()),
        list(
            "miss_reason",
            vec![
                MissReason::PoolEmpty,
                MissReason::BudgetSpent,
                MissReason::OlderImage,
                MissReason::OtherModel,
                MissReason::NoImage,
            ],
        ),
        message(
            "error_body",
            PassedOver,
            ErrorBody {
                error: error.clone(),
            },
        ),
        message("error_detail", PassedOver, error),
    ]
}
