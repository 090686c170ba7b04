//! The processes in one network namespace, from `/proc`. In: which namespace. Out: handles (pidfd) that
//! never mean another process, even if its id is used again.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use nix::sys::signal::Signal;

use super::Identity;
use crate::ns::Namespace;

/// Finds the processes of one namespace.
pub(super) struct Finder<'a> {
    place: Place<'a>,
    spared: &'a [u32],
}

enum Place<'a> {
    /// Its number, which stays its own while we hold it.
    Held(Number),
    Recorded(&'a Identity),
}

/// Device and inode of a namespace's file.
type Number = (u64, u64);

/// One process.
pub(super) struct Process {
    pub(super) pid: u32,
    handle: OwnedFd,
}

impl<'a> Finder<'a> {
    pub(super) fn held(namespace: &Namespace, spared: &'a [u32]) -> io::Result<Self> {
        let file = File::from(namespace.as_fd().try_clone_to_owned()?);
        Ok(Finder { place: Place::Held(number(&file.metadata()?)), spared })
    }

    pub(super) fn recorded(identity: &'a Identity) -> Self {
        Finder { place: Place::Recorded(identity), spared: &[] }
    }

    pub(super) fn find(&self) -> Vec<Process> {
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        let known = Known::default();
        let own = std::process::id();
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| *pid != own && !self.spared.contains(pid))
            .filter(|pid| self.has(*pid, &known))
            .filter_map(Process::open)
            // Looked at once more, now that the handle cannot mean another one.
            .filter(|process| self.has(process.pid, &known))
            .collect()
    }

    /// A zombie is in no namespace any more.
    fn has(&self, pid: u32, known: &Known) -> bool {
        let path = format!("/proc/{pid}/ns/net");
        let Ok(metadata) = fs::metadata(&path) else { return false };
        match self.place {
            Place::Held(wanted) => number(&metadata) == wanted,
            Place::Recorded(wanted) => known.is(&path, number(&metadata), wanted),
        }
    }
}

/// Namespaces that were looked into, kept open so that no number becomes another one's meanwhile.
#[derive(Default)]
struct Known(RefCell<HashMap<Number, (File, bool)>>);

impl Known {
    fn is(&self, path: &str, wanted: Number, identity: &Identity) -> bool {
        let mut known = self.0.borrow_mut();
        if let Some((_, answer)) = known.get(&wanted) {
            return *answer;
        }
        let Ok(file) = File::open(path) else { return false };
        let Ok(metadata) = file.metadata() else { return false };
        let answer = Identity::of_fd(file.as_fd()).as_ref() == Some(identity);
        known.insert(number(&metadata), (file, answer));
        answer
    }
}

fn number(metadata: &fs::Metadata) -> Number {
    (metadata.dev(), metadata.ino())
}

impl Process {
    fn open(pid: u32) -> Option<Self> {
        // SAFETY: pidfd_open(2) takes two numbers and answers with a new descriptor or -1.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0)?;
        // SAFETY: the kernel has just made it for us.
        Some(Process { pid, handle: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// One that has ended, or that we may not end, is found, or not, the next time.
    pub(super) fn signal(&self, signal: Signal) {
        let (fd, none) = (self.handle.as_raw_fd(), std::ptr::null::<libc::siginfo_t>());
        // SAFETY: pidfd_send_signal(2) reads nothing through the null pointer.
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal as libc::c_int, none, 0) };
    }
}
