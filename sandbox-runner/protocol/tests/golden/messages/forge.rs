//! A session's work at the forge.

use super::samples::*;
use crate::example::Unknown::{PassedOver, Refused};
use crate::example::{Example, message};
use protocol::api::*;

pub fn forge() -> Vec<Example> {
    vec![
        message(
            "wish_pull_request",
            Refused,
            WishPullRequest {
                branch: Some(format!("agent/{}-docs", session())),
                title: Some("Document the parser".to_owned()),
                draft: Some(true),
            },
        ),
        message(
            "change_pull_request",
            Refused,
            ChangePullRequest {
                title: Some("Document the parser".to_owned()),
                base: Some("main".to_owned()),
                draft: Some(false),
            },
        ),
        message(
            "blame",
            PassedOver,
            Blame {
                commit: COMMIT.to_owned(),
                author: "Ada <7+ada@users.noreply.github.com>".to_owned(),
                session: Some(session()),
                prompt: Some(prompt_id()),
                prompt_text: Some("fix the parser".to_owned()),
                model: Some("openai/gpt-5".to_owned()),
                co_authors: vec!["Bob <8+bob@users.noreply.github.com>".to_owned()],
                pull_request: Some(3),
            },
        ),
        message(
            "set_me",
            Refused,
            SetMe {
                commit_email: Some("ada@example.com".to_owned()),
            },
        ),
    ]
}
