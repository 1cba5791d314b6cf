//! HTTP bodies of accounts: tokens, and what administrators read.

use super::samples::*;
use crate::example::Unknown::{PassedOver, Refused};
use crate::example::{Example, list, message};
use protocol::TokenId;
use protocol::api::*;

pub fn account() -> Vec<Example> {
    let token = ApiToken {
        id: TokenId::from_random([10; 16]),
        name: "nightly".to_owned(),
        scopes: vec![TokenScope::Read, TokenScope::Write],
        created_at: NOW,
        expires_at: NOW.plus(90 * 86_400_000),
        last_used_at: Some(NOW.plus(60_000)),
    };
    let entry = AuditEntry {
        at: NOW,
        user: alice().id,
        login: alice().login,
        means: Means::Browser,
        deed: Deed::SecretSet,
        subject: repository().to_string(),
        detail: Some("NPM_TOKEN".to_owned()),
    };
    vec![
        list("role", vec![Role::Member, Role::Administrator]),
        list(
            "token_scope",
            vec![TokenScope::Read, TokenScope::Write, TokenScope::Admin],
        ),
        message(
            "create_api_token",
            Refused,
            CreateApiToken {
                name: token.name.clone(),
                scopes: token.scopes.clone(),
                expires_in_days: Some(30),
            },
        ),
        message(
            "created_api_token",
            PassedOver,
            CreatedApiToken {
                token: token.clone(),
                secret: format!("{TOKEN_PREFIX}0123456789abcdef"),
            },
        ),
        message("api_token", PassedOver, token.clone()),
        message(
            "api_token_list",
            PassedOver,
            ApiTokenList {
                tokens: vec![token],
            },
        ),
        list("means", vec![Means::Browser, Means::Token]),
        list(
            "deed",
            vec![
                Deed::SignedIn,
                Deed::SignedOutEverywhere,
                Deed::TokenCreated,
                Deed::TokenRevoked,
                Deed::SecretSet,
                Deed::SecretRemoved,
                Deed::SettingsChanged,
                Deed::SessionArchived,
                Deed::PromptStopped,
                Deed::AccessRefused,
                Deed::TerminalOpened,
                Deed::AuditRead,
            ],
        ),
        message("audit_entry", PassedOver, entry.clone()),
        message(
            "audit_page",
            PassedOver,
            AuditPage {
                entries: vec![entry],
                cursor: Some("41".to_owned()),
            },
        ),
    ]
}
