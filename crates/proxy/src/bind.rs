//! Sockets in the proxy's network namespace. In: an address. Out: one listening socket per worker, or whatever
//! else is made there.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::sched::{CloneFlags, setns};

use crate::socket::{self, Listen};

/// Makes listening sockets.
pub fn listen(
    netns: Option<&Arc<OwnedFd>>,
    wanted: Listen,
    count: usize,
) -> io::Result<Vec<TcpListener>> {
    within(netns, move || socket::listen(&wanted, count))
}

/// Does something there, on a thread of its own, since a namespace belongs to a thread.
pub fn within<T: Send + 'static>(
    netns: Option<&Arc<OwnedFd>>,
    what: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let Some(netns) = netns.cloned() else { return what() };
    let binder = std::thread::Builder::new().name("bind".into()).spawn(move || {
        enter(&netns)?;
        what()
    })?;
    binder.join().unwrap_or_else(|_| Err(io::Error::other("the binding thread panicked")))
}

/// Moves the calling thread into a network namespace.
pub fn enter(netns: &OwnedFd) -> io::Result<()> {
    setns(netns, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)
}
