//! What a session has done outside of itself. Each piece of work has a key, under which it is
//! scheduled once and can be repeated without harm.

use protocol::event::Person;
use protocol::{Epoch, Millis, PromptId, SandboxId, UserId};
use serde::{Deserialize, Serialize};

use super::figures::Figure;
use super::following::Follower;
use super::forge::Push;

/// What has to happen outside, each idempotent by [`Effect::key`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Effect {
    StartSandbox {
        sandbox: SandboxId,
        epoch: Epoch,
    },
    SendPrompt {
        prompt: PromptId,
        epoch: Epoch,
        author: Person,
        co_authors: Vec<Person>,
        sent_at: Millis,
        /// Joins the prompt that runs.
        insert: bool,
        /// It was running in a sandbox that was lost.
        #[serde(default)]
        resumed: bool,
    },
    StopPrompt {
        prompt: PromptId,
        epoch: Epoch,
    },
    SleepSandbox {
        epoch: Epoch,
    },
    EndSandbox {
        sandbox: SandboxId,
        /// Unknown of one that was let go of before anybody said where it is.
        runner_url: Option<String>,
    },
    /// Tells the Fleet how long a sandbox took, for its figures.
    NoteReady {
        sandbox: SandboxId,
        ms: u64,
    },
    OpenPullRequest {
        author: Person,
        push: Push,
    },
    /// Makes an open pull request as it was wished, in the name of a person.
    AdjustPullRequest {
        author: Person,
        branch: String,
    },
    /// Says on a pull request whether somebody who did not prompt has approved it.
    CheckReviews {
        number: u64,
    },
    /// Says on an issue or a pull request how the session goes.
    TellThread {
        number: u64,
    },
    /// Says that there is more in the log; whoever follows asks for it.
    TellFollower {
        follower: Follower,
    },
    /// Writes down a figure of a prompt.
    CountPrompt {
        prompt: PromptId,
        figure: Figure,
    },
    /// Writes the session's row in the index that lists are made from.
    UpdateIndex,
    /// Asks whether those who follow the session, or only `user`, still have access. The shell
    /// puts it on the schedule, since only it knows who follows.
    CheckAccess {
        user: Option<UserId>,
    },
    Expire(Deadline),
}

impl Effect {
    /// Two effects of one key are the same piece of work: the later replaces the earlier.
    pub fn key(&self) -> String {
        match self {
            Self::StartSandbox { epoch, .. } => format!("start:{epoch}"),
            Self::SendPrompt { prompt, epoch, .. } => Self::send_key(prompt, *epoch),
            Self::StopPrompt { prompt, epoch } => Self::stop_key(prompt, *epoch),
            Self::SleepSandbox { epoch } => format!("sleep:{epoch}"),
            Self::EndSandbox { sandbox, .. } => format!("end:{sandbox}"),
            Self::NoteReady { sandbox, .. } => format!("ready:{sandbox}"),
            Self::OpenPullRequest { push, .. } => {
                format!("pull-request:{}:{}", push.branch, push.commit)
            }
            Self::AdjustPullRequest { branch, .. } => format!("adjust:{branch}"),
            Self::CheckReviews { number } => format!("reviews:{number}"),
            Self::TellThread { number } => format!("thread:{number}"),
            Self::TellFollower { .. } => "follower".to_owned(),
            Self::CountPrompt { prompt, figure } => format!("count:{}:{prompt}", figure.key()),
            Self::UpdateIndex => "index".to_owned(),
            Self::CheckAccess { user: None } => "access".to_owned(),
            Self::CheckAccess { user: Some(user) } => format!("access:{user}"),
            Self::Expire(deadline) => deadline.key(),
        }
    }

    pub(super) fn send_key(prompt: &PromptId, epoch: Epoch) -> String {
        format!("send:{prompt}:{epoch}")
    }

    pub(super) fn stop_key(prompt: &PromptId, epoch: Epoch) -> String {
        format!("stop:{prompt}:{epoch}")
    }
}

/// The end of a wait. Every wait has one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "deadline", rename_all = "snake_case")]
pub enum Deadline {
    /// A sandbox has to be ready by then.
    Start { epoch: Epoch },
    /// A stopped prompt has to be idle by then.
    Stop { prompt: PromptId },
    /// A running prompt has to have reported something by then.
    Silence { epoch: Epoch },
    /// A prompt has to have come by then to the sandbox that typing made ready.
    Abandoned { epoch: Epoch },
    /// A sandbox that has nothing to do until then is put to sleep.
    Idle { epoch: Epoch },
    /// A sandbox that was told to sleep has to be asleep by then.
    Sleep { epoch: Epoch },
}

impl Deadline {
    pub fn key(&self) -> String {
        match self {
            Self::Start { epoch } => format!("deadline:start:{epoch}"),
            Self::Stop { prompt } => format!("deadline:stop:{prompt}"),
            Self::Silence { epoch } => format!("deadline:silence:{epoch}"),
            Self::Abandoned { epoch } => format!("deadline:abandoned:{epoch}"),
            Self::Idle { epoch } => format!("deadline:idle:{epoch}"),
            Self::Sleep { epoch } => format!("deadline:sleep:{epoch}"),
        }
    }
}
