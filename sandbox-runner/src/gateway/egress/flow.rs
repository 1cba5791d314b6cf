//! Bytes of a sandbox's connection: counted as they pass, and missed when none do.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The sandbox's end of a connection.
pub(super) struct Watched<S> {
    stream: S,
    passed: Arc<AtomicU64>,
    count: Count,
}

/// Is told what the sandbox sent and what it received.
pub(super) type Count = Box<dyn Fn(u64, u64) + Send + Sync>;

/// Tells when nothing has passed for long.
pub(super) struct Silence(Arc<AtomicU64>);

impl<S> Watched<S> {
    pub(super) fn new(stream: S, count: Count) -> (Self, Silence) {
        let passed = Arc::new(AtomicU64::new(0));
        let silence = Silence(Arc::clone(&passed));
        let watched = Self {
            stream,
            passed,
            count,
        };
        (watched, silence)
    }

    fn pass(&self, up: usize, down: usize) {
        if up + down > 0 {
            self.passed.fetch_add(1, Ordering::Relaxed);
            (self.count)(up as u64, down as u64);
        }
    }
}

impl Silence {
    /// Returns after at least `limit` without a byte, and at most twice that.
    pub(super) async fn of(&self, limit: Duration) {
        loop {
            let before = self.0.load(Ordering::Relaxed);
            tokio::time::sleep(limit).await;
            if self.0.load(Ordering::Relaxed) == before {
                return;
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.pass(buffer.filled().len().saturating_sub(before), 0);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.pass(0, written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, pieces))?;
        self.pass(0, written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
