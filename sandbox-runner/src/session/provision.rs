//! From a start command to an agent that answers, in a workspace on its branch's newest commit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use protocol::command::Start;
use protocol::event::{Step, StepName};
use protocol::{Millis, SandboxId};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Machinery;
use super::machine::{Input, Ready};
use crate::agent::{Agent, AgentError, BoxIo, ConversationId, Dial, Events, launch};
use crate::clock;
use crate::gateway::{Access, GatewayPolicy, Serving};
use crate::git::{GitError, Synchronised, Workspace};
use crate::image::{Image, ImageError};
use crate::init::wire::SpawnSpec;
use crate::sandbox::limits::Limits;
use crate::sandbox::{Adoption, Ports, SandboxBackend, SandboxError, SandboxSpec};

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
    #[error(
        "the workspace could not be brought to the branch's newest commit; check that the branch exists and that the repository can still be read"
    )]
    Synchronise(#[source] GitError),
}

/// A sandbox as its session works with it.
pub(super) struct Provisioned {
    pub(super) agent: Agent,
    pub(super) serving: Serving,
    pub(super) events: Events,
    pub(super) ready: Ready,
}

/// Starts a sandbox. Steps are told as they end.
pub(super) async fn provision(
    machinery: &Machinery,
    start: &Start,
    told: &mpsc::Sender<Input>,
) -> Result<Provisioned, ProvisionError> {
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
        workshop: false,
        limits: Limits::default(),
    };
    let sandbox = machinery
        .backend
        .create(&spec)
        .await
        .map_err(ProvisionError::Create)?;
    let serving = serve_gateway(machinery, start, sandbox.ports);
    tell(told, StepName::Restore, began, None).await;

    let (agent, workspace) = tokio::try_join!(
        start_agent(machinery, start, told),
        synchronise(machinery, start, told)
    )?;
    let Begun {
        agent,
        conversation,
        events,
    } = agent;
    let ready = Ready {
        image: Some(image.id),
        conversation,
        directory: WORKSPACE.to_owned(),
        workspace,
    };
    Ok(Provisioned {
        agent,
        serving,
        events,
        ready,
    })
}

/// Takes over a sandbox from an earlier process of the runner; `None` when it is gone.
pub(super) async fn adopt(
    machinery: &Machinery,
    start: &Start,
) -> Result<Option<(Agent, Serving)>, SandboxError> {
    let Adoption::Alive(sandbox) = machinery.backend.adopt(&start.sandbox).await? else {
        return Ok(None);
    };
    let serving = serve_gateway(machinery, start, sandbox.ports);
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

struct Begun {
    agent: Agent,
    conversation: ConversationId,
    events: Events,
}

async fn start_agent(
    machinery: &Machinery,
    start: &Start,
    told: &mpsc::Sender<Input>,
) -> Result<Begun, ProvisionError> {
    let began = clock::now();
    let place = launch::Place::sandbox(&machinery.agent_binary, WORKSPACE);
    let launch = launch::launch(&place, &start.model);
    let spec = SpawnSpec {
        name: AGENT.to_owned(),
        argv: launch.argv,
        env: launch.env.into_iter().collect(),
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

async fn synchronise(
    machinery: &Machinery,
    start: &Start,
    told: &mpsc::Sender<Input>,
) -> Result<Synchronised, ProvisionError> {
    let began = clock::now();
    let workspace = Workspace {
        backend: machinery.backend.as_ref(),
        sandbox: &start.sandbox,
        directory: WORKSPACE,
        repository: &start.repository,
    };
    let synchronised = workspace
        .synchronise(&start.branch, &start.work_branch)
        .await
        .map_err(ProvisionError::Synchronise)?;
    let detail = (!synchronised.moved).then(|| "nothing new since the image".to_owned());
    tell(told, StepName::Sync, began, detail).await;
    Ok(synchronised)
}

fn serve_gateway(machinery: &Machinery, start: &Start, ports: Ports) -> Serving {
    let access = Access::Session {
        session: start.session.clone(),
        branch: start.work_branch.clone(),
    };
    let policy = GatewayPolicy {
        repository: start.repository.clone(),
        access,
        egress: start.egress.clone().unwrap_or_default(),
        spent_microdollars: start.spent_microdollars,
    };
    machinery.gateway.serve(policy, ports)
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
