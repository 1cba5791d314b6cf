//! Tells runners that a repository's settings or secrets have changed, so that its sandboxes have them
//! within a second. A runner that does not hear of it asks with its next registration.

use std::time::Duration;

use futures_util::future::join_all;
use protocol::command::Refresh;
use protocol::event::Repository;
use worker::Env;

use super::present_runners;
use crate::config;
use crate::error::Error;
use crate::platform::http::post_signed;

/// Whoever changed something waits for it.
const DEADLINE: Duration = Duration::from_secs(2);

pub async fn refresh(env: &Env, repository: &Repository) {
    if let Err(error) = tell(env, repository).await {
        error.log();
    }
}

async fn tell(env: &Env, repository: &Repository) -> Result<(), Error> {
    let (keys, runners) = (config::runner_keys(env)?, present_runners(env).await?);
    let hint = Refresh {
        repository: repository.clone(),
    };
    let telling = runners.iter().map(async |runner| {
        match post_signed(&keys, &runner.url, "/refresh", &hint, DEADLINE).await {
            Ok(answer) if answer.status < 300 => {}
            Ok(answer) => {
                worker::console_warn!(
                    "a runner did not take a hint: runner={} status={}",
                    runner.runner,
                    answer.status
                );
            }
            Err(error) => {
                worker::console_warn!(
                    "a runner was not told: runner={} reason={error}",
                    runner.runner
                );
            }
        }
    });
    join_all(telling).await;
    Ok(())
}
