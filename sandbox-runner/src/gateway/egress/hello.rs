//! The greeting of a TLS connection: which host it is for, and its bytes to be handed on.

use std::io;

use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// With every extension that clients send today, a greeting is below 3 kB.
const LONGEST: usize = 16 * 1024;

pub(super) struct Hello {
    pub(super) bytes: Vec<u8>,
    pub(super) host: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum HelloError {
    #[error("the connection broke")]
    Read(#[source] io::Error),
    #[error("the connection ended before its greeting")]
    Ended,
    #[error("the greeting is too long")]
    TooLong,
    #[error("what was sent is not the greeting of a TLS connection")]
    Unreadable(#[source] rustls::Error),
}

pub(super) async fn read(client: &mut (impl AsyncRead + Unpin)) -> Result<Hello, HelloError> {
    let mut acceptor = Acceptor::default();
    let mut bytes = Vec::with_capacity(2048);
    loop {
        let start = bytes.len();
        let read = client.read_buf(&mut bytes).await;
        if read.map_err(HelloError::Read)? == 0 {
            return Err(HelloError::Ended);
        }
        if bytes.len() > LONGEST {
            return Err(HelloError::TooLong);
        }
        let mut piece = bytes.get(start..).unwrap_or_default();
        while !piece.is_empty() {
            let taken = acceptor.read_tls(&mut piece).map_err(HelloError::Read)?;
            let accepted = acceptor
                .accept()
                .map_err(|(error, _)| HelloError::Unreadable(error))?;
            if let Some(accepted) = accepted {
                let host = accepted.client_hello().server_name().map(str::to_owned);
                return Ok(Hello { bytes, host });
            }
            if taken == 0 {
                return Err(HelloError::TooLong);
            }
        }
    }
}
