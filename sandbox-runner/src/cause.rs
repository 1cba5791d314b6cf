//! Errors in one line, for the log, whose format in JSON has no room for causes, and for people who
//! see no log.

use std::error::Error;

/// The error and everything that caused it.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the outside failed")]
    struct Outside(#[source] Inside);

    #[derive(Debug, thiserror::Error)]
    #[error("the inside failed")]
    struct Inside(#[source] io::Error);

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_logged_error_has_all_its_causes() {
        let written = Written::default();
        let writer = written.clone();
        let log = tracing_subscriber::fmt()
            .json()
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(log.finish(), || {
            let error = Outside(Inside(io::Error::other("no space")));
            tracing::warn!(error = chain(&error), "it went wrong");
        });
        let line = written.0.lock().unwrap();
        let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(
            line.pointer("/fields/error")
                .and_then(serde_json::Value::as_str),
            Some("the outside failed: the inside failed: no space")
        );
    }
}
