//! Figures of what sessions came to.

use serde::{Deserialize, Serialize};

use crate::event::{Repository, Source};
use crate::id::UserId;

/// Windows that figures can be had for, in days.
pub const WINDOWS: [u32; 3] = [7, 30, 90];

/// `GET /api/statistics?days=&repository=`: of repositories that the caller reaches, in the last
/// `days`. Averages and shares are absent until there is something that they are of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Statistics {
    pub days: u32,
    /// The only one that is counted, if one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub repository: Option<Repository>,
    /// Pull requests of sessions that were merged.
    pub merged: u64,
    /// Pull requests that sessions opened.
    pub opened: u64,
    /// Of those opened in these days, the share that is merged by now.
    pub merged_share: Option<f64>,
    /// One entry for each day, the oldest first.
    pub trend: Vec<DayFigures>,
    /// From opening to the first review, comment or merge of a person who is not the author.
    pub median_first_response_ms: Option<u64>,
    pub median_merge_ms: Option<u64>,
    /// Of those that somebody approved or asked changes of, the share whose newest verdict is an
    /// approval.
    pub approval_share: Option<f64>,
    /// Pushes after the first review, for each that was reviewed.
    pub revisions: Option<f64>,
    /// What was spent on models in these days, for each that was merged in them.
    pub microdollars_per_merged: Option<u64>,
    pub microdollars: u64,
    pub prompts: u64,
    /// Who prompted in the last five minutes.
    pub people_prompting: u64,
    pub first_token_p50_ms: Option<u64>,
    pub first_token_p95_ms: Option<u64>,
    /// Those with anything merged, whoever opened it, the most first.
    pub repositories: Vec<RepositoryFigures>,
    pub people: Vec<PersonFigures>,
    pub sources: Vec<SourceFigures>,
}

/// What was opened and merged on one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct DayFigures {
    /// `2026-11-30`, in UTC.
    pub day: String,
    pub opened: u64,
    pub merged: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RepositoryFigures {
    pub repository: Repository,
    /// Merged pull requests, everybody's.
    pub all_merged: u64,
    /// Of these, the sessions'.
    pub merged: u64,
    pub merged_share: f64,
    /// Lines that merged pull requests added, everybody's.
    pub all_lines: u64,
    pub lines: u64,
    pub line_share: Option<f64>,
}

/// What came of one person's prompts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PersonFigures {
    pub id: UserId,
    pub login: String,
    #[serde(flatten)]
    pub totals: Totals,
}

/// What came of prompts from one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SourceFigures {
    pub source: Source,
    #[serde(flatten)]
    pub totals: Totals,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Totals {
    pub prompts: u64,
    pub microdollars: u64,
    pub opened: u64,
    pub merged: u64,
}
