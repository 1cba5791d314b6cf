//! Files between a session and its sandbox.
//!
//! # Layout
//!
//! - [`attachment`]: what a prompt comes with, fetched and put where the agent finds it.
//! - [`share`]: a file that the agent shares, read out of its sandbox.
//! - [`parcel`]: shared files, kept on disk until the session holds them.

pub mod attachment;
pub mod parcel;
pub mod share;
