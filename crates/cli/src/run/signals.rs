//! Signals to `lateen run`, with where they come from.
//!
//! In: the process's signals. Out: each as a value. Signal number and origin go through a pipe,
//! because a handler may do little else. A signal that was ignored at the start (nohup) stays ignored.

use std::io;
use std::os::fd::IntoRawFd;
use std::sync::atomic::{AtomicI32, Ordering};

use anyhow::{Context, Result};
use nix::fcntl::OFlag;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

/// What can be caught and means something to a program; job control stays the kernel's.
const FORWARDED: [Signal; 11] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
    Signal::SIGALRM,
    Signal::SIGCONT,
    Signal::SIGPWR,
    Signal::SIGIO,
];

/// The writing end for the handler; -1 before there is one.
static PIPE: AtomicI32 = AtomicI32::new(-1);

/// One signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) signal: Signal,
    /// Sent by the kernel, that is, by the terminal, to the whole foreground process group.
    pub(super) by_terminal: bool,
}

impl Received {
    /// Whether the sender wants the program to end.
    pub(super) fn asks_to_end(self) -> bool {
        matches!(self.signal, Signal::SIGHUP | Signal::SIGINT | Signal::SIGQUIT | Signal::SIGTERM)
    }
}

pub(super) struct Signals {
    reader: Receiver,
}

impl Signals {
    /// Takes over the process's signals. Must be called once, on a tokio runtime.
    pub(super) fn install() -> Result<Self> {
        let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
            .context("cannot make a pipe for signals")?;
        // Never closed: a handler may run until the very end of the process.
        PIPE.store(writer.into_raw_fd(), Ordering::SeqCst);
        for signal in FORWARDED {
            catch(signal).with_context(|| format!("cannot catch {signal}"))?;
        }
        let reader =
            Receiver::from_owned_fd(reader).context("cannot watch the pipe for signals")?;
        Ok(Signals { reader })
    }

    pub(super) async fn next(&mut self) -> Received {
        loop {
            let mut record = [0; 2];
            // Records are written whole, so one is read whole, and cancelling loses none.
            let read =
                self.reader.read(&mut record).await.expect("the writing end is never closed");
            if read == record.len()
                && let Ok(signal) = Signal::try_from(i32::from(record[0]))
            {
                return Received { signal, by_terminal: record[1] == 1 };
            }
        }
    }
}

fn catch(signal: Signal) -> nix::Result<()> {
    let action = SigAction::new(SigHandler::SigAction(note), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler only does what signal-safety(7) allows.
    let before = unsafe { sigaction(signal, &action)? };
    if matches!(before.handler(), SigHandler::SigIgn) {
        // SAFETY: puts back what was there.
        unsafe { sigaction(signal, &before)? };
    }
    Ok(())
}

/// Writes number and origin. A full pipe loses the signal, as a pending one would be merged.
extern "C" fn note(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    let saved = io::Error::last_os_error().raw_os_error().unwrap_or(0);
    // SAFETY: the kernel hands a valid siginfo to a handler installed with SA_SIGINFO.
    let by_terminal = !info.is_null() && unsafe { (*info).si_code } == libc::SI_KERNEL;
    let record = [signal as u8, u8::from(by_terminal)];
    // SAFETY: write(2) is async-signal-safe and the buffer lives on this stack; errno is restored.
    unsafe {
        libc::write(PIPE.load(Ordering::SeqCst), record.as_ptr().cast(), record.len());
        *libc::__errno_location() = saved;
    }
}

/// Ends this process as the signal would have: its parent sees the same cause of death. Returns if
/// the signal does not kill.
pub(super) fn die_of(signal: Signal) {
    // The program's core dump is enough.
    let _ = nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0);
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default action replaces a handler; nothing depends on it any more.
    if unsafe { sigaction(signal, &default) }.is_ok() {
        let mut set = SigSet::empty();
        set.add(signal);
        let _ = set.thread_unblock();
        let _ = nix::sys::signal::raise(signal);
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::{Signal, raise};

    use super::{Received, Signals};

    #[tokio::test]
    async fn a_signal_arrives_with_its_origin() {
        let mut signals = Signals::install().unwrap();
        raise(Signal::SIGUSR1).unwrap();
        let received = signals.next().await;
        assert_eq!(received, Received { signal: Signal::SIGUSR1, by_terminal: false });
        assert!(!received.asks_to_end());
    }
}
