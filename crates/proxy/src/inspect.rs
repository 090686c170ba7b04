//! A look at the first bytes of a connection, which stay in the socket for whoever takes it. In: an
//! accepted stream. Out: whether it begins with a TLS ClientHello, and what that asks for.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd};

use lateen_routing::hello::{Progress, read};
use lateen_routing::{FirstBytes, Inspection};
use nix::sys::socket::{MsgFlags, recv};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::error::{DataError, Kind};

/// Enough for nearly every ClientHello, and the most that one may have (Envoy's limit is of this order
/// too: post-quantum key shares have a few KiB).
const USUAL: usize = 2048;
const LONGEST: usize = 16 * 1024;

/// Waits for the first bytes, as long as the listener says.
pub async fn inspect(stream: &TcpStream, rule: Inspection) -> Result<FirstBytes, DataError> {
    let reading = first_bytes(stream);
    let Some(timeout) = rule.timeout else { return reading.await };
    match tokio::time::timeout(timeout, reading).await {
        Ok(done) => done,
        Err(_) if rule.continues => Ok(FirstBytes::Plain),
        Err(_) => {
            let cause = format!("no whole TLS ClientHello came within {timeout:?}");
            Err(DataError::new(Kind::NoFilterChain, cause))
        }
    }
}

async fn first_bytes(stream: &TcpStream) -> Result<FirstBytes, DataError> {
    let failed = |error: io::Error| DataError::io(Kind::DownstreamReset, &error);
    let copy = again(stream).map_err(failed)?;
    let mut buffer = vec![0; USUAL];
    let mut before = 0;
    loop {
        let ready = copy.ready(Interest::READABLE).await.map_err(failed)?;
        let ended = ready.is_read_closed();
        let count =
            match copy.try_io(Interest::READABLE, || peek(&copy, &mut buffer, before, ended)) {
                Ok(0) => return Ok(FirstBytes::Plain),
                Ok(count) => count,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
                {
                    continue;
                }
                Err(error) => return Err(failed(error)),
            };
        match read(&buffer[..count]) {
            Progress::Done(found) => return Ok(found),
            Progress::More if count == LONGEST => {
                let cause = format!("the TLS ClientHello has more than {LONGEST} bytes");
                return Err(DataError::new(Kind::NoFilterChain, cause));
            }
            Progress::More if count == buffer.len() => buffer.resize(LONGEST, 0),
            Progress::More if ended => return Ok(FirstBytes::Plain),
            Progress::More => before = count,
        }
    }
}

/// The same socket, registered once more: what is known of the stream's own readiness must stay true,
/// as the bytes that are seen here are still to be read there.
fn again(stream: &TcpStream) -> io::Result<TcpStream> {
    let copy = stream.as_fd().try_clone_to_owned()?;
    TcpStream::from_std(std::net::TcpStream::from(copy))
}

/// What has arrived. As long as that is no more than before and more may come, it "would block", so
/// that the kernel's next event is waited for.
fn peek(stream: &TcpStream, buffer: &mut [u8], before: usize, ended: bool) -> io::Result<usize> {
    let count = recv(stream.as_raw_fd(), buffer, MsgFlags::MSG_PEEK)?;
    let same = count > 0 && count == before && !ended;
    if same { Err(ErrorKind::WouldBlock.into()) } else { Ok(count) }
}
