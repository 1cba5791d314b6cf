//! Figures of prompts, for whoever counts them: when each was queued, how long its first token took
//! and how it ended.

use protocol::event::{Outcome, StepName};
use protocol::{Fact, Millis, PromptId};
use serde::{Deserialize, Serialize};

use super::{Context, Effect, Output, State, Transition};

/// One thing to be counted of a prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "figure", rename_all = "snake_case")]
pub enum Figure {
    Queued { at: Millis },
    FirstToken { ms: u64 },
    Ended { result: PromptEnd },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptEnd {
    Completed,
    Stopped,
    Failed,
}

impl Figure {
    pub(super) fn key(&self) -> &'static str {
        match self {
            Self::Queued { .. } => "queued",
            Self::FirstToken { .. } => "first-token",
            Self::Ended { .. } => "ended",
        }
    }
}

impl State {
    /// Has figures taken from what a step led to; `before` is the prompt that ran before it.
    pub(super) fn count_prompts(
        &self,
        before: Option<PromptId>,
        context: Context,
        transition: &mut Transition,
    ) {
        let mut current = before;
        let mut figures = Vec::new();
        for output in &transition.outputs {
            let Output::Fact(fact) = output else {
                continue;
            };
            match fact {
                Fact::PromptQueued { prompt } => {
                    let at = context.now;
                    figures.push((prompt.id.clone(), Figure::Queued { at }));
                }
                Fact::PromptStarted { prompt } if current.is_none() => {
                    current = Some(prompt.clone());
                }
                Fact::Step { step } if step.name == StepName::FirstToken => {
                    let figure = Figure::FirstToken { ms: step.ms };
                    figures.extend(current.clone().map(|prompt| (prompt, figure)));
                }
                Fact::PromptFinished { prompt, outcome } => {
                    let result = match outcome {
                        Outcome::Completed => PromptEnd::Completed,
                        Outcome::Stopped { .. } => PromptEnd::Stopped,
                        Outcome::Failed { .. } => PromptEnd::Failed,
                    };
                    current = current.filter(|current| current != prompt);
                    figures.push((prompt.clone(), Figure::Ended { result }));
                }
                _ => {}
            }
        }
        for (prompt, figure) in figures {
            transition.soon(context, Effect::CountPrompt { prompt, figure });
        }
    }
}
