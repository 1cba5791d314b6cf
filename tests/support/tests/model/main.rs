//! The scripted model through a client's eyes, token by token.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod client;
mod protocols;
mod repair;
