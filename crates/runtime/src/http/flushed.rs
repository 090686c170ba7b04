//! When an answer has left. In: a stream, and what lasts until everything that is written there has been taken. Out: the
//! stream.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::crowd::Busy;

pub struct Flushed<S> {
    stream: S,
    sending: Sending,
}

/// What goes on on a connection until it is flushed.
#[derive(Clone, Default)]
pub struct Sending(Arc<Mutex<Option<Busy>>>);

impl<S> Flushed<S> {
    pub fn new(stream: S) -> (Self, Sending) {
        let sending = Sending::default();
        (Self { stream, sending: sending.clone() }, sending)
    }
}

impl Sending {
    pub fn until_flushed(&self, busy: Busy) {
        *self.busy() = Some(busy);
    }

    fn busy(&self) -> MutexGuard<'_, Option<Busy>> {
        self.0.lock().expect("no panic while it is held")
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Flushed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Flushed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// It is called when the writer has nothing left.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        let sent = self.sending.busy().take();
        drop(sent);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
