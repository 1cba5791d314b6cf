//! Calls to the agent that must not pass one another: an abort meant for one prompt would
//! otherwise end the next one, or miss one that is still on its way.

use protocol::PromptId;
use protocol::command::{Model, SendPrompt};
use tokio::sync::mpsc;

use super::machine::Input;
use super::resumption;
use crate::agent::{Agent, AgentError, ConversationId};
use crate::cause;
use crate::git::message;

/// A prompt, its abort and an inserted prompt or two: more never wait.
const MOST_CALLS: usize = 32;

#[derive(Debug)]
pub(super) enum Call {
    Deliver(SendPrompt),
    Abort,
}

/// Starts the task that makes the calls; it ends when the returned sender is dropped.
pub(super) fn start(
    agent: Agent,
    conversation: ConversationId,
    model: Model,
    outcomes: mpsc::Sender<Input>,
) -> mpsc::Sender<Call> {
    let (sender, mut calls) = mpsc::channel(MOST_CALLS);
    tokio::spawn(async move {
        while let Some(call) = calls.recv().await {
            let outcome = match call {
                Call::Deliver(prompt) => {
                    let author = message::identity(&prompt.author);
                    let text = resumption::text(&prompt);
                    let answer = agent.prompt(&conversation, &text, &model, &author).await;
                    delivered(prompt.prompt, answer)
                }
                Call::Abort => {
                    if let Err(error) = agent.abort(&conversation).await {
                        tracing::warn!(error = &error as &dyn std::error::Error, "an abort failed");
                    }
                    continue;
                }
            };
            if outcomes.send(outcome).await.is_err() {
                return;
            }
        }
    });
    sender
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
                error = &error as &dyn std::error::Error,
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
