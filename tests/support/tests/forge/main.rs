//! The forge through its clients' eyes: real git, and plain HTTP.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod api;
mod bench;
mod pull_requests;
mod sign_in;
mod transport;
