//! Keeps child processes running: one that ends is started again while the others go on. In: how to
//! start each. Out: their logs in files (warnings and errors on standard error too), and an orderly stop.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lateen_runtime::rotated::{LIMIT, Rotated};
use lateen_runtime::tasks::{Exit, Supervisor, Tasks};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};

use crate::output::{note, printable};

/// A child that ran at least this long is started again at once; a shorter life backs off.
const HEALTHY_LIFE: Duration = Duration::from_secs(10);
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LAST_BACKOFF: Duration = Duration::from_secs(5);
/// How long the log of a child that ended is read on.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// The longest line of a child's log that is kept whole.
const MAX_LINE: usize = 16 << 10;

/// How to start one child.
pub struct ChildSpec {
    pub name: &'static str,
    /// Arguments after the program's own name.
    pub args: Vec<String>,
    /// Descriptors that the child inherits under their own numbers, each with the variable that says which.
    pub fds: Vec<(&'static str, Arc<OwnedFd>)>,
    pub log: PathBuf,
    /// How long it may take to end after SIGTERM.
    pub stop_within: Duration,
}

/// A child that is kept running until [`Kept::stop`].
pub struct Kept {
    supervisor: Supervisor,
    stop_within: Duration,
}

impl Kept {
    /// Must be called from the thread that lives as long as the process: the kernel ends the child
    /// with the thread that started it (`PR_SET_PDEATHSIG`).
    pub fn start(spec: ChildSpec) -> Result<Self> {
        let log = Rotated::open(spec.log.clone(), LIMIT)
            .with_context(|| format!("cannot open {}", spec.log.display()))?;
        let child = spawn(&spec)?;
        let supervisor = Supervisor::new();
        let (tasks, stop_within) = (supervisor.tasks(), spec.stop_within);
        tasks.essential(spec.name, keep(spec, child, log, supervisor.tasks()));
        Ok(Self { supervisor, stop_within })
    }

    /// Resolves only if the child is looked after no longer, which must not be.
    pub async fn failed(&mut self) -> Exit {
        self.supervisor.first_exit().await
    }

    /// Ends the child with SIGTERM, after its time with SIGKILL, and waits for it.
    pub async fn stop(self) {
        // Twice its time and a little is all that the child is given.
        self.supervisor.stop(self.stop_within * 2 + LAST_WORDS * 2).await;
    }
}

async fn keep(spec: ChildSpec, mut child: Child, mut log: Rotated, tasks: Tasks) -> Result<()> {
    let mut backoff = FIRST_BACKOFF;
    loop {
        let started = Instant::now();
        let Life { status, was_told } = live(&spec, &mut child, &mut log, &tasks).await?;
        if was_told {
            return Ok(());
        }
        backoff = next_backoff(backoff, started.elapsed());
        note(format_args!("{} {}, starting it again", spec.name, describe(status)));
        child = match respawn(&spec, backoff, &tasks).await {
            Some(child) => child,
            None => return Ok(()),
        };
    }
}

fn next_backoff(last: Duration, lived: Duration) -> Duration {
    if lived >= HEALTHY_LIFE {
        Duration::ZERO
    } else {
        (last * 2).clamp(FIRST_BACKOFF, LAST_BACKOFF)
    }
}

async fn respawn(spec: &ChildSpec, mut backoff: Duration, tasks: &Tasks) -> Option<Child> {
    loop {
        tokio::select! {
            () = tokio::time::sleep(backoff) => {}
            () = tasks.stopping() => return None,
        }
        match spawn(spec) {
            Ok(child) => return Some(child),
            Err(error) => note(format_args!("{error:#}")),
        }
        backoff = next_backoff(backoff, Duration::ZERO);
    }
}

/// How one life of a child ended.
struct Life {
    status: std::io::Result<ExitStatus>,
    was_told: bool,
}

/// Copies the child's log until it ends, or is told to.
async fn live(
    spec: &ChildSpec,
    child: &mut Child,
    log: &mut Rotated,
    tasks: &Tasks,
) -> std::io::Result<Life> {
    let stderr = child.stderr.take();
    let copy = copy_log(spec.name, stderr, log);
    // Far away until the child is told to stop.
    let deadline = tokio::time::sleep(Duration::from_secs(1 << 30));
    tokio::pin!(copy, deadline);
    let (mut copied, mut was_told) = (false, false);
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            () = &mut copy, if !copied => copied = true,
            () = tasks.stopping(), if !was_told => {
                was_told = true;
                terminate(child);
                deadline.as_mut().reset(tokio::time::Instant::now() + spec.stop_within);
            }
            () = &mut deadline, if was_told => {
                note(format_args!("{} did not end in {:?}, killing it", spec.name, spec.stop_within));
                child.start_kill()?;
                deadline.as_mut().reset(tokio::time::Instant::now() + spec.stop_within);
            }
        }
    };
    if !copied {
        // Its last words, which may say why it died; nobody else holds the pipe for long.
        let _ = tokio::time::timeout(LAST_WORDS, copy).await;
    }
    Ok(Life { status, was_told })
}

fn terminate(child: &Child) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // It may have ended by itself in between: then there is nothing to signal.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
}

async fn copy_log(name: &str, stderr: Option<ChildStderr>, log: &mut Rotated) {
    let Some(stderr) = stderr else { return };
    let mut reader = BufReader::with_capacity(MAX_LINE, stderr);
    loop {
        let chunk = match reader.fill_buf().await {
            Ok(chunk) if !chunk.is_empty() => chunk,
            _ => return,
        };
        // A line longer than the buffer is cut into several.
        let end = chunk.iter().position(|byte| *byte == b'\n').map_or(chunk.len(), |at| at + 1);
        let line = String::from_utf8_lossy(&chunk[..end]).into_owned();
        reader.consume(end);
        // A full disk loses log lines, never the process.
        let _ = log.append(line.as_bytes());
        if concerns_the_user(&line) {
            note(format_args!("{name}: {}", printable(line.trim_end())));
        }
    }
}

/// Warnings and errors of tracing's text format, which are `TIME LEVEL …`, and a panic's first line. What
/// comes after may be anybody's words.
fn concerns_the_user(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    let is_time = |word: &str| word.starts_with(|first: char| first.is_ascii_digit());
    let level = words.next().filter(|word| is_time(word)).and_then(|_| words.next());
    let is_panic = line.starts_with("thread '") && line.contains("panicked at");
    matches!(level, Some("WARN" | "ERROR")) || is_panic
}

fn spawn(spec: &ChildSpec) -> Result<Child> {
    let program = std::env::current_exe().context("cannot find the lateen binary itself")?;
    let mut command = Command::new(program);
    command.args(&spec.args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    for (variable, fd) in &spec.fds {
        command.env(variable, fd.as_raw_fd().to_string());
    }
    let fds: Vec<RawFd> = spec.fds.iter().map(|(_, fd)| fd.as_raw_fd()).collect();
    let parent = nix::unistd::getpid();
    // SAFETY: the closure runs between fork and exec and makes only async-signal-safe system calls.
    unsafe {
        command.pre_exec(move || prepare_child(&fds, parent));
    }
    command.kill_on_drop(true);
    command.spawn().with_context(|| format!("cannot start {}", spec.name))
}

fn prepare_child(fds: &[RawFd], parent: Pid) -> std::io::Result<()> {
    nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
    nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?;
    if nix::unistd::getppid() != parent {
        // The supervisor is gone. An error with words of its own would allocate.
        return Err(nix::errno::Errno::ESRCH.into());
    }
    for fd in fds {
        // SAFETY: the descriptors are held open by the spec for as long as the child is spawned.
        let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(*fd) };
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
    }
    Ok(())
}

fn describe(status: std::io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => format!("ended ({status})"),
        Err(error) => format!("was lost ({error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_healthy_life_resets_the_backoff() {
        assert_eq!(next_backoff(LAST_BACKOFF, HEALTHY_LIFE), Duration::ZERO);
        assert_eq!(next_backoff(Duration::ZERO, Duration::ZERO), FIRST_BACKOFF);
        assert_eq!(next_backoff(FIRST_BACKOFF, Duration::ZERO), FIRST_BACKOFF * 2);
        assert_eq!(next_backoff(LAST_BACKOFF, Duration::ZERO), LAST_BACKOFF);
    }

    #[test]
    fn warnings_are_shown_and_chatter_is_not() {
        assert!(concerns_the_user("2026-01-01T00:00:00Z  WARN gateway port taken"));
        assert!(concerns_the_user("2026-01-01T00:00:00Z ERROR task failed"));
        assert!(concerns_the_user("thread 'main' (7) panicked at src/main.rs:1:2:"));
        assert!(!concerns_the_user("2026-01-01T00:00:00Z  INFO pushed"));
        assert!(!concerns_the_user(
            "2026-01-01T00:00:00Z  INFO no route for host \" WARN ERROR \""
        ));
        assert!(!concerns_the_user("said: panicked at ERROR WARN "));
    }
}
