//! How many tokens a model call took, read from its answer while that passes.
//!
//! Nothing of the answer is held back or changed. Two wire formats tell usage: Anthropic's messages
//! and OpenAI's chat completions and responses, each as a stream of events or as one object. Where
//! an answer is cut off or does not tell, as a sandbox could see to, the tokens are estimated:
//! nobody spends unseen by hanging up early.

use protocol::ledger::Tokens;
use serde::Deserialize;

/// Longest line that is read: OpenAI's last event repeats the whole answer.
const LONGEST_LINE: usize = 8 * 1024 * 1024;

/// An event with one token is about as long as this.
const EVENT_OVERHEAD: usize = 300;

/// A token is some four bytes of text.
const TOKEN_BYTES: u64 = 4;

pub(super) struct Usage {
    request_bytes: u64,
    is_stream: bool,
    line: Vec<u8>,
    is_too_long: bool,
    told: Told,
    is_final: bool,
    estimated_output: u64,
}

/// The newest number of each kind: later ones are totals as well.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Told {
    // Anthropic, and OpenAI's responses
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    // Anthropic
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    // OpenAI's chat completions
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    // OpenAI
    #[serde(alias = "input_tokens_details")]
    prompt_tokens_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    cached_tokens: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Event {
    usage: Option<Told>,
    message: Option<Carrier>,
    response: Option<Carrier>,
}

#[derive(Deserialize)]
struct Carrier {
    usage: Option<Told>,
}

impl Usage {
    /// `is_stream` says whether the answer is a stream of events.
    pub(super) fn new(request_bytes: u64, is_stream: bool) -> Self {
        Self {
            request_bytes,
            is_stream,
            line: Vec::new(),
            is_too_long: false,
            told: Told::default(),
            is_final: false,
            estimated_output: 0,
        }
    }

    /// Takes the next bytes of the answer.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        if !self.is_stream {
            self.keep(bytes);
            return;
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.keep(piece);
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn keep(&mut self, piece: &[u8]) {
        if self.line.len() + piece.len() > LONGEST_LINE {
            self.is_too_long = true;
        } else {
            self.line.extend_from_slice(piece);
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let is_too_long = std::mem::take(&mut self.is_too_long);
        let Some(data) = line.strip_prefix(b"data:") else {
            return;
        };
        let beyond = data.len().saturating_sub(EVENT_OVERHEAD) as u64;
        self.estimated_output += 1 + beyond / TOKEN_BYTES;
        // Few events tell usage, and parsing every one would cost more than passing it on.
        if !is_too_long && data.windows(7).any(|window| window == b"\"usage\"") {
            self.event(data);
        }
    }

    fn event(&mut self, json: &[u8]) {
        let Ok(event) = serde_json::from_slice::<Event>(json) else {
            return;
        };
        if let Some(told) = event.message.and_then(|message| message.usage) {
            self.told.update(told);
        }
        let last = event.response.and_then(|response| response.usage);
        if let Some(told) = event.usage.or(last) {
            self.told.update(told);
            self.is_final = true;
        }
    }

    /// The tokens of the whole call, once its answer has ended or been given up.
    pub(super) fn tokens(mut self) -> Tokens {
        let rest = std::mem::take(&mut self.line);
        if self.is_stream {
            self.line = rest;
            self.end_line();
        } else if !self.is_too_long {
            self.event(&rest);
            self.estimated_output = rest.len() as u64 / TOKEN_BYTES;
        }
        let mut tokens = self.told.tokens();
        if !self.is_final {
            let input = tokens.input + tokens.cache_read + tokens.cache_write;
            if input == 0 {
                tokens.input = self.request_bytes / TOKEN_BYTES;
            }
            tokens.output = tokens.output.max(self.estimated_output);
        }
        tokens
    }
}

impl Told {
    fn update(&mut self, newer: Self) {
        let update = |old: &mut Option<u64>, new: Option<u64>| *old = new.or(*old);
        update(&mut self.input_tokens, newer.input_tokens);
        update(&mut self.output_tokens, newer.output_tokens);
        update(
            &mut self.cache_read_input_tokens,
            newer.cache_read_input_tokens,
        );
        update(
            &mut self.cache_creation_input_tokens,
            newer.cache_creation_input_tokens,
        );
        update(&mut self.prompt_tokens, newer.prompt_tokens);
        update(&mut self.completion_tokens, newer.completion_tokens);
        self.prompt_tokens_details = newer
            .prompt_tokens_details
            .or(self.prompt_tokens_details.take());
    }

    fn tokens(&self) -> Tokens {
        // OpenAI counts what was cached among the input, Anthropic beside it.
        let cached = self
            .prompt_tokens_details
            .as_ref()
            .and_then(|details| details.cached_tokens)
            .unwrap_or_default();
        let input = self.prompt_tokens.or(self.input_tokens).unwrap_or_default();
        Tokens {
            input: input.saturating_sub(cached),
            output: self
                .completion_tokens
                .or(self.output_tokens)
                .unwrap_or_default(),
            cache_read: self.cache_read_input_tokens.unwrap_or(cached),
            cache_write: self.cache_creation_input_tokens.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANTHROPIC: &str = concat!(
        "event: message_start\n",
        r#"data: {"type":"message_start","message":{"id":"m","usage":{"input_tokens":25,"cache_creation_input_tokens":300,"cache_read_input_tokens":9000,"output_tokens":1}}}"#,
        "\n\nevent: content_block_delta\n",
        r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"the \"usage\" of it"}}"#,
        "\n\nevent: message_delta\n",
        r#"data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":15}}"#,
        "\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    );

    const CHAT: &str = concat!(
        r#"data: {"id":"c","choices":[{"index":0,"delta":{"content":"naïve 🦀"}}],"usage":null}"#,
        "\r\n\r\n",
        r#"data: {"id":"c","choices":[],"usage":{"prompt_tokens":100,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":60}}}"#,
        "\n\ndata: [DONE]\n\n",
    );

    const RESPONSES: &str = concat!(
        "event: response.completed\n",
        r#"data: {"type":"response.completed","response":{"id":"r","usage":{"input_tokens":50,"input_tokens_details":{"cached_tokens":8},"output_tokens":9}}}"#,
        "\n\n",
    );

    fn tokens(input: u64, output: u64, cache_read: u64, cache_write: u64) -> Tokens {
        Tokens {
            input,
            output,
            cache_read,
            cache_write,
        }
    }

    fn read(pieces: &[&[u8]], is_stream: bool) -> Tokens {
        let mut usage = Usage::new(400, is_stream);
        pieces.iter().for_each(|piece| usage.read(piece));
        usage.tokens()
    }

    proptest! {
        #[test]
        fn usage_is_the_same_however_the_stream_is_cut(cuts in prop::collection::vec(1_usize..60, 1..80)) {
            for (stream, expected) in [
                (ANTHROPIC, tokens(25, 15, 9000, 300)),
                (CHAT, tokens(40, 7, 60, 0)),
                (RESPONSES, tokens(42, 9, 8, 0)),
            ] {
                let mut rest = stream.as_bytes();
                let mut pieces = Vec::new();
                for cut in &cuts {
                    let (piece, after) = rest.split_at((*cut).min(rest.len()));
                    pieces.push(piece);
                    rest = after;
                }
                pieces.push(rest);
                prop_assert_eq!(read(&pieces, true), expected);
            }
        }
    }

    #[test]
    fn an_answer_in_one_piece_tells_as_well() {
        let chat = r#"{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":2}}"#;
        assert_eq!(read(&[chat.as_bytes()], false), tokens(10, 2, 0, 0));
        let message =
            r#"{"usage":{"input_tokens":3,"output_tokens":4,"cache_read_input_tokens":5}}"#;
        assert_eq!(read(&[message.as_bytes()], false), tokens(3, 4, 5, 0));
    }

    #[test]
    fn hanging_up_before_usage_is_told_does_not_hide_it() {
        let (start, _) = ANTHROPIC
            .split_once("event: message_delta")
            .unwrap_or_default();
        // Two events: what was told, and one whose text nobody counted.
        assert_eq!(read(&[start.as_bytes()], true), tokens(25, 2, 9000, 300));
        let one = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
        assert_eq!(
            read(&[one.repeat(50).as_bytes()], true),
            tokens(100, 50, 0, 0)
        );
        let large = format!("data: {}\n", "a".repeat(4300));
        assert_eq!(read(&[large.as_bytes()], true), tokens(100, 1001, 0, 0));
    }

    #[test]
    fn what_is_no_answer_of_a_model_is_no_trouble() {
        for text in [
            "",
            "data: [1,2]\n",
            "data: {\"usage\":7}\n",
            "\n\n\n",
            "<html>",
        ] {
            let _ = read(&[text.as_bytes()], true);
            let _ = read(&[text.as_bytes()], false);
        }
    }
}
