//! Webhook deliveries of GitHub's, and what Slack tells: recorded, answered, and then acted on exactly as often as it
//! takes until it worked once.
//!
//! A delivery is `received`, then `done` or `failed`. One that is done is never acted on again; one
//! that is not may come again from the queue, from GitHub or from the [`sweep`]. It is acted on by
//! one at a time, and every concern of [`concerns`] can be repeated.

pub mod concerns;
pub mod sweep;

use protocol::Millis;
use worker::Env;

use crate::database::deliveries::{Admission, Taken};
use crate::database::{self, Database};
use crate::error::Error;
use crate::github::event::Event;
use crate::platform::clock;
use crate::slack::delivery;
use crate::work::{self, Work};

/// One delivery, read.
#[derive(Debug)]
pub struct Delivery {
    /// GitHub's, the same when it delivers again: what follows from a delivery is done once by it.
    pub id: String,
    pub received_at: Millis,
    pub event: Event,
}

/// How a delivery was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    Queued,
    /// It was done before.
    Known,
}

/// Records a delivery whose signature was verified, and has it seen to.
pub async fn receive(env: &Env, id: &str, name: &str, body: &str) -> Result<Receipt, Error> {
    let database = Database::new(env)?;
    match database::deliveries::admit(&database, id, name, body, clock::now()).await? {
        Admission::Done => Ok(Receipt::Known),
        Admission::ToDo => {
            let id = id.to_owned();
            let work = match delivery::is_ours(name) {
                true => Work::SlackDelivery { id },
                false => Work::GithubDelivery { id },
            };
            work::put(env, work).await?;
            Ok(Receipt::Queued)
        }
    }
}

/// Sees to one delivery: nothing if it is done.
pub async fn perform(env: &Env, id: &str) -> Result<(), Error> {
    let database = Database::new(env)?;
    let (name, body, received_at) =
        match database::deliveries::take(&database, id, clock::now()).await? {
            Taken::Yours {
                event,
                body,
                received_at,
            } => (event, body, received_at),
            Taken::Done => return Ok(()),
            Taken::Busy => return Err(Error::Busy),
        };
    let outcome = match Event::parse(&name, body.as_bytes()) {
        _ if delivery::is_ours(&name) => delivery::see_to(env, &name, id, &body).await,
        Ok(event) => {
            let id = id.to_owned();
            let delivery = Delivery {
                id,
                received_at,
                event,
            };
            concerns::see_to(env, &database, &delivery).await
        }
        Err(error) => Err(error.into()),
    };
    let now = clock::now();
    match &outcome {
        Ok(()) => database::deliveries::done(&database, id, now).await?,
        Err(Error::Slack(error)) if error.is_disconnected() => {
            database::deliveries::postponed(&database, id, &error.to_string(), now).await?;
        }
        Err(error) => {
            database::deliveries::failed(&database, id, &error.to_string(), now).await?;
        }
    }
    outcome
}
