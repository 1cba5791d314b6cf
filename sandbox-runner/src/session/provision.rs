//! From a start command to an agent that answers, in a workspace on its branch's newest commit.

use std::sync::Arc;
use std::time::Duration;

use protocol::command::{Model, Start};
use protocol::event::{Step, StepName};
use protocol::image::Base;
use protocol::{Millis, SandboxId};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Machinery;
use super::machine::{Input, Ready};
use crate::agent::transcript::Transcript;
use crate::agent::{Agent, AgentError, BoxIo, ConversationId, Dial, Events, launch};
use crate::clock;
use crate::gateway::{Access, GatewayPolicy, Serving};
use crate::git::{GitError, Synchronised, Workspace};
use crate::image::{Image, ImageError};
use crate::init::wire::SpawnSpec;
use crate::layer::LayerId;
use crate::metrics::METRICS;
use crate::pool::{Claimed, Pool};
use crate::sandbox::limits::Limits;
use crate::sandbox::{Adoption, Ports, SandboxBackend, SandboxError, SandboxSpec};
use crate::store::StoreError;
use crate::store::snapshot::Snapshot;

/// Where the repository is inside a sandbox.
pub(super) use crate::image::WORKSPACE;

/// The agent's name among the programs of a sandbox.
pub(super) const AGENT: &str = "agent";
/// What the agent prints, inside the sandbox. Not in its home, which a snapshot would keep.
pub(super) const AGENT_LOG: &str = "/tmp/agent.log";
/// The agent takes 1.5 s on an idle machine, and many times that where many start at once.
const AGENT_PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub(crate) enum ProvisionError {
    #[error("the runner's database fails; ask the operator to look at its log")]
    Store(#[source] StoreError),
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
    /// What the backend knows it by.
    pub(super) place: SandboxId,
    pub(super) agent: Agent,
    pub(super) serving: Serving,
    pub(super) events: Events,
    pub(super) ready: Ready,
}

/// What sandboxes start from, besides what the command says.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    pub(super) machinery: &'a Machinery,
    pub(super) pool: &'a Pool,
}

/// Starts a sandbox: from the pool, else from a snapshot, else from the image. Steps are told as
/// they end.
pub(super) async fn provision(
    sources: Sources<'_>,
    start: &Start,
    told: &mpsc::Sender<Input>,
) -> Result<Provisioned, ProvisionError> {
    if let Some(snapshot) = &start.snapshot {
        let found = sources.machinery.store.snapshot(snapshot);
        match found.map_err(ProvisionError::Store)? {
            Some(snapshot) => return from_snapshot(sources.machinery, start, snapshot, told).await,
            None => {
                let message = "What this session's files were is not on this runner: it goes on \
                     from what was pushed."
                    .to_owned();
                let _ = told.send(Input::Notice { message }).await;
            }
        }
    }
    if let Some(warm) = &start.warm {
        let began = clock::now();
        let claimed = sources.pool.claim(warm, &start.sandbox).await;
        if let Some(claimed) = claimed.map_err(ProvisionError::Store)? {
            METRICS.claims_hit.add(1);
            return from_pool(sources.machinery, start, claimed, began, told).await;
        }
        METRICS.claims_missed.add(1);
    }
    from_image(sources.machinery, start, told).await
}

async fn from_pool(
    machinery: &Machinery,
    start: &Start,
    claimed: Claimed,
    began: Millis,
    told: &mpsc::Sender<Input>,
) -> Result<Provisioned, ProvisionError> {
    let Claimed {
        place,
        warm,
        agent,
        conversation,
        events,
        ..
    } = claimed;
    let serving = serve_gateway(machinery, start, place.ports);
    let detail = Some("warm".to_owned());
    tell(told, StepName::Restore, began, detail).await;
    let workspace = synchronise(machinery, start, &place.id, told).await?;
    Ok(Provisioned {
        place: place.id,
        agent,
        serving,
        events,
        ready: Ready {
            image: Some(warm.image),
            transcript: Transcript::new(conversation, WORKSPACE, start.first_part),
            workspace,
            warm: true,
        },
    })
}

async fn from_snapshot(
    machinery: &Machinery,
    start: &Start,
    snapshot: Snapshot,
    told: &mpsc::Sender<Input>,
) -> Result<Provisioned, ProvisionError> {
    let place = &start.sandbox;
    let serving = restore(
        machinery,
        start,
        &snapshot.layers,
        "from its snapshot",
        told,
    )
    .await?;
    let began = clock::now();
    let agent = spawn_agent(machinery, place, &start.model).await?;
    tell(told, StepName::AgentUp, began, None).await;
    let conversation = snapshot.transcript.conversation();
    let events = agent.events(conversation).await;
    let events = events.map_err(ProvisionError::Conversation)?;
    // The work that is there is the session's own: it is not moved to anything newer.
    let workspace = workspace(machinery, start, place);
    let head = workspace
        .head()
        .await
        .map_err(ProvisionError::Synchronise)?;
    Ok(Provisioned {
        place: place.clone(),
        agent,
        serving,
        events,
        ready: Ready {
            image: snapshot.image,
            transcript: snapshot.transcript.resumed(start.first_part),
            workspace: Synchronised {
                base: snapshot.base_commit,
                head,
                pushed: snapshot.pushed,
                moved: false,
            },
            warm: false,
        },
    })
}

async fn from_image(
    machinery: &Machinery,
    start: &Start,
    told: &mpsc::Sender<Input>,
) -> Result<Provisioned, ProvisionError> {
    let image = image(machinery, start, told).await?;
    let age = age(clock::now().since(image.built_at));
    let detail = format!("from the image of {age} ago");
    let serving = restore(machinery, start, &image.layers, &detail, told).await?;
    let place = &start.sandbox;
    let agent = async {
        let began = clock::now();
        let begun = begin_agent(machinery, place, &start.model).await?;
        tell(told, StepName::AgentUp, began, None).await;
        Ok(begun)
    };
    let (begun, workspace) = tokio::try_join!(agent, synchronise(machinery, start, place, told))?;
    Ok(Provisioned {
        place: place.clone(),
        agent: begun.agent,
        serving,
        events: begun.events,
        ready: Ready {
            image: Some(image.id),
            transcript: Transcript::new(begun.conversation, WORKSPACE, start.first_part),
            workspace,
            warm: false,
        },
    })
}

/// Takes over a sandbox from an earlier process of the runner; `None` when it is gone.
pub(super) async fn adopt(
    machinery: &Machinery,
    start: &Start,
    place: &SandboxId,
) -> Result<Option<(Agent, Serving)>, SandboxError> {
    let Adoption::Alive(sandbox) = machinery.backend.adopt(place).await? else {
        return Ok(None);
    };
    let serving = serve_gateway(machinery, start, sandbox.ports);
    Ok(Some((connect(&machinery.backend, place), serving)))
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
    let base = base(start);
    if let Some(image) = machinery.images.newest(&base).map_err(failed)? {
        return Ok(image);
    }
    let began = clock::now();
    let image = machinery.images.build(&base).await.map_err(failed)?;
    let detail = Some("no image yet: from a fresh clone".to_owned());
    tell(told, StepName::Image, began, detail).await;
    Ok(image)
}

async fn restore(
    machinery: &Machinery,
    start: &Start,
    layers: &[LayerId],
    detail: &str,
    told: &mpsc::Sender<Input>,
) -> Result<Serving, ProvisionError> {
    let began = clock::now();
    let spec = spec(machinery, &start.sandbox, layers);
    let sandbox = machinery.backend.create(&spec).await;
    let sandbox = sandbox.map_err(ProvisionError::Create)?;
    let serving = serve_gateway(machinery, start, sandbox.ports);
    tell(told, StepName::Restore, began, Some(detail.to_owned())).await;
    Ok(serving)
}

/// How every sandbox of a session or of the pool is made.
pub(crate) fn spec(machinery: &Machinery, id: &SandboxId, layers: &[LayerId]) -> SandboxSpec {
    let committer = &machinery.committer;
    let env = [
        ("GIT_COMMITTER_NAME", &committer.name),
        ("GIT_COMMITTER_EMAIL", &committer.email),
    ];
    SandboxSpec {
        id: id.clone(),
        layers: layers.to_vec(),
        // Commits that the agent makes by itself have the same committer as ours.
        env: env
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .into(),
        workshop: false,
        limits: Limits::default(),
    }
}

/// An agent with a conversation open.
pub(crate) struct Begun {
    pub(crate) agent: Agent,
    pub(crate) conversation: ConversationId,
    pub(crate) events: Events,
}

/// Starts the agent in a sandbox and opens a conversation with it.
pub(crate) async fn begin_agent(
    machinery: &Machinery,
    place: &SandboxId,
    model: &Model,
) -> Result<Begun, ProvisionError> {
    let agent = spawn_agent(machinery, place, model).await?;
    let begun = async {
        let conversation = agent.conversation(place.as_str()).await?;
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

async fn spawn_agent(
    machinery: &Machinery,
    place: &SandboxId,
    model: &Model,
) -> Result<Agent, ProvisionError> {
    let seen = launch::Place::sandbox(&machinery.agent_binary, WORKSPACE);
    let launch = launch::launch(&seen, model);
    let spec = SpawnSpec {
        name: AGENT.to_owned(),
        argv: launch.argv,
        env: launch.env.into_iter().collect(),
        cwd: Some(seen.state.to_owned()),
        log: Some(AGENT_LOG.to_owned()),
    };
    let spawned = machinery.backend.spawn(place, &spec).await;
    spawned.map_err(ProvisionError::Spawn)?;
    let agent = connect(&machinery.backend, place);
    let up = agent.wait_until_up(Instant::now() + AGENT_PATIENCE).await;
    up.map_err(ProvisionError::AgentUp)?;
    Ok(agent)
}

fn workspace<'a>(
    machinery: &'a Machinery,
    start: &'a Start,
    place: &'a SandboxId,
) -> Workspace<'a> {
    Workspace {
        backend: machinery.backend.as_ref(),
        sandbox: place,
        directory: WORKSPACE,
        repository: &start.repository,
    }
}

async fn synchronise(
    machinery: &Machinery,
    start: &Start,
    place: &SandboxId,
    told: &mpsc::Sender<Input>,
) -> Result<Synchronised, ProvisionError> {
    let began = clock::now();
    let synchronised = workspace(machinery, start, place)
        .synchronise(&start.branch, &start.work_branch)
        .await
        .map_err(ProvisionError::Synchronise)?;
    let detail = (!synchronised.moved).then(|| "nothing new since the image".to_owned());
    tell(told, StepName::Sync, began, detail).await;
    Ok(synchronised)
}

/// What the sandboxes of a session start from.
pub(super) fn base(start: &Start) -> Base {
    Base {
        repository: start.repository.clone(),
        branch: start.branch.clone(),
        environment: start.environment.clone(),
    }
}

/// A length of time as people say it.
fn age(ms: u64) -> String {
    let minutes = ms / 60_000;
    match minutes {
        0 => "less than a minute".to_owned(),
        1..=119 => format!("{minutes} min"),
        _ => format!("{} h", minutes / 60),
    }
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

/// The agent in a sandbox. Nothing is sent before the first request.
pub(crate) fn connect(backend: &Arc<dyn SandboxBackend>, sandbox: &SandboxId) -> Agent {
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
