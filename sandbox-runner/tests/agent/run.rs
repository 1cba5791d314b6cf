//! One prompt after another, on a stage.

use protocol::PromptId;
use protocol::callback::Report;
use protocol::event::PartOutcome;
use sandbox_runner::agent::transcript::{Transcript, Turn as AgentTurn};
use sandbox_runner::agent::{ConversationId, Events};
use sandbox_runner::gateway::Wait;
use tokio::time::timeout;

use crate::stage::{DEADLINE, Stage, Told};

/// A prompt that is being worked on.
pub(crate) struct Run {
    pub(crate) stage: Stage,
    pub(crate) conversation: ConversationId,
    pub(crate) transcript: Transcript,
    pub(crate) events: Events,
    pub(crate) told: Told,
}

impl Run {
    pub(crate) async fn of(stage: Stage, prompt: &str) -> Self {
        let (conversation, transcript, events) = stage.conversation().await;
        stage.prompt(&conversation, prompt).await;
        Self {
            stage,
            conversation,
            transcript,
            events,
            told: Told::default(),
        }
    }

    /// Until so many tools have been started.
    pub(crate) async fn started(&mut self, tools: usize) {
        self.told
            .until(&mut self.transcript, &mut self.events, |told| {
                told.tools().len() >= tools
            })
            .await;
        assert_eq!(self.told.tools().len(), tools, "{:?}", self.told);
    }

    pub(crate) async fn end(&mut self) {
        self.told
            .until_end(&mut self.transcript, &mut self.events)
            .await;
        assert_eq!(self.told.turns.last(), Some(&AgentTurn::Idle));
    }

    pub(crate) fn wrote(&self, path: &str) -> bool {
        self.stage.workspace().join(path).exists()
    }

    pub(crate) fn change(&self, paths: &[&str]) {
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        self.stage.gateway.gate().changing(Some(&paths));
    }

    pub(crate) async fn wait(&self) -> Wait {
        let gate = self.stage.gateway.gate();
        timeout(DEADLINE, gate.waited()).await.unwrap()
    }

    /// Another one, of the same conversation.
    pub(crate) async fn prompt(&mut self, prompt: &str) {
        self.transcript.close("over");
        self.transcript.begin(PromptId::from_random([2; 16]));
        self.stage.prompt(&self.conversation, prompt).await;
        self.told = Told::default();
    }

    /// What tools failed with.
    pub(crate) fn refusals(&self) -> Vec<String> {
        let refusal = |report: &Report| match report {
            Report::PartFinished {
                outcome: PartOutcome::Failed { message },
                ..
            } => Some(message.clone()),
            _ => None,
        };
        self.told.reports.iter().filter_map(refusal).collect()
    }
}
