//! A body on its way into the bucket. It is never held whole: its beginning says what it is, and its
//! digest is taken as it passes.

use std::cell::RefCell;
use std::rc::Rc;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use futures_util::{Stream, StreamExt as _, stream};
use protocol::ArtifactId;
use protocol::api::MAX_ARTIFACT;
use protocol::event::Artifact;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use worker::FixedLengthStream;

use super::{media, name};
use crate::error::Error;
use crate::platform::random::hex;

type Bytes = std::pin::Pin<Box<dyn Stream<Item = worker::Result<Vec<u8>>>>>;

pub struct Upload {
    pub name: String,
    pub media_type: String,
    /// Of the body. One that is longer or shorter is refused while it is stored.
    pub length: u64,
    bytes: Bytes,
}

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uploaded {
    pub name: String,
    pub media_type: String,
    pub bytes: u64,
    /// As hexadecimal digits.
    pub sha256: String,
}

/// What has passed by so far: all of it once the stream has ended.
#[derive(Clone, Default)]
struct Passed {
    sha256: Sha256,
    bytes: u64,
}

/// Looks on while a body is stored.
pub struct Witness(Rc<RefCell<Passed>>);

impl Upload {
    /// The body of a request.
    pub async fn of(headers: &HeaderMap, name: &str, body: Body) -> Result<Self, Error> {
        let given = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let length = given(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
        let Some(length) = length else {
            let message = "send the file's length as content-length";
            return Err(Error::invalid("length_required", message));
        };
        let bytes = body.into_data_stream().map(|piece| {
            let piece = piece.map_err(|error| worker::Error::RustError(error.to_string()))?;
            Ok(piece.to_vec())
        });
        Self::read(bytes, length, name.to_owned(), given(header::CONTENT_TYPE)).await
    }

    /// Whole bytes, which are here already.
    pub async fn whole(bytes: Vec<u8>, name: &str, declared: Option<&str>) -> Result<Self, Error> {
        let length = bytes.len() as u64;
        let bytes = stream::iter([Ok(bytes)]);
        Self::read(bytes, length, name.to_owned(), declared).await
    }

    pub(super) async fn read(
        bytes: impl Stream<Item = worker::Result<Vec<u8>>> + 'static,
        length: u64,
        name: String,
        declared: Option<&str>,
    ) -> Result<Self, Error> {
        if length == 0 {
            return Err(Error::invalid("artifact_empty", "the file is empty"));
        }
        if length > MAX_ARTIFACT as u64 {
            let most = MAX_ARTIFACT / (1024 * 1024);
            let message = format!("a file has at most {most} MiB, this one has {length} bytes");
            return Err(Error::invalid("artifact_too_large", message));
        }
        let mut bytes: Bytes = Box::pin(bytes);
        let mut beginning = Vec::new();
        while beginning.len() < media::BEGINNING
            && let Some(piece) = bytes.next().await
        {
            beginning.extend(piece?);
        }
        Ok(Self {
            name: name::safe(&name),
            media_type: media::media_type(declared, &beginning),
            length,
            bytes: Box::pin(stream::iter([Ok(beginning)]).chain(bytes)),
        })
    }

    pub(super) fn into_stream(self) -> (FixedLengthStream, Witness) {
        let passed = Rc::new(RefCell::new(Passed::default()));
        let counted = Rc::clone(&passed);
        let bytes = self.bytes.inspect(move |piece| {
            if let Ok(piece) = piece {
                let mut passed = counted.borrow_mut();
                passed.sha256.update(piece);
                passed.bytes += piece.len() as u64;
            }
        });
        (FixedLengthStream::wrap(bytes, self.length), Witness(passed))
    }
}

impl Witness {
    pub(super) fn bytes(&self) -> u64 {
        self.0.borrow().bytes
    }

    pub(super) fn sha256(&self) -> String {
        hex(&self.0.borrow().sha256.clone().finalize())
    }
}

impl Uploaded {
    pub fn artifact(&self, id: ArtifactId, caption: Option<String>) -> Artifact {
        Artifact {
            id,
            name: self.name.clone(),
            media_type: self.media_type.clone(),
            bytes: self.bytes,
            caption,
        }
    }
}
