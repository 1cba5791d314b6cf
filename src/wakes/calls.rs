//! A word of a person becomes a prompt: in the session that works on it, or in a new one.

use protocol::SessionId;
use protocol::event::{Mode, Source};
use protocol::image::Base;

use super::said::Said;
use super::thread::Thread;
use super::{Answer, Scene, person};
use crate::error::Error;
use crate::github::app::{Level, Permissions};
use crate::platform::{clock, random};
use crate::session::forge::ForgeRequest;
use crate::session::machine::Create;
use crate::session::request::{NewPrompt, Request};
use crate::{auth, config, database};

impl Scene<'_> {
    /// Has a session work on what was said, if whoever said it may write here.
    pub(super) async fn heard(&self, said: Option<Said>) -> Result<(), Error> {
        let Some(said) = said else { return Ok(()) };
        let permissions = Permissions::default().pull_requests(Level::Read);
        let token = self
            .github
            .installation_token(&self.repository, permissions)
            .await?;
        let (token, login) = (&token.token, &said.by.login);
        if !self
            .github
            .may_write(token, &self.repository, login)
            .await?
        {
            worker::console_log!("passed over: id={} login={login} may not write", said.id);
            return Ok(());
        }
        let mut branch = None;
        if said.on_pull_request {
            let pull = self
                .github
                .pull_request(token, &self.repository, said.number)
                .await?;
            if !pull.is_within(&self.repository) {
                let sorry = "This branch is in another repository, and I do not work on forks: \
                             what is on them was not looked at by anybody here.";
                return self.thread(said.number).say(sorry).await;
            }
            if let Some(session) = self.session_of(&pull.head.branch).await? {
                return self.prompt(&session, &said, &said.prompt).await;
            }
            branch = Some(pull.head.branch);
        }
        let known =
            database::threads::session(self.database, &self.repository, said.number).await?;
        match known {
            Some(session) => self.prompt(&session, &said, &said.prompt).await,
            None => self.begin(&said, branch).await,
        }
    }

    /// Gives a session what was said, and has the thread told how it goes.
    async fn prompt(&self, session: &SessionId, said: &Said, text: &str) -> Result<(), Error> {
        let prompt = NewPrompt {
            author: person(&said.by),
            text: text.to_owned(),
            source: Source::Github,
            mode: Mode::Queue,
            attachments: Vec::new(),
            client_request_id: Some(said.id.clone()),
        };
        let number = said.number;
        match self.request(session, &Request::Prompt(prompt)).await? {
            Answer::Taken => {
                self.ask(session, ForgeRequest::Called { number }).await?;
                Ok(())
            }
            // What was said is edited, and was taken as it was first.
            Answer::Refused { code, .. } if code == "conflicting_request" => Ok(()),
            Answer::Refused { message, .. } => {
                let url = format!("{}/sessions/{session}", config::public_url(self.env)?);
                let text = format!("The [session]({url}) did not take this: {message}.");
                self.thread(number).say(&text).await
            }
        }
    }

    /// Starts a session in the name of whoever called, on `branch` or the default one.
    async fn begin(&self, said: &Said, branch: Option<String>) -> Result<(), Error> {
        let by = person(&said.by);
        let authorized =
            auth::authorize_repository(self.database, &self.github, &by, &self.repository).await;
        let default_branch = match authorized {
            Ok(branch) => branch,
            Err(Error::LinkBroken | Error::NotFound(_)) => {
                let url = config::public_url(self.env)?;
                let text = format!(
                    "@{}, I do not know you yet, and work in your name only. [Sign \
                     in]({url}/auth/github/login) and call me again.",
                    by.login
                );
                return self.thread(said.number).say(&text).await;
            }
            Err(error) => return Err(error),
        };
        let fresh = SessionId::from_random(random::bytes()?);
        let reservation =
            database::sessions::reserve(self.database, by.id, &said.id, &said.id, fresh).await?;
        let database::sessions::Reservation::Session(session) = reservation else {
            return Ok(());
        };
        let base = Base {
            repository: self.repository.clone(),
            branch: branch.unwrap_or(default_branch.default_branch),
            environment: None,
        };
        let create = Create {
            session: session.clone(),
            repository: base.repository.clone(),
            branch: base.branch.clone(),
            model: config::default_model(self.env)?,
            environment: None,
            by,
            title: String::new(),
            parent: None,
            snapshot: None,
        };
        self.request(&session, &Request::Create { create }).await?;
        database::bases::used(self.database, &base, clock::now()).await?;
        database::threads::remember_session(self.database, &self.repository, said.number, &session)
            .await?;
        self.prompt(&session, said, &said.call).await
    }

    pub(super) fn thread(&self, number: u64) -> Thread<'_> {
        Thread {
            env: self.env,
            database: self.database,
            repository: &self.repository,
            number,
        }
    }
}
