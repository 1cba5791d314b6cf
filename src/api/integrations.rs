//! What this deployment is connected to, as its configuration says, and whether that still works.

use axum::Json;
use axum::response::{IntoResponse, Response};
use protocol::api::{GithubIntegration, Integrations, SlackIntegration, SlackOutage};
use worker::Env;

use super::Caller;
use crate::auth::policy::{Action, Subject};
use crate::config::{self, slack::Slack};
use crate::error::Error;
use crate::slack::connection;

/// `GET /api/integrations`
#[worker::send]
pub async fn show(caller: Caller) -> Result<Response, Error> {
    caller.may(Action::View, Subject::Deployment, "").await?;
    // GitHub knows by which name the App goes. Without its word the rest is true all the same.
    let app_slug = match caller.github.app().await {
        Ok(app) => Some(app.slug),
        Err(error) => {
            Error::from(error).log();
            None
        }
    };
    let install_url = app_slug
        .as_ref()
        .map(|slug| caller.github.install_url(slug));
    let integrations = Integrations {
        github: GithubIntegration {
            app_slug,
            install_url,
            webhooks: config::github_webhook_secret(&caller.env).is_some(),
        },
        slack: slack(&caller.env).await?,
    };
    Ok(Json(integrations).into_response())
}

async fn slack(env: &Env) -> Result<SlackIntegration, Error> {
    let settings = Slack::from_env(env).unwrap_or_else(|error| {
        // What is said of GitHub is true all the same.
        Error::from(error).log();
        None
    });
    let Some(settings) = settings else {
        return Ok(SlackIntegration {
            connected: false,
            outage: None,
        });
    };
    let outage = connection::outage(env, &settings).await?;
    Ok(SlackIntegration {
        connected: outage.is_none(),
        outage: outage.map(|(since, message)| SlackOutage { since, message }),
    })
}
