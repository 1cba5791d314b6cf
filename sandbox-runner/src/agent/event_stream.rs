//! The agent's server-sent events, from one open connection.
//!
//! The agent replays nothing, so each stream begins with a snapshot that was read after the agent
//! had confirmed the subscription. Events that the snapshot already contains may follow it.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use http_body_util::BodyExt as _;
use hyper::Method;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::{Agent, AgentError, AgentEvent, ConversationId, Events};

/// The agent sends a heartbeat every 10 seconds. A stream that is silent for longer is dead.
const LONGEST_SILENCE: Duration = Duration::from_secs(35);

/// Longest that the agent may take to confirm the subscription.
const LONGEST_OPENING: Duration = Duration::from_secs(30);

/// Longest event that is read: a tool's whole output with its metadata.
const LONGEST_EVENT: usize = 32 * 1024 * 1024;

pub(super) async fn open(agent: Agent, conversation: ConversationId) -> Result<Events, AgentError> {
    let request = agent.connections.request(Method::GET, "/event", None)?;
    let body = agent
        .connections
        .open("events", request, LONGEST_OPENING)
        .await?;
    let mut reader = Reader {
        body,
        lines: Lines::default(),
        ready: VecDeque::new(),
    };
    // `server.connected`: from here on nothing is missed.
    timeout(LONGEST_OPENING, reader.data())
        .await
        .map_err(|_| AgentError::Timeout {
            operation: "events",
        })??;
    let snapshot = agent.snapshot(&conversation).await?;
    let first = stream::once(async { Ok(AgentEvent::Snapshot(snapshot)) });
    let rest = stream::unfold(Some((agent, reader)), |state| async {
        let (agent, mut reader) = state?;
        match next(&agent, &mut reader).await {
            Ok(event) => Some((Ok(event), Some((agent, reader)))),
            Err(error @ AgentError::Event(_)) => Some((Err(error), Some((agent, reader)))),
            Err(error) => Some((Err(error), None)),
        }
    });
    Ok(first.chain(rest).boxed())
}

async fn next(agent: &Agent, reader: &mut Reader) -> Result<AgentEvent, AgentError> {
    loop {
        let data = timeout(LONGEST_SILENCE, reader.data())
            .await
            .map_err(|_| AgentError::Timeout {
                operation: "events",
            })??;
        match AgentEvent::parse(&data).map_err(AgentError::Event)? {
            Some(AgentEvent::PermissionAsked { id, permission }) => {
                tracing::warn!(
                    permission,
                    "refusing a permission that nobody can be asked for"
                );
                let agent = agent.clone();
                tokio::spawn(async move {
                    if let Err(error) = agent.refuse_permission(&id).await {
                        tracing::warn!(%error, "failed to refuse a permission");
                    }
                });
            }
            Some(event) => return Ok(event),
            None => {}
        }
    }
}

struct Reader {
    body: Incoming,
    lines: Lines,
    ready: VecDeque<String>,
}

impl Reader {
    /// The data of the next event, as soon as its last byte is here.
    async fn data(&mut self) -> Result<String, AgentError> {
        loop {
            if let Some(data) = self.ready.pop_front() {
                return Ok(data);
            }
            let frame = self.body.frame().await.ok_or(AgentError::StreamEnded)?;
            let frame = frame.map_err(AgentError::Http)?;
            if let Some(bytes) = frame.data_ref() {
                self.lines.push(bytes, &mut self.ready)?;
            }
        }
    }
}

/// Takes server-sent events apart, whatever pieces they come in.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
    data: String,
}

impl Lines {
    fn push(&mut self, bytes: &[u8], ready: &mut VecDeque<String>) -> Result<(), AgentError> {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, following) = rest.split_at(end);
            self.line.extend_from_slice(line);
            rest = following.get(1..).unwrap_or_default();
            let line = std::mem::take(&mut self.line);
            self.end_of_line(&line, ready);
        }
        self.line.extend_from_slice(rest);
        if self.line.len() + self.data.len() > LONGEST_EVENT {
            return Err(AgentError::TooLong {
                limit: LONGEST_EVENT,
            });
        }
        Ok(())
    }

    fn end_of_line(&mut self, line: &[u8], ready: &mut VecDeque<String>) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            if !self.data.is_empty() {
                ready.push_back(std::mem::take(&mut self.data));
            }
        } else if let Some(data) = line.strip_prefix(b"data:") {
            if !self.data.is_empty() {
                self.data.push('\n');
            }
            self.data.push_str(&String::from_utf8_lossy(
                data.strip_prefix(b" ").unwrap_or(data),
            ));
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn events_are_the_same_in_whatever_pieces_they_come(
            events in prop::collection::vec("[a-zé€𝄞]{1,8}(\n[a-z]{1,3})?", 0..6),
            cuts in prop::collection::vec(1..9_usize, 1..40),
            ending in prop_oneof![Just("\n"), Just("\r\n")],
        ) {
            let text: String = events
                .iter()
                .map(|event| {
                    let data: String =
                        event.lines().map(|line| format!("data: {line}{ending}")).collect();
                    format!(": note{ending}{data}{ending}")
                })
                .collect();
            let (mut lines, mut ready) = (Lines::default(), VecDeque::new());
            let (mut rest, mut cuts) = (text.as_bytes(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, following) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                lines.push(piece, &mut ready).unwrap();
                rest = following;
            }
            prop_assert_eq!(Vec::from(ready), events);
        }
    }

    #[test]
    fn an_endless_line_is_refused() {
        let (mut lines, mut ready) = (Lines::default(), VecDeque::new());
        let megabyte = vec![b'x'; 1024 * 1024];
        let refused = (0..40).any(|_| lines.push(&megabyte, &mut ready).is_err());
        assert!(refused);
    }
}
