//! How a thread's session begins: in which repository, on which branch, with which model.

use std::rc::Rc;

use protocol::SessionId;
use protocol::api::SessionSummary;
use protocol::branch::is_branch_name;
use protocol::command::Model;
use protocol::event::Repository;
use protocol::image::Base;

use super::Core;
use super::sessions::Answer;
use super::speakers::Speaker;
use crate::config;
use crate::database::preferences::{self, Preferences};
use crate::database::{self, Database};
use crate::error::Error;
use crate::github::Github;
use crate::github::app::{Level, Permissions};
use crate::platform::{clock, random};
use crate::session::machine::Create;
use crate::session::request::Request as Ask;
use crate::slack::message::plain;
use crate::slack::wishes;

pub(super) struct Beginning {
    pub(super) repository: Repository,
    pub(super) branch: String,
    /// `None` is the deployment's.
    pub(super) model: Option<Model>,
}

impl Core {
    /// What a session begins with: what its first message asks for, or else what a rule says, or
    /// else what the speaker chose for all of theirs, or else what there is.
    pub(super) async fn beginning(
        &self,
        text: &str,
        speaker: &Speaker,
        (repository, own_branch): (&Repository, String),
    ) -> Result<Beginning, Error> {
        let text = plain(text, &self.bot()?.user);
        let preferred = match speaker.is_linked {
            true => preferences::of(&Database::new(&self.env)?, speaker.person.id).await?,
            false => Preferences::default(),
        };
        let models = config::models(&self.env)?;
        let model = wishes::model(&text, &models).or_else(|| {
            let known = |key: String| models.iter().find(|it| wishes::key(&it.model) == key);
            preferred.model.and_then(known).map(|it| it.model.clone())
        });
        let asked_for = wishes::branch(&text).map(str::to_owned);
        let name = self.channel_name().await;
        let rules = self.settings()?.rules;
        let by_rule = rules.branch(repository, &text, (&self.channel, &name));
        let by_rule = by_rule.map(str::to_owned);
        let mut branch = own_branch;
        let wanted = [asked_for, by_rule, preferred.branch];
        for wanted in wanted.into_iter().flatten() {
            let is_there = wanted == branch || self.has(speaker, repository, &wanted).await?;
            if is_there {
                branch = wanted;
                break;
            }
        }
        Ok(Beginning {
            repository: repository.clone(),
            branch,
            model,
        })
    }

    /// Whether a repository has a branch.
    async fn has(
        &self,
        speaker: &Speaker,
        repository: &Repository,
        branch: &str,
    ) -> Result<bool, Error> {
        if !is_branch_name(branch) {
            return Ok(false);
        }
        let github = Github::new(&self.env)?;
        let head = if speaker.is_linked {
            let user = speaker.person.id;
            github
                .as_user(user, async |token: &str| {
                    github.head(token, repository, branch).await
                })
                .await?
        } else {
            let permissions = Permissions::default().contents(Level::Read);
            let token = github.installation_token(repository, permissions).await?;
            github.head(&token.token, repository, branch).await?
        };
        Ok(head.is_some())
    }

    /// Ties a thread to a session of a repository, which is made now or by an earlier try.
    pub(super) async fn begin(
        self: &Rc<Self>,
        root: &str,
        speaker: &Speaker,
        beginning: Beginning,
        reason: &str,
    ) -> Result<SessionId, Error> {
        let fresh = SessionId::from_random(random::bytes()?);
        let note = format!("model:{root}");
        if let (None, Some(model)) = (&self.store()?.note(&note)?, &beginning.model) {
            self.store()?
                .set_note(&note, &serde_json::to_string(model)?)?;
        }
        let thread = self.store()?.change(root, |thread| {
            if thread.session.is_none() {
                thread.session = Some(fresh);
                thread.repository = Some(beginning.repository.clone());
                thread.branch.clone_from(&beginning.branch);
                reason.clone_into(&mut thread.reason);
            }
            thread.clone()
        })?;
        let session = thread.session.ok_or(Error::NotFound("session"))?;
        if thread.is_made {
            return Ok(session);
        }
        let model = match self.store()?.note(&note)? {
            Some(chosen) => serde_json::from_str(&chosen)?,
            None => config::default_model(&self.env)?,
        };
        let base = Base {
            repository: thread.repository.unwrap_or(beginning.repository),
            branch: thread.branch,
            environment: None,
        };
        let create = Create {
            session: session.clone(),
            repository: base.repository.clone(),
            branch: base.branch.clone(),
            model,
            environment: None,
            by: speaker.person.clone(),
            title: String::new(),
            parent: None,
            snapshot: None,
        };
        let Answer::Taken(summary) = self.ask(&session, &Ask::Create { create }).await? else {
            return Err(Error::SessionAway);
        };
        let summary: SessionSummary = serde_json::from_slice(&summary)?;
        let database = Database::new(&self.env)?;
        database::sessions::update(&database, &summary).await?;
        database::bases::used(&database, &base, clock::now()).await?;
        let follower = self.follower(root);
        self.ask(&session, &Ask::FollowedBy { follower }).await?;
        self.store()?.change(root, |thread| thread.is_made = true)?;
        Ok(session)
    }
}
