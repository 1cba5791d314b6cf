//! Runs of an agent, as random as it gets while their events come in the agent's order.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{CHILD, ROOT};
use crate::agent::AgentEvent;

/// One step of the agent: what a model's answer is made of.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Text {
        kind: &'static str,
        deltas: Vec<String>,
        rewritten: bool,
    },
    Tool {
        in_sub_agent: bool,
        outputs: Vec<String>,
        fails: bool,
        ends_with: String,
    },
}

pub(super) fn items() -> impl Strategy<Value = Vec<Vec<Item>>> {
    let deltas = || prop::collection::vec("[a-c€𝄞 \n]{1,6}", 0..8);
    let item = prop_oneof![
        (
            prop_oneof![Just("text"), Just("reasoning")],
            deltas(),
            prop::bool::weighted(0.1)
        )
            .prop_map(|(kind, deltas, rewritten)| Item::Text {
                kind,
                deltas,
                rewritten
            }),
        (
            any::<bool>(),
            deltas(),
            prop::bool::weighted(0.2),
            "[a-c€𝄞]{0,4}"
        )
            .prop_map(|(in_sub_agent, outputs, fails, ends_with)| Item::Tool {
                in_sub_agent,
                outputs,
                fails,
                ends_with
            }),
    ];
    prop::collection::vec(prop::collection::vec(item, 0..5), 1..5)
}

pub(super) fn event(kind: &str, properties: Value) -> AgentEvent {
    let data = json!({ "type": kind, "properties": properties }).to_string();
    AgentEvent::parse(&data).unwrap().unwrap()
}

/// Events in the agent's order.
pub(super) fn events(messages: &[Vec<Item>]) -> Vec<AgentEvent> {
    let status = |kind: &str| {
        event(
            "session.status",
            json!({ "sessionID": ROOT, "status": { "type": kind } }),
        )
    };
    let user = |session: &str| {
        let info = json!({ "id": format!("msg_0{session}"), "sessionID": session, "role": "user" });
        event("message.updated", json!({ "info": info }))
    };
    let part = |session: &str, message: &str, id: &str, mut part: Value| {
        part["id"] = json!(id);
        part["sessionID"] = json!(session);
        part["messageID"] = json!(message);
        event("message.part.updated", json!({ "part": part }))
    };
    let asked = json!({ "type": "text", "text": "please" });
    let mut events = vec![
        user(ROOT),
        part(ROOT, &format!("msg_0{ROOT}"), "prt_0", asked),
        status("busy"),
        event(
            "session.created",
            json!({ "info": { "id": CHILD, "parentID": ROOT, "title": "look" } }),
        ),
        user(CHILD),
    ];
    for (number, items) in messages.iter().enumerate() {
        let message = |session: &str, completed: Option<u32>| {
            let info = json!({
                "id": format!("msg_{}{session}", number + 1), "sessionID": session,
                "role": "assistant", "parentID": format!("msg_0{session}"),
                "time": { "created": 1, "completed": completed },
            });
            event("message.updated", json!({ "info": info }))
        };
        events.extend([message(ROOT, None), message(CHILD, None)]);
        for (place, item) in items.iter().enumerate() {
            let id = format!("prt_{}_{place}", number + 1);
            let session = match item {
                Item::Tool {
                    in_sub_agent: true, ..
                } => CHILD,
                _ => ROOT,
            };
            let of = format!("msg_{}{session}", number + 1);
            match item {
                Item::Text {
                    kind,
                    deltas,
                    rewritten,
                } => {
                    let text = |text: &str, time: Value| {
                        part(
                            session,
                            &of,
                            &id,
                            json!({ "type": kind, "text": text, "time": time }),
                        )
                    };
                    events.push(text("", json!({ "start": 1 })));
                    events.extend(deltas.iter().map(|delta| {
                        event(
                            "message.part.delta",
                            json!({
                                "sessionID": session, "messageID": of, "partID": id,
                                "field": "text", "delta": delta,
                            }),
                        )
                    }));
                    let whole = if *rewritten {
                        "rewritten".to_owned()
                    } else {
                        deltas.concat()
                    };
                    events.push(text(&whole, json!({ "start": 1, "end": 2 })));
                }
                Item::Tool {
                    outputs,
                    fails,
                    ends_with,
                    ..
                } => {
                    let tool = |state: Value| {
                        part(
                            session,
                            &of,
                            &id,
                            json!({ "type": "tool", "tool": "bash", "state": state }),
                        )
                    };
                    let input = json!({ "command": "make" });
                    events.push(tool(json!({ "status": "pending", "input": {}, "raw": "" })));
                    let mut output = String::new();
                    for more in outputs {
                        output.push_str(more);
                        let metadata = json!({ "output": output });
                        events.push(tool(
                            json!({ "status": "running", "input": input, "metadata": metadata }),
                        ));
                    }
                    output.push_str(ends_with);
                    events.push(if *fails {
                        tool(json!({ "status": "error", "input": input, "error": "no" }))
                    } else {
                        tool(json!({ "status": "completed", "input": input, "output": output, "title": "" }))
                    });
                }
            }
        }
        events.extend([message(CHILD, Some(2)), message(ROOT, Some(2))]);
    }
    events.extend([
        status("idle"),
        event("session.idle", json!({ "sessionID": ROOT })),
    ]);
    events
}
