//! Accepting connections of one listening socket on one worker. In: the socket and the address it is
//! known by. Out: a task per connection. Errors are sorted: those of one connection are skipped,
//! pressure makes it pause, and others end it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lateen_routing::CompiledListener;
use tokio::net::{TcpListener, TcpStream};

use crate::connection::serve;
use crate::decide::Addresses;
use crate::socket;
use crate::worker::Context;

/// How long to leave the backlog alone when descriptors or memory ran out.
const PRESSURE_PAUSE: Duration = Duration::from_millis(20);

/// Runs until it is aborted. `key` is the address under which the listener is configured.
pub async fn accept(context: Arc<Context>, listener: TcpListener, key: SocketAddr) {
    let fixed = listener.local_addr().ok().filter(|local| !local.ip().is_unspecified());
    let mut pressed = false;
    let mut full = false;
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                pressed = false;
                full = tell_if_full(&context, full, key);
                start(&context, stream, socket::unmapped(remote), fixed, key);
            }
            Err(error) => match fault(&error) {
                Fault::Connection => {}
                Fault::Pressure => {
                    // It tries again many times a second, which is not worth as many lines.
                    if !std::mem::replace(&mut pressed, true) {
                        tracing::warn!(address = %key, %error, "cannot accept connections, pausing");
                    }
                    tokio::time::sleep(PRESSURE_PAUSE).await;
                }
                Fault::Socket => {
                    tracing::error!(address = %key, %error, "accepts no more connections");
                    return;
                }
            },
        }
    }
}

/// Says it once when connections begin to be reset for their number, and again only after a tenth of
/// them have ended.
fn tell_if_full(context: &Context, was_full: bool, key: SocketAddr) -> bool {
    let limit = context.shared.max_connections;
    let active = context.active.load(Ordering::Relaxed);
    let full = active >= if was_full { limit - limit / 10 } else { limit };
    if full && !was_full {
        tracing::warn!(
            address = %key,
            limit,
            "too many connections, more are reset: raise the hard limit of open files (ulimit -Hn)"
        );
    }
    full
}

fn start(
    context: &Arc<Context>,
    stream: TcpStream,
    remote: SocketAddr,
    fixed: Option<SocketAddr>,
    key: SocketAddr,
) {
    let config = context.shared.config.load();
    let Some(bound) = config.bound.get(&key) else {
        // Its listener was removed a moment ago.
        socket::reset_on_close(&stream);
        return;
    };
    if context.active.load(Ordering::Relaxed) >= context.shared.max_connections {
        bound.counters.open();
        bound.counters.close(0, 0, true);
        socket::reset_on_close(&stream);
        return;
    }
    let local = fixed.or_else(|| stream.local_addr().ok().map(socket::unmapped));
    let Some(local) = local else { return };
    let original = original(&bound.compiled, &stream, local, key);
    let addresses = Addresses { remote, local, original };
    // Owned by the worker: its runtime is dropped at the drain deadline and takes them with it.
    drop(tokio::spawn(serve(context.clone(), bound.clone(), stream, addresses)));
}

/// Where the client meant to go: as netfilter tells it, or as a transparent socket has it unchanged.
fn original(
    listener: &CompiledListener,
    stream: &TcpStream,
    local: SocketAddr,
    key: SocketAddr,
) -> Option<SocketAddr> {
    let told = || socket::original_destination(stream, local);
    let unchanged = || (listener.transparent && local.port() != key.port()).then_some(local);
    listener.reads_original_dst.then(|| told().or_else(unchanged)).flatten()
}

/// What an error of accept(2) is about.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    /// The connection that was about to be accepted.
    Connection,
    /// Descriptors or memory, of which there may be more later.
    Pressure,
    /// The listening socket, for good.
    Socket,
}

fn fault(error: &io::Error) -> Fault {
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => Fault::Pressure,
        Some(libc::EBADF | libc::EFAULT | libc::EINVAL | libc::ENOTSOCK | libc::EOPNOTSUPP)
        | None => Fault::Socket,
        // accept(2) passes the network errors of the new connection on, and there are many.
        Some(_) => Fault::Connection,
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::os::fd::AsRawFd;

    use super::{Fault, fault};

    #[tokio::test]
    async fn errors_of_the_socket_are_told_from_pressure_and_lost_connections() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        // SAFETY: the descriptor is open for the call.
        assert_eq!(unsafe { libc::shutdown(listener.as_raw_fd(), libc::SHUT_RDWR) }, 0);
        assert_eq!(fault(&listener.accept().await.unwrap_err()), Fault::Socket);
        for (number, expected) in
            [(libc::EMFILE, Fault::Pressure), (libc::ECONNABORTED, Fault::Connection)]
        {
            assert_eq!(fault(&io::Error::from_raw_os_error(number)), expected);
        }
    }
}
