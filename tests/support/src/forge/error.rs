//! What can go wrong while a forge is started or used from Rust.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::emulator::EmulatorError;
use super::git::GitError;
use super::mirror::MirrorError;
use super::visit::VisitError;

#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    #[error("the forge cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} cannot be written")]
    Write {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("openssl could not be run; is it installed?")]
    OpensslStart(#[source] std::io::Error),
    #[error("openssl {command} failed")]
    Openssl { command: String },
    #[error("no randomness for the App's secrets")]
    Random(#[from] getrandom::Error),
    #[error("the GitHub emulator failed")]
    Emulator(#[from] EmulatorError),
    #[error("the bare repository could not be made")]
    Git(#[source] GitError),
    #[error("the emulator could not be told about the repository")]
    Mirror(#[from] MirrorError),
    #[error("{name} is no possible name of a repository")]
    Name { name: String },
    #[error("there is no repository {name} on the forge")]
    NoRepository { name: String },
    #[error("{variable} is not set; `. .ci/env` sets it, after `.ci/setup`")]
    Environment { variable: &'static str },
    #[error("the forge did not act as a browser would need it")]
    Visit(#[from] VisitError),
}
