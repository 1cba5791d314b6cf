//! Builders: stacks, signed-in people, sessions in the state that a test begins with.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::time::Duration;

use protocol::api::CreateSession;
use protocol::callback::Report;
use protocol::command::{SendPrompt, Start};
use protocol::event::{Fact, Repository};
use protocol::{Seq, SessionId};
use support::client::{Client, Viewer};
use support::forge::ORGANIZATION;
use support::puppet::Puppet;
use support::stack::{ModelChoice, Stack};
use tokio::sync::Mutex;

use crate::world::World;

pub type Failure = Box<dyn Error + Send + Sync>;
pub type Outcome = Result<(), Failure>;

pub const ALICE: &str = "alice";
pub const BOB: &str = "bob";
/// Has no access to the organization's repositories.
pub const CAROL: &str = "carol";

pub const REPOSITORY: &str = "tool";

/// How long anything may take that needs no sandbox.
pub const LIMIT: Duration = Duration::from_secs(30);

/// How long a delivery may take from GitHub to where it is seen: the queue waits a second for more.
pub const DELIVERED: Duration = Duration::from_secs(60);

/// A stack whose runner is a puppet.
pub struct PlayedStack {
    pub stack: Stack,
    pub puppet: Puppet,
    clients: Mutex<BTreeMap<&'static str, Client>>,
}

impl PlayedStack {
    pub async fn start() -> Self {
        let stack = Stack::start_without_runner("e2e-played", ModelChoice::Scripted)
            .await
            .unwrap_or_else(|error| panic!("{}", chain(&error)));
        Self::of(stack).await
    }

    /// Puts a repository on the stack's forge and a puppet in its runner's place.
    pub async fn of(stack: Stack) -> Self {
        let source = stack.directory().join("source");
        write_source(&source);
        stack
            .forge
            .create_repository(ORGANIZATION, REPOSITORY, &source)
            .await
            .expect("a repository");
        let puppet = Puppet::start(&stack.url(), stack.runner_keys())
            .await
            .expect("a registered puppet");
        Self {
            stack,
            puppet,
            clients: Mutex::default(),
        }
    }

    /// A signed-in person; each signs in once.
    pub async fn client(&self, login: &'static str) -> Result<Client, Failure> {
        let mut clients = self.clients.lock().await;
        if let Some(client) = clients.get(login) {
            return Ok(client.clone());
        }
        let client = Client::sign_in(&self.stack.url(), &self.stack.forge, login).await?;
        clients.insert(login, client.clone());
        Ok(client)
    }
}

/// A session of Alice's whose runner the test plays.
pub struct Played<'w> {
    pub client: Client,
    pub puppet: &'w Puppet,
    pub session: SessionId,
    pub start: Start,
}

impl<'w> Played<'w> {
    /// A session whose sandbox has reported that it is ready (report number 1).
    pub async fn ready(world: &'w World) -> Result<Self, Failure> {
        Self::ready_on(world.played().await).await
    }

    pub async fn ready_on(stack: &'w PlayedStack) -> Result<Self, Failure> {
        Self::ready_for(stack, &wanted(None)).await
    }

    pub async fn ready_for(
        stack: &'w PlayedStack,
        wanted: &CreateSession,
    ) -> Result<Self, Failure> {
        let client = stack.client(ALICE).await?;
        let session = client.create_session(wanted).await?.id;
        let start = stack.puppet.start_command(&session).await?;
        let ready = Report::Ready {
            image: None,
            commit: "c0ffee".to_owned(),
        };
        stack.puppet.report(&start, 1, vec![ready]).await?;
        Ok(Self {
            client,
            puppet: &stack.puppet,
            session,
            start,
        })
    }

    /// Sends a prompt over a new socket; answers the socket and the command that came of it.
    pub async fn prompt(&self, text: &str) -> Result<(Viewer, SendPrompt), Failure> {
        let mut viewer = self.client.watch(&self.session, Seq(0)).await?;
        viewer
            .send(&protocol::frame::ClientFrame::Prompt {
                text: text.to_owned(),
                mode: protocol::event::Mode::Queue,
                client_request_id: None,
                attachments: Vec::new(),
            })
            .await?;
        let sent = self.puppet.prompt_command(&self.start).await?;
        let prompt = sent.prompt.clone();
        viewer
            .wait_for_fact("the prompt's start", LIMIT, |fact| match fact {
                Fact::PromptStarted { prompt: started } if *started == prompt => Some(()),
                _ => None,
            })
            .await?;
        Ok((viewer, sent))
    }
}

/// Asks again and again until there is an answer, for as long as a delivery may take.
pub async fn eventually<T, F>(wanted: &str, ask: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<Option<T>, Failure>>,
{
    let asking = async {
        loop {
            if let Some(answer) = ask().await? {
                return Ok(answer);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    match tokio::time::timeout(DELIVERED, asking).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("{wanted}: not within {DELIVERED:?}").into()),
    }
}

pub fn wanted(prompt: Option<&str>) -> CreateSession {
    CreateSession {
        repository: Repository::new(ORGANIZATION, REPOSITORY).expect("a repository's name"),
        branch: None,
        prompt: prompt.map(str::to_owned),
        model: None,
        environment: None,
        client_request_id: None,
        attachments: Vec::new(),
    }
}

pub fn write_source(directory: &Path) {
    std::fs::create_dir_all(directory).expect("a folder can be made");
    std::fs::write(directory.join("README.md"), "# tool\n").expect("a file can be written");
}

pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
