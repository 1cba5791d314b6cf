//! The machine, told what an agent tells.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use serde_json::json;

use super::delivery::DELIVERY_ATTEMPTS;
use protocol::callback::PromptResult;
use protocol::command::SendPrompt;
use protocol::event::Mode;
use protocol::{PartId, SnapshotId};

use super::*;
use crate::agent::transcript::Transcript;
use crate::agent::{Conversation, Failure, MessageInfo, Part, Snapshot, Status};
use crate::fixture;
use crate::git::{Conflict, Published, Synchronised};
use crate::store::snapshot::Lineage;

const TURN_LIMIT: Duration = Duration::from_secs(3600);

/// A machine, its clock, and all that it ever wanted.
struct Bench {
    machine: Machine,
    now: Moment,
    reports: Vec<Report>,
    actions: Vec<Action>,
}

fn conversation() -> ConversationId {
    ConversationId::parse("ses_1").unwrap()
}

fn transcript() -> Transcript {
    Transcript::new(conversation(), "/home/agent/workspace", PartId(1))
}

fn ready() -> Input {
    Input::Ready(Box::new(Ready {
        ground: Ground {
            image: None,
            commit: "image".into(),
            source: Source::Image,
            lineage: Lineage::new(None, None),
        },
        transcript: transcript(),
    }))
}

fn synchronised() -> Input {
    Input::Synchronised(Box::new(Synchronised {
        base: "base".into(),
        head: "base".into(),
        pushed: None,
        moved: true,
        behind: false,
        conflict: None,
    }))
}

fn message(id: &str, role: &str, answers: Option<&str>, completed: bool) -> AgentEvent {
    let info = json!({
        "id": id, "sessionID": "ses_1", "role": role, "parentID": answers,
        "time": if completed { json!({"completed": 1.0}) } else { json!({}) },
    });
    AgentEvent::Message(serde_json::from_value::<MessageInfo>(info).unwrap())
}

fn text(id: &str, message: &str, text: &str, ended: bool) -> AgentEvent {
    let part = json!({
        "id": id, "sessionID": "ses_1", "messageID": message, "type": "text", "text": text,
        "time": if ended { json!({"end": 1.0}) } else { json!({}) },
    });
    AgentEvent::Part(serde_json::from_value::<Part>(part).unwrap())
}

fn status(status: Status) -> AgentEvent {
    AgentEvent::Status {
        conversation: conversation(),
        status,
    }
}

fn insert(mut prompt: SendPrompt) -> SendPrompt {
    prompt.mode = Mode::Insert;
    prompt
}

fn push(commit: &str) -> Input {
    let published = Published {
        branch: "agent/1".into(),
        commit: commit.into(),
        files: Vec::new(),
        base: None,
    };
    Input::Published {
        outcome: Ok(vec![published]),
        started_at: Millis(0),
    }
}

impl Bench {
    fn new() -> Self {
        let now = Moment {
            at: Millis(5_000),
            instant: Instant::now(),
        };
        let machine = Machine::new(
            fixture::start("http://127.0.0.1:1/"),
            State::default(),
            TURN_LIMIT,
        );
        let mut bench = Self {
            machine,
            now,
            reports: Vec::new(),
            actions: Vec::new(),
        };
        bench.apply(Input::Opened);
        bench
    }

    /// Ready, and with a first prompt that the agent has taken and answers.
    fn running() -> Self {
        let mut bench = Self::new();
        bench.apply(synchronised());
        bench.apply(ready());
        bench.apply(Input::Prompt(fixture::prompt(1, "first")));
        bench.apply(Input::Delivered(fixture::prompt(1, "").prompt));
        bench.hear(message("msg_1", "user", None, false));
        bench.hear(status(Status::Busy));
        bench.hear(message("msg_2", "assistant", Some("msg_1"), false));
        bench.hear(text("prt_1", "msg_2", "", false));
        bench.hear(text("prt_1", "msg_2", "Done it.", true));
        bench.forget();
        bench
    }

    fn apply(&mut self, input: Input) {
        self.take(input);
        // The files are kept at once, and as nothing, but where a test is about that.
        loop {
            let kept = match self.actions.last() {
                Some(Action::Keep { prompt, .. }) => Input::Kept {
                    snapshot: None,
                    prompt: prompt.clone(),
                    started_at: self.now.at,
                    recorded: None,
                },
                Some(Action::Survey(_)) => Input::Surveyed,
                Some(Action::Salvage(_)) => Input::Salvaged { snapshot: None },
                _ => return,
            };
            self.actions.pop();
            self.take(kept);
        }
    }

    fn take(&mut self, input: Input) {
        self.pass(Duration::from_millis(100));
        let effects = self.machine.apply(input, self.now);
        self.keep(effects);
    }

    fn hear(&mut self, event: AgentEvent) {
        self.apply(Input::Agent(event));
    }

    /// The agent's answer is complete, and it has nothing more to do.
    fn idle(&mut self) {
        self.hear(message("msg_2", "assistant", Some("msg_1"), true));
        self.hear(status(Status::Idle));
    }

    fn pass(&mut self, time: Duration) {
        self.now.instant += time;
        self.now.at = self.now.at.plus(time.as_millis() as i64);
    }

    /// The process dies; the next one reads what was recorded.
    fn restart(&mut self) {
        let recorded = serde_json::to_string(self.machine.state()).unwrap();
        let state = serde_json::from_str(&recorded).unwrap();
        self.machine = Machine::new(fixture::start("http://127.0.0.1:1/"), state, TURN_LIMIT);
        self.forget();
        let effects = self.machine.resume(self.now);
        self.keep(effects);
    }

    fn keep(&mut self, effects: Effects) {
        self.reports.extend(effects.reports);
        self.actions.extend(effects.actions);
    }

    fn forget(&mut self) {
        self.reports.clear();
        self.actions.clear();
    }

    fn delivered(&self) -> Vec<&str> {
        let text = |action: &'_ Action| match action {
            Action::Deliver(prompt) => Some(prompt.prompt.clone()),
            _ => None,
        };
        let prompts = self.actions.iter().filter_map(text);
        let names = [(1, "first"), (2, "second"), (3, "third")];
        prompts
            .map(|prompt| {
                let of = |(seed, _): &&(u8, &str)| fixture::prompt(*seed, "").prompt == prompt;
                names.iter().find(of).unwrap().1
            })
            .collect()
    }

    fn finished(&self) -> Vec<(PromptId, PromptResult)> {
        let finished = |report: &Report| match report {
            Report::PromptFinished { prompt, result } => Some((prompt.clone(), result.clone())),
            _ => None,
        };
        self.reports.iter().filter_map(finished).collect()
    }
}

fn outcome(seed: u8, result: PromptResult) -> (PromptId, PromptResult) {
    (fixture::prompt(seed, "").prompt, result)
}

#[test]
fn a_prompt_waits_for_the_sandbox_and_then_begins_at_once() {
    let mut bench = Bench::new();
    bench.apply(Input::Prompt(fixture::prompt(1, "first")));
    assert_eq!(bench.actions, []);
    bench.apply(ready());
    assert_eq!(bench.delivered(), ["first"]);
}

#[test]
fn without_a_prompt_the_agent_is_warmed_up() {
    let mut bench = Bench::new();
    bench.apply(ready());
    assert_eq!(bench.actions, [Action::WarmUp]);
}

#[test]
fn a_turn_ends_with_its_work_pushed_and_then_the_next_begins() {
    let mut bench = Bench::running();
    bench.apply(Input::Prompt(fixture::prompt(2, "second")));
    assert_eq!(bench.delivered(), Vec::<&str>::new());
    bench.idle();
    let [Action::Publish(work)] = bench.actions.as_slice() else {
        panic!("{:?}", bench.actions)
    };
    assert_eq!(
        (work.summary.as_str(), work.base.as_str()),
        ("Done it.", "base")
    );
    bench.apply(push("c1"));
    assert_eq!(bench.finished(), [outcome(1, PromptResult::Completed)]);
    assert_eq!(bench.delivered(), ["second"]);
}

#[test]
fn the_first_token_counts_from_when_the_prompt_was_sent() {
    let mut bench = Bench::new();
    bench.apply(ready());
    let sent_at = bench.now.at.plus(-40);
    bench.apply(Input::Prompt(SendPrompt {
        sent_at,
        ..fixture::prompt(1, "first")
    }));
    bench.hear(message("msg_1", "user", None, false));
    bench.hear(message("msg_2", "assistant", Some("msg_1"), false));
    bench.hear(text("prt_1", "msg_2", "x", false));
    let first_token = bench.reports.iter().find_map(|report| match report {
        Report::Step { step } if step.name == StepName::FirstToken => Some(step.clone()),
        _ => None,
    });
    let first_token = first_token.unwrap();
    assert_eq!(first_token.started_at, sent_at);
    assert_eq!(first_token.ms, bench.now.at.since(sent_at));
}

#[test]
fn a_sender_whose_clock_is_ahead_waited_for_no_time() {
    let mut bench = Bench::new();
    bench.apply(ready());
    let sent_at = bench.now.at.plus(60_000);
    bench.apply(Input::Prompt(SendPrompt {
        sent_at,
        ..fixture::prompt(1, "first")
    }));
    bench.hear(message("msg_1", "user", None, false));
    bench.hear(message("msg_2", "assistant", Some("msg_1"), false));
    bench.hear(text("prt_1", "msg_2", "x", false));
    let zero = |report: &Report| matches!(report, Report::Step { step } if step.name == StepName::FirstToken && step.ms == 0);
    assert!(bench.reports.iter().any(zero));
}

#[test]
fn an_inserted_prompt_joins_the_turn_and_ends_with_it() {
    let mut bench = Bench::running();
    bench.apply(Input::Prompt(insert(fixture::prompt(2, "second"))));
    assert_eq!(bench.delivered(), ["second"]);
    bench.idle();
    bench.apply(push("c1"));
    let completed = [
        outcome(1, PromptResult::Completed),
        outcome(2, PromptResult::Completed),
    ];
    assert_eq!(bench.finished(), completed);
}

#[test]
fn an_inserted_prompt_that_the_agent_does_not_take_comes_afterwards() {
    let mut bench = Bench::running();
    let second = fixture::prompt(2, "second");
    bench.apply(Input::Prompt(insert(second.clone())));
    bench.apply(Input::Undelivered {
        prompt: second.prompt,
        message: "no".into(),
        fatal: false,
    });
    bench.idle();
    bench.apply(push("c1"));
    assert_eq!(bench.finished(), [outcome(1, PromptResult::Completed)]);
    assert_eq!(bench.delivered(), ["second", "second"]);
}

#[test]
fn an_agent_that_goes_on_during_the_push_has_its_work_pushed_too() {
    let mut bench = Bench::running();
    bench.apply(Input::Prompt(insert(fixture::prompt(2, "second"))));
    bench.idle();
    bench.hear(status(Status::Busy));
    bench.forget();
    bench.apply(push("c1"));
    assert_eq!(bench.finished(), []);
    bench.hear(status(Status::Idle));
    let [Action::Publish(work)] = bench.actions.as_slice() else {
        panic!("{:?}", bench.actions)
    };
    assert_eq!(work.pushed.as_deref(), Some("c1"));
    bench.apply(push("c2"));
    assert_eq!(bench.finished().len(), 2);
}

#[test]
fn a_failed_push_is_said_and_ends_the_prompt_all_the_same() {
    let mut bench = Bench::running();
    bench.idle();
    let outcome_of_push = Err("remote rejected".to_owned());
    bench.apply(Input::Published {
        outcome: outcome_of_push,
        started_at: Millis(0),
    });
    let says = |report: &Report| matches!(report, Report::Notice { message } if message.contains("remote rejected"));
    assert!(bench.reports.iter().any(says));
    assert_eq!(bench.finished(), [outcome(1, PromptResult::Completed)]);
}

#[test]
fn a_failed_agent_fails_the_prompt_and_pushes_nothing() {
    let mut bench = Bench::running();
    let failure: Failure =
        serde_json::from_value(json!({"name": "APIError", "data": {"message": "no credit"}}))
            .unwrap();
    bench.hear(AgentEvent::Failed {
        conversation: Some(conversation()),
        failure,
    });
    bench.hear(status(Status::Idle));
    let message = "no credit".to_owned();
    assert_eq!(
        bench.finished(),
        [outcome(1, PromptResult::Failed { message })]
    );
    assert_eq!(bench.actions, []);
}

#[test]
fn a_look_at_the_agent_during_a_delivery_does_not_deliver_again() {
    let mut bench = Bench::new();
    bench.apply(ready());
    bench.apply(Input::Prompt(fixture::prompt(1, "first")));
    bench.hear(AgentEvent::Snapshot(Snapshot::default()));
    assert_eq!(bench.delivered(), ["first"]);
}

#[test]
fn a_prompt_that_the_agent_never_takes_fails() {
    let mut bench = Bench::new();
    bench.apply(ready());
    bench.apply(Input::Prompt(fixture::prompt(1, "first")));
    for _ in 0..DELIVERY_ATTEMPTS {
        let prompt = fixture::prompt(1, "").prompt;
        bench.apply(Input::Undelivered {
            prompt,
            message: "no".into(),
            fatal: false,
        });
        bench.hear(AgentEvent::Snapshot(Snapshot::default()));
    }
    assert_eq!(bench.delivered().len(), DELIVERY_ATTEMPTS as usize);
    assert!(matches!(
        bench.finished().as_slice(),
        [(_, PromptResult::Failed { .. })]
    ));
}

#[test]
fn a_model_that_refuses_for_now_is_told_of_once() {
    let mut bench = Bench::running();
    let retry = || {
        status(Status::Retry {
            message: "overloaded".into(),
        })
    };
    bench.hear(retry());
    bench.hear(retry());
    let notices = bench
        .reports
        .iter()
        .filter(|report| matches!(report, Report::Notice { .. }));
    assert_eq!(notices.count(), 1);
}

#[test]
fn a_sub_agents_conversation_does_not_end_the_turn() {
    let mut bench = Bench::running();
    let child: Conversation =
        serde_json::from_value(json!({"id": "ses_2", "parentID": "ses_1", "title": "look"}))
            .unwrap();
    let conversation = child.id.clone();
    bench.hear(AgentEvent::Conversation(child));
    bench.hear(AgentEvent::Status {
        conversation,
        status: Status::Idle,
    });
    assert_eq!(bench.actions, []);
}

mod keeping;
mod losing;
mod restarting;
mod standing;
mod stopping;
mod surveying;
