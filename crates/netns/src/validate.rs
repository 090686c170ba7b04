//! Whether connections of this network namespace are captured. In: where they should arrive. Out: `Ok` when
//! one that was meant for a port where nobody listens arrived there, with the way it was meant to go; this is
//! Istio's check, for pods whose rules somebody else lays.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::{Ip6tOriginalDst, OriginalDst, SendTimeout};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, getsockopt, setsockopt,
    socket,
};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::{Uid, setfsuid};

const RETRY: Duration = Duration::from_millis(200);

/// What is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Where captured connections arrive.
    pub ports: [u16; 2],
    /// Where nobody listens.
    pub probe_port: u16,
    /// The proxy's: of what stays inside, only its own connections are captured.
    pub uid: u32,
    pub ipv6: bool,
    pub patience: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum ValidateError {
    #[error("cannot listen on any of {0}: check that no proxy runs in this pod yet")]
    Listen(String),
    #[error("cannot try as user {0}: run as that user, or as root")]
    User(u32),
    #[error("a trial socket failed: {0}")]
    Socket(#[from] io::Error),
    #[error(
        "a connection to {target} did not reach {listeners} within {patience:?}: check that rules were laid in this pod, by an init container or the node's agent"
    )]
    NotCaptured { target: SocketAddr, listeners: String, patience: Duration },
}

/// Blocks for at most the patience.
pub fn validate(trial: &Trial) -> Result<(), ValidateError> {
    // The user is changed for one thread only.
    let outcome = thread::scope(|scope| scope.spawn(|| attempt(trial)).join());
    outcome.expect("the trial does not panic")
}

fn attempt(trial: &Trial) -> Result<(), ValidateError> {
    let addresses = trial.listeners();
    let text = addresses.map(|address| address.to_string()).join(" and ");
    let listeners: Vec<TcpListener> =
        addresses.iter().filter_map(|address| TcpListener::bind(address).ok()).collect();
    if listeners.is_empty() {
        return Err(ValidateError::Listen(text));
    }
    for listener in &listeners {
        listener.set_nonblocking(true)?;
    }
    become_user(trial.uid)?;
    let begin = Instant::now();
    while begin.elapsed() < trial.patience {
        // Refused or lost is the same: it was not captured yet.
        let dialled = dial(trial);
        if dialled.is_ok() && arrived(trial, &listeners)? {
            return Ok(());
        }
        thread::sleep(RETRY);
    }
    let (target, patience) = (trial.target(), trial.patience);
    Err(ValidateError::NotCaptured { target, listeners: text, patience })
}

impl Trial {
    fn listeners(&self) -> [SocketAddr; 2] {
        self.ports.map(|port| match self.ipv6 {
            true => (Ipv6Addr::LOCALHOST, port).into(),
            false => (Ipv4Addr::LOCALHOST, port).into(),
        })
    }

    /// On loopback, and not the address that programs call themselves by.
    fn target(&self) -> SocketAddr {
        match self.ipv6 {
            true => (Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 6), self.probe_port).into(),
            false => (Ipv4Addr::new(127, 0, 0, 6), self.probe_port).into(),
        }
    }

    fn source(&self) -> SocketAddr {
        match self.ipv6 {
            true => (Ipv6Addr::LOCALHOST, 0).into(),
            false => (Ipv4Addr::LOCALHOST, 0).into(),
        }
    }
}

/// The user by which the kernel takes sockets of this thread to be owned, see setfsuid(2).
fn become_user(uid: u32) -> Result<(), ValidateError> {
    let wanted = Uid::from_raw(uid);
    setfsuid(wanted);
    // It answers who it was before, also when it refuses.
    if setfsuid(wanted) == wanted { Ok(()) } else { Err(ValidateError::User(uid)) }
}

fn dial(trial: &Trial) -> io::Result<TcpStream> {
    let target = trial.target();
    let family = if target.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&fd, SendTimeout, &TimeVal::seconds(1))?;
    bind(fd.as_raw_fd(), &SockaddrStorage::from(trial.source()))?;
    connect(fd.as_raw_fd(), &SockaddrStorage::from(target))?;
    Ok(fd.into())
}

/// Whether what was dialled is at one of the listeners, with its own port to be read.
fn arrived(trial: &Trial, listeners: &[TcpListener]) -> Result<bool, ValidateError> {
    let mut fds: Vec<PollFd<'_>> =
        listeners.iter().map(|listener| PollFd::new(listener.as_fd(), PollFlags::POLLIN)).collect();
    poll(&mut fds, PollTimeout::from(1000u16)).map_err(io::Error::from)?;
    for listener in listeners {
        while let Ok((stream, _)) = listener.accept() {
            if original_port(&stream, trial.ipv6) == Some(trial.probe_port) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn original_port(stream: &TcpStream, ipv6: bool) -> Option<u16> {
    let port = match ipv6 {
        true => getsockopt(stream, Ip6tOriginalDst).ok()?.sin6_port,
        false => getsockopt(stream, OriginalDst).ok()?.sin_port,
    };
    Some(u16::from_be(port))
}
