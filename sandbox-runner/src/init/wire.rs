//! What the runner and a sandbox's init say to each other over `init.sock`.
//!
//! One connection is one request. Both directions carry frames: a kind byte, the payload's length
//! as a big-endian `u32`, the payload. Frames are read to the byte, so what follows the answer to a
//! `dial` is the port's own traffic. Neither side trusts a length: each names the most it takes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The port on the sandbox's own loopback that leads to the gateway.
pub const GATEWAY_PORT: u16 = 3129;
pub(crate) const HEADER_LENGTH: usize = 5;
/// Requests may carry a program's whole standard input.
pub(crate) const MAX_REQUEST: usize = 16 << 20;
/// Output is cut into frames of at most this size.
pub(crate) const MAX_OUTPUT: usize = 32 << 10;
/// What is typed or pasted at once.
pub(crate) const MAX_INPUT: usize = 64 << 10;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// Asks for the descriptors of the ports that lead out; they come with the answer.
    Ports,
    /// Asks for the descriptors of the namespaces of users and of mounts.
    Namespaces,
    /// Stops every other process; answers when all have stopped.
    Pause,
    Resume,
    /// Splices the connection to a port on the sandbox's loopback.
    Dial {
        port: u16,
    },
    /// Runs a program and streams its output; closing the connection ends it.
    Exec(ExecSpec),
    /// Runs a program on a terminal; closing the connection hangs it up.
    Terminal(TerminalSpec),
    /// Starts a program that outlives the connection.
    Spawn(SpawnSpec),
    /// Answers when the spawned program of that name has ended.
    Wait {
        name: String,
    },
    Signal {
        name: String,
        signal: Signal,
    },
    /// Asks every program that init started to end and answers when they have, or the time is up.
    Stop {
        grace_ms: u64,
    },
}

/// A program to run to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecSpec {
    pub argv: Vec<String>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    #[serde(default)]
    pub cwd: Option<String>,
    #[serde(default)]
    pub stdin: Option<String>,
    pub timeout_ms: u64,
}

impl ExecSpec {
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>, timeout: Duration) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            env: BTreeMap::new(),
            cwd: None,
            stdin: None,
            timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
        }
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    #[must_use]
    pub fn cwd(mut self, directory: &str) -> Self {
        self.cwd = Some(directory.to_owned());
        self
    }

    #[must_use]
    pub fn stdin(mut self, text: &str) -> Self {
        self.stdin = Some(text.to_owned());
        self
    }
}

/// A program on a terminal of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSpec {
    pub argv: Vec<String>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    #[serde(default)]
    pub cwd: Option<String>,
    pub window: Window,
}

/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub columns: u16,
    pub rows: u16,
}

impl Window {
    pub(crate) fn encode(self) -> [u8; 4] {
        let ([a, b], [c, d]) = (self.columns.to_be_bytes(), self.rows.to_be_bytes());
        [a, b, c, d]
    }

    pub(crate) fn decode(payload: &[u8]) -> Option<Self> {
        let [a, b, c, d] = payload.try_into().ok()?;
        Some(Self {
            columns: u16::from_be_bytes([a, b]),
            rows: u16::from_be_bytes([c, d]),
        })
    }
}

/// A long-running program, known by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpawnSpec {
    pub name: String,
    pub argv: Vec<String>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    #[serde(default)]
    pub cwd: Option<String>,
    /// File inside the sandbox that takes both output streams; none drops them.
    #[serde(default)]
    pub log: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    Interrupt,
    Terminate,
    Kill,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    Code(i32),
    Signal(i32),
    /// It was killed because its time was up.
    TimedOut,
}

impl Exit {
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Done,
    Failed,
    Stdout,
    Stderr,
    Exit,
    /// To a program on a terminal.
    Input,
    Window,
}

#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("unknown frame kind {0}")]
    UnknownKind(u8),
    #[error("a frame of {length} bytes is longer than {limit}")]
    TooLong { length: usize, limit: usize },
}

pub(crate) fn encode(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut frame = Vec::with_capacity(HEADER_LENGTH + payload.len());
    frame.push(kind_byte(kind));
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

pub(crate) fn decode_header(
    header: [u8; HEADER_LENGTH],
    limit: usize,
) -> Result<(Kind, usize), WireError> {
    let [kind, a, b, c, d] = header;
    let kind = match kind {
        b'q' => Kind::Request,
        b'd' => Kind::Done,
        b'f' => Kind::Failed,
        b'o' => Kind::Stdout,
        b'e' => Kind::Stderr,
        b'x' => Kind::Exit,
        b'i' => Kind::Input,
        b'w' => Kind::Window,
        other => return Err(WireError::UnknownKind(other)),
    };
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    if length > limit {
        return Err(WireError::TooLong { length, limit });
    }
    Ok((kind, length))
}

fn kind_byte(kind: Kind) -> u8 {
    match kind {
        Kind::Request => b'q',
        Kind::Done => b'd',
        Kind::Failed => b'f',
        Kind::Stdout => b'o',
        Kind::Stderr => b'e',
        Kind::Exit => b'x',
        Kind::Input => b'i',
        Kind::Window => b'w',
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_frame_says_its_kind_and_length() {
        for kind in [
            Kind::Request,
            Kind::Done,
            Kind::Failed,
            Kind::Stdout,
            Kind::Stderr,
            Kind::Exit,
            Kind::Input,
            Kind::Window,
        ] {
            let frame = encode(kind, b"four");
            let header = frame[..HEADER_LENGTH].try_into().unwrap();
            assert_eq!(decode_header(header, 4).unwrap(), (kind, 4));
            assert_eq!(&frame[HEADER_LENGTH..], b"four");
        }
    }

    #[test]
    fn a_window_is_as_large_as_it_was_told() {
        let window = Window {
            columns: 300,
            rows: 2,
        };
        assert_eq!(Window::decode(&window.encode()), Some(window));
        assert_eq!(Window::decode(b"abc"), None);
    }

    #[test]
    fn a_frame_longer_than_the_reader_takes_is_refused_before_it_is_read() {
        let header = [b'o', 0xff, 0xff, 0xff, 0xff];
        assert!(matches!(
            decode_header(header, MAX_OUTPUT),
            Err(WireError::TooLong { .. })
        ));
    }

    #[test]
    fn requests_have_the_documented_json() {
        let dial = serde_json::to_string(&Request::Dial { port: 4096 }).unwrap();
        assert_eq!(dial, r#"{"dial":{"port":4096}}"#);
        let exec: Request =
            serde_json::from_str(r#"{"exec":{"argv":["id"],"timeout_ms":1000}}"#).unwrap();
        assert!(matches!(exec, Request::Exec(spec) if spec.argv == ["id"] && spec.env.is_empty()));
    }
}
