//! Pipes for splice(2), pooled per thread. In: two sockets. Out: bytes moved within the kernel.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;
use tokio::net::TcpStream;

/// The kernel's limit for unprivileged pipes, and where larger ones stop to pay.
const CAPACITY: usize = 1 << 20;
/// Empty pipes that a thread keeps.
const POOLED: usize = 32;

thread_local! {
    static POOL: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

#[derive(Debug)]
pub struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    held: usize,
}

impl Pipe {
    /// `None` when the process has no descriptors left.
    pub fn borrow() -> Option<Self> {
        POOL.with_borrow_mut(Vec::pop).or_else(|| {
            let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).ok()?;
            // A smaller pipe works too, only slower.
            let _ = fcntl(&writer, FcntlArg::F_SETPIPE_SZ(CAPACITY as i32));
            Some(Self { reader, writer, held: 0 })
        })
    }

    /// Back to the pool; a pipe with bytes in it is closed. A thread that ends has no pool.
    pub fn give_back(self) {
        if self.held > 0 {
            return;
        }
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < POOLED {
                pool.push(self);
            }
        });
    }

    pub fn held(&self) -> usize {
        self.held
    }

    /// Takes what the socket has; the pipe must be empty, so that "would block" is the socket's.
    pub fn fill_from(&mut self, from: &TcpStream) -> io::Result<usize> {
        debug_assert_eq!(self.held, 0);
        let size = splice(from.as_raw_fd(), self.writer.as_raw_fd(), CAPACITY)?;
        self.held = size;
        Ok(size)
    }

    pub fn drain_to(&mut self, to: &TcpStream) -> io::Result<usize> {
        let size = splice(self.reader.as_raw_fd(), to.as_raw_fd(), self.held)?;
        self.held -= size;
        Ok(size)
    }
}

fn splice(from: i32, to: i32, length: usize) -> io::Result<usize> {
    let flags = libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK;
    // SAFETY: both descriptors are open for the call, and no offsets are passed.
    let moved = unsafe {
        libc::splice(from, std::ptr::null_mut(), to, std::ptr::null_mut(), length, flags)
    };
    usize::try_from(moved).map_err(|_| io::Error::last_os_error())
}
