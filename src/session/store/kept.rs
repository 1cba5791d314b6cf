//! What the files were at the end of each prompt, for whoever goes on from there.

use protocol::PromptId;

use super::{Store, StoreError, first_json};
use crate::platform::sql::Sql;
use crate::session::machine::Kept;

impl<S: Sql> Store<S> {
    pub(super) fn write_kept(&self, prompt: &PromptId, kept: &Kept) -> Result<(), StoreError> {
        self.sql.run(
            "INSERT INTO kept (prompt, json) VALUES (?, ?)
             ON CONFLICT (prompt) DO UPDATE SET json = excluded.json",
            &[prompt.as_str().into(), serde_json::to_string(kept)?.into()],
        )?;
        Ok(())
    }

    pub fn kept(&self, prompt: &PromptId) -> Result<Option<Kept>, StoreError> {
        first_json(&self.sql.run(
            "SELECT json FROM kept WHERE prompt = ?",
            &[prompt.as_str().into()],
        )?)
    }
}
