//! The moment at which a server has answered an identity: the first byte that it sends on a
//! connection. It is in the server's certificate that the identity's authorities are meant, and a
//! server sends nothing before it has judged the client's.

use std::io;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::dial::Boxed;
use super::identity::Identity;

/// Says whether the server behind an identity is the one that is meant.
type Judge = Box<dyn Fn(&Identity) -> Result<(), String> + Send + Sync>;

/// Who is asked when an identity has reached its server.
#[derive(Default)]
pub(super) struct Hook(OnceLock<Judge>);

impl Hook {
    /// Only the first one counts.
    pub(super) fn set(&self, judge: Judge) {
        drop(self.0.set(judge));
    }

    /// Everything is right where nobody judges.
    pub(super) fn judge(&self, identity: &Identity) -> Result<(), String> {
        self.0.get().map_or(Ok(()), |judge| judge(identity))
    }
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Hook").field(&self.0.get().is_some()).finish()
    }
}

/// Asked once for a connection; an error ends it.
type Told = Box<dyn FnOnce() -> Result<(), String> + Send>;

/// A connection that tells of its first byte before it passes it on.
pub(super) struct Reaching {
    stream: Boxed,
    told: Option<Told>,
}

impl Reaching {
    /// `told` may take the time of a write to the disk: it happens once for each change of
    /// authorities, and until then nothing is to go on.
    pub(super) fn new(
        stream: Boxed,
        told: impl FnOnce() -> Result<(), String> + Send + 'static,
    ) -> Self {
        Self { stream, told: Some(Box::new(told)) }
    }
}

impl AsyncRead for Reaching {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before
            && let Some(told) = self.told.take()
        {
            told().map_err(io::Error::other)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Reaching {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
