//! Socket calls that std does not have. In: addresses and options. Out: descriptors and addresses.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lateen_routing::Keepalive;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// `SO_ORIGINAL_DST` and `IP6T_SO_ORIGINAL_DST` of netfilter have the same number.
const SO_ORIGINAL_DST: libc::c_int = 80;
/// Linux' `IP_BIND_ADDRESS_NO_PORT`: choose the port at connect, by the whole four-tuple.
const IP_BIND_ADDRESS_NO_PORT: libc::c_int = 24;

/// The kernel cuts it to `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// Ports for addresses of clients. Linux gives clients those above (`net.ipv4.ip_local_port_range`), and a
/// connection from the very port of another one of theirs to the same place would break that.
const FOREIGN_PORTS: Range<u16> = 10_240..32_768;
/// How many of them are tried before the kernel chooses.
const TRIES: usize = 64;

/// What a transparent socket lacks.
const NO_RIGHT: &str = "a transparent socket needs CAP_NET_ADMIN: run the proxy as root with that capability, \
                        or use interceptionMode REDIRECT";

/// How to listen.
#[derive(Clone, Copy, Debug)]
pub struct Listen {
    pub address: SocketAddr,
    pub backlog: Option<u32>,
    /// This process may have the address already.
    pub shared: bool,
    /// Also for connections to other machines' addresses (`IP_TRANSPARENT`).
    pub transparent: bool,
    /// On an IPv6 address: for IPv4 too, whose addresses are then mapped ones.
    pub ipv4_too: bool,
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin {
    pub source: Option<SocketAddr>,
    /// The source may be another machine's address (`IP_TRANSPARENT`).
    pub transparent: bool,
    pub mark: Option<u32>,
}

/// Listens with `SO_REUSEPORT`. A probe without it finds out first whether another process has the
/// address: with it, both would listen and each would get a part of the connections. There is no such
/// probe for an address that is shared with this process.
pub fn listen(wanted: &Listen, count: usize) -> io::Result<Vec<TcpListener>> {
    let socket = |reuse_port: bool, address: SocketAddr| -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(reuse_port)?;
        if address.is_ipv6() {
            socket.set_only_v6(!wanted.ipv4_too)?;
        }
        if wanted.transparent {
            set_transparent(&socket, address)?;
        }
        socket.bind(&address.into())?;
        Ok(socket)
    };
    let mut address = wanted.address;
    if address.port() != 0 && !wanted.shared {
        drop(socket(false, address)?);
    }
    let backlog = i32::try_from(wanted.backlog.unwrap_or(BACKLOG)).unwrap_or(i32::MAX);
    let mut listeners = Vec::with_capacity(count);
    for _ in 0..count {
        let socket = socket(true, address)?;
        // Accepted sockets inherit it.
        socket.set_tcp_nodelay(true)?;
        socket.listen(backlog)?;
        let listener = TcpListener::from(socket);
        address = listener.local_addr()?;
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Starts to connect. True: it is connected already.
pub fn start_connect(to: SocketAddr, from: &Origin) -> io::Result<(TcpStream, bool)> {
    if let Some(source) = from.source.filter(|source| from.transparent && source.port() == 0) {
        for port in foreign_ports().take(TRIES) {
            let source = Some(SocketAddr::new(source.ip(), port));
            match attempt(to, &Origin { source, ..*from }) {
                Err(error) if is_taken(&error) => {}
                other => return other,
            }
        }
    }
    attempt(to, from)
}

/// One after the other, so that each is used again as late as can be.
fn foreign_ports() -> impl Iterator<Item = u16> {
    static TURN: LazyLock<AtomicU64> =
        LazyLock::new(|| AtomicU64::new(RandomState::new().hash_one(())));
    std::iter::repeat_with(|| foreign_port(TURN.fetch_add(1, Ordering::Relaxed)))
}

fn foreign_port(turn: u64) -> u16 {
    let count = u64::from(FOREIGN_PORTS.end - FOREIGN_PORTS.start);
    let offset = u16::try_from(turn % count).expect("a remainder is less than the count of ports");
    FOREIGN_PORTS.start + offset
}

/// By another connection to the same place, which may have ended a moment ago.
fn is_taken(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EADDRINUSE | libc::EADDRNOTAVAIL))
}

fn attempt(to: SocketAddr, from: &Origin) -> io::Result<(TcpStream, bool)> {
    let socket = Socket::new(
        Domain::for_address(to),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    socket.set_tcp_nodelay(true)?;
    if from.transparent {
        set_transparent(&socket, to)?;
        // One port for connections to several places.
        socket.set_reuse_address(true)?;
    }
    if let Some(mark) = from.mark {
        socket.set_mark(mark)?;
    }
    if let Some(source) = from.source {
        if source.port() == 0 {
            set_option(&socket, libc::IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)?;
        }
        socket.bind(&source.into())?;
    }
    let connected = match socket.connect(&to.into()) {
        Ok(()) => true,
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => false,
        Err(error) => return Err(error),
    };
    Ok((socket.into(), connected))
}

/// Turns keepalive probes on, with the kernel's defaults for what is not given.
pub fn keep_alive(socket: &impl AsFd, keepalive: Keepalive) -> io::Result<()> {
    SockRef::from(socket).set_keepalive(true)?;
    let options = [
        (libc::TCP_KEEPCNT, keepalive.probes),
        (libc::TCP_KEEPIDLE, keepalive.time),
        (libc::TCP_KEEPINTVL, keepalive.interval),
    ];
    for (name, value) in options {
        if let Some(value) = value.and_then(|value| value.try_into().ok()) {
            set_option(socket, libc::IPPROTO_TCP, name, value)?;
        }
    }
    Ok(())
}

/// Makes close send a reset.
pub fn reset_on_close(socket: &impl AsFd) {
    // It fails only when the socket is gone already, and then nothing is left to reset.
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

/// An IPv4 address as such, which a socket for both families has as an IPv6 address.
pub fn unmapped(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip if ip.is_ipv4() => SocketAddr::new(ip, address.port()),
        _ => address,
    }
}

/// The address that the client dialled before netfilter redirected it here; `None` if it was not.
pub fn original_destination(socket: &impl AsFd, local: SocketAddr) -> Option<SocketAddr> {
    let level = if local.is_ipv4() { libc::SOL_IP } else { libc::SOL_IPV6 };
    let mut storage = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into `storage`, which is that large.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            SO_ORIGINAL_DST,
            storage.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return None;
    }
    // SAFETY: zeroed at first and then written by the kernel as a socket address; both pointers
    // point to plain memory of at least the size that is read.
    let address = unsafe {
        let storage = storage.assume_init();
        match i32::from(storage.ss_family) {
            libc::AF_INET => v4((&raw const storage).cast::<libc::sockaddr_in>().read()),
            libc::AF_INET6 => v6((&raw const storage).cast::<libc::sockaddr_in6>().read()),
            _ => return None,
        }
    };
    (address != local).then_some(address)
}

fn v4(raw: libc::sockaddr_in) -> SocketAddr {
    let ip = std::net::Ipv4Addr::from(u32::from_be(raw.sin_addr.s_addr));
    SocketAddr::from((ip, u16::from_be(raw.sin_port)))
}

fn v6(raw: libc::sockaddr_in6) -> SocketAddr {
    let ip = std::net::Ipv6Addr::from(raw.sin6_addr.s6_addr);
    SocketAddr::from((ip, u16::from_be(raw.sin6_port)))
}

fn set_transparent(socket: &impl AsFd, address: SocketAddr) -> io::Result<()> {
    let (level, name) = match address {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_TRANSPARENT),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_TRANSPARENT),
    };
    set_option(socket, level, name, 1).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            io::Error::new(io::ErrorKind::PermissionDenied, NO_RIGHT)
        }
        _ => error,
    })
}

fn set_option(socket: &impl AsFd, level: i32, name: i32, value: libc::c_int) -> io::Result<()> {
    // SAFETY: `value` lives through the call and its size is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpStream};

    use super::{FOREIGN_PORTS, Listen, foreign_port, listen, unmapped};

    #[test]
    fn a_socket_of_both_families_has_ipv4_addresses_as_such() {
        let address: SocketAddr = "[::]:0".parse().unwrap();
        let wanted =
            Listen { address, backlog: None, shared: false, transparent: false, ipv4_too: true };
        let listeners = listen(&wanted, 1).unwrap();
        listeners[0].set_nonblocking(false).unwrap();
        let port = listeners[0].local_addr().unwrap().port();
        for ip in ["127.0.0.1", "[::1]"] {
            let to: SocketAddr = format!("{ip}:{port}").parse().unwrap();
            let client = TcpStream::connect(to).unwrap();
            let (stream, remote) = listeners[0].accept().unwrap();
            assert_eq!(unmapped(remote), client.local_addr().unwrap());
            assert_eq!(unmapped(stream.local_addr().unwrap()), to);
        }
    }

    #[test]
    fn every_port_for_clients_addresses_has_its_turn_and_no_other() {
        let count = u64::try_from(FOREIGN_PORTS.len()).unwrap();
        let turns: Vec<u16> = (5 * count..6 * count).map(foreign_port).collect();
        assert_eq!(turns, FOREIGN_PORTS.collect::<Vec<_>>());
    }
}
