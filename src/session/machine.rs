//! What a session does: `(State, Input, Context) -> Transition`, pure.
//!
//! No I/O, no clock, no randomness: [`Context`] brings them in. The shell persists the new state,
//! the outputs and the effects in one transaction and only then performs anything, so an eviction
//! or a panic between two statements leaves a session that goes on. Effects are keyed: performing
//! one twice is harmless.
//!
//! Invariants (held by property tests):
//! - at most one prompt runs, and every prompt that started finishes exactly once, in however many
//!   sandboxes it ran;
//! - while the queue is paused something waits in it, and nothing starts;
//! - reports are taken in number order, each once, and only from the newest epoch;
//! - there is at most one sandbox, it is only let go of while nothing runs in it, and nothing stays
//!   scheduled for one that is gone;
//! - deltas of a part meet without gap or overlap until the part is finished.

pub mod changes;
mod creation;
pub mod figures;
pub mod following;
pub mod forge;
mod fork;
mod prompts;
pub mod pull_requests;
mod queue;
mod reports;
mod rest;
mod resumption;
mod sandbox;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use protocol::api::{PullRequest, SessionState};
use protocol::callback::{Batch, PullRequestWish};
use protocol::command::Model;
use protocol::event::{Artifact, Opener, Parent, Person, Prompt, Repository, Step};
use protocol::image::{Base, EnvironmentName};
use protocol::ledger::Contact;
use protocol::{
    Epoch, Fact, Millis, PartId, PromptId, RunnerId, SandboxId, SessionId, SnapshotId, UserId,
};
use serde::{Deserialize, Serialize};

use self::changes::{ChangesIndex, KeptChanges};
pub use self::creation::{Create, create};
use self::figures::Figure;
use self::following::Follower;
use self::forge::{Forge, Push};
use self::pull_requests::PullRequestNews;

/// Everything that decides, small enough to be one row. Texts of prompts and parts are not here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub session: SessionId,
    pub repository: Repository,
    pub branch: String,
    pub work_branch: String,
    pub model: Model,
    #[serde(default)]
    pub environment: Option<EnvironmentName>,
    pub title: String,
    pub created_by: Person,
    pub created_at: Millis,
    pub updated_at: Millis,
    pub archived: bool,
    /// What it was forked from.
    #[serde(default)]
    pub parent: Option<Parent>,
    pub queue: Vec<Waiting>,
    /// Nothing starts until somebody resumes or clears the queue.
    #[serde(default)]
    pub paused: bool,
    pub running: Option<Running>,
    /// The prompts that ended since files were kept at the end of one.
    #[serde(default)]
    pub ended: Vec<PromptId>,
    pub last_failed: bool,
    pub sandbox: Option<Sandbox>,
    /// The newest epoch given out, also when its sandbox is gone.
    pub epoch: Epoch,
    /// How many sandboxes in a row were lost before they were ready.
    #[serde(default)]
    pub failed_starts: u32,
    pub next_part: PartId,
    pub open_parts: BTreeMap<PartId, OpenPart>,
    /// Who prompted since the last commit, in order, each once.
    pub uncredited: Vec<Person>,
    /// In the order in which they were opened.
    #[serde(default)]
    pub pull_requests: Vec<PullRequest>,
    /// What the forge told of them that is in the log already.
    #[serde(default)]
    pub told: Vec<String>,
    /// What the files were last; the next sandbox goes on from it.
    #[serde(default)]
    pub snapshot: Option<Kept>,
    /// Somebody types, and has not sent it yet.
    #[serde(default)]
    pub typing: Option<Typing>,
    /// Sessions that went on from prompts of this one.
    #[serde(default)]
    pub forks: Vec<SessionId>,
    #[serde(default)]
    pub forge: Forge,
    /// The thread elsewhere that is told of everything here.
    #[serde(default)]
    pub follower: Option<Follower>,
    #[serde(default)]
    pub changes: ChangesIndex,
    /// When somebody last typed in the sandbox's terminal.
    #[serde(default)]
    pub terminal_used: Option<Millis>,
}

/// A snapshot, and the runner that has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    pub id: SnapshotId,
    pub runner: Option<RunnerId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Typing {
    /// The first keystroke.
    pub since: Millis,
    /// The last one, up to [`rest::TYPING_STEP_MS`] late.
    pub last: Millis,
}

/// A prompt that has not started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    pub prompt: PromptId,
    pub author: Person,
    pub queued_at: Millis,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Running {
    pub prompt: PromptId,
    pub author: Person,
    pub queued_at: Millis,
    /// Prompts that joined this one's run; the first of them goes on alone if it ends before.
    #[serde(default)]
    pub joined: Vec<Waiting>,
    pub stopped_by: Option<Person>,
    /// Its sandbox was lost: it waits for another one.
    #[serde(default)]
    pub adrift: bool,
    /// How often it went on in another sandbox.
    #[serde(default)]
    pub resumed: u32,
}

impl Running {
    /// This prompt and those that joined it.
    pub fn prompts(&self) -> impl Iterator<Item = &PromptId> {
        let joined = self.joined.iter().map(|joined| &joined.prompt);
        std::iter::once(&self.prompt).chain(joined)
    }

    /// Goes on without one of its prompts. False if it is the only one.
    fn drop_one(&mut self, prompt: &PromptId) -> bool {
        if self.joined.is_empty() {
            return false;
        }
        if self.prompt == *prompt {
            let Waiting {
                prompt,
                author,
                queued_at,
            } = self.joined.remove(0);
            (self.prompt, self.author, self.queued_at) = (prompt, author, queued_at);
        } else {
            self.joined.retain(|joined| joined.prompt != *prompt);
        }
        true
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sandbox {
    pub id: SandboxId,
    pub epoch: Epoch,
    #[serde(default)]
    pub asked_at: Option<Millis>,
    pub ready: bool,
    /// A prompt came since it was asked for.
    #[serde(default = "prompted")]
    pub prompted: bool,
    /// It has been told to sleep, and takes nothing any more.
    #[serde(default)]
    pub sleeping: bool,
    /// Since when it is ready and has nothing to do.
    #[serde(default)]
    pub rests_since: Option<Millis>,
    #[serde(default)]
    pub runner: Option<RunnerId>,
    /// Where its commands go; known once it is placed.
    pub runner_url: Option<String>,
    /// Every report up to this number is in the log.
    pub received: u64,
    pub last_report_at: Millis,
}

/// What is true of a sandbox that was stored before this was.
fn prompted() -> bool {
    true
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenPart {
    pub prompt: PromptId,
    /// UTF-16 code units so far.
    pub length: u64,
}

/// What the outside world brings to a step.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    pub now: Millis,
    /// For the identifier of a sandbox, should one be started.
    pub random: [u8; 16],
    /// How long a sandbox without work stays awake.
    pub idle_ms: i64,
}

#[derive(Debug, Clone)]
pub enum Input {
    /// Somebody writes a prompt: a sandbox is made ready meanwhile.
    Typing,
    Prompt(Prompt),
    Edit {
        prompt: PromptId,
        text: String,
        by: Person,
    },
    Cancel {
        prompt: PromptId,
        by: Person,
    },
    /// Gives a prompt that waits to the running one, or to the agent next.
    Insert {
        prompt: PromptId,
        by: Person,
    },
    Reorder {
        order: Vec<PromptId>,
        by: Person,
    },
    /// Ends the running prompt; what waits stays until the queue is resumed or cleared.
    Stop {
        by: Person,
    },
    ResumeQueue {
        by: Person,
    },
    ClearQueue {
        by: Person,
    },
    /// Another session goes on from a prompt of this one.
    Forked {
        session: SessionId,
        by: Person,
    },
    Rename {
        title: String,
    },
    Archive {
        by: Person,
    },
    Batch(Batch),
    Placed {
        epoch: Epoch,
        runner: RunnerId,
        runner_url: String,
        claim: Step,
    },
    /// A command could not be delivered, or no runner took the sandbox.
    Unreachable {
        epoch: Epoch,
        reason: String,
    },
    PullRequestOpened {
        prompt: PromptId,
        pull_request: PullRequest,
        by: Opener,
        step: Step,
        /// What people should know of it.
        notice: Option<String>,
    },
    PullRequestFailed {
        message: String,
    },
    /// Somebody says how a branch's pull request is to be.
    PullRequestWished {
        branch: String,
        wish: PullRequestWish,
        by: Person,
    },
    /// Somebody approved or asked for changes, or took that back.
    ReviewsChanged {
        number: u64,
    },
    /// A check failed on a commit of this session.
    Repair {
        prompt: Prompt,
        branch: String,
        commit: String,
    },
    /// Somebody called this session on an issue or a pull request.
    Called {
        number: u64,
    },
    /// A thread elsewhere is to be told of everything here.
    FollowedBy(Follower),
    /// The forge tells of a pull request of this session.
    PullRequest(PullRequestNews),
    /// The agent made a file, which is stored.
    ArtifactAdded {
        artifact: Artifact,
        prompt: Option<PromptId>,
    },
    /// What a prompt has changed is kept.
    ChangesKept(KeptChanges),
    /// Somebody types in the sandbox's terminal.
    TerminalUsed,
    Expired(Deadline),
}

/// A fact for the log, text of a part that is still growing, or what a sandbox has reached.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    Fact(Fact),
    Delta {
        part: PartId,
        offset: u64,
        text: String,
    },
    /// What the files were at the end of a prompt; no part of the log.
    Kept {
        prompt: PromptId,
        kept: Kept,
    },
    /// Totals of a sandbox's ledger, which replace those before; no part of the log.
    Contacts {
        epoch: Epoch,
        contacts: Vec<Contact>,
    },
}

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

    fn send_key(prompt: &PromptId, epoch: Epoch) -> String {
        format!("send:{prompt}:{epoch}")
    }

    fn stop_key(prompt: &PromptId, epoch: Epoch) -> String {
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

/// An image may have to be built first, with a repository's whole set-up.
pub const START_LIMIT_MS: i64 = 30 * 60_000;
/// The agent is idle 10 to 70 ms after an abort; what takes this long has hung.
pub const STOP_LIMIT_MS: i64 = 10_000;
/// A build without a line of output may take long; a runner that died says nothing for ever.
pub const SILENCE_LIMIT_MS: i64 = 20 * 60_000;
/// A snapshot takes milliseconds; a runner that has not told of it by then is in trouble.
pub const SLEEP_LIMIT_MS: i64 = 60_000;
/// Sandboxes that one prompt may lose: what runs in the next would end that one too.
pub const MAX_RESUMED: u32 = 3;
/// Sandboxes in a row that may be lost before they are ready, until what waits for them fails.
pub const MAX_FAILED_STARTS: u32 = 2;
/// Changes that follow each other are one write to the index, and lists are not read that fast.
pub const BOOKKEEPING_DELAY_MS: i64 = 500;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("this session is archived: start a new one")]
    Archived,
    #[error(
        "{} prompts wait already: cancel one or wait for the agent",
        protocol::api::MAX_QUEUE
    )]
    QueueFull,
    #[error("there is no such prompt in this session's queue: it has started or was cancelled")]
    NotWaiting,
    #[error("nothing is running")]
    NothingRuns,
    #[error("name every prompt that waits once: the queue is not what you saw, look again")]
    QueueChanged,
    #[error("this prompt has not ended: fork when it has")]
    NotFinished,
    #[error("the files at the end of this prompt were not kept: fork from another one")]
    NoSnapshot,
    #[error("these reports leave a gap: send them from the one after {received}")]
    Gap { received: u64 },
    #[error("this sandbox is not this session's any more: end it")]
    Void,
    #[error("a failed check is not worked on: {0}")]
    NoRepair(&'static str),
}

/// What a step leads to, all of it persisted at once.
#[derive(Debug, Default)]
pub struct Transition {
    pub outputs: Vec<Output>,
    /// Work that is due at the given time.
    pub effects: Vec<(Millis, Effect)>,
    /// Keys of work that is void now.
    pub cancelled: Vec<String>,
}

impl Transition {
    pub fn is_empty(&self) -> bool {
        self.outputs.is_empty() && self.effects.is_empty() && self.cancelled.is_empty()
    }

    fn fact(&mut self, fact: Fact) {
        self.outputs.push(Output::Fact(fact));
    }

    fn now(&mut self, context: Context, effect: Effect) {
        self.effects.push((context.now, effect));
    }

    /// For what nobody waits for: it does not hold up what follows.
    fn soon(&mut self, context: Context, effect: Effect) {
        self.effects
            .push((context.now.plus(BOOKKEEPING_DELAY_MS), effect));
    }

    fn expire(&mut self, at: Millis, deadline: Deadline) {
        self.effects.push((at, Effect::Expire(deadline)));
    }

    /// Also of what was asked for earlier in this step: what is asked for afterwards stays.
    fn cancel(&mut self, key: String) {
        self.effects.retain(|(_, effect)| effect.key() != key);
        self.cancelled.push(key);
    }
}

impl State {
    /// Takes one input. On a refusal the state is as it was.
    pub fn step(&mut self, input: Input, context: Context) -> Result<Transition, Refusal> {
        let mut transition = Transition::default();
        let (before, activity) = (self.summary_key(), self.activity());
        let resting = self.resting();
        let running = self.running.as_ref();
        let running = running.map(|running| running.prompt.clone());
        match input {
            Input::Typing => self.typing(context, &mut transition)?,
            Input::Prompt(prompt) => {
                let author = prompt.author.clone();
                self.prompt(prompt, context, &mut transition)?;
                self.forge.last_prompter = Some(author);
                self.forge.repairs.clear();
            }
            Input::Edit { prompt, text, by } => self.edit(prompt, text, by, &mut transition)?,
            Input::Cancel { prompt, by } => self.cancel(prompt, by, &mut transition)?,
            Input::Insert { prompt, by } => {
                self.insert_waiting(&prompt, by, context, &mut transition)?;
            }
            Input::Reorder { order, by } => self.reorder(&order, by, &mut transition)?,
            Input::ResumeQueue { by } => self.resume_queue(by, context, &mut transition),
            Input::ClearQueue { by } => self.clear_queue(&by, &mut transition),
            Input::Forked { session, by } => self.forked(session, &by, &mut transition),
            Input::Stop { by } => self.stop(by, context, &mut transition)?,
            Input::Rename { title } => self.rename(title, &mut transition)?,
            Input::Archive { by } => self.archive(by, context, &mut transition),
            Input::Batch(batch) => self.batch(batch, context, &mut transition)?,
            Input::Placed {
                epoch,
                runner,
                runner_url,
                claim,
            } => {
                self.placed(epoch, (runner, runner_url), claim, &mut transition);
            }
            Input::Unreachable { epoch, reason } => {
                if self.is_current(epoch) {
                    // It may be there all the same, with nothing to report from which it would
                    // learn that it is not wanted any more.
                    self.give_up(&reason, context, &mut transition);
                }
            }
            Input::PullRequestOpened {
                prompt,
                pull_request,
                by,
                step,
                notice,
            } => {
                self.pull_request_opened(prompt, pull_request, by, step, context, &mut transition);
                if let Some(message) = notice {
                    transition.fact(Fact::Notice { message });
                }
            }
            Input::PullRequestFailed { message } => transition.fact(Fact::Notice { message }),
            Input::PullRequestWished { branch, wish, by } => {
                self.wished(branch, wish, Some(by), context, &mut transition);
            }
            Input::ReviewsChanged { number } => {
                transition.soon(context, Effect::CheckReviews { number });
            }
            Input::Repair {
                prompt,
                branch,
                commit,
            } => self.repair(prompt, &branch, &commit, context, &mut transition)?,
            Input::Called { number } => self.called(number, context, &mut transition),
            Input::FollowedBy(follower) => {
                self.followed_by(follower, context, &mut transition);
            }
            Input::PullRequest(news) => self.pull_request_news(news, &mut transition),
            Input::ArtifactAdded { artifact, prompt } => {
                transition.fact(Fact::ArtifactAdded { artifact, prompt });
            }
            Input::ChangesKept(kept) => self.changes_kept(kept, &mut transition),
            Input::TerminalUsed => self.terminal_used = Some(context.now),
            Input::Expired(deadline) => self.expired(deadline, context, &mut transition),
        }
        self.settle(resting, context, &mut transition);
        self.count_prompts(running, context, &mut transition);
        self.tell_forge(activity, context, &mut transition);
        self.tell_follower(context, &mut transition);
        if transition
            .outputs
            .iter()
            .any(|output| matches!(output, Output::Fact(_)))
        {
            self.updated_at = context.now;
        }
        if self.summary_key() != before {
            transition.soon(context, Effect::UpdateIndex);
        }
        Ok(transition)
    }

    /// What its sandboxes start from, without a snapshot.
    pub fn base(&self) -> Base {
        Base {
            repository: self.repository.clone(),
            branch: self.branch.clone(),
            environment: self.environment.clone(),
        }
    }

    /// What lists show of this session.
    pub fn activity(&self) -> SessionState {
        if self.archived {
            SessionState::Archived
        } else if self.running.is_some() || !self.queue.is_empty() {
            SessionState::Working
        } else if self.last_failed {
            SessionState::Failed
        } else if self.sandbox.as_ref().is_some_and(|sandbox| !sandbox.ready) {
            SessionState::Warming
        } else {
            SessionState::Idle
        }
    }

    fn summary_key(&self) -> (SessionState, bool, String, Vec<PullRequest>) {
        (
            self.activity(),
            self.paused,
            self.title.clone(),
            self.pull_requests.clone(),
        )
    }

    /// Whether a prompt is still to be given to the agent.
    pub fn wants_sent(&self, prompt: &PromptId) -> bool {
        self.running.as_ref().is_some_and(|running| {
            running.stopped_by.is_none() && running.prompts().any(|one| one == prompt)
        })
    }

    fn is_current(&self, epoch: Epoch) -> bool {
        self.sandbox
            .as_ref()
            .is_some_and(|sandbox| sandbox.epoch == epoch)
    }
}
