//! One child process with captured output. In: a command. Out: a handle that waits, signals and
//! reads; when it goes out of scope the process is asked to end, then made to.

use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::unistd::Pid;

use crate::journal::{Journal, Log};
use crate::wait::{ensure, wait_until};

/// Makes signals do what they do by themselves: tests that run in a script's background, or under nohup, ignore some,
/// and what they start would too.
///
/// # Safety
/// Only between fork and exec.
pub(crate) unsafe fn hear_signals() -> nix::Result<()> {
    for heard in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT] {
        // SAFETY: it installs no handler.
        unsafe { signal(heard, SigHandler::SigDfl)? };
    }
    Ok(())
}

const GRACE: Duration = Duration::from_secs(10);

pub struct Process {
    name: String,
    child: Child,
    out: Log,
    err: Log,
    readers: Vec<JoinHandle<()>>,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` with both outputs captured. It ends with the thread that started it.
    pub fn spawn(name: &str, command: &mut Command) -> Result<Process> {
        // SAFETY: prctl and signal are async-signal-safe and touch no memory of the parent.
        unsafe {
            command.pre_exec(|| {
                hear_signals()?;
                Ok(set_pdeathsig(Signal::SIGTERM)?)
            });
        }
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {name}: {command:?}"))?;
        let journal = Journal::current();
        let (out, err) = (journal.log(name), journal.log(&format!("{name} (stderr)")));
        let readers = vec![
            capture(child.stdout.take().expect("stdout is piped"), out.clone()),
            capture(child.stderr.take().expect("stderr is piped"), err.clone()),
        ];
        Ok(Process { name: name.to_owned(), child, out, err, readers, status: None })
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id fits in 31 bits")
    }

    pub fn stdout(&self) -> String {
        self.out.text()
    }

    pub fn stderr(&self) -> String {
        self.err.text()
    }

    /// Writes to the program's standard input, which must have been piped.
    pub fn write_stdin(&mut self, text: &str) -> Result<()> {
        let stdin = self.child.stdin.as_mut().context("standard input is not piped")?;
        Ok(stdin.write_all(text.as_bytes())?)
    }

    /// Closes the program's standard input, if it was piped.
    pub fn close_stdin(&mut self) {
        self.child.stdin.take();
    }

    /// Waits until either output contains `needle`; fails early if the process has ended.
    pub fn wait_for(&mut self, needle: &str, within: Duration) -> Result<()> {
        let start = Instant::now();
        loop {
            let ended = self.poll()?;
            if self.stdout().contains(needle) || self.stderr().contains(needle) {
                return Ok(());
            }
            if let Some(status) = ended {
                bail!("{} ended with {status} before it printed {needle:?}", self.name);
            }
            if start.elapsed() > within {
                bail!("{} did not print {needle:?} within {within:?}", self.name);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(self.pid()), signal)
            .with_context(|| format!("sending {signal} to {}", self.name))
    }

    /// The exit status, if the process has ended. Its output is complete then.
    pub fn poll(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.child.try_wait()?;
            if self.status.is_some() {
                self.drain_readers();
            }
        }
        Ok(self.status)
    }

    pub fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        let name = self.name.clone();
        wait_until(&format!("the end of {name}"), within, || {
            self.poll()?.context("it is still running")
        })
    }

    /// The exit code; a death by signal N counts as 128 + N, as in a shell.
    pub fn exit_code(&mut self, within: Duration) -> Result<i32> {
        let status = self.wait(within)?;
        status
            .code()
            .or_else(|| status.signal().map(|signal| 128 + signal))
            .context("neither an exit code nor a signal")
    }

    /// Waits for the end and insists on success; returns what it printed.
    pub fn success(&mut self, within: Duration) -> Result<String> {
        let status = self.wait(within)?;
        let (name, err) = (&self.name, self.stderr());
        ensure(status.success(), || format!("{name}: {status}: {err}"))?;
        Ok(self.stdout())
    }

    /// SIGTERM, then waits for the end.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        if self.poll()?.is_none() {
            self.signal(Signal::SIGTERM)?;
        }
        self.wait(GRACE).with_context(|| format!("{} ignores SIGTERM", self.name))
    }

    /// SIGTERM, then insists on a successful end; returns what it printed.
    pub fn success_after_term(&mut self) -> Result<String> {
        self.stop()?;
        self.success(GRACE)
    }

    /// A grandchild that outlives the process may hold the pipes open, so this wait is bounded.
    fn drain_readers(&mut self) {
        let start = Instant::now();
        while self.readers.iter().any(|reader| !reader.is_finished())
            && start.elapsed() < Duration::from_millis(500)
        {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.readers.clear();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.stop().is_err() {
            // Best effort: the process may have ended in between.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn capture(mut from: impl Read + Send + 'static, log: Log) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            log.push(&String::from_utf8_lossy(&buffer[..count]));
        }
    })
}

/// The direct children of process `pid`, with their command lines.
pub fn children(pid: i32) -> Vec<(i32, Vec<String>)> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|child| child.parse().ok())
        .map(|child| (child, command_line(child)))
        .collect()
}

/// Resident memory of process `pid` in KiB.
pub fn resident_kib(pid: i32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    let number = line.split_whitespace().nth(1).context("no figure in VmRSS")?;
    Ok(number.parse()?)
}

fn command_line(pid: i32) -> Vec<String> {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    bytes
        .split(|&byte| byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Process, SigHandler, Signal, children, ensure, signal, wait_until};
    use std::process::Command;
    use std::time::Duration;

    const SOON: Duration = Duration::from_secs(5);

    fn shell(script: &str) -> Process {
        Process::spawn("shell", Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn captures_both_outputs_and_the_exit_code() {
        let mut process = shell("echo out; echo err >&2; exit 7");
        assert_eq!(process.exit_code(SOON).unwrap(), 7);
        assert_eq!((process.stdout().as_str(), process.stderr().as_str()), ("out\n", "err\n"));
    }

    #[test]
    fn what_a_scripts_background_ignores_is_heard() {
        // SAFETY: it installs no handler, and nothing here counts on SIGINT.
        let before = unsafe { signal(Signal::SIGINT, SigHandler::SigIgn) }.unwrap();
        let mut process = shell("kill -INT $$; echo deaf");
        // SAFETY: as above.
        unsafe { signal(Signal::SIGINT, before) }.unwrap();
        assert_eq!(process.exit_code(SOON).unwrap(), 128 + 2, "{}", process.stdout());
    }

    #[test]
    fn fails_at_once_when_the_process_ends_before_it_prints() {
        let error = shell("exit 3").wait_for("ready", Duration::from_secs(60)).unwrap_err();
        assert!(error.to_string().contains("before it printed"), "{error}");
    }

    #[test]
    fn stops_by_sigterm_and_lists_children() {
        let mut process = shell("sleep 60 & echo started; wait");
        process.wait_for("started", SOON).unwrap();
        // The shell has forked, and may not be the other program yet.
        let found = wait_until("the child", SOON, || {
            let found = children(process.pid());
            ensure(found.len() == 1 && found[0].1 == ["sleep", "60"], || format!("{found:?}"))?;
            Ok(found)
        });
        let found = found.unwrap();
        assert!(!process.stop().unwrap().success());
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(found[0].0), Signal::SIGKILL).unwrap();
    }
}
