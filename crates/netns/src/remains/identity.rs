//! A name for a network namespace that no other one ever has: the boot's id and the kernel's cookie.

use std::fmt::{Display, Formatter};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::ns::in_netns;

/// `SO_NETNS_COOKIE` of socket(7), which the libc crate does not have yet.
const SO_NETNS_COOKIE: libc::c_int = 71;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity(String);

impl Identity {
    /// `None` before Linux 5.14.
    pub fn of(namespace: &impl AsFd) -> Option<Self> {
        Self::of_fd(namespace.as_fd())
    }

    pub(super) fn of_fd(namespace: BorrowedFd<'_>) -> Option<Self> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let cookie = in_netns(namespace, cookie).ok()??;
        Some(Identity(format!("{} {cookie}", boot.trim())))
    }

    pub(super) fn parse(text: &str) -> Self {
        Identity(text.to_owned())
    }
}

impl Display for Identity {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Of the calling thread's namespace.
fn cookie() -> Option<u64> {
    let probe = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).ok()?;
    let mut cookie = 0u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to `cookie`, which has as many.
    let done = unsafe {
        libc::getsockopt(
            probe.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    (done == 0 && cookie != 0).then_some(cookie)
}
