//! Moving bytes between two connected sockets until both directions ended. In: the streams and the
//! time limits. Out: how many bytes went each way and why it ended. An idle pair holds no buffer.

mod direction;
mod pipe;

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::error::{DataError, Kind};
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
}

impl Relay {
    pub fn new(downstream: TcpStream, upstream: TcpStream) -> Self {
        Self { downstream, upstream, request: Direction::default(), response: Direction::default() }
    }

    /// Bytes that were sent on, from and to the downstream peer.
    pub fn moved(&self) -> (u64, u64) {
        (self.request.moved(), self.response.moved())
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
        let Self { downstream, upstream, request, response } = self;
        let request_done = match request.poll(cx, downstream, upstream, response.is_done()) {
            Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault.told(Kind::DownstreamReset))),
            polled => polled.is_ready(),
        };
        let response_done = match response.poll(cx, upstream, downstream, request.is_done()) {
            Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault.told(Kind::UpstreamReset))),
            polled => polled.is_ready(),
        };
        if request_done && response_done { Poll::Ready(Ok(())) } else { Poll::Pending }
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
