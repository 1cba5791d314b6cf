//! An example of every message and every variant.

#[path = "messages/account.rs"]
mod account;
#[path = "messages/artifacts.rs"]
mod artifacts;
#[path = "messages/bodies.rs"]
mod bodies;
#[path = "messages/callbacks.rs"]
mod callbacks;
#[path = "messages/commands.rs"]
mod commands;
#[path = "messages/events.rs"]
mod events;
#[path = "messages/forge.rs"]
mod forge;
#[path = "messages/frames.rs"]
mod frames;
#[path = "messages/registry.rs"]
mod registry;
#[path = "messages/samples.rs"]
mod samples;
#[path = "messages/statistics.rs"]
mod statistics;
#[path = "messages/views.rs"]
mod views;

use protocol::Fact;
use protocol::api::*;
use protocol::callback::*;
use protocol::command::*;
use protocol::event::*;
use protocol::frame::*;
use protocol::image::*;
use protocol::ledger::*;

use crate::example::{Example, variants};

variants! {
    FilePlace { Sandbox, Snapshot }
    Command { Start, Prompt, Stop, Sleep, End, BuildImage }
    Provider { Anthropic, Openai }
    Report {
        Step, Ready, PartStarted, Delta, PartFinished, Pushed, PullRequestWished, Update, PromptFinished, Notice, Contacts,
        Snapshotted, Slept, LimitReached, Lost
    }
    ContactKind { Model, Git, Https, Http, Name }
    Verdict { Allowed, Denied, Failed }
    PromptResult { Completed, Stopped, Failed }
    Purpose { Image, Session }
    Fact {
        SessionCreated, SessionTitled, SessionArchived, PromptQueued, PromptEdited,
        PromptCancelled, PromptsReordered, QueuePaused, QueueResumed, PromptStarted, PromptResumed, PromptFinished, SandboxStarting, SandboxReady, SandboxLost,
        SandboxSlept, SandboxReleased, Snapshotted, LimitReached, Step, PartStarted, PartFinished, Pushed, PullRequestOpened, PullRequestChanged, PullRequestReviewed, ChecksFinished, ArtifactAdded, ChangesKept, Update, Notice
    }
    Source { Web, Api, Github, Slack, Extension, Editor }
    PullRequestState { Draft, Open, Merged, Closed }
    ReviewVerdict { Approved, ChangesRequested, Commented }
    SecretScope { Header, Sandbox }
    Mode { Queue, Insert }
    Outcome { Completed, Stopped, Failed }
    StepName {
        Typing, Claim, Image, Restore, Sync, WriteWait, AgentUp, FirstToken, Run, Snapshot, Push,
        PullRequest
    }
    Limit { Memory, Processes, Disk, Time, Money }
    ImageOutcome { Ready, Unchanged, Failed }
    PartBody { Text, Reasoning, Tool }
    PartOutcome { Completed, Failed }
    Opener { User, App }
    ClientFrame {
        Subscribe, Prompt, EditPrompt, CancelPrompt, InsertPrompt, ReorderPrompts, Stop, ResumeQueue,
        ClearQueue, Typing, Presence, Ping
    }
    ServerFrame { Welcome, Events, Delta, Presence, Typing, Error, Pong }
    SessionState { Warming, Working, Idle, Failed, Archived }
    MissReason { PoolEmpty, BudgetSpent, OlderImage, OtherModel, NoImage }
    ImageState { Requested, Building, Ready, Unchanged, Failed }
    EnvironmentStatus { Building, Ready, Failed }
    Role { Member, Administrator }
    TerminalRequest { TakeControl, ReleaseControl, Resize, Ping }
    TerminalNotice { State, Ended, Error, Pong }
    LobbyNotice { Session, Seen, Prompting, Pong }
    ChangesScope { Session, Prompt }
    Change { Added, Modified, Deleted, Renamed }
    Patch { Text, Binary, TooLarge }
    ChecksVerdict { Passed, Failed }
    TokenScope { Read, Write, Admin }
    Means { Browser, Token }
    Deed {
        SignedIn, SignedOutEverywhere, TokenCreated, TokenRevoked, SecretSet, SecretRemoved,
        SettingsChanged, SessionArchived, PromptStopped, TerminalOpened, AccessRefused, AuditRead
    }
}

pub fn all() -> Vec<Example> {
    [
        commands::commands(),
        callbacks::callbacks(),
        events::events(),
        forge::forge(),
        frames::frames(),
        artifacts::artifacts(),
        bodies::bodies(),
        registry::registry(),
        account::account(),
        statistics::statistics(),
        views::views(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
