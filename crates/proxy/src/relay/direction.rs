//! One direction of a relay. In: readiness of two sockets. Out: bytes moved, the end passed on.
//!
//! Small exchanges go through a buffer that the thread's connections share: it is empty whenever a
//! poll returns. A direction that fills it goes over to splice(2) through a pipe that it borrows
//! while bytes are in flight.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::pipe::Pipe;

const BUFFER: usize = 64 * 1024;
/// Full buffers in a row that make a direction bulk.
const BULK_AFTER: u8 = 2;
/// Spliced chunks below this size, in a row, that end it.
const SMALL_CHUNK: usize = 16 * 1024;
const SMALL_AFTER: u8 = 8;

thread_local! {
    static SHARED: RefCell<Box<[u8]>> = RefCell::new(vec![0; BUFFER].into_boxed_slice());
}

#[derive(Debug, Default)]
pub struct Direction {
    moved: u64,
    /// What the receiver did not take.
    spill: Option<Box<Spill>>,
    pipe: Option<Pipe>,
    bulk: bool,
    /// A chunk was moved since others had their turn.
    had_turn: bool,
    streak: u8,
    stage: Stage,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    /// The sender ended; what is held has still to go.
    Ended,
    Done,
}

#[derive(Debug)]
struct Spill {
    bytes: Vec<u8>,
    at: usize,
}

/// Which side broke.
#[derive(Debug)]
pub enum Fault {
    Read(io::Error),
    Write(io::Error),
}

impl Direction {
    pub fn moved(&self) -> u64 {
        self.moved
    }

    pub fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Moves what can be moved. `last`: the other direction is done, so that closing says it all.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut TcpStream,
        to: &mut TcpStream,
        last: bool,
    ) -> Poll<Result<(), Fault>> {
        loop {
            if self.stage == Stage::Done {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_held(cx, to))?;
            if self.stage == Stage::Ended {
                if !last {
                    // It fails only if the peer is gone, which the other direction will find.
                    let _ = ready!(Pin::new(&mut *to).poll_shutdown(cx));
                }
                self.stage = Stage::Done;
            } else if self.bulk {
                ready!(self.poll_splice(cx, from))?;
            } else {
                ready!(self.poll_copy(cx, from, to))?;
            }
        }
    }

    /// Sends what is held in the spill or the pipe.
    fn poll_held(&mut self, cx: &mut Context<'_>, to: &mut TcpStream) -> Poll<Result<(), Fault>> {
        while let Some(spill) = &mut self.spill {
            let rest = &spill.bytes[spill.at..];
            let sent = ready!(Pin::new(&mut *to).poll_write(cx, rest)).map_err(Fault::Write)?;
            spill.at += sent;
            self.moved += sent as u64;
            if spill.at == spill.bytes.len() {
                self.spill = None;
            }
        }
        while let Some(pipe) = self.pipe.as_mut().filter(|pipe| pipe.held() > 0) {
            ready!(to.poll_write_ready(cx)).map_err(Fault::Write)?;
            match to.try_io(Interest::WRITABLE, || pipe.drain_to(to)) {
                Ok(sent) => self.moved += sent as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(Fault::Write(error))),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_copy(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut TcpStream,
        to: &mut TcpStream,
    ) -> Poll<Result<(), Fault>> {
        SHARED.with_borrow_mut(|shared| {
            let mut buffer = ReadBuf::new(shared);
            ready!(Pin::new(from).poll_read(cx, &mut buffer)).map_err(Fault::Read)?;
            let filled = buffer.filled();
            if filled.is_empty() {
                self.stage = Stage::Ended;
                return Poll::Ready(Ok(()));
            }
            self.note_copy(filled.len());
            let sent = match Pin::new(to).poll_write(cx, filled) {
                Poll::Ready(result) => result.map_err(Fault::Write)?,
                Poll::Pending => 0,
            };
            self.moved += sent as u64;
            if sent < filled.len() {
                let bytes = filled[sent..].to_vec();
                self.spill = Some(Box::new(Spill { bytes, at: 0 }));
            }
            Poll::Ready(Ok(()))
        })
    }

    fn note_copy(&mut self, size: usize) {
        self.streak = if size == BUFFER { self.streak + 1 } else { 0 };
        if self.streak >= BULK_AFTER {
            self.bulk = true;
            self.streak = 0;
        }
    }

    fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut TcpStream,
    ) -> Poll<Result<(), Fault>> {
        if std::mem::take(&mut self.had_turn) {
            // Others first: meanwhile more arrives, and fewer, larger chunks cost less.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if from.poll_read_ready(cx).map_err(Fault::Read)?.is_pending() {
            // Nothing to move for now: others may use the pipe.
            if let Some(pipe) = self.pipe.take() {
                pipe.give_back();
            }
            return Poll::Pending;
        }
        if self.pipe.is_none() {
            let Some(pipe) = Pipe::borrow() else {
                // No descriptor for a pipe: copying needs none.
                self.bulk = false;
                return Poll::Ready(Ok(()));
            };
            self.pipe = Some(pipe);
        }
        let pipe = self.pipe.as_mut().expect("borrowed above");
        match from.try_io(Interest::READABLE, || pipe.fill_from(from)) {
            Ok(0) => self.stage = Stage::Ended,
            Ok(size) => self.note_splice(size),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Poll::Ready(Err(Fault::Read(error))),
        }
        Poll::Ready(Ok(()))
    }

    /// Going back to copying must wait until the pipe is empty, which `poll_held` sees to.
    fn note_splice(&mut self, size: usize) {
        self.had_turn = true;
        self.streak = if size < SMALL_CHUNK { self.streak + 1 } else { 0 };
        if self.streak >= SMALL_AFTER {
            self.bulk = false;
            self.streak = 0;
        }
    }
}

impl Drop for Direction {
    fn drop(&mut self) {
        if let Some(pipe) = self.pipe.take() {
            pipe.give_back();
        }
    }
}
