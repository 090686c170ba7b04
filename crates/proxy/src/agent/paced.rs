//! A page that is sent as it is read. In: its pieces, which are made when they are asked for. Out: a body that has one
//! of them in memory, and breaks off when its reader takes nothing for a while.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::task::AtomicWaker;
use hyper::body::{Body, Frame};
use tokio::time::{Instant, Sleep};

use super::server::Error;

/// Pieces that may be on their way.
const AT_ONCE: usize = 1;
/// How long a reader may take none of them.
const PATIENCE: Duration = Duration::from_secs(5);

pub struct Paced<P> {
    pieces: P,
    way: Arc<Way>,
    patience: Pin<Box<Sleep>>,
}

/// What is on its way to the reader.
#[derive(Default)]
struct Way {
    pieces: AtomicUsize,
    sender: AtomicWaker,
}

/// One piece, which is off its way when the connection has let go of it.
struct Piece {
    bytes: Vec<u8>,
    way: Arc<Way>,
}

impl<P> Paced<P> {
    pub fn new(pieces: P) -> Self {
        let patience = Box::pin(tokio::time::sleep(PATIENCE));
        Self { pieces, way: Arc::default(), patience }
    }
}

impl<P: Iterator<Item = Vec<u8>> + Unpin> Body for Paced<P> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.way.sender.register(context.waker());
        if self.way.pieces.load(Ordering::Acquire) >= AT_ONCE {
            ready!(self.patience.as_mut().poll(context));
            return Poll::Ready(Some(Err("the page's reader takes nothing".into())));
        }
        let Some(bytes) = self.pieces.next() else { return Poll::Ready(None) };
        self.patience.as_mut().reset(Instant::now() + PATIENCE);
        let way = self.way.clone();
        way.pieces.fetch_add(1, Ordering::AcqRel);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(Piece { bytes, way })))))
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.way.pieces.fetch_sub(1, Ordering::AcqRel);
        self.way.sender.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;

    use super::{AT_ONCE, PATIENCE, Paced};

    #[tokio::test(start_paused = true)]
    async fn a_piece_is_made_when_an_earlier_one_has_been_read() {
        let mut page = Paced::new((0..5_u8).map(|number| vec![number]));
        let mut held = Vec::new();
        for _ in 0..AT_ONCE {
            held.push(page.frame().await.unwrap().unwrap().into_data().unwrap());
        }
        let (next, ()) = tokio::join!(page.frame(), async {
            tokio::time::sleep(PATIENCE - Duration::from_millis(1)).await;
            held.remove(0);
        });
        assert_eq!(next.unwrap().unwrap().into_data().unwrap()[..], [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_that_nobody_reads_breaks_off() {
        let mut page = Paced::new(std::iter::repeat_with(|| vec![0; 9]));
        let mut held = Vec::new();
        let broken = loop {
            match page.frame().await.unwrap() {
                Ok(frame) => held.push(frame),
                Err(error) => break error,
            }
        };
        assert_eq!(held.len(), AT_ONCE);
        assert!(broken.to_string().contains("takes nothing"), "{broken}");
    }
}
