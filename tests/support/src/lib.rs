//! The parts that stand in for the outside world when the whole stack runs on one machine.
//!
//! Demo, development server, benchmark and end-to-end tests use them alike, so that what a test
//! proves is what a person sees. Every server listens on loopback and ends with its value.

pub mod bench;
pub mod chat;
pub mod client;
pub mod defect;
pub mod demo;
pub mod forge;
pub mod lobby;
pub mod model;
pub mod process;
pub mod puppet;
mod random;
pub mod routing;
pub mod screen;
pub mod stack;
