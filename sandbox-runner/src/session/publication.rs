//! The work of a turn, committed and pushed from inside the sandbox.

use protocol::SandboxId;
use protocol::command::Start;

use super::Machinery;
use super::machine::{Input, Work};
use super::provision::workspace;
use crate::git::{Publication, message};
use crate::{cause, clock};

pub(super) async fn publish(
    machinery: &Machinery,
    start: &Start,
    place: &SandboxId,
    work: &Work,
) -> Input {
    let (started_at, committer) = (clock::now(), &machinery.committer);
    let workspace = workspace(machinery, start, place);
    let marks = message::marks(&work.prompts, &start.session, &start.model);
    let text = message::compose(&work.prompts, &work.summary, &start.session, &start.model);
    let author = work
        .prompts
        .first()
        .map(|prompt| message::identity(&prompt.author));
    let publication = Publication {
        message: &text,
        marks: &marks,
        author: author.as_ref().unwrap_or(committer),
        committer,
        work_branch: &start.work_branch,
        pushed: work.pushed.as_deref(),
        beside: &work.beside,
        base: &work.base,
        behind: work.behind,
        resumed: work
            .prompts
            .first()
            .filter(|prompt| prompt.resumed)
            .map(|prompt| &prompt.prompt),
    };
    let outcome = workspace.publish(&publication).await.map_err(|error| {
        tracing::warn!(
            sandbox = %start.sandbox,
            error = cause::chain(&error),
            "work was not pushed"
        );
        cause::chain(&error)
    });
    Input::Published {
        outcome,
        started_at,
    }
}
