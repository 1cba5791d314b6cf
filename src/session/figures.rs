//! What a session has written down for figures, once it is committed.

use protocol::PromptId;

use super::Core;
use super::machine::State;
use super::machine::figures::Figure;
use crate::database::pull_requests::Opened;
use crate::database::{self, Database};
use crate::error::Error;
use crate::lobby;
use crate::platform::clock;

impl Core {
    pub(super) async fn count_prompt(
        &self,
        state: &State,
        prompt: &PromptId,
        figure: &Figure,
    ) -> Result<(), Error> {
        let Some(known) = self.store()?.prompt(prompt)? else {
            return Ok(());
        };
        let counted = database::prompts::Counted {
            prompt: &known,
            session: &state.session,
            repository: &state.repository,
            now: clock::now(),
        };
        let database = Database::new(&self.env)?;
        let spent = self.store()?.spent()?;
        database::prompts::count(&database, counted, figure, spent).await?;
        if let Figure::Queued { at } = *figure {
            let author = known.author.id;
            // Whoever prompts has seen all up to then.
            database::seen::note(&database, author, &state.session, at).await?;
            let env = self.env.clone();
            self.state
                .wait_until(async move { lobby::prompted(&env, author, at).await });
        }
        Ok(())
    }

    /// Notes whose a pull request is that was opened or found.
    pub(super) async fn note_opened(
        &self,
        state: &State,
        prompt: &PromptId,
        number: u64,
        branch: &str,
    ) -> Result<(), Error> {
        let Some(known) = self.store()?.prompt(prompt)? else {
            return Ok(());
        };
        let opened = Opened {
            repository: &state.repository,
            number,
            session: &state.session,
            branch,
            by: known.author.id,
            source: known.source,
            at: clock::now(),
        };
        Ok(database::pull_requests::opened(&Database::new(&self.env)?, opened).await?)
    }
}
