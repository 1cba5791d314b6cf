//! Sandboxes as they are: every test starts real ones, so it needs root or user namespaces.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod beginning;
mod egress;
mod failures;
mod fixture;
mod forge;
mod hostile;
mod images;
mod isolation;
mod languages;
mod lifecycle;
mod programs;
mod snapshot;
mod terminals;
mod timing;
mod workspace;
