//! Calls to the agent that must not pass one another: an abort meant for one prompt would
//! otherwise end the next one, or miss one that is still on its way.

use std::collections::VecDeque;
use std::sync::Arc;

use protocol::command::{Model, SendPrompt};
use protocol::{PromptId, SandboxId};
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::Machinery;
use super::machine::Input;
use super::resumption;
use crate::agent::{Agent, AgentError, ConversationId, Enclosure};
use crate::artifact::attachment;
use crate::cause;
use crate::git::message;

/// A prompt, its abort and an inserted prompt or two: more never wait.
const MOST_CALLS: usize = 32;

#[derive(Debug)]
pub(super) enum Call {
    Deliver(SendPrompt),
    Abort,
}

/// Who is called, and what prompts need on their way.
pub(super) struct AgentLine {
    pub(super) agent: Agent,
    pub(super) conversation: ConversationId,
    pub(super) model: Model,
    pub(super) machinery: Arc<Machinery>,
    /// What the backend knows the sandbox by.
    pub(super) place: SandboxId,
}

/// Starts the task that makes the calls; it ends when the returned sender is dropped.
pub(super) fn start(line: AgentLine, outcomes: mpsc::Sender<Input>) -> mpsc::Sender<Call> {
    let (sender, calls) = mpsc::channel(MOST_CALLS);
    let calling = async move {
        let mut calls = Calls {
            calls,
            waiting: VecDeque::new(),
        };
        while let Some(call) = calls.next().await {
            let outcome = match call {
                Call::Deliver(prompt) => {
                    // Files take a moment to fetch, and a stop does not wait for them. What is on its
                    // way to the agent is waited for: its abort has to come after it.
                    let enclosed = tokio::select! {
                        enclosed = line.enclose(&prompt) => enclosed,
                        () = calls.aborted(), if !prompt.attachments.is_empty() => continue,
                    };
                    match enclosed {
                        Ok(enclosure) => line.deliver(&prompt, &enclosure).await,
                        Err(undelivered) => undelivered,
                    }
                }
                Call::Abort => {
                    if let Err(error) = line.agent.abort(&line.conversation).await {
                        tracing::warn!(error = cause::chain(&error), "an abort failed");
                    }
                    continue;
                }
            };
            if outcomes.send(outcome).await.is_err() {
                return;
            }
        }
    };
    tokio::spawn(calling.in_current_span());
    sender
}

/// Calls in their order, also those that were looked at before their turn.
struct Calls {
    calls: mpsc::Receiver<Call>,
    waiting: VecDeque<Call>,
}

impl Calls {
    async fn next(&mut self) -> Option<Call> {
        match self.waiting.pop_front() {
            Some(call) => Some(call),
            None => self.calls.recv().await,
        }
    }

    /// Returns when an abort has come, which is the next call then: what came before it is void.
    async fn aborted(&mut self) {
        loop {
            match self.calls.recv().await {
                Some(Call::Abort) => {
                    self.waiting.clear();
                    self.waiting.push_back(Call::Abort);
                    return;
                }
                Some(call) => self.waiting.push_back(call),
                None => return,
            }
        }
    }
}

impl AgentLine {
    /// Fetches what the prompt comes with; else what has become of the prompt.
    async fn enclose(&self, prompt: &SendPrompt) -> Result<Enclosure, Input> {
        let enclosed = attachment::enclose(
            &self.machinery.worker,
            self.machinery.backend.as_ref(),
            &self.place,
            &prompt.attachments,
        );
        enclosed.await.map_err(|error| {
            let prompt = prompt.prompt.clone();
            tracing::warn!(
                %prompt,
                error = cause::chain(&error),
                "attachments did not reach the sandbox"
            );
            let message = format!(
                "The attachments could not be given to the agent: {}. Send the prompt again.",
                cause::chain(&error)
            );
            Input::Undelivered {
                prompt,
                message,
                fatal: true,
            }
        })
    }

    async fn deliver(&self, prompt: &SendPrompt, enclosure: &Enclosure) -> Input {
        let author = message::identity(&prompt.author);
        let answer = self
            .agent
            .prompt_with(
                &self.conversation,
                &resumption::text(prompt),
                &self.model,
                &author,
                enclosure,
            )
            .await;
        delivered(prompt.prompt.clone(), answer)
    }
}

fn delivered(prompt: PromptId, answer: Result<(), AgentError>) -> Input {
    match answer {
        Ok(()) => Input::Delivered(prompt),
        Err(error) => {
            let fatal = matches!(
                error,
                AgentError::Refused {
                    status: 400..500,
                    ..
                }
            );
            tracing::warn!(
                %prompt,
                error = cause::chain(&error),
                "the agent did not take a prompt"
            );
            let message = format!(
                "The agent did not take the prompt: {}",
                cause::chain(&error)
            );
            Input::Undelivered {
                prompt,
                message,
                fatal,
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::fixture;

    fn deliver() -> Call {
        Call::Deliver(fixture::prompt(1, "look"))
    }

    #[tokio::test]
    async fn an_abort_overtakes_what_has_not_reached_the_agent() {
        let (sender, calls) = mpsc::channel(MOST_CALLS);
        let mut calls = Calls {
            calls,
            waiting: VecDeque::new(),
        };
        for call in [deliver(), Call::Abort, deliver()] {
            sender.try_send(call).unwrap();
        }
        drop(sender);
        calls.aborted().await;
        assert!(matches!(calls.next().await, Some(Call::Abort)));
        assert!(matches!(calls.next().await, Some(Call::Deliver(_))));
        assert!(calls.next().await.is_none());
    }
}
