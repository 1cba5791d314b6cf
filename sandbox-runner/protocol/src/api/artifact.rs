//! Files beside a session's log: put there by people and by the agent, read by whoever may.

use serde::{Deserialize, Serialize};

use crate::event::Artifact;
use crate::id::Millis;

/// Most bytes of one artifact.
pub const MAX_ARTIFACT: usize = 10 * 1024 * 1024;

/// Most bytes of all artifacts of one session.
pub const MAX_ARTIFACTS: u64 = 200 * 1024 * 1024;

/// Most attachments of one prompt.
pub const MAX_ATTACHMENTS: usize = 20;

/// Shortest, usual and longest life of a capability URL.
pub const MIN_URL_SECONDS: u32 = 60;
pub const URL_SECONDS: u32 = 60 * 60;
pub const MAX_URL_SECONDS: u32 = 7 * 24 * 60 * 60;

/// Images that a browser shows and nothing else does with: no script, no reference. What claims to
/// be one of these has begun like one when it was stored.
pub const PICTURES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// `GET /api/sessions/{id}/artifacts`, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ArtifactList {
    pub artifacts: Vec<Artifact>,
}

/// `POST /api/sessions/{id}/artifacts/{artifact}/url`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RequestArtifactUrl {
    /// [`MIN_URL_SECONDS`] to [`MAX_URL_SECONDS`]; [`URL_SECONDS`] without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub expires_in_seconds: Option<u32>,
}

/// Whoever has the URL gets the file until then, without signing in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ArtifactUrl {
    /// Absolute.
    pub url: String,
    pub expires_at: Millis,
}

impl Artifact {
    /// Whether a browser may show it in place.
    pub fn is_picture(&self) -> bool {
        PICTURES.contains(&self.media_type.as_str())
    }
}
