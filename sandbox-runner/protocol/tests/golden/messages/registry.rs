//! HTTP bodies of repositories.

use super::samples::*;
use crate::example::Unknown::{PassedOver, Refused};
use crate::example::{Example, list, message};
use protocol::api::*;

pub fn registry() -> Vec<Example> {
    let settings = Settings {
        specification: Some(specification()),
        egress: policy(),
        hints: "The ledger, payouts, and what finance calls the books".to_owned(),
    };
    let environment = Environment {
        status: EnvironmentStatus::Ready,
        name: environment_name(),
        url: "https://agents.example/api/repositories/acme/api/environments/legacy".to_owned(),
        runtime: built_image().runtime,
        message: None,
        specification: specification(),
        members: vec!["bob".to_owned()],
        created_by: "alice".to_owned(),
        image: Some(image()),
    };
    vec![
        message(
            "integrations",
            PassedOver,
            Integrations {
                github: GithubIntegration {
                    app_slug: Some("hosted-agents".to_owned()),
                    install_url: Some(
                        "https://github.com/apps/hosted-agents/installations/new".to_owned(),
                    ),
                    webhooks: true,
                },
                slack: SlackIntegration {
                    connected: true,
                    outage: None,
                },
            },
        ),
        message(
            "integrations-outage",
            PassedOver,
            Integrations {
                github: GithubIntegration {
                    app_slug: None,
                    install_url: None,
                    webhooks: false,
                },
                slack: SlackIntegration {
                    connected: false,
                    outage: Some(SlackOutage {
                        since: NOW,
                        message: "The app was removed from the workspace.".to_owned(),
                    }),
                },
            },
        ),
        message("settings", Refused, settings.clone()),
        message(
            "repository_detail",
            PassedOver,
            RepositoryDetail {
                repository: repository(),
                default_branch: "main".to_owned(),
                settings,
                image: Some(image_row()),
            },
        ),
        message("request_image-least", Refused, RequestImage::default()),
        message(
            "request_image",
            Refused,
            RequestImage {
                branch: Some("main".to_owned()),
                environment: Some(environment_name()),
                force: true,
            },
        ),
        message(
            "requested_image",
            PassedOver,
            RequestedImage {
                id: image(),
                url: format!(
                    "https://agents.example/api/repositories/acme/api/images/{}",
                    image()
                ),
            },
        ),
        message("image", PassedOver, image_row()),
        list(
            "image_state",
            vec![
                ImageState::Requested,
                ImageState::Building,
                ImageState::Ready,
                ImageState::Unchanged,
                ImageState::Failed,
            ],
        ),
        message(
            "image_list",
            PassedOver,
            ImageList {
                images: vec![image_row()],
            },
        ),
        message(
            "image_log",
            PassedOver,
            ImageLog {
                text: TEXT.to_owned(),
                next_offset: 1024,
                complete: false,
            },
        ),
        message(
            "create_environment",
            Refused,
            CreateEnvironment {
                name: environment_name(),
                runtime: specification().runtime,
                packages: specification().packages,
                setup: specification().setup,
                members: vec!["bob".to_owned()],
            },
        ),
        message("environment", PassedOver, environment.clone()),
        list(
            "environment_status",
            vec![
                EnvironmentStatus::Building,
                EnvironmentStatus::Ready,
                EnvironmentStatus::Failed,
            ],
        ),
        message("secret_scope", PassedOver, secret_summary().scope),
        list(
            "secret_scope-all",
            vec![secret_summary().scope, SecretScope::Sandbox],
        ),
        message(
            "set_secret",
            Refused,
            SetSecret {
                value: "s3cret".to_owned(),
                scope: secret_summary().scope,
            },
        ),
        message("secret_summary", PassedOver, secret_summary()),
        message(
            "secret_list",
            PassedOver,
            SecretList {
                secrets: vec![secret_summary()],
            },
        ),
        message(
            "environment_list",
            PassedOver,
            EnvironmentList {
                environments: vec![environment],
            },
        ),
    ]
}
