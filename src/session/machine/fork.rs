//! Another session that goes on from the end of a prompt.

use protocol::event::{Parent, Person};
use protocol::{Fact, PromptId, SessionId};

use super::{Create, Kept, Refusal, State, Transition};

impl State {
    /// What a fork from `prompt` is made from, `kept` being what is known of its end.
    pub fn fork(
        &self,
        prompt: PromptId,
        kept: Option<Kept>,
        session: SessionId,
        by: Person,
    ) -> Result<Create, Refusal> {
        let waits = self.queue.iter().any(|waiting| waiting.prompt == prompt);
        let runs = self
            .running
            .as_ref()
            .is_some_and(|running| running.prompts().any(|one| *one == prompt));
        if waits || runs {
            return Err(Refusal::NotFinished);
        }
        let snapshot = kept.ok_or(Refusal::NoSnapshot)?;
        Ok(Create {
            session,
            repository: self.repository.clone(),
            branch: self.branch.clone(),
            model: self.model.clone(),
            environment: self.environment.clone(),
            by,
            title: format!("Fork of {}", self.title),
            parent: Some(Parent {
                session: self.session.clone(),
                prompt,
            }),
            snapshot: Some(snapshot),
        })
    }

    /// Says once who went on where.
    pub(super) fn forked(&mut self, session: SessionId, by: &Person, transition: &mut Transition) {
        if self.forks.contains(&session) {
            return;
        }
        transition.fact(Fact::Notice {
            message: format!("{} forked this session: /sessions/{session}", by.login),
        });
        self.forks.push(session);
    }
}
