//! What a turn has changed: compared inside the sandbox, kept, delivered. Once it is kept it gets to
//! the session, whatever happens to the sandbox.

use protocol::api::{Changes, ChangesScope, KeepChanges};
use protocol::command::Start;
use protocol::{ArtifactId, SandboxId};

use super::Machinery;
use super::machine::Survey;
use super::provision::workspace;
use crate::artifact::parcel::{Content, Parcel, ParcelError};
use crate::cause;
use crate::clock;
use crate::git::{Difference, GitError, Recorded};

#[derive(Debug, thiserror::Error)]
enum SurveyError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error("failed to write the changes")]
    Encode(#[from] serde_json::Error),
    #[error(transparent)]
    Keep(#[from] ParcelError),
}

/// Records the files at the end of a turn, before anybody writes on; quick.
pub(super) async fn record(
    machinery: &Machinery,
    start: &Start,
    place: &SandboxId,
    turn: &Survey,
) -> Option<Recorded> {
    let mark = turn.prompts.last()?;
    let workspace = workspace(machinery, start, place);
    let found = turn.found.as_deref();
    let recorded = workspace
        .record_turn(mark.as_str(), &turn.base, found)
        .await;
    recorded
        .inspect_err(|error| {
            let error = cause::chain(error);
            tracing::warn!(sandbox = %start.sandbox, error, "the files of a turn were not recorded");
        })
        .ok()
}

/// Compares the files of a turn, and keeps what came of it for each of its prompts.
pub(super) async fn survey(
    machinery: &Machinery,
    start: &Start,
    place: &SandboxId,
    turn: &Survey,
) -> Vec<Parcel> {
    let recorded = match &turn.recorded {
        Some(recorded) => Some(recorded.clone()),
        None => record(machinery, start, place, turn).await,
    };
    let Some(recorded) = recorded else {
        return Vec::new();
    };
    match compare(machinery, start, place, turn, &recorded).await {
        Ok(kept) => kept,
        Err(error) => {
            let error = cause::chain(&error);
            tracing::warn!(sandbox = %start.sandbox, error, "the changes of a turn cannot be shown");
            Vec::new()
        }
    }
}

/// Tries once; what is not taken is delivered later.
pub(super) async fn deliver(machinery: &Machinery, parcel: &Parcel) {
    if let Err(error) = machinery.parcels.deliver(parcel).await {
        let error = cause::chain(&error);
        tracing::warn!(session = %parcel.session, error, "the changes of a turn were not taken");
    }
}

async fn compare(
    machinery: &Machinery,
    start: &Start,
    place: &SandboxId,
    turn: &Survey,
    recorded: &Recorded,
) -> Result<Vec<Parcel>, SurveyError> {
    let workspace = workspace(machinery, start, place);
    let Recorded {
        session,
        turn: begin,
        files,
    } = recorded;
    let since_start = workspace.difference(session, files).await?;
    let since_prompt = match begin == session {
        true => since_start.clone(),
        false => workspace.difference(begin, files).await?,
    };
    let mut kept = Vec::new();
    for prompt in &turn.prompts {
        let of = |scope, difference: &Difference| Changes {
            prompt: prompt.clone(),
            scope,
            files: difference.files.clone(),
            omitted: difference.omitted,
        };
        let changes = KeepChanges {
            sandbox: start.sandbox.clone(),
            epoch: start.epoch,
            prompt: prompt.clone(),
            changes: vec![
                of(ChangesScope::Session, &since_start),
                of(ChangesScope::Prompt, &since_prompt),
            ],
        };
        let parcel = Parcel {
            id: ArtifactId::from_random(clock::random()),
            session: start.session.clone(),
            prompt: Some(prompt.clone()),
            name: String::new(),
            caption: None,
            content: Content::Changes,
        };
        let body = serde_json::to_vec(&changes)?;
        machinery.parcels.keep(&parcel, &body).await?;
        kept.push(parcel);
    }
    Ok(kept)
}
