//! The log of an image's making as server-sent events: what is there, then what comes until it
//! ends.
//!
//! Each event is what a page of the log would be, under the offset to go on from, so a client that
//! comes back with `Last-Event-ID` misses nothing. The rows are in D1, which tells of no change, so
//! they are looked at again and again; a stream ends after some minutes, and the client comes back.

use std::time::Duration;

use axum::response::Response;
use protocol::api::ImageLog;
use protocol::{ImageId, Millis};
use worker::ResponseBuilder;

use super::read;
use crate::api::into_axum;
use crate::database::Database;
use crate::error::Error;
use crate::platform::clock;

/// How long one stream lives: less than access is believed.
const LIFE_MS: i64 = 5 * 60_000;
/// Proxies drop what is silent for longer.
const HEARTBEAT_MS: u64 = 15_000;
/// Between two looks at a log that grows.
const PAUSE: Duration = Duration::from_millis(1000);

struct Follower {
    database: Database,
    image: ImageId,
    offset: u64,
    ends_at: Millis,
    spoke_at: Millis,
    is_complete: bool,
}

/// Answers with everything after `offset`, and goes on as the log grows.
pub(super) fn stream(database: Database, image: ImageId, offset: u64) -> Result<Response, Error> {
    let now = clock::now();
    let follower = Follower {
        database,
        image,
        offset,
        ends_at: now.plus(LIFE_MS),
        spoke_at: now,
        is_complete: false,
    };
    // The first words make the headers leave at once.
    let greeting = futures_util::stream::iter([Ok(b"retry: 1000\n\n".to_vec())]);
    let events = futures_util::stream::unfold(follower, Follower::next);
    let body = futures_util::StreamExt::chain(greeting, events);
    into_axum(
        ResponseBuilder::new()
            .with_header("content-type", "text/event-stream")?
            .with_header("cache-control", "no-store")?
            .from_stream(body)?,
    )
}

impl Follower {
    async fn next(mut self) -> Option<(Result<Vec<u8>, worker::Error>, Self)> {
        while !self.is_complete && clock::now() < self.ends_at {
            // What cannot be read ends the stream; the client comes back for the rest.
            let log = match read(&self.database, &self.image, self.offset).await {
                Ok(log) => log,
                Err(error) => {
                    error.log();
                    return None;
                }
            };
            let (now, is_news) = (clock::now(), log.complete || log.next_offset != self.offset);
            if is_news || now.since(self.spoke_at) >= HEARTBEAT_MS {
                self.spoke_at = now;
                self.offset = log.next_offset;
                self.is_complete = log.complete;
                let text = match is_news {
                    true => written(&log).ok()?,
                    false => ": nothing new\n\n".to_owned(),
                };
                return Some((Ok(text.into_bytes()), self));
            }
            worker::Delay::from(PAUSE).await;
        }
        None
    }
}

/// JSON has no line ends outside of strings, and escapes those inside.
fn written(log: &ImageLog) -> Result<String, serde_json::Error> {
    let json = serde_json::to_string(log)?;
    Ok(format!("id: {}\ndata: {json}\n\n", log.next_offset))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_a_log_is_one_line_under_the_offset_to_go_on_from() {
        let log = ImageLog {
            text: "two\nlines\r\n\nid: 9".to_owned(),
            next_offset: 17,
            complete: false,
        };
        let text = written(&log).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(lines.first(), Some(&"id: 17"));
        let json = lines.get(1).unwrap().strip_prefix("data: ").unwrap();
        assert_eq!(serde_json::from_str::<ImageLog>(json).unwrap(), log);
    }
}
