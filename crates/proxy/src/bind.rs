//! Listening sockets in the proxy's network namespace. In: an address. Out: one socket per worker.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::sched::{CloneFlags, setns};

use crate::socket;

/// The kernel cuts it to `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// Makes listening sockets on a thread of its own, since a namespace belongs to a thread. `shared`: this
/// process may have the address already.
pub fn listen(
    netns: Option<&Arc<OwnedFd>>,
    address: SocketAddr,
    backlog: Option<u32>,
    count: usize,
    shared: bool,
) -> io::Result<Vec<TcpListener>> {
    let backlog = backlog.unwrap_or(BACKLOG);
    let Some(netns) = netns.cloned() else {
        return socket::listen(address, backlog, count, shared);
    };
    let binder = std::thread::Builder::new().name("bind".into()).spawn(move || {
        enter(&netns)?;
        socket::listen(address, backlog, count, shared)
    })?;
    binder.join().unwrap_or_else(|_| Err(io::Error::other("the binding thread panicked")))
}

/// Moves the calling thread into a network namespace.
pub fn enter(netns: &OwnedFd) -> io::Result<()> {
    setns(netns, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)
}
