//! Who acts on an event of GitHub's.
//!
//! Each concern is one function of the [`Delivery`] and one line in [`see_to`]. It passes over what
//! is not its own, and it can be repeated: a delivery of which one concern failed is seen to again
//! by all of them. Deliveries come in any order; the times in them tell which is newer.

mod access;
mod installations;
mod pull_requests;

use worker::Env;

use super::Delivery;
use crate::database::Database;
use crate::error::Error;
use crate::github::event::Subject;
use crate::{images, wakes};

/// Has everybody act on a delivery. One who fails is in the way of no other; the first failure is
/// the outcome.
pub async fn see_to(env: &Env, database: &Database, delivery: &Delivery) -> Result<(), Error> {
    let mut outcomes = Outcomes::default();
    let outcome = installations::follow(env, database, delivery).await;
    outcomes.add("installations", outcome);
    outcomes.add("access", access::drop(env, database, delivery).await);
    outcomes.add("images", images(database, delivery).await);
    outcomes.add("wakes", wakes::see_to(env, database, delivery).await);
    let outcome = pull_requests::follow(env, database, delivery).await;
    outcomes.add("pull requests", outcome);
    outcomes.first_failure.map_or(Ok(()), Err)
}

#[derive(Default)]
struct Outcomes {
    first_failure: Option<Error>,
}

impl Outcomes {
    fn add(&mut self, concern: &str, outcome: Result<(), Error>) {
        if let Err(error) = outcome {
            worker::console_warn!("a delivery was not seen to: concern={concern} error={error}");
            self.first_failure.get_or_insert(error);
        }
    }
}

/// A branch that sessions start from has a new head.
async fn images(database: &Database, delivery: &Delivery) -> Result<(), Error> {
    match &delivery.event.subject {
        Subject::Push(push) => images::pushed(database, push).await,
        _ => Ok(()),
    }
}
