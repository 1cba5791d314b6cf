//! What the cron does for deliveries: those that are here and not done are put on the queue again,
//! and GitHub is asked to deliver again what it recorded as failed. It never does so by itself.

use std::collections::BTreeMap;

use protocol::Millis;
use worker::Env;

use crate::config;
use crate::database::{self, Database};
use crate::error::Error;
use crate::github::Github;
use crate::github::hook::Attempt;
use crate::platform::clock;
use crate::work::{self, Work};

/// A delivery that nothing was heard of for so long is not on the queue any more.
const OVERDUE_MS: i64 = 5 * 60_000;

/// A delivery that failed so often is given up; the queue alone makes six tries of one.
const MAX_ATTEMPTS: i64 = 40;

/// Put on the queue in one go.
const AT_ONCE: i64 = 200;

const DAY_MS: i64 = 24 * 3_600_000;

/// GitHub can deliver again what is three days old; what is older is forgotten here as well.
const WINDOW_MS: i64 = 3 * DAY_MS;
const KEPT_MS: i64 = 8 * DAY_MS;

/// Pages of GitHub's record that are read in one go, a hundred attempts each.
const MAX_PAGES: usize = 10;

/// GitHub is asked to deliver the same thing again after this at the earliest.
const ASK_AGAIN_MS: i64 = 25 * 60_000;

pub async fn sweep(env: &Env) -> Result<(), Error> {
    let database = Database::new(env)?;
    let now = clock::now();
    database::deliveries::expire(&database, now.plus(-KEPT_MS)).await?;
    let before = now.plus(-OVERDUE_MS);
    let overdue = database::deliveries::overdue(&database, before, MAX_ATTEMPTS, AT_ONCE).await?;
    for id in overdue {
        work::put(env, Work::GithubDelivery { id }).await?;
    }
    if config::github_webhook_secret(env).is_none() {
        return Ok(());
    }
    ask_again(&database, &Github::new(env)?, now).await
}

/// Asks GitHub for what it could not deliver and what is not here.
async fn ask_again(database: &Database, github: &Github, now: Millis) -> Result<(), Error> {
    let mut attempts = Vec::new();
    let mut page = None;
    for _ in 0..MAX_PAGES {
        let Some(found) = github.hook_deliveries(page.as_deref()).await? else {
            // An API without this route.
            return Ok(());
        };
        let reaches_back = found
            .attempts
            .last()
            .is_some_and(|attempt| attempt.delivered_at < now.plus(-WINDOW_MS));
        attempts.extend(found.attempts);
        page = found.next;
        if page.is_none() || reaches_back {
            break;
        }
    }
    for (delivery, attempt) in undelivered(attempts, now.plus(-WINDOW_MS)) {
        let since = now.plus(-ASK_AGAIN_MS);
        if database::deliveries::ask(database, &delivery, since, now).await? {
            // One that GitHub does not deliver is in the way of no other.
            if let Err(error) = github.deliver_again(attempt).await {
                Error::from(error).log();
            }
        }
    }
    Ok(())
}

/// Deliveries whose newest attempt failed, each with the number of that attempt.
fn undelivered(attempts: Vec<Attempt>, since: Millis) -> BTreeMap<String, u64> {
    let mut newest: BTreeMap<String, Attempt> = BTreeMap::new();
    for attempt in attempts {
        let known = newest.get(&attempt.delivery);
        if known.is_none_or(|known| known.delivered_at < attempt.delivered_at) {
            newest.insert(attempt.delivery.clone(), attempt);
        }
    }
    newest
        .into_iter()
        .filter(|(_, attempt)| !attempt.succeeded && attempt.delivered_at >= since)
        .map(|(delivery, attempt)| (delivery, attempt.id))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(id: u64, delivery: &str, at: i64, succeeded: bool) -> Attempt {
        Attempt {
            id,
            delivery: delivery.to_owned(),
            delivered_at: Millis(at),
            succeeded,
        }
    }

    #[test]
    fn only_what_failed_last_and_lately_is_asked_for() {
        let attempts = vec![
            attempt(9, "came-at-last", 90, true),
            attempt(8, "failed-twice", 80, false),
            attempt(7, "failed-twice", 70, false),
            attempt(6, "came-at-last", 60, false),
            attempt(5, "came-at-once", 50, true),
            attempt(1, "long-ago", 10, false),
        ];
        let asked: Vec<_> = undelivered(attempts, Millis(20)).into_iter().collect();
        assert_eq!(asked, [("failed-twice".to_owned(), 8)]);
    }
}
