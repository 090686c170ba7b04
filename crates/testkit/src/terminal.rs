//! A program on a terminal of its own. In: a command. Out: what it printed there, keys pressed on it, and the
//! terminal's going away.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::fcntl::OFlag;
use nix::libc;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, setsid};

use crate::journal::{Journal, Log};
use crate::process::hear_signals;

pub const CTRL_C: &str = "\x03";
const PAUSE: Duration = Duration::from_millis(10);

/// The program is the leader of the terminal's session, as a shell would be.
pub struct Terminal {
    name: String,
    child: Child,
    /// `None` after it went away.
    screen: Option<File>,
    log: Log,
    status: Option<ExitStatus>,
}

impl Terminal {
    pub fn spawn(name: &str, command: &mut Command) -> Result<Terminal> {
        let (screen, program_side) = open().context("making a terminal")?;
        let share = || program_side.try_clone().context("sharing the terminal");
        command.stdin(share()?).stdout(share()?).stderr(share()?);
        // SAFETY: all of these are async-signal-safe and touch no memory of the parent.
        unsafe {
            command.pre_exec(|| {
                setsid()?;
                hear_signals()?;
                match libc::ioctl(0, libc::TIOCSCTTY, 0) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
        let child = command.spawn().with_context(|| format!("starting {name}: {command:?}"))?;
        // The command must not keep the program's side open beyond the program.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let log = Journal::current().log(name);
        Ok(Terminal { name: name.to_owned(), child, screen: Some(screen), log, status: None })
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id fits in 31 bits")
    }

    /// What is on the screen, with plain line ends.
    pub fn text(&self) -> String {
        self.log.text().replace('\r', "")
    }

    pub fn press(&mut self, keys: &str) -> Result<()> {
        let screen = self.screen.as_mut().context("the terminal is gone")?;
        Ok(screen.write_all(keys.as_bytes())?)
    }

    /// Closes the terminal, as closing its window or losing its connection does.
    pub fn hang_up(&mut self) {
        self.read();
        self.screen = None;
    }

    pub fn wait_for(&mut self, needle: &str, within: Duration) -> Result<()> {
        let start = Instant::now();
        while !self.text().contains(needle) {
            if let Some(status) = self.poll()? {
                bail!("{} ended with {status} before it printed {needle:?}", self.name);
            }
            if start.elapsed() > within {
                bail!("{} did not print {needle:?} within {within:?}", self.name);
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// The exit code; a death by signal N counts as 128 + N, as in a shell.
    pub fn exit_code(&mut self, within: Duration) -> Result<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.poll()? {
                let signal = status.signal().map(|signal| 128 + signal);
                return status.code().or(signal).context("neither an exit code nor a signal");
            }
            if start.elapsed() > within {
                bail!("{} has not ended within {within:?}", self.name);
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn poll(&mut self) -> Result<Option<ExitStatus>> {
        self.read();
        if self.status.is_none() {
            self.status = self.child.try_wait()?;
            self.read();
        }
        Ok(self.status)
    }

    /// An error is what the last program's end looks like from here.
    fn read(&mut self) {
        let Some(screen) = &mut self.screen else { return };
        let mut buffer = [0; 4096];
        loop {
            match screen.read(&mut buffer) {
                Ok(count @ 1..) => self.log.push(&String::from_utf8_lossy(&buffer[..count])),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => return,
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.status.is_none() {
            // Best effort: the test has failed, or ended it otherwise.
            let _ = kill(Pid::from_raw(self.pid()), Signal::SIGTERM);
            if self.exit_code(Duration::from_secs(10)).is_err() {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
    }
}

/// Our side and the program's. Neither is inherited by what other tests start meanwhile: that would keep
/// the terminal from going away.
fn open() -> Result<(File, File)> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let ours = posix_openpt(flags)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let path = ptsname_r(&ours)?;
    let mut options = File::options();
    let theirs = options.read(true).write(true).custom_flags(libc::O_NOCTTY).open(path)?;
    Ok((File::from(OwnedFd::from(ours)), theirs))
}

#[cfg(test)]
mod tests {
    use super::{CTRL_C, Terminal};
    use std::process::Command;
    use std::time::Duration;

    const SOON: Duration = Duration::from_secs(5);

    fn shell(script: &str) -> Terminal {
        Terminal::spawn("shell", Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn ctrl_c_interrupts_and_the_end_of_the_terminal_hangs_up() {
        let script = "trap 'echo int; exit 7' INT; echo started; while :; do sleep 0.1; done";
        let mut terminal = shell(script);
        terminal.wait_for("started", SOON).unwrap();
        terminal.press(CTRL_C).unwrap();
        assert_eq!(terminal.exit_code(SOON).unwrap(), 7);
        assert!(terminal.text().contains("int\n"), "{}", terminal.text());
        let mut terminal = shell("echo started; sleep 600");
        terminal.wait_for("started", SOON).unwrap();
        terminal.hang_up();
        assert_eq!(terminal.exit_code(SOON).unwrap(), 128 + 1);
    }
}
