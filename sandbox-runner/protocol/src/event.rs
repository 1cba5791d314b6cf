//! The ordered log of a session: every durable fact, each with its place.
//!
//! A client that holds everything up to `seq` asks for what follows and can prove that it missed
//! nothing, since numbers have no gaps. Live text is not in the log while it grows: it travels as
//! deltas (see [`crate::frame`]), and [`Fact::PartFinished`] closes it.

use serde::{Deserialize, Serialize};

use crate::id::{
    ArtifactId, Epoch, ImageId, Millis, PartId, PromptId, SandboxId, Seq, SessionId, SnapshotId,
    UserId,
};

mod repository;
mod step;

pub use self::repository::{InvalidRepository, Repository};
pub use self::step::{Step, StepName};

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Event {
    pub seq: Seq,
    pub at: Millis,
    #[serde(flatten)]
    pub fact: Fact,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Fact {
    SessionCreated {
        repository: Repository,
        branch: String,
        by: Person,
        /// What it was forked from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        parent: Option<Parent>,
    },
    /// The list shows this instead of the first prompt.
    SessionTitled {
        title: String,
    },
    SessionArchived {
        by: Person,
    },
    PromptQueued {
        prompt: Prompt,
    },
    PromptEdited {
        prompt: PromptId,
        text: String,
        by: Person,
    },
    PromptCancelled {
        prompt: PromptId,
        by: Person,
    },
    /// The prompts that wait, in the order in which they will start.
    PromptsReordered {
        order: Vec<PromptId>,
        by: Person,
    },
    /// Nothing starts until somebody resumes or clears the queue.
    QueuePaused {
        by: Person,
    },
    QueueResumed {
        by: Person,
    },
    PromptStarted {
        prompt: PromptId,
    },
    /// The sandbox in which it ran was lost; it goes on in another from what was kept.
    PromptResumed {
        prompt: PromptId,
        epoch: Epoch,
    },
    PromptFinished {
        prompt: PromptId,
        outcome: Outcome,
    },
    SandboxStarting {
        sandbox: SandboxId,
        epoch: Epoch,
    },
    SandboxReady {
        sandbox: SandboxId,
        epoch: Epoch,
        image: Option<ImageId>,
        commit: String,
    },
    /// The sandbox is gone; the next prompt starts another.
    SandboxLost {
        sandbox: SandboxId,
        epoch: Epoch,
        reason: String,
    },
    /// The sandbox was idle and is asleep; the next prompt wakes it from its snapshot.
    SandboxSlept {
        sandbox: SandboxId,
        epoch: Epoch,
        snapshot: SnapshotId,
    },
    /// Nobody used the sandbox that typing had made ready, so it was ended.
    SandboxReleased {
        sandbox: SandboxId,
        epoch: Epoch,
    },
    /// The files as they were now can be gone back to.
    Snapshotted {
        snapshot: SnapshotId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        prompt: Option<PromptId>,
    },
    /// Something in the sandbox was ended or refused because it wanted more than it may have.
    LimitReached {
        limit: Limit,
        message: String,
    },
    /// One bar of the waterfall.
    Step {
        step: Step,
    },
    PartStarted {
        part: PartId,
        prompt: PromptId,
        body: PartBody,
    },
    PartFinished {
        part: PartId,
        prompt: PromptId,
        /// UTF-16 code units of the final text, so that a browser can compare with `length`.
        length: u64,
        /// Absent for whoever received every delta of this part: the deltas are the text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        text: Option<String>,
        outcome: PartOutcome,
    },
    /// Work of one prompt is a commit on the session's branch at the forge.
    Pushed {
        prompt: PromptId,
        branch: String,
        commit: String,
        files: Vec<FileChange>,
    },
    PullRequestOpened {
        prompt: PromptId,
        number: u64,
        url: String,
        title: String,
        by: Opener,
    },
    /// The forge told of a pull request of this session: it was closed, merged, made ready…
    PullRequestChanged {
        number: u64,
        state: PullRequestState,
        /// Login at the forge.
        by: String,
    },
    PullRequestReviewed {
        number: u64,
        verdict: ReviewVerdict,
        /// Login at the forge.
        by: String,
    },
    /// Every check of a pull request's head has ended.
    ChecksFinished {
        number: u64,
        commit: String,
        /// Names of those that failed.
        failed: Vec<String>,
    },
    /// A file that the agent made, or that a person gave without a prompt.
    ArtifactAdded {
        artifact: Artifact,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        prompt: Option<PromptId>,
    },
    /// What the files differ by at the end of a prompt can be looked at
    /// (`GET /api/sessions/{id}/diff`). The counts are since the session began.
    ChangesKept {
        prompt: PromptId,
        files: u32,
        additions: u32,
        deletions: u32,
    },
    /// The agent says how its work goes, before it is done.
    Update {
        prompt: PromptId,
        text: String,
    },
    /// Something a person should know that ends nothing.
    Notice {
        message: String,
    },
}

/// Whoever takes part, as shown and as credited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Person {
    pub id: UserId,
    pub login: String,
    pub name: String,
    pub avatar: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Prompt {
    pub id: PromptId,
    pub author: Person,
    pub text: String,
    pub source: Source,
    pub mode: Mode,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, ts(optional, as = "Option<Vec<Artifact>>"))]
    pub attachments: Vec<Artifact>,
    /// How the author's client recognises it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub client_request_id: Option<String>,
}

/// The session and the finished prompt that another session goes on from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Parent {
    pub session: SessionId,
    pub prompt: PromptId,
}

/// A file beside the log: a picture in a prompt, a screenshot of the agent's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Artifact {
    pub id: ArtifactId,
    /// Without a path.
    pub name: String,
    pub media_type: String,
    pub bytes: u64,
    /// What its maker says that it shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub caption: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum PullRequestState {
    Draft,
    Open,
    Merged,
    /// Without being merged.
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ReviewVerdict {
    Approved,
    ChangesRequested,
    Commented,
}

/// Where a prompt came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Source {
    Web,
    Api,
    Github,
    Slack,
    Extension,
    Editor,
}

/// When the agent reads a prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Mode {
    /// After everything before it is done.
    #[default]
    Queue,
    /// At the running prompt's next step.
    Insert,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Outcome {
    Completed,
    Stopped { by: Person },
    Failed { message: String },
}

/// What a sandbox may have only so much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Limit {
    Memory,
    Processes,
    Disk,
    Time,
    Money,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum PartBody {
    Text,
    Reasoning,
    /// Deltas of a tool part are its live output.
    Tool {
        tool: String,
        title: String,
        /// The arguments as JSON text, cut at [`crate::callback::MAX_TEXT`].
        input: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum PartOutcome {
    Completed {
        /// A better title than the one the part started with, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        title: Option<String>,
    },
    Failed {
        message: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FileChange {
    pub path: String,
    /// Absent for binary files.
    pub additions: Option<u32>,
    pub deletions: Option<u32>,
}

/// Whose token opened a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Opener {
    User {
        person: Person,
    },
    /// The deployment's own App, because nobody who prompted has a link to the forge.
    App,
}
