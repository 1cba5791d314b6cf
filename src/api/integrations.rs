//! What this deployment is connected to, as its configuration says.

use axum::Json;
use axum::response::{IntoResponse, Response};
use protocol::api::{GithubIntegration, Integrations, SlackIntegration};

use super::Caller;
use crate::auth::policy::{Action, Subject};
use crate::config;
use crate::error::Error;

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
        slack: SlackIntegration {
            connected: config::is_connected_to_slack(&caller.env),
        },
    };
    Ok(Json(integrations).into_response())
}
