//! Accepting connections of one listening socket on one worker. In: the socket and the address it is
//! known by. Out: a task per connection. Errors are sorted: those of one connection are skipped,
//! pressure makes it pause.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

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
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => start(&context, stream, remote, fixed, key),
            Err(error) if is_connection_error(&error) => {}
            Err(error) => {
                tracing::warn!(address = %key, %error, "cannot accept connections, pausing");
                tokio::time::sleep(PRESSURE_PAUSE).await;
            }
        }
    }
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
    let Some(local) = fixed.or_else(|| stream.local_addr().ok()) else { return };
    let original = bound
        .compiled
        .reads_original_dst
        .then(|| socket::original_destination(&stream, local))
        .flatten();
    let addresses = Addresses { remote, local, original };
    // Owned by the worker: its runtime is dropped at the drain deadline and takes them with it.
    drop(tokio::spawn(serve(context.clone(), bound.clone(), stream, addresses)));
}

/// Errors of the connection that was about to be accepted, not of the socket (accept(2)).
fn is_connection_error(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNABORTED
                | libc::ECONNRESET
                | libc::EINTR
                | libc::EPERM
                | libc::EPROTO
                | libc::ENETDOWN
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
                | libc::ENETUNREACH
        )
    )
}
