//! Runs coding agents in isolated sandboxes on one machine, and reports what they do.
//!
//! # Layout
//!
//! From the outside in:
//!
//! - [`config`]: the environment, read once. [`runner`] puts the parts together.
//! - [`server`]: signed commands in. [`store`] records them before they are answered.
//! - [`session`]: one task for each sandbox, from its start to its end.
//! - [`pool`]: sandboxes that are ready before anybody asks.
//! - [`image`] and [`layer`]: a repository at a commit with warm caches.
//! - [`collector`]: removes what nothing starts from any more. [`courier`]: brings to the depot what
//!   other runners go on from, and fetches it there.
//! - [`sandbox`]: the isolated process tree; [`init`] is what runs as its first process.
//! - [`agent`]: drives the agent server inside, and turns what it says into reports.
//! - [`artifact`]: files that come with prompts, and files that the agent shares.
//! - [`git`]: commits and pushes, inside the sandbox.
//! - [`gateway`]: adds the credentials that no sandbox holds, outside of it.
//! - [`callback`]: reports out, in order, until the session holds them. [`worker`] signs them.
//! - [`terminal`]: shells for people.
//! - [`metrics`]: what is counted, for whoever operates this.
//! - [`register`]: offers this runner to the Worker, and asks it for git credentials.

pub mod agent;
pub mod artifact;
pub mod callback;
mod cause;
mod clock;
pub mod collector;
pub mod config;
pub mod courier;
#[cfg(test)]
mod fixture;
pub mod gateway;
pub mod git;
pub mod image;
pub mod init;
pub mod layer;
pub mod metrics;
pub mod pool;
pub mod register;
pub mod runner;
pub mod sandbox;
pub mod server;
pub mod session;
pub mod store;
pub mod terminal;
pub mod worker;
