//! An example of every message and every variant.

use protocol::api::*;
use protocol::callback::*;
use protocol::command::*;
use protocol::egress::*;
use protocol::event::*;
use protocol::frame::*;
use protocol::image::*;
use protocol::ledger::*;
use protocol::{
    Epoch, ImageId, Millis, PartId, PromptId, RunnerId, SandboxId, Seq, SessionId, SnapshotId,
    UserId, VERSION,
};

use crate::example::Unknown::{PassedOver, Refused};
use crate::example::{Example, each, each_in, list, message, variants};

variants! {
    Command { Start, Prompt, Stop, Sleep, End, BuildImage }
    Provider { Anthropic, Openai }
    Report {
        Step, Ready, PartStarted, Delta, PartFinished, Pushed, PromptFinished, Notice, Contacts,
        Snapshotted, Slept, LimitReached, Lost
    }
    ContactKind { Model, Git, Https, Http, Name }
    Verdict { Allowed, Denied, Failed }
    PromptResult { Completed, Stopped, Failed }
    Purpose { Image, Session }
    Fact {
        SessionCreated, SessionTitled, SessionArchived, PromptQueued, PromptEdited,
        PromptCancelled, PromptStarted, PromptFinished, SandboxStarting, SandboxReady, SandboxLost,
        SandboxSlept, SandboxReleased, Snapshotted, LimitReached, Step, PartStarted, PartFinished, Pushed, PullRequestOpened, Notice
    }
    Source { Web, Api }
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
    Opener { User }
    ClientFrame {
        Subscribe, Prompt, EditPrompt, CancelPrompt, Stop, Typing, Presence, Ping
    }
    ServerFrame { Welcome, Events, Delta, Presence, Typing, Error, Pong }
    SessionState { Warming, Working, Idle, Failed, Archived }
    MissReason { PoolEmpty, OlderImage, OtherModel, NoImage }
    ImageState { Requested, Building, Ready, Unchanged, Failed }
    EnvironmentStatus { Building, Ready, Failed }
}

pub fn all() -> Vec<Example> {
    [
        commands(),
        callbacks(),
        events(),
        frames(),
        bodies(),
        registry(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn commands() -> Vec<Example> {
    let prompt = SendPrompt {
        sandbox: sandbox(),
        prompt: prompt_id(),
        text: TEXT.to_owned(),
        mode: Mode::Queue,
        sent_at: NOW,
        author: identity("Alice", "583231+alice@users.noreply.github.com"),
        co_authors: vec![identity("Bob", "583232+bob@users.noreply.github.com")],
    };
    let start = Start {
        session: session(),
        sandbox: sandbox(),
        epoch: Epoch(1),
        repository: repository(),
        branch: "main".to_owned(),
        work_branch: format!("agent/{}", session()),
        model: model(),
        first_part: PartId(1),
        callback_url: format!("https://agents.example/runner/callbacks/{}", session()),
        environment: None,
        warm: None,
        snapshot: Some(snapshot()),
        egress: Some(policy()),
        spent_microdollars: 1_250_000,
    };
    let build = BuildImage {
        image: image(),
        base: base(),
        specification: Some(specification()),
        force: false,
        callback_url: format!("https://agents.example/runner/images/{}", image()),
    };
    let commands = vec![
        Command::Start(start.clone()),
        Command::Prompt(prompt.clone()),
        Command::Stop {
            sandbox: sandbox(),
            prompt: prompt_id(),
        },
        Command::Sleep { sandbox: sandbox() },
        Command::End { sandbox: sandbox() },
        Command::BuildImage(build.clone()),
    ];
    let mut examples = each("command", PassedOver, commands);
    examples.extend([
        message(
            "start-least",
            PassedOver,
            Start {
                egress: None,
                spent_microdollars: 0,
                ..start.clone()
            },
        ),
        message("start", PassedOver, start),
        message("build_image", PassedOver, build),
        message("base", PassedOver, base()),
        message("specification", Refused, specification()),
        message("egress_policy", PassedOver, policy()),
        message("host_pattern", PassedOver, pattern("*.example.com")),
        message("send_prompt", PassedOver, prompt),
        message("accepted", PassedOver, Accepted { accepted: true }),
        message("model", PassedOver, model()),
        message(
            "git_identity",
            PassedOver,
            identity("Alice", "alice@example.com"),
        ),
        list("provider", vec![Provider::Anthropic, Provider::Openai]),
    ]);
    examples
}

fn callbacks() -> Vec<Example> {
    let delta = Report::Delta {
        part: PartId(3),
        offset: 12,
        text: "naïve 🦀\n".to_owned(),
    };
    let finished = Report::PromptFinished {
        prompt: prompt_id(),
        result: PromptResult::Completed,
    };
    let reports = vec![
        Report::Step { step: step() },
        Report::Ready {
            image: Some(image()),
            commit: COMMIT.to_owned(),
        },
        Report::PartStarted {
            part: PartId(3),
            prompt: prompt_id(),
            body: tool(),
        },
        delta.clone(),
        Report::PartFinished {
            part: PartId(3),
            prompt: prompt_id(),
            length: 21,
            text: None,
            outcome: PartOutcome::Completed { title: None },
        },
        Report::Pushed {
            prompt: prompt_id(),
            branch: format!("agent/{}", session()),
            commit: COMMIT.to_owned(),
            files: vec![text_file(), binary_file()],
            summary: "The condition was inverted.".to_owned(),
        },
        finished.clone(),
        Report::Notice {
            message: "set-up failed: see the image's log".to_owned(),
        },
        Report::Snapshotted {
            snapshot: snapshot(),
            prompt: Some(prompt_id()),
        },
        Report::Slept {
            snapshot: snapshot(),
        },
        Report::LimitReached {
            limit: Limit::Memory,
            message: "cargo was ended: the sandbox has 4 GiB".to_owned(),
        },
        Report::Contacts {
            contacts: vec![model_contact(), denied_contact()],
        },
        Report::Lost {
            reason: "the agent server ended".to_owned(),
        },
    ];
    let mut examples = each("report", PassedOver, reports);
    examples.extend([
        message(
            "report-part_finished-other_text",
            PassedOver,
            Report::PartFinished {
                part: PartId(3),
                prompt: prompt_id(),
                length: 5,
                text: Some("final".to_owned()),
                outcome: PartOutcome::Completed {
                    title: Some("cargo test".to_owned()),
                },
            },
        ),
        message(
            "batch",
            PassedOver,
            Batch {
                sandbox: sandbox(),
                epoch: Epoch(1),
                first: 7,
                reports: vec![delta, finished],
            },
        ),
        message(
            "acknowledgement",
            PassedOver,
            Acknowledgement { received: 8 },
        ),
        message(
            "register",
            PassedOver,
            Register {
                runner: RunnerId::from_random([6; 16]),
                url: "https://runner-1.example:8788".to_owned(),
                capacity: 8,
                sandboxes: vec![sandbox()],
                version: VERSION.to_owned(),
                images: vec![held_image()],
                warm: vec![warm_sandbox()],
            },
        ),
        message("held_image", PassedOver, held_image()),
        message("warm_sandbox", PassedOver, warm_sandbox()),
        message(
            "registered",
            PassedOver,
            Registered {
                registered: true,
                pool: vec![pool_target()],
            },
        ),
        message("pool_target", PassedOver, pool_target()),
        message(
            "image_report",
            PassedOver,
            ImageReport {
                runner: RunnerId::from_random([6; 16]),
                log_offset: 120,
                log: "   Compiling api\n".to_owned(),
                outcome: Some(ImageOutcome::Ready(built_image())),
            },
        ),
        message("built_image", PassedOver, built_image()),
        list(
            "image_outcome",
            vec![
                ImageOutcome::Ready(built_image()),
                ImageOutcome::Unchanged {
                    commit: COMMIT.to_owned(),
                },
                ImageOutcome::Failed {
                    message: "the repository has no branch main".to_owned(),
                },
            ],
        ),
        message(
            "credentials_request",
            PassedOver,
            CredentialsRequest {
                repository: repository(),
                purpose: Purpose::Session { session: session() },
            },
        ),
        message(
            "credentials",
            PassedOver,
            Credentials {
                username: "x-access-token".to_owned(),
                password: "example".to_owned(),
                expires_at: NOW.plus(3_600_000),
            },
        ),
        list(
            "purpose",
            vec![Purpose::Image, Purpose::Session { session: session() }],
        ),
        list(
            "prompt_result",
            vec![
                PromptResult::Completed,
                PromptResult::Stopped,
                PromptResult::Failed {
                    message: "the model refused".to_owned(),
                },
            ],
        ),
    ]);
    examples
}

fn events() -> Vec<Example> {
    let facts = vec![
        Fact::SessionCreated {
            repository: repository(),
            branch: "main".to_owned(),
            by: alice(),
        },
        Fact::SessionTitled {
            title: TEXT.to_owned(),
        },
        Fact::SessionArchived { by: alice() },
        Fact::PromptQueued { prompt: prompt() },
        Fact::PromptEdited {
            prompt: prompt_id(),
            text: "another text".to_owned(),
            by: alice(),
        },
        Fact::PromptCancelled {
            prompt: prompt_id(),
            by: alice(),
        },
        Fact::PromptStarted {
            prompt: prompt_id(),
        },
        Fact::PromptFinished {
            prompt: prompt_id(),
            outcome: Outcome::Stopped { by: alice() },
        },
        Fact::SandboxStarting {
            sandbox: sandbox(),
            epoch: Epoch(1),
        },
        Fact::SandboxReady {
            sandbox: sandbox(),
            epoch: Epoch(1),
            image: Some(image()),
            commit: COMMIT.to_owned(),
        },
        Fact::SandboxLost {
            sandbox: sandbox(),
            epoch: Epoch(1),
            reason: "the agent server ended".to_owned(),
        },
        Fact::SandboxSlept {
            sandbox: sandbox(),
            epoch: Epoch(1),
            snapshot: snapshot(),
        },
        Fact::SandboxReleased {
            sandbox: sandbox(),
            epoch: Epoch(1),
        },
        Fact::Snapshotted {
            snapshot: snapshot(),
            prompt: Some(prompt_id()),
        },
        Fact::LimitReached {
            limit: Limit::Memory,
            message: "cargo was ended: the sandbox has 4 GiB".to_owned(),
        },
        Fact::Step { step: step() },
        Fact::PartStarted {
            part: PartId(3),
            prompt: prompt_id(),
            body: tool(),
        },
        Fact::PartFinished {
            part: PartId(3),
            prompt: prompt_id(),
            length: 5,
            text: Some("final".to_owned()),
            outcome: PartOutcome::Completed { title: None },
        },
        Fact::Pushed {
            prompt: prompt_id(),
            branch: format!("agent/{}", session()),
            commit: COMMIT.to_owned(),
            files: vec![text_file(), binary_file()],
        },
        Fact::PullRequestOpened {
            prompt: prompt_id(),
            number: 12,
            url: "https://github.com/acme/api/pull/12".to_owned(),
            title: TEXT.to_owned(),
            by: Opener::User { person: alice() },
        },
        Fact::Notice {
            message: "the pull request could not be opened".to_owned(),
        },
    ];
    let mut examples = each_in("event", PassedOver, facts, event);
    examples.extend([
        message(
            "event-part_finished-streamed",
            PassedOver,
            event(Fact::PartFinished {
                part: PartId(3),
                prompt: prompt_id(),
                length: 21,
                text: None,
                outcome: PartOutcome::Completed { title: None },
            }),
        ),
        message(
            "event-sandbox_ready-no_image",
            PassedOver,
            event(Fact::SandboxReady {
                sandbox: sandbox(),
                epoch: Epoch(1),
                image: None,
                commit: COMMIT.to_owned(),
            }),
        ),
        message("repository", PassedOver, repository()),
        message("person", PassedOver, alice()),
        message("prompt", PassedOver, prompt()),
        message("step", PassedOver, step()),
        message("file_change", PassedOver, text_file()),
        message("file_change-binary", PassedOver, binary_file()),
        list(
            "limit",
            vec![
                Limit::Memory,
                Limit::Processes,
                Limit::Disk,
                Limit::Time,
                Limit::Money,
            ],
        ),
        message("build_step", PassedOver, build_step()),
        list("source", vec![Source::Web, Source::Api]),
        list("mode", vec![Mode::Queue, Mode::Insert]),
        list(
            "outcome",
            vec![
                Outcome::Completed,
                Outcome::Stopped { by: alice() },
                Outcome::Failed {
                    message: "the model refused".to_owned(),
                },
            ],
        ),
        list(
            "step_name",
            vec![
                StepName::Typing,
                StepName::Claim,
                StepName::Image,
                StepName::Restore,
                StepName::Sync,
                StepName::WriteWait,
                StepName::AgentUp,
                StepName::FirstToken,
                StepName::Run,
                StepName::Snapshot,
                StepName::Push,
                StepName::PullRequest,
            ],
        ),
        list(
            "part_body",
            vec![PartBody::Text, PartBody::Reasoning, tool()],
        ),
        list(
            "part_outcome",
            vec![
                PartOutcome::Completed { title: None },
                PartOutcome::Completed {
                    title: Some("cargo test".to_owned()),
                },
                PartOutcome::Failed {
                    message: "exit code 1".to_owned(),
                },
            ],
        ),
        list("opener", vec![Opener::User { person: alice() }]),
    ]);
    examples
}

fn frames() -> Vec<Example> {
    let from_clients = vec![
        ClientFrame::Subscribe { since: Seq(0) },
        ClientFrame::Prompt {
            text: TEXT.to_owned(),
            mode: Mode::Insert,
            client_request_id: Some("7f3c".to_owned()),
        },
        ClientFrame::EditPrompt {
            prompt: prompt_id(),
            text: "another text".to_owned(),
        },
        ClientFrame::CancelPrompt {
            prompt: prompt_id(),
        },
        ClientFrame::Stop {},
        ClientFrame::Typing {},
        ClientFrame::Presence { active: false },
        ClientFrame::Ping {},
    ];
    let from_server = vec![
        ServerFrame::Welcome {
            session: summary(),
            participants: vec![participant()],
            queue: vec![prompt()],
            head_seq: Seq(9),
        },
        ServerFrame::Events {
            events: vec![event(Fact::PromptStarted {
                prompt: prompt_id(),
            })],
        },
        ServerFrame::Delta {
            part: PartId(3),
            offset: 12,
            text: "naïve 🦀\n".to_owned(),
        },
        ServerFrame::Presence {
            participants: vec![participant()],
        },
        ServerFrame::Typing { person: alice() },
        ServerFrame::Error {
            code: "prompt_empty".to_owned(),
            message: "write what the agent is to do".to_owned(),
            client_request_id: Some("7f3c".to_owned()),
        },
        ServerFrame::Pong,
    ];
    let mut examples = each("client_frame", Refused, from_clients);
    examples.extend(each("server_frame", PassedOver, from_server));
    examples.push(message("participant", PassedOver, participant()));
    examples
}

fn bodies() -> Vec<Example> {
    let repository_summary = RepositorySummary {
        repository: repository(),
        default_branch: "main".to_owned(),
        private: true,
    };
    let error = ErrorDetail {
        code: "not_found".to_owned(),
        message: "there is no session here, or you have no access to it".to_owned(),
    };
    vec![
        message("me", PassedOver, Me { person: alice() }),
        message(
            "create_session",
            Refused,
            CreateSession {
                repository: repository(),
                branch: Some("develop".to_owned()),
                prompt: Some(TEXT.to_owned()),
                model: Some(model()),
                environment: Some(EnvironmentName::parse("python-3").unwrap()),
                client_request_id: Some("7f3c".to_owned()),
            },
        ),
        message(
            "create_session-least",
            Refused,
            CreateSession {
                repository: repository(),
                branch: None,
                prompt: None,
                model: None,
                environment: None,
                client_request_id: None,
            },
        ),
        message(
            "created_session",
            PassedOver,
            CreatedSession {
                id: session(),
                url: format!("https://agents.example/sessions/{}", session()),
            },
        ),
        message("session_summary", PassedOver, summary()),
        list(
            "session_state",
            vec![
                SessionState::Warming,
                SessionState::Working,
                SessionState::Idle,
                SessionState::Failed,
                SessionState::Archived,
            ],
        ),
        message("pull_request", PassedOver, pull_request()),
        message(
            "session_list",
            PassedOver,
            SessionList {
                sessions: vec![summary()],
                cursor: Some(NOW.to_string()),
            },
        ),
        message(
            "session_list-end",
            PassedOver,
            SessionList {
                sessions: Vec::new(),
                cursor: None,
            },
        ),
        message(
            "create_prompt",
            Refused,
            CreatePrompt {
                text: TEXT.to_owned(),
                mode: Mode::Insert,
                client_request_id: Some("7f3c".to_owned()),
            },
        ),
        message(
            "created_prompt",
            PassedOver,
            CreatedPrompt { id: prompt_id() },
        ),
        message(
            "edit_prompt",
            Refused,
            EditPrompt {
                text: "another text".to_owned(),
            },
        ),
        message(
            "event_page",
            PassedOver,
            EventPage {
                events: vec![event(Fact::SessionTitled {
                    title: TEXT.to_owned(),
                })],
                head_seq: Seq(9),
            },
        ),
        message(
            "ticket",
            PassedOver,
            Ticket {
                ticket: "0a1b2c".to_owned(),
            },
        ),
        message(
            "waterfall",
            PassedOver,
            Waterfall {
                steps: vec![step()],
            },
        ),
        message(
            "contact_list",
            PassedOver,
            ContactList {
                contacts: vec![denied_contact()],
            },
        ),
        message("contact", PassedOver, model_contact()),
        message("tokens", PassedOver, tokens()),
        list(
            "contact_kind",
            vec![
                ContactKind::Model,
                ContactKind::Git,
                ContactKind::Https,
                ContactKind::Http,
                ContactKind::Name,
            ],
        ),
        list(
            "verdict",
            vec![Verdict::Allowed, Verdict::Denied, Verdict::Failed],
        ),
        message(
            "repository_list",
            PassedOver,
            RepositoryList {
                repositories: vec![repository_summary.clone()],
            },
        ),
        message("repository_summary", PassedOver, repository_summary),
        message(
            "pool_figures",
            PassedOver,
            PoolFigures {
                days: 7,
                hits: 12,
                misses: vec![pool_miss()],
                median_warm_ms: Some(140),
                median_cold_ms: Some(2640),
                seconds_saved: Some(30),
                warm_sandbox_seconds: 86_400,
            },
        ),
        message("pool_miss", PassedOver, pool_miss()),
        list(
            "miss_reason",
            vec![
                MissReason::PoolEmpty,
                MissReason::OlderImage,
                MissReason::OtherModel,
                MissReason::NoImage,
            ],
        ),
        message(
            "error_body",
            PassedOver,
            ErrorBody {
                error: error.clone(),
            },
        ),
        message("error_detail", PassedOver, error),
    ]
}

const NOW: Millis = Millis(1_790_000_000_123);
const TEXT: &str = "the tests fail, find out why and fix it";
const COMMIT: &str = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d";

fn registry() -> Vec<Example> {
    let settings = Settings {
        specification: Some(specification()),
        egress: policy(),
    };
    let environment = Environment {
        status: EnvironmentStatus::Ready,
        name: environment_name(),
        url: "https://agents.example/api/repositories/acme/api/environments/legacy".to_owned(),
        runtime: built_image().runtime,
        message: None,
        specification: specification(),
        members: vec!["bob".to_owned()],
        created_by: "alice".to_owned(),
        image: Some(image()),
    };
    vec![
        message("settings", Refused, settings.clone()),
        message(
            "repository_detail",
            PassedOver,
            RepositoryDetail {
                repository: repository(),
                default_branch: "main".to_owned(),
                settings,
                image: Some(image_row()),
            },
        ),
        message("request_image-least", Refused, RequestImage::default()),
        message(
            "request_image",
            Refused,
            RequestImage {
                branch: Some("main".to_owned()),
                environment: Some(environment_name()),
                force: true,
            },
        ),
        message(
            "requested_image",
            PassedOver,
            RequestedImage {
                id: image(),
                url: format!(
                    "https://agents.example/api/repositories/acme/api/images/{}",
                    image()
                ),
            },
        ),
        message("image", PassedOver, image_row()),
        list(
            "image_state",
            vec![
                ImageState::Requested,
                ImageState::Building,
                ImageState::Ready,
                ImageState::Unchanged,
                ImageState::Failed,
            ],
        ),
        message(
            "image_list",
            PassedOver,
            ImageList {
                images: vec![image_row()],
            },
        ),
        message(
            "image_log",
            PassedOver,
            ImageLog {
                text: TEXT.to_owned(),
                next_offset: 1024,
                complete: false,
            },
        ),
        message(
            "create_environment",
            Refused,
            CreateEnvironment {
                name: environment_name(),
                runtime: specification().runtime,
                packages: specification().packages,
                setup: specification().setup,
                members: vec!["bob".to_owned()],
            },
        ),
        message("environment", PassedOver, environment.clone()),
        list(
            "environment_status",
            vec![
                EnvironmentStatus::Building,
                EnvironmentStatus::Ready,
                EnvironmentStatus::Failed,
            ],
        ),
        message(
            "environment_list",
            PassedOver,
            EnvironmentList {
                environments: vec![environment],
            },
        ),
    ]
}

fn environment_name() -> EnvironmentName {
    EnvironmentName::parse("legacy").unwrap()
}

fn image_row() -> Image {
    Image {
        id: image(),
        base: base(),
        state: ImageState::Ready,
        current: true,
        reason: built_image().reason,
        requested_by: Some("alice".to_owned()),
        requested_at: NOW,
        started_at: Some(NOW.plus(20)),
        finished_at: Some(NOW.plus(9000)),
        commit: Some(COMMIT.to_owned()),
        message: None,
        runtime: built_image().runtime,
        steps: vec![build_step()],
        bytes: built_image().bytes,
        log_bytes: 1024,
    }
}

fn session() -> SessionId {
    SessionId::from_random([1; 16])
}

fn prompt_id() -> PromptId {
    PromptId::from_random([2; 16])
}

fn sandbox() -> SandboxId {
    SandboxId::from_random([3; 16])
}

fn snapshot() -> SnapshotId {
    SnapshotId::from_random([8; 16])
}

fn base() -> Base {
    Base {
        repository: repository(),
        branch: "main".to_owned(),
        environment: None,
    }
}

fn specification() -> Specification {
    Specification {
        runtime: [("python".to_owned(), "3.11".to_owned())].into(),
        packages: vec!["jq".to_owned()],
        setup: Some("make deps".to_owned()),
    }
}

fn held_image() -> HeldImage {
    HeldImage {
        image: image(),
        base: base(),
        commit: COMMIT.to_owned(),
        built_at: NOW,
    }
}

fn warm_sandbox() -> WarmSandbox {
    WarmSandbox {
        sandbox: sandbox(),
        base: base(),
        model: model(),
        image: image(),
    }
}

fn pool_target() -> PoolTarget {
    PoolTarget {
        base: base(),
        model: model(),
        size: 2,
    }
}

fn pool_miss() -> PoolMiss {
    PoolMiss {
        reason: MissReason::PoolEmpty,
        count: 3,
    }
}

fn build_step() -> BuildStep {
    BuildStep {
        name: "cargo test".to_owned(),
        success: true,
        ms: 8123,
    }
}

fn built_image() -> BuiltImage {
    BuiltImage {
        commit: COMMIT.to_owned(),
        fingerprint: "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef".to_owned(),
        reason: "no image yet".to_owned(),
        runtime: [("python".to_owned(), "3.11.2".to_owned())].into(),
        steps: vec![build_step()],
        bytes: 123_456_789,
    }
}

fn image() -> ImageId {
    ImageId::from_random([4; 16])
}

fn repository() -> Repository {
    Repository::new("acme", "api").unwrap()
}

fn model() -> Model {
    Model {
        provider: Provider::Anthropic,
        name: "claude-sonnet-4-5".to_owned(),
    }
}

fn pattern(text: &str) -> HostPattern {
    HostPattern::parse(text).unwrap()
}

fn policy() -> EgressPolicy {
    EgressPolicy {
        allow: vec![pattern("example.com"), pattern("*.example.com")],
        defaults: true,
    }
}

fn tokens() -> Tokens {
    Tokens {
        input: 1200,
        output: 340,
        cache_read: 9000,
        cache_write: 300,
    }
}

fn model_contact() -> Contact {
    Contact {
        host: "api.anthropic.com".to_owned(),
        kind: ContactKind::Model,
        verdict: Verdict::Allowed,
        reason: None,
        requests: 3,
        bytes_up: 92_000,
        bytes_down: 14_500,
        tokens: Some(tokens()),
        cost_microdollars: Some(12_345),
        last_at: NOW,
    }
}

fn denied_contact() -> Contact {
    Contact {
        host: "example.org".to_owned(),
        kind: ContactKind::Name,
        verdict: Verdict::Denied,
        reason: Some("not in the egress policy".to_owned()),
        requests: 2,
        bytes_up: 0,
        bytes_down: 0,
        tokens: None,
        cost_microdollars: None,
        last_at: NOW,
    }
}

fn identity(name: &str, email: &str) -> GitIdentity {
    GitIdentity {
        name: name.to_owned(),
        email: email.to_owned(),
    }
}

fn alice() -> Person {
    Person {
        id: UserId(583_231),
        login: "alice".to_owned(),
        name: "Alice".to_owned(),
        avatar: "https://avatars.example/583231".to_owned(),
    }
}

fn participant() -> Participant {
    Participant {
        person: alice(),
        active: true,
    }
}

fn prompt() -> Prompt {
    Prompt {
        id: prompt_id(),
        author: alice(),
        text: TEXT.to_owned(),
        source: Source::Web,
        mode: Mode::Queue,
    }
}

fn step() -> Step {
    Step {
        name: StepName::Image,
        started_at: NOW,
        ms: 5210,
        detail: Some("no image yet".to_owned()),
    }
}

fn tool() -> PartBody {
    PartBody::Tool {
        tool: "bash".to_owned(),
        title: "cargo test".to_owned(),
        input: r#"{"command":"cargo test"}"#.to_owned(),
    }
}

fn text_file() -> FileChange {
    FileChange {
        path: "src/lib.rs".to_owned(),
        additions: Some(1),
        deletions: Some(1),
    }
}

fn binary_file() -> FileChange {
    FileChange {
        path: "logo.png".to_owned(),
        additions: None,
        deletions: None,
    }
}

fn pull_request() -> PullRequest {
    PullRequest {
        number: 12,
        url: "https://github.com/acme/api/pull/12".to_owned(),
        title: TEXT.to_owned(),
    }
}

fn summary() -> SessionSummary {
    SessionSummary {
        id: session(),
        repository: repository(),
        branch: "main".to_owned(),
        title: TEXT.to_owned(),
        state: SessionState::Working,
        created_by: alice(),
        created_at: NOW,
        updated_at: NOW.plus(5000),
        pull_request: Some(pull_request()),
    }
}

fn event(fact: Fact) -> Event {
    Event {
        seq: Seq(8),
        at: NOW,
        fact,
    }
}
