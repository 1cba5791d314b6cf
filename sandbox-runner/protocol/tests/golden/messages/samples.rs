//! What the examples are made of.

use protocol::api::*;
use protocol::callback::*;
use protocol::command::*;
use protocol::egress::*;
use protocol::event::*;
use protocol::frame::*;
use protocol::image::*;
use protocol::ledger::*;
use protocol::{
    ArtifactId, Fact, ImageId, Millis, PromptId, SandboxId, Seq, SessionId, SnapshotId, UserId,
};
pub const NOW: Millis = Millis(1_790_000_000_123);
pub const TEXT: &str = "the tests fail, find out why and fix it";
pub const COMMIT: &str = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d";

pub fn environment_name() -> EnvironmentName {
    EnvironmentName::parse("legacy").unwrap()
}

pub fn image_row() -> Image {
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

pub fn session() -> SessionId {
    SessionId::from_random([1; 16])
}

pub fn prompt_id() -> PromptId {
    PromptId::from_random([2; 16])
}

pub fn sandbox() -> SandboxId {
    SandboxId::from_random([3; 16])
}

pub fn snapshot() -> SnapshotId {
    SnapshotId::from_random([8; 16])
}

pub fn base() -> Base {
    Base {
        repository: repository(),
        branch: "main".to_owned(),
        environment: None,
    }
}

pub fn specification() -> Specification {
    Specification {
        runtime: [("python".to_owned(), "3.11".to_owned())].into(),
        packages: vec!["jq".to_owned()],
        setup: Some("make deps".to_owned()),
    }
}

pub fn held_image() -> HeldImage {
    HeldImage {
        image: image(),
        base: base(),
        commit: COMMIT.to_owned(),
        built_at: NOW,
        stale: true,
    }
}

pub fn warm_sandbox() -> WarmSandbox {
    WarmSandbox {
        sandbox: sandbox(),
        base: base(),
        model: model(),
        image: image(),
    }
}

pub fn pool_target() -> PoolTarget {
    PoolTarget {
        base: base(),
        model: model(),
        size: 2,
    }
}

pub fn pool_miss() -> PoolMiss {
    PoolMiss {
        reason: MissReason::PoolEmpty,
        count: 3,
    }
}

pub fn build_step() -> BuildStep {
    BuildStep {
        name: "cargo test".to_owned(),
        success: true,
        ms: 8123,
    }
}

pub fn built_image() -> BuiltImage {
    BuiltImage {
        commit: COMMIT.to_owned(),
        fingerprint: "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef".to_owned(),
        reason: "no image yet".to_owned(),
        runtime: [("python".to_owned(), "3.11.2".to_owned())].into(),
        steps: vec![build_step()],
        bytes: 123_456_789,
    }
}

pub fn image() -> ImageId {
    ImageId::from_random([4; 16])
}

pub fn repository() -> Repository {
    Repository::new("acme", "api").unwrap()
}

pub fn model() -> Model {
    Model {
        provider: Provider::Anthropic,
        name: "claude-sonnet-4-5".to_owned(),
    }
}

pub fn pattern(text: &str) -> HostPattern {
    HostPattern::parse(text).unwrap()
}

pub fn policy() -> EgressPolicy {
    EgressPolicy {
        allow: vec![pattern("example.com"), pattern("*.example.com")],
        defaults: true,
    }
}

pub fn tokens() -> Tokens {
    Tokens {
        input: 1200,
        output: 340,
        cache_read: 9000,
        cache_write: 300,
    }
}

pub fn model_contact() -> Contact {
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

pub fn denied_contact() -> Contact {
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

pub fn identity(name: &str, email: &str) -> GitIdentity {
    GitIdentity {
        name: name.to_owned(),
        email: email.to_owned(),
    }
}

pub fn alice() -> Person {
    Person {
        id: UserId(583_231),
        login: "alice".to_owned(),
        name: "Alice".to_owned(),
        avatar: "https://avatars.example/583231".to_owned(),
    }
}

pub fn participant() -> Participant {
    Participant {
        person: alice(),
        active: true,
    }
}

pub fn prompt() -> Prompt {
    Prompt {
        id: prompt_id(),
        author: alice(),
        text: TEXT.to_owned(),
        source: Source::Web,
        mode: Mode::Queue,
        attachments: vec![artifact()],
        client_request_id: Some("7f3c".to_owned()),
    }
}

pub fn parent() -> Parent {
    Parent {
        session: session(),
        prompt: prompt_id(),
    }
}

pub fn artifact() -> Artifact {
    Artifact {
        id: ArtifactId::parse("art_01k6qzv7k4s9n3m8p2r5t7w9xb").unwrap(),
        name: "before.png".to_owned(),
        media_type: "image/png".to_owned(),
        bytes: 48_211,
        caption: Some("The cart before the change".to_owned()),
    }
}

pub fn attachment() -> Attachment {
    Attachment {
        artifact: artifact(),
        url: format!(
            "https://agents.example/runner/artifacts/{}/{}",
            session(),
            artifact().id
        ),
        sha256: Some("5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8".to_owned()),
    }
}

pub fn secret_summary() -> SecretSummary {
    SecretSummary {
        name: "NPM_TOKEN".to_owned(),
        scope: SecretScope::Header {
            hosts: vec![pattern("npm.example.com")],
            header: "authorization".to_owned(),
            prefix: "Bearer ".to_owned(),
        },
        set_by: alice(),
        set_at: NOW,
    }
}

pub fn secret() -> Secret {
    Secret {
        name: secret_summary().name,
        value: "s3cret".to_owned(),
        scope: secret_summary().scope,
    }
}

pub fn step() -> Step {
    Step {
        name: StepName::Image,
        started_at: NOW,
        ms: 5210,
        detail: Some("no image yet".to_owned()),
    }
}

pub fn tool() -> PartBody {
    PartBody::Tool {
        tool: "bash".to_owned(),
        title: "cargo test".to_owned(),
        input: r#"{"command":"cargo test"}"#.to_owned(),
    }
}

pub fn text_file() -> FileChange {
    FileChange {
        path: "src/lib.rs".to_owned(),
        additions: Some(1),
        deletions: Some(1),
    }
}

pub fn binary_file() -> FileChange {
    FileChange {
        path: "logo.png".to_owned(),
        additions: None,
        deletions: None,
    }
}

pub fn pull_request() -> PullRequest {
    PullRequest {
        number: 12,
        url: "https://github.com/acme/api/pull/12".to_owned(),
        title: TEXT.to_owned(),
        branch: format!("agent/{}", session()),
        state: PullRequestState::Open,
        review: Some(ReviewVerdict::ChangesRequested),
        checks: Some(ChecksVerdict::Failed),
    }
}

pub fn summary() -> SessionSummary {
    SessionSummary {
        id: session(),
        repository: repository(),
        branch: "main".to_owned(),
        title: TEXT.to_owned(),
        state: SessionState::Working,
        created_by: alice(),
        created_at: NOW,
        updated_at: NOW.plus(5000),
        pull_requests: vec![pull_request()],
        paused: true,
        parent: Some(parent()),
        unread: true,
    }
}

pub fn event(fact: Fact) -> Event {
    Event {
        seq: Seq(8),
        at: NOW,
        fact,
    }
}

pub fn repository_egress() -> RepositoryEgress {
    RepositoryEgress {
        repository: repository(),
        policy: policy(),
    }
}
