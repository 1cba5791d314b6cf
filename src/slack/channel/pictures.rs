//! A picture of the agent's, uploaded into the thread; where that cannot be, a link to it that needs
//! no sign-in.

use protocol::SessionId;
use protocol::event::Artifact;

use super::Core;
use super::features::Feature;
use super::speaking::Sent;
use super::store::{Due, Stage};
use crate::artifacts::link::Link;
use crate::artifacts::{Artifacts, Key};
use crate::config;
use crate::error::Error;
use crate::platform::clock;
use crate::slack::blocks::Said;
use crate::slack::client::{Place, Slack, SlackError};
use crate::slack::message::escape;

/// Larger ones are linked: the object holds the bytes while they are on their way.
const MAX_BYTES: u64 = 10 * 1024 * 1024;

/// How long a link is good.
const LINK_MS: i64 = 7 * 24 * 3_600_000;

impl Core {
    pub(super) async fn send_picture(
        &self,
        slack: &Slack,
        due: &Due,
        session: &SessionId,
        artifact: &Artifact,
    ) -> Result<Sent, SlackError> {
        if due.stage != Some(Stage::Edited) && self.may_have(Feature::Files) {
            match self.upload(slack, due, session, artifact).await {
                Ok(true) => return Ok(Sent::Whole(None)),
                Ok(false) => {}
                Err(error) if !error.is_of_the_call() => return Err(error),
                Err(error) => self.lacks(Feature::Files, &error),
            }
            self.reached(due, &Stage::Edited, None);
        }
        let label = escape(label(artifact));
        let text = match self.link(session, artifact) {
            Ok(url) => format!(":frame_with_picture: <{url}|{label}>"),
            Err(error) => {
                error.log();
                format!(":frame_with_picture: {label}")
            }
        };
        self.send_message(slack, due, &Said::line(&text)).await
    }

    /// False if the bytes cannot be had.
    async fn upload(
        &self,
        slack: &Slack,
        due: &Due,
        session: &SessionId,
        artifact: &Artifact,
    ) -> Result<bool, SlackError> {
        let (file, is_again) = match &due.stage {
            Some(Stage::Uploaded { file }) => (file.clone(), true),
            _ => {
                let bytes = match self.bytes(session, artifact).await {
                    Ok(Some(bytes)) => bytes,
                    Ok(None) => return Ok(false),
                    Err(error) => {
                        error.log();
                        return Ok(false);
                    }
                };
                let file = slack.upload(&artifact.name, label(artifact), bytes).await?;
                self.reached(due, &Stage::Uploaded { file: file.clone() }, None);
                (file, false)
            }
        };
        let place = Place {
            channel: &self.channel,
            root: Some(&due.root),
        };
        match slack.show_file(&place, &file, label(artifact)).await {
            // It was shown by a try whose answer was lost.
            Err(error) if is_again && error.code() == "file_not_found" => Ok(true),
            outcome => outcome.map(|()| true),
        }
    }

    async fn bytes(
        &self,
        session: &SessionId,
        artifact: &Artifact,
    ) -> Result<Option<Vec<u8>>, Error> {
        if artifact.bytes > MAX_BYTES {
            return Ok(None);
        }
        let key = Key::of_session(session, &artifact.id);
        let Some(object) = Artifacts::new(&self.env)?.get(&key, None).await? else {
            return Ok(None);
        };
        match object.body() {
            Some(body) => Ok(Some(body.bytes().await?)),
            None => Ok(None),
        }
    }

    fn link(&self, session: &SessionId, artifact: &Artifact) -> Result<String, Error> {
        let link = Link {
            session: session.clone(),
            artifact: artifact.id.clone(),
            expires_at: clock::now().plus(LINK_MS),
        };
        let origin = match config::artifacts_url(&self.env) {
            Some(origin) => origin,
            None => config::public_url(&self.env)?,
        };
        Ok(format!(
            "{origin}{}",
            link.path(&config::encryption_keys(&self.env)?)
        ))
    }
}

fn label(artifact: &Artifact) -> &str {
    let caption = artifact.caption.as_deref();
    caption
        .filter(|caption| !caption.is_empty())
        .unwrap_or(&artifact.name)
}
