//! A client of the Worker with the protocol's own types: signs in, asks, and watches a session.
//!
//! [`Viewer`] checks on every frame what a client may rely on: numbers without gaps, deltas that
//! meet, a final length that fits the text. A test that uses it proves these as it goes.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use protocol::api::{
    CreateSession, CreatedSession, ErrorBody, EventPage, PoolFigures, SessionList, SessionSummary,
    Ticket, Waterfall,
};
use protocol::event::{Event, Fact};
use protocol::frame::{ClientFrame, Participant, SUBPROTOCOL, ServerFrame, TICKET_PREFIX};
use protocol::{PartId, Seq, SessionId};
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::forge::{Forge, ForgeError};

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("the Worker could not be asked")]
    Http(#[from] reqwest::Error),
    #[error("the forge did not let the user sign in")]
    Forge(#[from] ForgeError),
    #[error("signing in ended without {0}")]
    SignIn(&'static str),
    #[error("{method} {path} was answered {status}: {code}: {message}")]
    Refused {
        method: Method,
        path: String,
        status: StatusCode,
        code: String,
        message: String,
    },
    #[error("the socket failed")]
    Socket(#[from] Box<tungstenite::Error>),
    #[error("an answer has an unknown form: {text}")]
    Form {
        text: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("the socket was closed")]
    Closed,
    #[error("{wanted} did not come within {within:?}")]
    Late { wanted: String, within: Duration },
    #[error("the stream breaks its promise: {0}")]
    Broken(String),
}

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A signed-in browser, as far as HTTP goes.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    cookie: String,
}

impl Client {
    /// Goes through GitHub's pages as a browser would.
    pub async fn sign_in(base: &str, forge: &Forge, login: &str) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(60))
            .build()?;
        let start = http.get(format!("{base}/auth/github/login")).send().await?;
        let login_cookie = cookie(&start, "__Host-login").ok_or(ClientError::SignIn("a cookie"))?;
        let authorize = location(&start).ok_or(ClientError::SignIn("a way to GitHub"))?;
        let back = forge.authorize(&authorize, login).await?;
        let end = http
            .get(back)
            .header("cookie", format!("__Host-login={login_cookie}"))
            .send()
            .await?;
        let session = cookie(&end, "__Host-session").ok_or(ClientError::SignIn("a session"))?;
        let cookie = format!("__Host-session={session}");
        Ok(Self {
            http,
            base: base.to_owned(),
            cookie,
        })
    }

    /// A request as the web client sends it, for tests that look at the answer themselves.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.base))
            .header("cookie", &self.cookie)
            .header("x-requested-with", "hosted-agents")
    }

    pub async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl serde::Serialize>,
    ) -> Result<T, ClientError> {
        let mut request = self.request(method.clone(), path);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        if !status.is_success() {
            let (code, message) = serde_json::from_str::<ErrorBody>(&text).map_or_else(
                |_| (String::new(), text),
                |body| (body.error.code, body.error.message),
            );
            return Err(ClientError::Refused {
                method,
                path: path.to_owned(),
                status,
                code,
                message,
            });
        }
        let json = if text.is_empty() { "null" } else { &text };
        serde_json::from_str(json).map_err(|source| ClientError::Form { text, source })
    }

    pub async fn create_session(
        &self,
        wanted: &CreateSession,
    ) -> Result<CreatedSession, ClientError> {
        self.send(Method::POST, "/api/sessions", Some(wanted)).await
    }

    pub async fn session(&self, id: &SessionId) -> Result<SessionSummary, ClientError> {
        self.send(Method::GET, &format!("/api/sessions/{id}"), None::<&()>)
            .await
    }

    pub async fn sessions(&self) -> Result<SessionList, ClientError> {
        self.send(Method::GET, "/api/sessions?mine=true", None::<&()>)
            .await
    }

    pub async fn pool_figures(&self) -> Result<PoolFigures, ClientError> {
        self.send(Method::GET, "/api/statistics/pool", None::<&()>)
            .await
    }

    pub async fn events(&self, id: &SessionId, since: Seq) -> Result<EventPage, ClientError> {
        let path = format!("/api/sessions/{id}/events?since={since}");
        self.send(Method::GET, &path, None::<&()>).await
    }

    pub async fn waterfall(&self, id: &SessionId) -> Result<Waterfall, ClientError> {
        self.send(
            Method::GET,
            &format!("/api/sessions/{id}/waterfall"),
            None::<&()>,
        )
        .await
    }

    pub async fn stop(&self, id: &SessionId) -> Result<(), ClientError> {
        let path = format!("/api/sessions/{id}/stop");
        self.send::<Value>(Method::POST, &path, Some(&serde_json::json!({})))
            .await
            .map(|_| ())
    }

    pub async fn archive(&self, id: &SessionId) -> Result<(), ClientError> {
        let path = format!("/api/sessions/{id}");
        self.send::<Value>(Method::DELETE, &path, None::<&()>)
            .await
            .map(|_| ())
    }

    pub async fn ticket(&self, id: &SessionId) -> Result<String, ClientError> {
        let path = format!("/api/sessions/{id}/ws-ticket");
        let ticket: Ticket = self
            .send(Method::POST, &path, Some(&serde_json::json!({})))
            .await?;
        Ok(ticket.ticket)
    }

    /// Opens a socket at `path` as a page does.
    pub async fn connect(
        &self,
        path: &str,
        subprotocol: &str,
        ticket: &str,
    ) -> Result<Socket, ClientError> {
        let url = format!("{}{path}", self.base.replacen("http", "ws", 1));
        let mut request = url.into_client_request().map_err(Box::new)?;
        let offered = format!("{subprotocol}, {TICKET_PREFIX}{ticket}");
        for (name, value) in [
            ("origin", self.base.clone()),
            ("sec-websocket-protocol", offered),
        ] {
            let value = value.parse().map_err(|_| ClientError::SignIn("a header"))?;
            request.headers_mut().insert(name, value);
        }
        let (socket, _) = tokio_tungstenite::connect_async(request)
            .await
            .map_err(Box::new)?;
        Ok(socket)
    }

    /// Opens a session's socket with a ticket, without subscribing.
    pub async fn open(&self, id: &SessionId, ticket: &str) -> Result<Viewer, ClientError> {
        let path = format!("/api/sessions/{id}/ws");
        let socket = self.connect(&path, SUBPROTOCOL, ticket).await?;
        Ok(Viewer {
            socket,
            events: Vec::new(),
            seq: Seq(0),
            texts: BTreeMap::new(),
            finished: BTreeMap::new(),
            participants: Vec::new(),
            summary: None,
            bytes: 0,
        })
    }

    /// Watches a session from `since` on.
    pub async fn watch(&self, id: &SessionId, since: Seq) -> Result<Viewer, ClientError> {
        let ticket = self.ticket(id).await?;
        let mut viewer = self.open(id, &ticket).await?;
        viewer.subscribe(since).await?;
        Ok(viewer)
    }
}

/// One socket and all that it has been told.
#[derive(Debug)]
pub struct Viewer {
    socket: Socket,
    pub events: Vec<Event>,
    /// The last event that was seen or skipped by `since`.
    pub seq: Seq,
    /// Text of every part by its deltas.
    pub texts: BTreeMap<PartId, String>,
    /// Final text of every finished part.
    pub finished: BTreeMap<PartId, String>,
    pub participants: Vec<Participant>,
    pub summary: Option<SessionSummary>,
    /// Payload bytes of all frames received.
    pub bytes: usize,
}

impl Viewer {
    pub async fn subscribe(&mut self, since: Seq) -> Result<(), ClientError> {
        self.seq = since;
        self.send(&ClientFrame::Subscribe { since }).await
    }

    pub async fn send(&mut self, frame: &ClientFrame) -> Result<(), ClientError> {
        let text = serde_json::to_string(frame).map_err(|source| ClientError::Form {
            text: String::new(),
            source,
        })?;
        self.send_text(text).await
    }

    pub async fn send_text(&mut self, text: String) -> Result<(), ClientError> {
        Ok(self
            .socket
            .send(Message::text(text))
            .await
            .map_err(Box::new)?)
    }

    /// The next frame, checked and taken into account.
    pub async fn next(&mut self) -> Result<ServerFrame, ClientError> {
        loop {
            let message = self.socket.next().await.ok_or(ClientError::Closed)?;
            match message.map_err(Box::new)? {
                Message::Text(text) => {
                    self.bytes += text.len();
                    let frame: ServerFrame =
                        serde_json::from_str(&text).map_err(|source| ClientError::Form {
                            text: text.to_string(),
                            source,
                        })?;
                    self.take(&frame)?;
                    return Ok(frame);
                }
                Message::Close(_) => return Err(ClientError::Closed),
                _ => {}
            }
        }
    }

    /// Reads frames until `find` finds something in one.
    pub async fn wait_for<T>(
        &mut self,
        wanted: &str,
        within: Duration,
        mut find: impl FnMut(&Self, &ServerFrame) -> Option<T>,
    ) -> Result<T, ClientError> {
        let deadline = Instant::now() + within;
        loop {
            let frame = tokio::time::timeout_at(deadline, self.next())
                .await
                .map_err(|_| ClientError::Late {
                    wanted: wanted.to_owned(),
                    within,
                })??;
            if let Some(found) = find(self, &frame) {
                return Ok(found);
            }
        }
    }

    /// Reads frames until a fact is there that `find` wants, among those seen and those to come.
    pub async fn wait_for_fact<T>(
        &mut self,
        wanted: &str,
        within: Duration,
        find: impl Fn(&Fact) -> Option<T>,
    ) -> Result<T, ClientError> {
        if let Some(found) = self.events.iter().find_map(|event| find(&event.fact)) {
            return Ok(found);
        }
        self.wait_for(wanted, within, |_, frame| match frame {
            ServerFrame::Events { events } => events.iter().find_map(|event| find(&event.fact)),
            _ => None,
        })
        .await
    }

    /// The code of the next error that comes.
    pub async fn error(&mut self, within: Duration) -> Result<String, ClientError> {
        self.wait_for("an error", within, |_, frame| match frame {
            ServerFrame::Error { code, .. } => Some(code.clone()),
            _ => None,
        })
        .await
    }

    /// Reads until the socket is closed; answers the code that it is closed with.
    pub async fn closed(&mut self, within: Duration) -> Result<Option<u16>, ClientError> {
        let reading = async {
            while let Some(message) = self.socket.next().await {
                if let Message::Close(frame) = message.map_err(Box::new)? {
                    return Ok(frame.map(|frame| frame.code.into()));
                }
            }
            Ok(None)
        };
        let closed = tokio::time::timeout(within, reading).await;
        closed.map_err(|_| ClientError::Late {
            wanted: "the end of the socket".to_owned(),
            within,
        })?
    }

    fn take(&mut self, frame: &ServerFrame) -> Result<(), ClientError> {
        match frame {
            ServerFrame::Welcome {
                session,
                participants,
                ..
            } => {
                self.summary = Some(session.clone());
                self.participants.clone_from(participants);
            }
            ServerFrame::Events { events } => {
                for event in events {
                    if event.seq != self.seq.next() {
                        let message = format!("{} follows {}", event.seq, self.seq);
                        return Err(ClientError::Broken(message));
                    }
                    self.seq = event.seq;
                    self.finish_part(&event.fact)?;
                    self.events.push(event.clone());
                }
            }
            ServerFrame::Delta { part, offset, text } => {
                let known = self.texts.entry(*part).or_default();
                let length = known.encode_utf16().count() as u64;
                if length != *offset {
                    let message = format!("part {part} has {length}, a delta starts at {offset}");
                    return Err(ClientError::Broken(message));
                }
                known.push_str(text);
            }
            ServerFrame::Presence { participants } => self.participants.clone_from(participants),
            ServerFrame::Error { .. } | ServerFrame::Typing { .. } | ServerFrame::Pong => {}
        }
        Ok(())
    }

    fn finish_part(&mut self, fact: &Fact) -> Result<(), ClientError> {
        let Fact::PartFinished {
            part, length, text, ..
        } = fact
        else {
            return Ok(());
        };
        let streamed = self.texts.remove(part).unwrap_or_default();
        let full = text.clone().unwrap_or(streamed);
        if full.encode_utf16().count() as u64 != *length {
            let message = format!("part {part} ended at {length}, its text is {full:?}");
            return Err(ClientError::Broken(message));
        }
        self.finished.insert(*part, full);
        Ok(())
    }
}

fn cookie(response: &reqwest::Response, name: &str) -> Option<String> {
    response
        .headers()
        .get_all("set-cookie")
        .iter()
        .filter_map(|value| value.to_str().ok()?.split(';').next()?.split_once('='))
        .find(|(known, value)| *known == name && !value.is_empty())
        .map(|(_, value)| value.to_owned())
}

fn location(response: &reqwest::Response) -> Option<String> {
    response
        .headers()
        .get("location")?
        .to_str()
        .ok()
        .map(str::to_owned)
}
