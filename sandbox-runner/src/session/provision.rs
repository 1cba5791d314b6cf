//! From a start command to a sandbox: from the pool, from a snapshot, or from an image.
//!
//! [`open`] makes the sandbox. Then two things go on at once: [`reach`] ends when the agent takes
//! prompts, and [`synchronise`] when the workspace is where the work goes on. Only those writes wait
//! for the latter that it could overtake.

mod agent;
mod origin;
mod sync;

use protocol::command::Start;
use protocol::event::{Step, StepName};
use protocol::image::Base;
use protocol::{Millis, SandboxId};
use tokio::sync::mpsc;
use tokio::task::{JoinError, spawn_blocking};

use super::Machinery;
use super::machine::{Ground, Input, Source};
use crate::agent::AgentError;
use crate::clock;
use crate::courier::{CourierError, Found};
use crate::gateway::{Access, GatewayPolicy, Serving};
use crate::image::{Image, ImageError, Need, announcement};
use crate::layer::squash::{MAX_DEPTH, SquashError, flatten, squash};
use crate::layer::{LayerId, LayerMeta};
use crate::metrics::METRICS;
use crate::pool::{Claimed, Pool};
use crate::sandbox::limits::Limits;
use crate::sandbox::{Ports, SandboxError, SandboxSpec};
use crate::store::StoreError;
use crate::store::snapshot::{Lineage, Snapshot};
pub(super) use agent::{Adopted, Reached, adopt, reach};
pub(crate) use agent::{Begun, begin_agent, connect};
pub(super) use sync::{Footing, synchronise, workspace};

/// Where the repository is inside a sandbox.
pub(super) use crate::image::WORKSPACE;

/// The agent's name among the programs of a sandbox.
pub(super) const AGENT: &str = "agent";
/// What the agent prints, inside the sandbox. Not in its home, which a snapshot would keep.
pub(super) const AGENT_LOG: &str = "/tmp/agent.log";

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
    #[error("the session's files could not be fetched from the depot; send the prompt again")]
    Fetch(#[source] CourierError),
    #[error("the layers of the session's files could not be joined; send the prompt again")]
    Join(#[source] SquashError),
    #[error("work on the session's files was interrupted; send the prompt again")]
    Interrupted(#[source] JoinError),
    #[error("the agent could not be started; ask the operator to check OPENCODE_BIN")]
    Spawn(#[source] SandboxError),
    #[error("the agent did not answer within {} seconds of its start; send the prompt again", agent::PATIENCE.as_secs())]
    AgentUp(#[source] AgentError),
    #[error("the agent did not begin a conversation; send the prompt again")]
    Conversation(#[source] AgentError),
}

/// A sandbox that runs, and whose workspace may be out of date.
pub(super) struct Opened {
    /// What the backend knows it by.
    pub(super) place: SandboxId,
    pub(super) serving: Serving,
    pub(super) ground: Ground,
    pub(super) beginning: Beginning,
}

/// What there is of an agent in a sandbox that was just opened.
pub(super) enum Beginning {
    /// Nothing.
    New,
    /// It waited in the pool.
    Waiting(Box<Begun>),
    /// It is to go on with what a snapshot knows of its conversation.
    Resuming(Box<Snapshot>),
}

/// What sandboxes start from, besides what the command says.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    pub(super) machinery: &'a Machinery,
    pub(super) pool: &'a Pool,
}

/// Starts a sandbox: from a snapshot, else from the pool, else from the image. Steps are told as
/// they end.
pub(super) async fn open(
    sources: Sources<'_>,
    start: &Start,
    told: &mpsc::Sender<Input>,
) -> Result<Opened, ProvisionError> {
    if let Some(found) = origin::find(sources.machinery, start, told).await? {
        return from_snapshot(sources.machinery, start, found, told).await;
    }
    if let Some(warm) = &start.warm {
        let began = clock::now();
        let claimed = sources.pool.claim(warm, &start.sandbox).await;
        if let Some(claimed) = claimed.map_err(ProvisionError::Store)? {
            METRICS.claims_hit.add(1);
            return Ok(from_pool(sources.machinery, start, claimed, began, told).await);
        }
        METRICS.claims_missed.add(1);
    }
    from_image(sources, start, told).await
}

async fn from_pool(
    machinery: &Machinery,
    start: &Start,
    claimed: Claimed,
    began: Millis,
    told: &mpsc::Sender<Input>,
) -> Opened {
    let Claimed {
        place,
        warm,
        commit,
        agent,
        conversation,
        events,
    } = claimed;
    let serving = serve_gateway(machinery, start, place.ports);
    let detail = Some("warm".to_owned());
    tell(told, StepName::Restore, began, detail).await;
    Opened {
        place: place.id,
        serving,
        ground: Ground {
            image: Some(warm.image),
            commit,
            source: Source::Pool,
            lineage: Lineage::new(start.snapshot.as_ref(), None),
        },
        beginning: Beginning::Waiting(Box::new(Begun {
            agent,
            conversation,
            events,
        })),
    }
}

async fn from_snapshot(
    machinery: &Machinery,
    start: &Start,
    found: Found,
    told: &mpsc::Sender<Input>,
) -> Result<Opened, ProvisionError> {
    let snapshot = found.snapshot;
    let is_forked = snapshot.session != start.session;
    let detail = match (is_forked, snapshot.remains) {
        (true, _) => "from another session's snapshot",
        (false, true) => "from what was left of its last sandbox",
        (false, false) => "from its snapshot",
    };
    let layers = shallow(machinery, start, snapshot.layers.clone()).await?;
    let serving = restore(machinery, start, &layers, detail, told).await?;
    Ok(Opened {
        place: start.sandbox.clone(),
        serving,
        ground: Ground {
            image: snapshot.image.clone(),
            commit: snapshot.commit.clone(),
            source: if is_forked {
                Source::Fork
            } else {
                Source::Snapshot
            },
            lineage: Lineage::new(start.snapshot.as_ref(), Some(&snapshot.id)),
        },
        beginning: Beginning::Resuming(Box::new(snapshot)),
    })
}

/// A chain that can be mounted and written upon for some time to come: each prompt adds to it, and what
/// was written over again and again counts each time. As one layer it counts once.
async fn shallow(
    machinery: &Machinery,
    start: &Start,
    chain: Vec<LayerId>,
) -> Result<Vec<LayerId>, ProvisionError> {
    let (own, written) = machinery.layers.own(&chain);
    let limits = Limits::default();
    let is_heavy =
        own > 1 && (written.bytes > limits.disk_bytes / 2 || written.files > limits.files / 2);
    if chain.len() <= MAX_DEPTH && !is_heavy {
        return Ok(chain);
    }
    let (layers, id) = (machinery.layers.clone(), LayerId::flat(&start.sandbox, 0));
    let flattening = spawn_blocking(move || {
        if !is_heavy {
            return flatten(&layers, &chain, MAX_DEPTH / 2, id);
        }
        let LayerMeta { id, mut parents } = squash(&layers, &chain, own, id)?;
        parents.push(id);
        Ok(parents)
    });
    let flat = flattening.await.map_err(ProvisionError::Interrupted)?;
    flat.map_err(ProvisionError::Join)
}

async fn from_image(
    sources: Sources<'_>,
    start: &Start,
    told: &mpsc::Sender<Input>,
) -> Result<Opened, ProvisionError> {
    let Sources { machinery, pool } = sources;
    let (image, is_new) = image(machinery, start, told).await?;
    if is_new {
        // So that nobody is told any more that there is none.
        pool.image_built();
        pool.announcements().notify_one();
    }
    let detail = if is_new {
        "from the image that was just made".to_owned()
    } else {
        let age = age(clock::now().since(image.built_at));
        format!("from the image of {age} ago")
    };
    let serving = restore(machinery, start, &image.layers, &detail, told).await?;
    Ok(Opened {
        place: start.sandbox.clone(),
        serving,
        ground: Ground {
            image: Some(image.id),
            commit: image.commit,
            source: Source::Image,
            lineage: Lineage::new(start.snapshot.as_ref(), None),
        },
        beginning: Beginning::New,
    })
}

async fn image(
    machinery: &Machinery,
    start: &Start,
    told: &mpsc::Sender<Input>,
) -> Result<(Image, bool), ProvisionError> {
    let failed = |source| ProvisionError::Image {
        repository: start.repository.to_string(),
        source,
    };
    let base = base(start);
    if let Some(image) = machinery.images.start_from(&base).map_err(failed)? {
        return Ok((image, false));
    }
    let began = clock::now();
    let need = Need {
        specification: start.specification.clone(),
        egress: start.egress.clone().unwrap_or_default(),
        ..Need::of(&base)
    };
    let made = announcement::need(machinery, need).await;
    let (image, is_new) = made.map_err(failed)?;
    let detail = if is_new {
        "no image yet: from a fresh clone"
    } else if image.built_at < began {
        "no image here: from the depot"
    } else {
        "another session's image was waited for"
    };
    tell(told, StepName::Image, began, Some(detail.to_owned())).await;
    Ok((image, is_new))
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
