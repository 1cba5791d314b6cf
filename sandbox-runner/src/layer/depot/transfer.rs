//! Objects in pieces: each request is small enough for a deadline of its own.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::{StreamExt, stream};
use object_store::path::Path as Key;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::DepotError;

const PIECE: u64 = 8 << 20;
/// Pieces on their way at once.
const AT_ONCE: usize = 3;

/// Writes an object of this size unless it is there.
pub(super) async fn upload(
    store: &dyn ObjectStore,
    key: &Key,
    content: File,
    size: u64,
    limit: Duration,
) -> Result<(), DepotError> {
    let upload = async {
        match store.head(key).await {
            Ok(present) if present.size == size => return Ok(()),
            Ok(_) | Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        write(store, key, content, size).await
    };
    bounded(key, limit, upload, |key, source| DepotError::Write {
        key,
        source,
    })
    .await
}

/// Writes an object of this size in place of the one that is there.
pub(super) async fn replace(
    store: &dyn ObjectStore,
    key: &Key,
    content: File,
    size: u64,
    limit: Duration,
) -> Result<(), DepotError> {
    let written = write(store, key, content, size);
    bounded(key, limit, written, |key, source| DepotError::Write {
        key,
        source,
    })
    .await
}

async fn write(
    store: &dyn ObjectStore,
    key: &Key,
    mut content: File,
    size: u64,
) -> Result<(), Error> {
    content.seek(SeekFrom::Start(0)).map_err(local)?;
    let mut content = tokio::fs::File::from_std(content);
    if size <= PIECE {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).await.map_err(local)?;
        return store.put(key, PutPayload::from(bytes)).await.map(drop);
    }
    upload_pieces(store, key, content).await
}

async fn upload_pieces(
    store: &dyn ObjectStore,
    key: &Key,
    mut content: tokio::fs::File,
) -> Result<(), Error> {
    let upload = store.put_multipart(key).await?;
    let mut writer = WriteMultipart::new_with_chunk_size(upload, piece());
    let mut buffer = vec![0; 256 * 1024];
    let written = async {
        loop {
            let count = content.read(&mut buffer).await.map_err(local)?;
            let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
                return Ok(());
            };
            writer.wait_for_capacity(AT_ONCE).await?;
            writer.write(bytes);
        }
    }
    .await;
    match written {
        Ok(()) => writer.finish().await.map(drop),
        Err(error) => {
            // The error that counts is the first one.
            let _ = writer.abort().await;
            Err(error)
        }
    }
}

/// Sends an object's bytes, until the other end wants no more of them.
pub(super) async fn download(
    store: &Arc<dyn ObjectStore>,
    key: &Key,
    size: u64,
    feed: Feed,
    limit: Duration,
) -> Result<(), DepotError> {
    let download = async {
        let starts = (0..size.div_ceil(PIECE)).map(|piece| piece * PIECE);
        let pieces = stream::iter(starts)
            .map(|start| store.get_range(key, start..size.min(start + PIECE)))
            .buffered(AT_ONCE);
        let mut pieces = std::pin::pin!(pieces);
        while let Some(piece) = pieces.next().await {
            if feed.0.send(Some(piece?)).await.is_err() {
                return Ok(());
            }
        }
        let _ = feed.0.send(None).await;
        Ok(())
    };
    bounded(key, limit, download, |key, source| match source {
        Error::NotFound { .. } => DepotError::Missing(key),
        source => DepotError::Read { key, source },
    })
    .await
}

/// Reads an object of at most this size.
pub(super) async fn read_small(
    store: &dyn ObjectStore,
    key: &Key,
    most: u64,
) -> Result<Bytes, Error> {
    let found = store.get(key).await?;
    if found.meta.size > most {
        return Err(local(io::Error::other("it is too large")));
    }
    found.bytes().await
}

pub(super) async fn bounded<T>(
    key: &Key,
    limit: Duration,
    work: impl Future<Output = Result<T, Error>>,
    failed: impl FnOnce(String, Error) -> DepotError,
) -> Result<T, DepotError> {
    match timeout(limit, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(failed(key.to_string(), error)),
        Err(_) => Err(DepotError::Deadline(key.to_string())),
    }
}

fn piece() -> usize {
    usize::try_from(PIECE).unwrap_or(usize::MAX)
}

pub(super) fn local(error: io::Error) -> Error {
    Error::Generic {
        store: "depot",
        source: Box::new(error),
    }
}

/// Where bytes are put that somebody reads in another thread.
pub(super) struct Feed(mpsc::Sender<Option<Bytes>>);

/// Reads what is fed. It fails if the feed is dropped before its end.
pub(super) struct Body {
    pieces: mpsc::Receiver<Option<Bytes>>,
    rest: Bytes,
    ended: bool,
}

pub(super) fn pipe() -> (Feed, Body) {
    let (sender, pieces) = mpsc::channel(1);
    let body = Body {
        pieces,
        rest: Bytes::new(),
        ended: false,
    };
    (Feed(sender), body)
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() && !self.ended {
            match self.pieces.blocking_recv() {
                Some(Some(piece)) => self.rest = piece,
                Some(None) => self.ended = true,
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let count = buffer.len().min(self.rest.len());
        let piece = self.rest.split_to(count);
        if let Some(place) = buffer.get_mut(..count) {
            place.copy_from_slice(&piece);
        }
        Ok(count)
    }
}
