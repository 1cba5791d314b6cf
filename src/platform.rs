//! The only place that knows JavaScript and the clock: thin wrappers that the rest is given.

pub mod alarm;
pub mod clock;
pub mod crypto;
pub mod http;
pub mod migration;
pub mod object;
pub mod random;
pub mod remainder;
pub mod sealing;
pub mod sql;
