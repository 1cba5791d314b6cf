//! HTTP bodies about artifacts.

use super::samples::*;
use crate::example::Unknown::{PassedOver, Refused};
use crate::example::{Example, message};
use protocol::api::*;

pub fn artifacts() -> Vec<Example> {
    vec![
        message(
            "artifact_list",
            PassedOver,
            ArtifactList {
                artifacts: vec![artifact()],
            },
        ),
        message(
            "request_artifact_url",
            Refused,
            RequestArtifactUrl {
                expires_in_seconds: Some(3600),
            },
        ),
        message(
            "request_artifact_url-least",
            Refused,
            RequestArtifactUrl::default(),
        ),
        message(
            "artifact_url",
            PassedOver,
            ArtifactUrl {
                url: format!(
                    "https://files.agents.example/artifacts/{}?session={}&expires=1&signature=0",
                    artifact().id,
                    session()
                ),
                expires_at: NOW,
            },
        ),
    ]
}
