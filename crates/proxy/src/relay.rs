//! Moving bytes between two connected sockets until both directions ended. In: the streams and the
//! time limits. Out: how many bytes went each way and why it ended. An idle pair holds no buffer.

mod direction;
mod pipe;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::error::{DataError, Kind};
use crate::traffic::Meter;
use direction::{Direction, Fault};

/// Limits of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub idle: Option<Duration>,
    pub total: Option<Duration>,
}

/// A pair of streams and how far they have come. It is read when it is dropped unfinished, too.
pub struct Relay {
    pub downstream: TcpStream,
    pub upstream: TcpStream,
    request: Direction,
    response: Direction,
    /// Why the upstream takes no more; what it has said already is still passed on.
    broken: Option<Box<DataError>>,
    /// Where its bytes are counted while it goes on.
    meter: Option<Meter>,
}

impl Relay {
    pub fn new(downstream: TcpStream, upstream: TcpStream, meter: Option<Meter>) -> Self {
        let (request, response) = Default::default();
        Self { downstream, upstream, request, response, broken: None, meter }
    }

    pub fn meter(&self) -> Option<&Meter> {
        self.meter.as_ref()
    }

    /// Bytes that were sent on, from and to the downstream peer.
    pub fn moved(&self) -> (u64, u64) {
        (self.request.moved(), self.response.moved())
    }

    /// The upstream's end was passed on, with all that came before it.
    pub fn response_is_done(&self) -> bool {
        self.response.is_done()
    }

    /// Runs until both directions ended, each with the other side told of the end of the bytes.
    pub async fn run(&mut self, limits: Limits) -> Result<(), DataError> {
        let start = Instant::now();
        let mut last = start;
        let deadline = |last: Instant| {
            let idle = limits.idle.map(|idle| last + idle);
            let total = limits.total.map(|total| start + total);
            idle.into_iter().chain(total).min()
        };
        let Some(first) = deadline(start) else {
            return poll_fn(|cx| self.poll(cx)).await;
        };
        let sleep = tokio::time::sleep_until(first);
        tokio::pin!(sleep);
        poll_fn(|cx| {
            let before = self.moved();
            if let Poll::Ready(result) = self.poll(cx) {
                return Poll::Ready(result);
            }
            if before != self.moved() {
                last = Instant::now();
            }
            while sleep.as_mut().poll(cx).is_ready() {
                let now = Instant::now();
                match deadline(last) {
                    Some(next) if next > now => sleep.as_mut().reset(next),
                    _ => return Poll::Ready(Err(expired(limits, start, now))),
                }
            }
            Poll::Pending
        })
        .await
    }

    fn poll(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Result<(), DataError>> {
        let before = self.moved();
        let polled = self.advance(cx);
        let after = self.moved();
        if let Some(meter) = self.meter.as_ref().filter(|_| after != before) {
            meter.add(after.0 - before.0, after.1 - before.1);
        }
        polled
    }

    fn advance(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Result<(), DataError>> {
        if self.broken.is_some() {
            return self.poll_rest(cx);
        }
        let Self { downstream, upstream, request, response, .. } = self;
        let request_done = match request.poll(cx, downstream, upstream, response.is_done()) {
            Poll::Ready(Err(fault @ Fault::Write(_))) if !response.is_done() => {
                self.broken = Some(Box::new(fault.told(Kind::DownstreamReset)));
                return self.poll_rest(cx);
            }
            Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault.told(Kind::DownstreamReset))),
            polled => polled.is_ready(),
        };
        let response_done = match response.poll(cx, upstream, downstream, request.is_done()) {
            Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault.told(Kind::UpstreamReset))),
            polled => polled.is_ready(),
        };
        if request_done && response_done { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Passes on the rest of the response. What the client still sends is read away: closing with
    /// unread bytes would be a reset, which could overtake the response.
    fn poll_rest(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Result<(), DataError>> {
        let Self { downstream, upstream, response, broken, .. } = self;
        // An error here is the same end again; the first one is the reason.
        let rest = response.poll(cx, upstream, downstream, false);
        discard(cx, downstream);
        match rest {
            Poll::Pending => Poll::Pending,
            Poll::Ready(_) => Poll::Ready(Err(*broken.take().expect("only called when broken"))),
        }
    }
}

fn discard(cx: &mut std::task::Context<'_>, stream: &mut TcpStream) {
    let mut scratch = [0; 4096];
    loop {
        let mut buffer = ReadBuf::new(&mut scratch);
        let polled = Pin::new(&mut *stream).poll_read(cx, &mut buffer);
        if !matches!(polled, Poll::Ready(Ok(()))) || buffer.filled().is_empty() {
            return;
        }
    }
}

fn expired(limits: Limits, start: Instant, now: Instant) -> DataError {
    match limits.total {
        Some(total) if now >= start + total => {
            DataError::new(Kind::MaxDuration, "the connection reached its longest duration")
        }
        _ => DataError::new(Kind::IdleTimeout, "no bytes went either way for the idle timeout"),
    }
}

impl Fault {
    /// `reader` is the kind if the side that is read from broke.
    fn told(self, reader: Kind) -> DataError {
        let (kind, error): (Kind, io::Error) = match (self, reader) {
            (Self::Read(error), kind) => (kind, error),
            (Self::Write(error), Kind::DownstreamReset) => (Kind::UpstreamReset, error),
            (Self::Write(error), _) => (Kind::DownstreamReset, error),
        };
        DataError::io(kind, &error)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::{Kind, Limits, Relay};

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn an_upstream_that_answered_and_takes_no_more_is_still_heard() {
        let ((mut client, downstream), (upstream, mut server)) = (pair().await, pair().await);
        server.write_all(b"too large").await.unwrap();
        server.set_zero_linger().unwrap();
        drop(server);
        client.write_all(b"more").await.unwrap();
        // All of it is known before the relay looks: the request is tried first.
        downstream.readable().await.unwrap();
        let writable = tokio::io::Interest::WRITABLE;
        while !upstream.ready(writable).await.unwrap().is_write_closed() {
            tokio::task::yield_now().await;
        }
        upstream.readable().await.unwrap();
        let mut relay = Relay::new(downstream, upstream, None);
        let limits = Limits { idle: None, total: None };
        let error = relay.run(limits).await.unwrap_err();
        assert_eq!(error.kind, Kind::UpstreamReset);
        assert!(relay.response_is_done());
        drop(relay);
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "too large");
    }
}
