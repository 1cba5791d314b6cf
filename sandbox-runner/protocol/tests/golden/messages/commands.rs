//! Worker to runner.

use super::samples::*;
use crate::example::Unknown::{PassedOver, Refused};
use crate::example::{Example, each, list, message};
use protocol::command::*;
use protocol::event::*;
use protocol::{Epoch, PartId};

pub fn commands() -> Vec<Example> {
    let prompt = SendPrompt {
        sandbox: sandbox(),
        prompt: prompt_id(),
        text: TEXT.to_owned(),
        mode: Mode::Queue,
        sent_at: NOW,
        author: identity("Alice", "583231+alice@users.noreply.github.com"),
        co_authors: vec![identity("Bob", "583232+bob@users.noreply.github.com")],
        attachments: vec![attachment()],
        resumed: true,
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
        specification: Some(specification()),
        spent_microdollars: 1_250_000,
    };
    let build = BuildImage {
        image: image(),
        base: base(),
        specification: Some(specification()),
        egress: Some(policy()),
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
                specification: None,
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
        message(
            "send_prompt-least",
            PassedOver,
            SendPrompt {
                attachments: Vec::new(),
                resumed: false,
                ..prompt.clone()
            },
        ),
        message("send_prompt", PassedOver, prompt),
        message("attachment", PassedOver, attachment()),
        message(
            "refresh",
            PassedOver,
            Refresh {
                repository: repository(),
            },
        ),
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
