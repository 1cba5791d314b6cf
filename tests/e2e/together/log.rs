//! The log, read by pages and as a stream.

use support::client::ClientError;

use super::*;

pub fn group(group: &mut Group<'_>) {
    tests!(group;
        history_pages_backwards_to_the_beginning,
        a_stream_goes_on_from_the_last_event_that_its_client_has,
    );
}

async fn history_pages_backwards_to_the_beginning(world: &World) -> Outcome {
    let mut session = Numbered::ready(world).await?;
    let notices = (0..10).map(|number| Report::Notice {
        message: number.to_string(),
    });
    session.report(notices.collect()).await?;
    let client = &session.played.client;
    let log = client.events(&session.played.session, Seq(0)).await?.events;
    let mut before = Seq(log.len() as u64 + 1);
    let mut pages = Vec::new();
    while before > Seq(1) {
        let path = session.path(&format!("/events?before={before}&limit=4"));
        let page: EventPage = client.send(Method::GET, &path, None::<&()>).await?;
        let first = page.events.first().expect("there is more");
        before = first.seq;
        pages.push(page.events);
    }
    pages.reverse();
    assert_eq!(pages.concat(), log);
    let both = session.path("/events?before=3&since=1");
    let refused = client
        .send::<EventPage>(Method::GET, &both, None::<&()>)
        .await;
    assert!(matches!(refused, Err(ClientError::Refused { status, .. }) if status == 400));
    Ok(())
}

/// Server-sent events, read as a browser reads them.
pub(super) struct Stream {
    response: reqwest::Response,
    text: String,
    events: Vec<Event>,
}

impl Stream {
    pub(super) async fn open(
        client: &Client,
        path: &str,
        last: Option<Seq>,
    ) -> Result<Self, Failure> {
        let mut request = client
            .request(Method::GET, path)
            .header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last.to_string());
        }
        let response = request.send().await?.error_for_status()?;
        let kind = response.headers().get("content-type");
        assert_eq!(
            kind.and_then(|kind| kind.to_str().ok()),
            Some("text/event-stream")
        );
        Ok(Self {
            response,
            text: String::new(),
            events: Vec::new(),
        })
    }

    /// All events that came, once `head` is among them.
    pub(super) async fn up_to(&mut self, head: Seq) -> Result<Vec<Event>, Failure> {
        let read = async {
            while self.events.last().is_none_or(|last| last.seq < head) {
                let chunk = self.response.chunk().await?.ok_or("the stream ended")?;
                self.text.push_str(std::str::from_utf8(&chunk)?);
                while let Some((message, rest)) = self.text.split_once("\n\n") {
                    let mut lines = message.lines();
                    if let Some(id) = lines.next().and_then(|line| line.strip_prefix("id: ")) {
                        let data = lines.next().and_then(|line| line.strip_prefix("data: "));
                        let event: Event = serde_json::from_str(data.ok_or("no data")?)?;
                        assert_eq!(id, event.seq.to_string());
                        self.events.push(event);
                    }
                    self.text = rest.to_owned();
                }
            }
            Ok::<_, Failure>(())
        };
        tokio::time::timeout(LIMIT, read).await??;
        Ok(self.events.clone())
    }
}

async fn a_stream_goes_on_from_the_last_event_that_its_client_has(world: &World) -> Outcome {
    let mut session = Numbered::ready(world).await?;
    let notice = |message: &str| Report::Notice {
        message: message.to_owned(),
    };
    let client = session.played.client.clone();
    let path = session.path("/events");
    let mut stream = Stream::open(&client, &path, None).await?;
    session.report(vec![notice("one")]).await?;
    let id = session.played.session.clone();
    let head = client.events(&id, Seq(0)).await?.head_seq;
    stream.up_to(head).await?;
    drop(stream);
    session.report(vec![notice("two")]).await?;
    let mut again = Stream::open(&client, &path, Some(head)).await?;
    session.report(vec![notice("three")]).await?;
    let rest = client.events(&id, head).await?;
    assert_eq!(rest.events.len(), 2);
    assert_eq!(again.up_to(rest.head_seq).await?, rest.events);
    let beyond = client
        .request(Method::GET, &path)
        .header("accept", "text/event-stream")
        .header("last-event-id", "1000000")
        .send()
        .await?;
    assert_eq!(beyond.status().as_u16(), 400);
    Ok(())
}
