//! The program of a workload: started inside the namespace, with its own resolver configuration, and
//! watched to its end.
//!
//! In: a command, a network namespace, a file for `/etc/resolv.conf`. Out: how it ended. It shares
//! our process group, so the terminal treats it as if it had been started without us.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};

use lateen_runtime::descriptors;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, getpgid, getpgrp};
use tokio::sync::oneshot;

use super::overlay::{Guard, Mounts};
use super::signals::Received;

/// How the program ended, or why it could not begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Code(u8),
    Signal(Signal),
    NotStarted { code: u8, message: String },
}

/// A running program.
pub(super) struct Program {
    pid: Pid,
    /// False once it has ended, while its id is not yet free for another process.
    alive: Arc<Mutex<bool>>,
    ended: oneshot::Receiver<Ended>,
}

/// Everything that a start needs.
pub(super) struct Start {
    pub(super) command: Vec<OsString>,
    pub(super) netns: OwnedFd,
    pub(super) resolv_conf: PathBuf,
}

/// Starts the program; `Err` is how `lateen run` has to end when it cannot be started.
pub(super) async fn start(start: Start) -> Result<Program, Ended> {
    let (began, begun) = oneshot::channel();
    let (end, ended) = oneshot::channel();
    let alive = Arc::new(Mutex::new(true));
    let watched = alive.clone();
    // The kernel kills the program when the thread that started it ends (PR_SET_PDEATHSIG), so this
    // thread does nothing else and stays until the program has ended.
    let thread = std::thread::Builder::new().name("program".into()).spawn(move || {
        let child = match spawn(&start) {
            Ok(child) => child,
            Err(error) => return drop(began.send(Err(not_started(&start.command[0], &error)))),
        };
        let _guard = guard(&child, &start.resolv_conf);
        // Nobody listens any more only if the process is ending.
        let _ = began.send(Ok(pid_of(&child)));
        let _ = end.send(wait(child, &watched));
    });
    if let Err(error) = thread {
        return Err(Ended::NotStarted {
            code: 126,
            message: format!("cannot start a thread: {error}"),
        });
    }
    match begun.await {
        Ok(Ok(pid)) => Ok(Program { pid, alive, ended }),
        Ok(Err(ended)) => Err(ended),
        Err(_) => {
            Err(Ended::NotStarted { code: 126, message: "the program's thread failed".into() })
        }
    }
}

impl Program {
    pub(super) async fn ended(&mut self) -> Ended {
        (&mut self.ended).await.expect("the program's thread reports before it ends")
    }

    /// Hands on a signal, unless the terminal has given it to the program already. When the terminal goes
    /// away only the leader of its session is told, which may be us.
    pub(super) fn forward(&self, received: Received) {
        let alive = self.alive.lock().expect("nothing panics with the flag in hand");
        let to_group = received.by_terminal && received.signal != Signal::SIGHUP;
        let has_it = to_group && getpgid(Some(self.pid)) == Ok(getpgrp());
        if *alive && !has_it {
            // It may have ended since; then there is nobody to tell.
            let _ = kill(self.pid, received.signal);
        }
    }
}

/// A program that has ended already needs none.
fn guard(child: &Child, resolv_conf: &Path) -> Option<Guard> {
    let guard = Guard::start(pid_of(child), resolv_conf.to_owned());
    guard.inspect_err(|error| tracing::debug!(%error, "nobody looks after resolv.conf")).ok()
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

/// Waits without reaping first, so that no signal is ever sent to a reused process id.
fn wait(mut child: Child, alive: &Mutex<bool>) -> Ended {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    while waitid(Id::Pid(pid_of(&child)), flags) == Err(nix::Error::EINTR) {}
    *alive.lock().expect("nothing panics with the flag in hand") = false;
    child.wait().map_or(Ended::Code(1), ended_as)
}

fn ended_as(status: ExitStatus) -> Ended {
    match status.signal().map(Signal::try_from) {
        Some(Ok(signal)) => Ended::Signal(signal),
        // A real-time signal has no name here.
        Some(Err(_)) => Ended::Code(128 + status.signal().unwrap_or(0) as u8),
        None => Ended::Code(status.code().unwrap_or(1) as u8),
    }
}

/// The shell's codes: 127 for what is not there, 126 for what cannot be executed.
fn not_started(program: &OsString, error: &io::Error) -> Ended {
    let program = program.to_string_lossy();
    match error.kind() {
        io::ErrorKind::NotFound => Ended::NotStarted {
            code: 127,
            message: format!(
                "{program}: no such program (or the interpreter that it names is missing)"
            ),
        },
        _ => Ended::NotStarted {
            code: 126,
            message: format!("{program} cannot be executed: {error}"),
        },
    }
}

fn spawn(start: &Start) -> io::Result<Child> {
    let (program, arguments) = start.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments);
    let mounts = Mounts::new(&start.resolv_conf)?;
    let found = descriptors::found();
    let (netns, parent) = (start.netns.as_raw_fd(), std::process::id());
    // SAFETY: between fork and exec only async-signal-safe calls are made, on values prepared before.
    unsafe {
        command.pre_exec(move || {
            enter(BorrowedFd::borrow_raw(netns))?;
            mounts.make()?;
            if let Some(found) = found {
                found.restore()?;
            }
            die_with_parent(parent)
        });
    }
    command.spawn()
}

/// Moves the calling (forked) process into a network namespace.
pub(super) fn enter(netns: BorrowedFd<'_>) -> io::Result<()> {
    Ok(nix::sched::setns(netns, nix::sched::CloneFlags::CLONE_NEWNET)?)
}

/// Has the kernel kill the calling (forked) process when the thread that forked it ends.
pub(super) fn die_with_parent(parent: u32) -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    // The parent may have died just before.
    if nix::unistd::getppid() != Pid::from_raw(parent.cast_signed()) {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    Ok(())
}
