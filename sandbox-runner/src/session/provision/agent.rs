//! The agent of a sandbox: started, connected to, and with a conversation open.

use std::sync::Arc;
use std::time::Duration;

use protocol::SandboxId;
use protocol::command::{Model, Start};
use protocol::event::StepName;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{AGENT, AGENT_LOG, Beginning, ProvisionError, WORKSPACE, serve_gateway, tell};
use crate::agent::transcript::Transcript;
use crate::agent::{Agent, AgentEvent, BoxIo, ConversationId, Dial, Events, launch};
use crate::clock;
use crate::gateway::Serving;
use crate::init::wire::SpawnSpec;
use crate::sandbox::{Adoption, SandboxBackend, SandboxError};
use crate::session::Machinery;
use crate::session::machine::Input;

/// The agent takes 1.5 s on an idle machine, and many times that where many start at once.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// An agent with a conversation open.
pub(crate) struct Begun {
    pub(crate) agent: Agent,
    pub(crate) conversation: ConversationId,
    pub(crate) events: Events,
}

/// An agent that takes a session's prompts.
pub(in crate::session) struct Reached {
    pub(in crate::session) agent: Agent,
    pub(in crate::session) events: Events,
    pub(in crate::session) transcript: Transcript,
}

/// Has the agent of an opened sandbox take prompts. It may read while the workspace is brought up to
/// date. `commit` is what the sandbox started from.
pub(in crate::session) async fn reach(
    machinery: &Machinery,
    start: &Start,
    place: &SandboxId,
    commit: &str,
    beginning: Beginning,
    told: &mpsc::Sender<Input>,
) -> Result<Reached, ProvisionError> {
    let began = clock::now();
    let fresh = |begun: Begun| Reached {
        agent: begun.agent,
        events: begun.events,
        transcript: Transcript::new(begun.conversation, WORKSPACE, start.first_part),
    };
    match beginning {
        Beginning::Waiting(begun) => Ok(fresh(*begun)),
        Beginning::New => {
            let begun = begin_agent(machinery, place, commit, &start.model).await?;
            tell(told, StepName::AgentUp, began, None).await;
            Ok(fresh(begun))
        }
        Beginning::Resuming(snapshot) => {
            let agent = spawn_agent(machinery, place, commit, &start.model).await?;
            tell(told, StepName::AgentUp, began, None).await;
            let is_forked = snapshot.session != start.session;
            let transcript = snapshot.transcript;
            let mut transcript = if is_forked {
                transcript.forked(start.first_part)
            } else {
                transcript.resumed(start.first_part)
            };
            let conversation = transcript.conversation().clone();
            let taken_up = async {
                if snapshot.remains {
                    // What was said last may not have been heard, and is over.
                    let said = agent.snapshot(&conversation).await?;
                    transcript.event(&AgentEvent::Snapshot(said));
                }
                agent.events(&conversation).await
            };
            let events = taken_up.await.map_err(ProvisionError::Conversation)?;
            Ok(Reached {
                agent,
                events,
                transcript,
            })
        }
    }
}

/// What became of a sandbox while no runner was there.
pub(in crate::session) enum Adopted {
    Alive(Agent, Serving),
    /// Its processes have ended, and all that it wrote is there.
    Ended,
    /// It was of an earlier boot of the machine.
    Stale,
}

/// Takes over a sandbox from an earlier process of the runner.
pub(in crate::session) async fn adopt(
    machinery: &Machinery,
    start: &Start,
    place: &SandboxId,
) -> Result<Adopted, SandboxError> {
    Ok(match machinery.backend.adopt(place).await? {
        Adoption::Alive(sandbox) => {
            let serving = serve_gateway(machinery, start, sandbox.ports);
            Adopted::Alive(connect(&machinery.backend, place), serving)
        }
        Adoption::Gone => Adopted::Ended,
        Adoption::Stale => Adopted::Stale,
    })
}

/// Starts the agent in a sandbox, which was made from this commit, and opens a conversation with it.
pub(crate) async fn begin_agent(
    machinery: &Machinery,
    place: &SandboxId,
    commit: &str,
    model: &Model,
) -> Result<Begun, ProvisionError> {
    let agent = spawn_agent(machinery, place, commit, model).await?;
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
    commit: &str,
    model: &Model,
) -> Result<Agent, ProvisionError> {
    let seen = launch::Place::sandbox(&machinery.agent_binary, WORKSPACE);
    let launch = launch::launch(&seen, model);
    // The plugin takes the repository's hooks from there.
    let commit = ("AGENT_COMMIT".to_owned(), commit.to_owned());
    let spec = SpawnSpec {
        name: AGENT.to_owned(),
        argv: launch.argv,
        env: launch.env.into_iter().chain([commit]).collect(),
        cwd: Some(seen.state.to_owned()),
        log: Some(AGENT_LOG.to_owned()),
    };
    let spawned = machinery.backend.spawn(place, &spec).await;
    spawned.map_err(ProvisionError::Spawn)?;
    let agent = connect(&machinery.backend, place);
    let up = agent.wait_until_up(Instant::now() + PATIENCE).await;
    up.map_err(ProvisionError::AgentUp)?;
    Ok(agent)
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
