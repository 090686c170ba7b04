//! How many descriptors this process may have open. In: the limits that it was started with. Out: the soft
//! one raised to the hard one, as Go programs do for themselves; the old one back for the programs that
//! it starts, which may rely on it (select(2)); and how many connections fit.

use std::io;
use std::sync::OnceLock;

/// One part in so many, and at least [`FEWEST`], is kept for what is no connection's: listeners, logs, the
/// runtime's own, and the pipes of splicing, which goes on by copying where it gets none.
const KEPT: u64 = 16;
const FEWEST: u64 = 64;
/// Both sides of a connection.
const PER_CONNECTION: u64 = 2;

static FOUND: OnceLock<u64> = OnceLock::new();

/// The soft limit that the process was started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found(u64);

impl Found {
    /// Puts it back, in a forked process before it executes another program; async-signal-safe.
    ///
    /// # Errors
    /// What the system says.
    pub fn restore(self) -> io::Result<()> {
        let limit = get()?;
        set(libc::rlimit { rlim_cur: self.0.min(limit.rlim_max), ..limit })
    }
}

/// Raises the soft limit to the hard one. Where that cannot be, it stays and the log tells.
pub fn raise() {
    let raised = get().and_then(|limit| {
        FOUND.get_or_init(|| limit.rlim_cur);
        set(libc::rlimit { rlim_cur: limit.rlim_max, ..limit })
    });
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files cannot be raised: see ulimit -n");
    }
}

/// `None` before [`raise`].
pub fn found() -> Option<Found> {
    FOUND.get().copied().map(Found)
}

/// How many connections fit under the limit as it is now, for each of `workers`.
pub fn connections(workers: usize) -> usize {
    get().map_or(usize::MAX, |limit| fitting(limit.rlim_cur, workers))
}

fn fitting(limit: u64, workers: usize) -> usize {
    let others = (limit / KEPT).max(FEWEST);
    let all = usize::try_from(limit.saturating_sub(others) / PER_CONNECTION).unwrap_or(usize::MAX);
    (all / workers.max(1)).max(1)
}

fn get() -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: getrlimit(2) writes to the value that it is given.
    match unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } {
        0 => Ok(limit),
        _ => Err(io::Error::last_os_error()),
    }
}

fn set(limit: libc::rlimit) -> io::Result<()> {
    // SAFETY: setrlimit(2) reads the value that it is given.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::fitting;

    #[test]
    fn connections_follow_the_limit_and_are_never_none() {
        assert_eq!(fitting(1024, 1), 480);
        assert_eq!(fitting(1024, 2), 240);
        assert!(fitting(20_000, 1) > 9000);
        assert_eq!(fitting(10, 4), 1);
        assert!(fitting(u64::MAX, 8) > 500_000);
    }
}
