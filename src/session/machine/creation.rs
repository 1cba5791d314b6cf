//! A session's beginning: what it is made from, and its state before anything happened.

use std::collections::BTreeMap;

use protocol::command::Model;
use protocol::event::{Parent, Person, Repository};
use protocol::image::EnvironmentName;
use protocol::{Epoch, Fact, PartId, SessionId};
use serde::{Deserialize, Serialize};

use super::changes::ChangesIndex;
use super::forge::Forge;
use super::{Context, Effect, Kept, State, Transition};

/// What a session is made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Create {
    pub session: SessionId,
    pub repository: Repository,
    pub branch: String,
    pub model: Model,
    #[serde(default)]
    pub environment: Option<EnvironmentName>,
    pub by: Person,
    /// Without one, the first prompt's first line.
    #[serde(default)]
    pub title: String,
    #[serde(default)]
    pub parent: Option<Parent>,
    /// What its first sandbox goes on from.
    #[serde(default)]
    pub snapshot: Option<Kept>,
}

/// A new session and its first fact.
pub fn create(create: Create, context: Context) -> (State, Transition) {
    let mut transition = Transition::default();
    transition.fact(Fact::SessionCreated {
        repository: create.repository.clone(),
        branch: create.branch.clone(),
        by: create.by.clone(),
        parent: create.parent.clone(),
    });
    if !create.title.is_empty() {
        transition.fact(Fact::SessionTitled {
            title: create.title.clone(),
        });
    }
    transition.soon(context, Effect::UpdateIndex);
    let state = State {
        work_branch: format!("agent/{}", create.session),
        session: create.session,
        repository: create.repository,
        branch: create.branch,
        model: create.model,
        environment: create.environment,
        title: create.title,
        created_by: create.by,
        created_at: context.now,
        updated_at: context.now,
        archived: false,
        parent: create.parent,
        queue: Vec::new(),
        paused: false,
        running: None,
        ended: Vec::new(),
        last_failed: false,
        sandbox: None,
        epoch: Epoch(0),
        failed_starts: 0,
        next_part: PartId(1),
        open_parts: BTreeMap::new(),
        uncredited: Vec::new(),
        pull_requests: Vec::new(),
        told: Vec::new(),
        snapshot: create.snapshot,
        typing: None,
        forks: Vec::new(),
        forge: Forge::default(),
        follower: None,
        changes: ChangesIndex::default(),
        terminal_used: None,
    };
    (state, transition)
}
