//! Listening sockets: a Unix one that only its owner may open, whose file has mode 0600 from its first moment, and a TCP
//! one with a long queue. In: where. Out: a listener.

use std::fs::{File, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket};

/// Connections that may wait to be accepted, as many as the standard library lets wait.
const BACKLOG: u32 = 128;
/// The same of a port that every pod can reach: what does not fit comes again after a second, which is as long as a
/// probe waits. The kernel has a bound of its own (`net.core.somaxconn`, 4096).
pub const OPEN_BACKLOG: u32 = 4096;

/// A stale socket at `path` is replaced. Must be called within a runtime.
///
/// # Errors
/// What the system says of the path.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = UnixSocket::new_stream()?;
    // Linux gives the file the mode of the socket, less the umask: narrowed before the file is there.
    File::from(socket.as_fd().try_clone_to_owned()?)
        .set_permissions(Permissions::from_mode(0o600))?;
    socket.bind(path)?;
    socket.listen(BACKLOG)
}

/// Listens on a port that every pod can reach. Must be called within a runtime.
///
/// # Errors
/// What the system says of the address.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(OPEN_BACKLOG)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::bind;

    #[tokio::test]
    async fn a_socket_is_its_owners_alone_and_takes_a_stale_ones_place() {
        let path = std::env::temp_dir().join(format!("lateen-socket-{}", std::process::id()));
        for _ in 0..2 {
            drop(bind(&path).unwrap());
            let mode = path.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        std::fs::remove_file(path).unwrap();
    }
}
