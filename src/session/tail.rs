//! The log as a stream of server-sent events: what is there after a number, then what comes.
//!
//! Each event's `id` is its number, so a client that comes back with `Last-Event-ID` misses
//! nothing. The stream reads the log only as fast as its client takes it, and so holds nothing in
//! memory. While it is open the object cannot hibernate, so it ends after some minutes, and the
//! client comes back.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use protocol::event::{Event, Person};
use protocol::{Millis, Seq, UserId};
use worker::{Response, ResponseBuilder};

use super::Core;
use super::store::MAX_PAGE;
use crate::error::Error;
use crate::platform::clock;
use crate::platform::http::within;

/// How long one stream lives.
const LIFE_MS: i64 = 5 * 60_000;
/// Proxies drop what is silent for longer.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Most streams of one session at once.
const MAX_STREAMS: usize = 200;

/// Who follows a session by a stream, and how they learn that the log has grown.
#[derive(Default)]
pub struct Tail {
    followers: RefCell<Vec<Weak<Follower>>>,
    /// Counts up whenever there may be something new.
    news: Cell<u64>,
    waiting: RefCell<Vec<Waker>>,
}

struct Follower {
    person: Person,
    expelled: Cell<bool>,
}

impl Tail {
    /// Tells every stream to look again.
    pub fn wake(&self) {
        self.news.set(self.news.get().wrapping_add(1));
        for waker in self.waiting.take() {
            waker.wake();
        }
    }

    pub fn people(&self) -> Vec<Person> {
        let followers = self.followers.borrow();
        let alive = followers.iter().filter_map(Weak::upgrade);
        alive.map(|follower| follower.person.clone()).collect()
    }

    /// Ends every stream of a user.
    pub fn expel(&self, user: UserId) {
        for follower in self.followers.borrow().iter().filter_map(Weak::upgrade) {
            if follower.person.id == user {
                follower.expelled.set(true);
            }
        }
        self.wake();
    }

    fn follow(&self, person: Person) -> Option<Rc<Follower>> {
        let mut followers = self.followers.borrow_mut();
        followers.retain(|follower| follower.strong_count() > 0);
        if followers.len() >= MAX_STREAMS {
            return None;
        }
        let follower = Rc::new(Follower {
            person,
            expelled: Cell::new(false),
        });
        followers.push(Rc::downgrade(&follower));
        Some(follower)
    }

    async fn change(&self, seen: u64) {
        std::future::poll_fn(|context| {
            if self.news.get() != seen {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

struct Stream {
    core: Rc<Core>,
    follower: Rc<Follower>,
    sent: Seq,
    ends_at: Millis,
}

impl Core {
    /// Answers with everything after `since`, and goes on as the log grows.
    pub(super) fn stream(self: &Rc<Self>, since: Seq, person: Person) -> Result<Response, Error> {
        self.session()?;
        let head = self.store()?.head()?;
        if since > head {
            return Err(Error::unknown_seq(head));
        }
        let follower = self.tail.follow(person).ok_or_else(|| {
            Error::invalid(
                "too_many_streams",
                format!("a session has at most {MAX_STREAMS} streams at once: close some"),
            )
        })?;
        let stream = Stream {
            core: self.clone(),
            follower,
            sent: since,
            ends_at: clock::now().plus(LIFE_MS),
        };
        // The first words make the headers leave at once.
        let greeting = futures_util::stream::iter([Ok(b"retry: 1000\n\n".to_vec())]);
        let events = futures_util::stream::unfold(stream, Stream::next);
        let body = futures_util::StreamExt::chain(greeting, events);
        Ok(ResponseBuilder::new()
            .with_header("content-type", "text/event-stream")?
            .with_header("cache-control", "no-store")?
            .from_stream(body)?)
    }
}

impl Stream {
    async fn next(mut self) -> Option<(Result<Vec<u8>, worker::Error>, Self)> {
        loop {
            if self.follower.expelled.get() || clock::now() >= self.ends_at {
                return None;
            }
            let seen = self.core.tail.news.get();
            // What cannot be read ends the stream; the client comes back for the rest.
            let events = match self.core.page_after(self.sent) {
                Ok(events) => events,
                Err(error) => {
                    error.log();
                    return None;
                }
            };
            if let Some(last) = events.last() {
                self.sent = last.seq;
                let text = written(&events).ok()?;
                return Some((Ok(text.into_bytes()), self));
            }
            let change = self.core.tail.change(seen);
            if within(change, HEARTBEAT).await.is_none() {
                return Some((Ok(b": nothing new\n\n".to_vec()), self));
            }
        }
    }
}

impl Core {
    fn page_after(&self, since: Seq) -> Result<Vec<Event>, Error> {
        Ok(self.store()?.events(since, MAX_PAGE)?.events)
    }
}

/// JSON has no line ends outside of strings, and escapes those inside.
fn written(events: &[Event]) -> Result<String, serde_json::Error> {
    let mut text = String::new();
    for event in events {
        let json = serde_json::to_string(event)?;
        let _ = write!(text, "id: {}\ndata: {json}\n\n", event.seq);
    }
    Ok(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use protocol::Fact;

    use super::*;

    #[test]
    fn an_event_is_one_line_of_data_under_its_number() {
        let message = "two\nlines\r\n\nid: 9".to_owned();
        let event = Event {
            seq: Seq(7),
            at: Millis(1),
            fact: Fact::Notice { message },
        };
        let text = written(std::slice::from_ref(&event)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!((lines.first(), lines.last()), (Some(&"id: 7"), Some(&"")));
        let json = lines.get(1).unwrap().strip_prefix("data: ").unwrap();
        assert_eq!(serde_json::from_str::<Event>(json).unwrap(), event);
    }
}
