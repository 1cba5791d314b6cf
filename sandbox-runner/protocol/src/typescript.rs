//! Writes the browser's types from these ones, and fails when the written ones are stale.
//!
//! `UPDATE_GOLDEN=1 cargo test -p protocol` writes them anew.

#![allow(clippy::unwrap_used, reason = "tests")]

use ts_rs::{Config, TS};

use crate::{api, command, egress, event, frame, id, image, ledger};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/ui/src/protocol.ts");

macro_rules! declarations {
    ($config:expr; $($type:ty),+ $(,)?) => {{
        let mut text = String::from(
            "// Generated from sandbox-runner/protocol. Do not edit:\n\
             // UPDATE_GOLDEN=1 cargo test -p protocol\n",
        );
        $(
            let docs = <$type as TS>::docs().unwrap_or_default();
            text.push_str(&format!("\n{docs}export {}\n", <$type as TS>::decl(&$config)));
        )+
        text
    }};
}

#[test]
fn the_browser_types_are_generated_from_these_ones() {
    // Every number here fits a double: none exceeds 2^53.
    let config = Config::new().with_large_int("number");
    let text = declarations!(config;
        id::SessionId, id::PromptId, id::SandboxId, id::ImageId, id::SnapshotId, id::ArtifactId, id::TokenId, id::Seq, id::PartId, id::Epoch,
        id::UserId, id::Millis,
        event::Event, event::Fact, event::Repository, event::Person, event::Prompt, event::Source,
        event::Mode, event::Outcome, event::Step, event::StepName, event::PartBody,
        event::PartOutcome, event::FileChange, event::Opener, event::Limit, event::Parent, event::Artifact, event::PullRequestState,
        event::ReviewVerdict,
        image::Base, image::EnvironmentName, image::Specification, image::BuildStep,
        command::Model, command::Provider,
        egress::EgressPolicy, egress::HostPattern,
        ledger::Contact, ledger::ContactKind, ledger::Verdict, ledger::Tokens,
        frame::ClientFrame, frame::ServerFrame, frame::Participant,
        api::Me, api::Role, api::CreateSession, api::ForkSession, api::ReorderQueue, api::CreatedSession, api::SessionSummary, api::SessionState,
        api::PullRequest, api::ChecksVerdict, api::SessionList, api::CreatePrompt, api::CreatedPrompt, api::EditPrompt,
        api::EventPage, api::Ticket, api::Waterfall, api::ContactList, api::RepositoryList, api::RepositorySummary,
        api::RenameSession, api::ImageAge, api::BranchList, api::ModelList, api::ModelChoice,
        api::Changes, api::ChangesScope, api::ChangedFile, api::Change, api::Patch,
        api::TerminalTicket, api::TerminalRequest, api::TerminalNotice, api::LobbyNotice,
        api::Settings, api::RepositoryDetail, api::RequestImage, api::RequestedImage, api::Image,
        api::ImageState, api::ImageList, api::ImageLog, api::CreateEnvironment, api::Environment,
        api::EnvironmentStatus, api::EnvironmentList,
        api::ArtifactList, api::RequestArtifactUrl, api::ArtifactUrl,
        api::WishPullRequest, api::ChangePullRequest, api::Blame, api::SetMe,
        api::TokenScope, api::CreateApiToken, api::CreatedApiToken, api::ApiToken, api::ApiTokenList,
        api::AuditPage, api::AuditEntry, api::Means, api::Deed,
        api::SetSecret, api::SecretScope, api::SecretList, api::SecretSummary,
        api::Integrations, api::GithubIntegration, api::SlackIntegration, api::SlackOutage,
        api::Statistics, api::DayFigures, api::RepositoryFigures, api::PersonFigures, api::SourceFigures,
        api::Totals,
        api::PoolFigures, api::PoolMiss, api::MissReason, api::ErrorBody, api::ErrorDetail,
    );
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(PATH, &text).unwrap();
    }
    let written = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(
        written == text,
        "{PATH} is stale: UPDATE_GOLDEN=1 cargo test -p protocol"
    );
}
