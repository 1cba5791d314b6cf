//! Bodies of the registry: a repository's settings, its images and its environments.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::egress::EgressPolicy;
use crate::event::Repository;
use crate::id::{ImageId, Millis};
use crate::image::{Base, BuildStep, EnvironmentName, Specification};

/// `PUT /api/repositories/{owner}/{name}/settings`, as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Settings {
    /// What images of the default environment are to hold; without one, the repository's own files
    /// decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub specification: Option<Specification>,
    /// What sandboxes may reach.
    #[serde(default)]
    #[cfg_attr(test, ts(optional, as = "Option<EgressPolicy>"))]
    pub egress: EgressPolicy,
    /// What is worked on here, in the words that people use: what chats go by when nobody names a
    /// repository.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(test, ts(optional, as = "Option<String>"))]
    pub hints: String,
}

/// `GET /api/repositories/{owner}/{name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RepositoryDetail {
    pub repository: Repository,
    pub default_branch: String,
    pub settings: Settings,
    /// Newest of the default branch, in whatever state it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub image: Option<Image>,
}

/// `POST /api/repositories/{owner}/{name}/images`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RequestImage {
    /// The default branch if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub branch: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub environment: Option<EnvironmentName>,
    /// Builds even if nothing changed.
    #[serde(default)]
    #[cfg_attr(test, ts(optional, as = "Option<bool>"))]
    pub force: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RequestedImage {
    /// Of the build that was under way already, if there was one.
    pub id: ImageId,
    pub url: String,
}

/// An image, or the attempt to make one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Image {
    pub id: ImageId,
    pub base: Base,
    pub state: ImageState,
    /// Whether sandboxes of this base start from it: the newest that is good.
    pub current: bool,
    /// Why it was asked for, and once it is there, why it was built.
    pub reason: String,
    /// Login of the person who asked; absent for those that nobody asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub requested_by: Option<String>,
    pub requested_at: Millis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub started_at: Option<Millis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub finished_at: Option<Millis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub commit: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub message: Option<String>,
    /// Actual versions of what it holds.
    pub runtime: BTreeMap<String, String>,
    pub steps: Vec<BuildStep>,
    /// On disk.
    pub bytes: u64,
    pub log_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ImageState {
    /// It waits for a runner, or for the build before it.
    Requested,
    Building,
    Ready,
    /// The newest image was made from the same inputs and stays.
    Unchanged,
    /// The last good image stays.
    Failed,
}

/// `GET /api/repositories/{owner}/{name}/images`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ImageList {
    /// Newest first.
    pub images: Vec<Image>,
}

/// `GET /api/repositories/{owner}/{name}/images/{id}/log?offset=`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ImageLog {
    /// What follows `offset`, which counts bytes.
    pub text: String,
    /// Where to go on. Less than what was asked for if the log began anew.
    pub next_offset: u64,
    /// Nothing will follow.
    pub complete: bool,
}

/// `POST /api/repositories/{owner}/{name}/environments`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreateEnvironment {
    pub name: EnvironmentName,
    #[serde(default)]
    #[cfg_attr(test, ts(optional, as = "Option<BTreeMap<String, String>>"))]
    pub runtime: BTreeMap<String, String>,
    #[serde(default)]
    #[cfg_attr(test, ts(optional, as = "Option<Vec<String>>"))]
    pub packages: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub setup: Option<String>,
    /// Logins of those who may use it, of all who reach the repository; empty for everybody.
    #[serde(default)]
    #[cfg_attr(test, ts(optional, as = "Option<Vec<String>>"))]
    pub members: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Environment {
    pub status: EnvironmentStatus,
    pub name: EnvironmentName,
    /// Where its status is asked for.
    pub url: String,
    /// Actual versions, once it is ready.
    pub runtime: BTreeMap<String, String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub message: Option<String>,
    pub specification: Specification,
    pub members: Vec<String>,
    pub created_by: String,
    /// What is being built or was built last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub image: Option<ImageId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum EnvironmentStatus {
    Building,
    Ready,
    Failed,
}

/// `GET /api/repositories/{owner}/{name}/environments`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EnvironmentList {
    pub environments: Vec<Environment>,
}
