//! From a start command to an agent that answers, and to a workspace on its branch's newest commit.
//!
//! [`open`] makes the sandbox. Then two things go on at once: [`start_agent`], after which prompts are
//! taken, and [`synchronise`], for which only those writes wait that it could overtake.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use protocol::command::Start;
use protocol::event::{Step, StepName};
use protocol::{Millis, SandboxId};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Machinery;
use super::machine::Input;
use super::progress::KeepError;
use crate::agent::{Agent, AgentError, BoxIo, ConversationId, Dial, Events, launch};
use crate::gateway::{Access, Gate, GatewayPolicy, Serving};
use crate::git::{BundleError, GitError, Restored, Synchronised, Workspace};
use crate::image::{Image, ImageError};
use crate::init::wire::SpawnSpec;
use crate::sandbox::{Adoption, SandboxBackend, SandboxError, SandboxSpec};
use crate::{cause, clock};

/// Where the repository is inside a sandbox.
pub(super) use crate::image::WORKSPACE;

/// The agent's name among the programs of a sandbox.
pub(super) const AGENT: &str = "agent";
/// What the agent prints, inside the sandbox. Not in its home, which a snapshot would keep.
pub(super) const AGENT_LOG: &str = "/tmp/agent.log";
/// The agent takes 1.5 s on an idle machine, and many times that where many start at once.
const AGENT_PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub(super) enum ProvisionError {
    #[error(
        "the image of {repository} could not be built; check the repository and its branch, then send the prompt again"
    )]
    Image {
        repository: String,
        #[source]
        source: ImageError,
    },
    #[error(
        "the sandbox could not be started; send the prompt again, and ask the operator to run `sandbox-runner doctor` if that does not help"
    )]
    Create(#[source] SandboxError),
    #[error("the agent could not be started; ask the operator to check OPENCODE_BIN")]
    Spawn(#[source] SandboxError),
    #[error("the agent did not answer within {} seconds of its start; send the prompt again", AGENT_PATIENCE.as_secs())]
    AgentUp(#[source] AgentError),
    #[error("the agent did not begin a conversation; send the prompt again")]
    Conversation(#[source] AgentError),
}

/// A sandbox that runs, on an image whose workspace may be out of date.
pub(super) struct Opened {
    pub(super) image: Image,
    pub(super) serving: Serving,
}

/// What a workspace is before it is brought up to date.
#[derive(Debug, Clone, Copy)]
pub(super) struct Footing<'a> {
    /// The commit that the sandbox started from.
    pub(super) commit: &'a str,
    /// Whether nothing can have been written to it since.
    pub(super) fresh: bool,
}

/// An agent that takes prompts.
pub(super) struct Begun {
    pub(super) agent: Agent,
    pub(super) conversation: ConversationId,
    pub(super) events: Events,
}

/// Starts a sandbox. Steps are told as they end.
pub(super) async fn open(
    machinery: &Machinery,
    start: &Start,
    told: &mpsc::Sender<Input>,
) -> Result<Opened, ProvisionError> {
    let image = image(machinery, start, told).await?;
    let began = clock::now();
    let spec = SandboxSpec {
        id: start.sandbox.clone(),
        layers: image.layers.clone(),
        // Commits that the agent makes by itself have the same committer as ours.
        env: BTreeMap::from([
            (
                "GIT_COMMITTER_NAME".to_owned(),
                machinery.committer.name.clone(),
            ),
            (
                "GIT_COMMITTER_EMAIL".to_owned(),
                machinery.committer.email.clone(),
            ),
        ]),
    };
    let sandbox = machinery
        .backend
        .create(&spec)
        .await
        .map_err(ProvisionError::Create)?;
    let serving = serve_gateway(machinery, start, sandbox.gateway);
    tell(told, StepName::Restore, began, None).await;
    Ok(Opened { image, serving })
}

/// Takes over a sandbox from an earlier process of the runner; `None` when it is gone.
pub(super) async fn adopt(
    machinery: &Machinery,
    start: &Start,
) -> Result<Option<(Agent, Serving)>, SandboxError> {
    let Adoption::Alive(sandbox) = machinery.backend.adopt(&start.sandbox).await? else {
        return Ok(None);
    };
    let serving = serve_gateway(machinery, start, sandbox.gateway);
    Ok(Some((connect(&machinery.backend, &start.sandbox), serving)))
}

async fn image(
    machinery: &Machinery,
    start: &Start,
    told: &mpsc::Sender<Input>,
) -> Result<Image, ProvisionError> {
    let failed = |source| ProvisionError::Image {
        repository: start.repository.to_string(),
        source,
    };
    let newest = machinery
        .images
        .newest(&start.repository, &start.branch)
        .map_err(failed)?;
    if let Some(image) = newest {
        return Ok(image);
    }
    let began = clock::now();
    let image = machinery
        .images
        .build(&start.repository, &start.branch)
        .await
        .map_err(failed)?;
    tell(
        told,
        StepName::Image,
        began,
        Some("no image yet".to_owned()),
    )
    .await;
    Ok(image)
}

/// Starts the agent in an opened sandbox, whose image has this commit. It may read while the workspace
/// is brought up to date.
pub(super) async fn start_agent(
    machinery: &Machinery,
    start: &Start,
    image: &str,
    told: &mpsc::Sender<Input>,
) -> Result<Begun, ProvisionError> {
    let began = clock::now();
    let place = launch::Place::sandbox(&machinery.agent_binary, WORKSPACE);
    let launch = launch::launch(&place, &start.model);
    let spec = SpawnSpec {
        name: AGENT.to_owned(),
        argv: launch.argv,
        env: launch
            .env
            .into_iter()
            // The plugin takes the repository's hooks from there.
            .chain([("AGENT_COMMIT".to_owned(), image.to_owned())])
            .collect(),
        cwd: Some(WORKSPACE.to_owned()),
        log: Some(AGENT_LOG.to_owned()),
    };
    machinery
        .backend
        .spawn(&start.sandbox, &spec)
        .await
        .map_err(ProvisionError::Spawn)?;
    let agent = connect(&machinery.backend, &start.sandbox);
    agent
        .wait_until_up(Instant::now() + AGENT_PATIENCE)
        .await
        .map_err(ProvisionError::AgentUp)?;
    tell(told, StepName::AgentUp, began, None).await;
    let begun = async {
        let conversation = agent.conversation(start.session.as_str()).await?;
        let events = agent.events(&conversation).await?;
        Ok((conversation, events))
    };
    let (conversation, events) = begun.await.map_err(ProvisionError::Conversation)?;
    Ok(Begun {
        agent,
        conversation,
        events,
    })
}

/// Brings the workspace of a sandbox to where the session's work goes on, and lets writes through
/// as soon as they are in no danger.
pub(super) async fn synchronise(
    machinery: &Machinery,
    start: &Start,
    footing: Footing<'_>,
    gate: &Gate,
    told: &mpsc::Sender<Input>,
) -> Input {
    let began = clock::now();
    let (synchronised, detail) = match bring(machinery, start, footing, gate, told).await {
        Ok(brought) => brought,
        Err(error) => {
            let error = cause::chain(&error);
            tracing::warn!(sandbox = %start.sandbox, error, "a workspace is not up to date");
            gate.problem(&error);
            return Input::Unsynchronised { message: error };
        }
    };
    match &synchronised.conflict {
        Some(paths) => {
            let wanted = synchronised.pushed.as_ref().unwrap_or(&synchronised.base);
            gate.conflict(paths, wanted);
        }
        None => gate.up_to_date(),
    }
    tell(told, StepName::Sync, began, detail.map(str::to_owned)).await;
    Input::Synchronised(Box::new(synchronised))
}

async fn bring(
    machinery: &Machinery,
    start: &Start,
    footing: Footing<'_>,
    gate: &Gate,
    told: &mpsc::Sender<Input>,
) -> Result<(Synchronised, Option<&'static str>), GitError> {
    let workspace = workspace(machinery, start);
    let looked = workspace.look(&start.branch, &start.work_branch).await;
    let pushed = looked
        .as_ref()
        .ok()
        .and_then(|looked| looked.pushed.as_deref());
    if footing.fresh {
        match restore(machinery, start, &workspace, pushed, gate).await {
            Ok(false) => {}
            Ok(true) => {
                let detail = "with the work in progress of the sandbox before";
                return Ok((workspace.stay(&looked?).await?, Some(detail)));
            }
            Err(error) => {
                let error = cause::chain(&error);
                tracing::warn!(sandbox = %start.sandbox, error, "work in progress was not restored");
                let message = format!(
                    "Work of the sandbox before, which was not pushed, could not be restored: {error}"
                );
                let _ = told.send(Input::Notice { message }).await;
            }
        }
    }
    let looked = looked?;
    if start.snapshot.is_some() || looked.head != footing.commit {
        // There is work in it already, which nothing may move away from under the agent.
        return Ok((
            workspace.stay(&looked).await?,
            Some("work goes on where it was"),
        ));
    }
    gate.changing(looked.changed.as_deref());
    let detail = looked
        .is_unchanged()
        .then_some("nothing new since the image");
    Ok((workspace.advance(&looked).await?, detail))
}

#[derive(Debug, thiserror::Error)]
enum RestoreError {
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error(transparent)]
    Kept(#[from] KeepError),
}

/// Whether there was work in progress, and it is in the workspace now. What is kept is newer than
/// what the sandbox started from.
async fn restore(
    machinery: &Machinery,
    start: &Start,
    workspace: &Workspace<'_>,
    pushed: Option<&str>,
    gate: &Gate,
) -> Result<bool, RestoreError> {
    let Some(bundle) = machinery.progress.kept(&start.session).await? else {
        return Ok(false);
    };
    gate.changing(None);
    let restored = workspace.restore_progress(&start.work_branch, pushed, &bundle);
    match restored.await? {
        Restored::Whole => Ok(true),
        Restored::Outdated => {
            machinery.progress.forget(&start.session).await?;
            Ok(false)
        }
    }
}

/// The workspace of a session's sandbox.
pub(super) fn workspace<'a>(machinery: &'a Machinery, start: &'a Start) -> Workspace<'a> {
    Workspace {
        backend: machinery.backend.as_ref(),
        sandbox: &start.sandbox,
        directory: WORKSPACE,
        repository: &start.repository,
    }
}

fn serve_gateway(machinery: &Machinery, start: &Start, listener: UnixListener) -> Serving {
    let access = Access::Session {
        session: start.session.clone(),
        branch: start.work_branch.clone(),
    };
    let policy = GatewayPolicy {
        repository: start.repository.clone(),
        access,
    };
    machinery.gateway.serve(policy, listener)
}

fn connect(backend: &Arc<dyn SandboxBackend>, sandbox: &SandboxId) -> Agent {
    let (backend, sandbox) = (Arc::clone(backend), sandbox.clone());
    let dial: Dial = Arc::new(move || {
        let (backend, sandbox) = (Arc::clone(&backend), sandbox.clone());
        Box::pin(async move {
            let stream = backend
                .dial(&sandbox, launch::PORT)
                .await
                .map_err(std::io::Error::other)?;
            Ok(Box::new(stream) as BoxIo)
        })
    });
    Agent::connect(dial, WORKSPACE)
}

async fn tell(
    told: &mpsc::Sender<Input>,
    name: StepName,
    started_at: Millis,
    detail: Option<String>,
) {
    let step = Step {
        name,
        started_at,
        ms: clock::now().since(started_at),
        detail,
    };
    // The session may have ended meanwhile; then nobody wants to know.
    let _ = told.send(Input::Step(step)).await;
}
