//! The running daemons of a node. In: a runtime's program and its settings file. Out: the process that reads
//! this file, its command line, and whether it started before the file was changed.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, sysconf};

use super::files::Root;

/// What a time since the boot and a time of day may differ by.
const TICKS: Duration = Duration::from_millis(50);

/// A process of a runtime.
#[derive(Debug, Clone)]
pub struct Daemon {
    pub pid: i32,
    pub arguments: Vec<String>,
}

impl Daemon {
    /// The daemon of `program` that reads the node's `file`, whose command line can name another file by one
    /// of `flags`.
    pub fn find(root: &Root, program: &str, flags: &[&str], file: &str) -> Option<Daemon> {
        running(program).into_iter().find(|daemon| {
            let named = flags.iter().find_map(|flag| daemon.value(flag));
            // As the daemon sees it: one in a container or another root has files of its own.
            let path = named.as_deref().unwrap_or(file).trim_start_matches('/');
            let theirs = Path::new(&format!("/proc/{}/root", daemon.pid)).join(path);
            same(&theirs, &root.join(file))
        })
    }

    /// The value of a flag: `--flag value` or `--flag=value`.
    pub fn value(&self, flag: &str) -> Option<String> {
        let mut words = self.arguments.iter();
        while let Some(word) = words.next() {
            if word == flag {
                return words.next().cloned();
            }
            if let Some(value) = word.strip_prefix(flag).and_then(|rest| rest.strip_prefix('=')) {
                return Some(value.to_owned());
            }
        }
        None
    }

    /// Tells the daemon to read its settings again.
    pub fn hang_up(&self) -> Result<()> {
        kill(Pid::from_raw(self.pid), Signal::SIGHUP)
            .with_context(|| format!("cannot signal process {}", self.pid))
    }

    /// Whether the file was changed after the daemon was started, as far as the kernel's clock tells.
    pub fn is_older_than(&self, file: &Path) -> bool {
        let changed = fs::metadata(file).ok().and_then(|metadata| metadata.modified().ok());
        match (started(self.pid), changed) {
            (Some(started), Some(changed)) => started + TICKS < changed,
            _ => false,
        }
    }
}

/// Processes by the name of their program.
pub fn running(program: &str) -> Vec<Daemon> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let daemon = |pid: i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        let arguments: Vec<String> =
            words.map(|word| OsStr::from_bytes(word).to_string_lossy().into_owned()).collect();
        let name = Path::new(arguments.first()?).file_name()?.to_str()?;
        (name == program).then_some(Daemon { pid, arguments })
    };
    pids.filter_map(daemon).collect()
}

/// Whether two paths lead to one file, or to one folder in which there is no such file.
fn same(a: &Path, b: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    match (identity(a), identity(b)) {
        (Some(a), Some(b)) => a == b,
        (None, None) => match (a.parent(), b.parent()) {
            (Some(a), Some(b)) => identity(a).is_some() && identity(a) == identity(b),
            _ => false,
        },
        _ => false,
    }
}

/// When a process was started (proc(5): field 22 counts ticks since the boot).
fn started(pid: i32) -> Option<SystemTime> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may have spaces.
    let ticks: u64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let hertz = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok()?;
    let since_boot = Duration::from_millis(ticks.checked_mul(1000)? / hertz);
    let up = fs::read_to_string("/proc/uptime").ok()?;
    let up = Duration::try_from_secs_f64(up.split_whitespace().next()?.parse().ok()?).ok()?;
    SystemTime::now().checked_sub(up.checked_sub(since_boot)?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Daemon, running};

    #[test]
    fn flags_have_values_in_both_forms() {
        let words = ["dockerd", "--config-file=/a", "-H", "unix:///b"];
        let daemon = Daemon { pid: 1, arguments: words.map(str::to_owned).to_vec() };
        assert_eq!(daemon.value("--config-file").as_deref(), Some("/a"));
        assert_eq!(daemon.value("-H").as_deref(), Some("unix:///b"));
        assert_eq!(daemon.value("--config"), None);
    }

    #[test]
    fn a_process_is_found_and_knows_what_is_newer_than_it() {
        let me = std::env::current_exe().unwrap();
        let name = me.file_name().unwrap().to_str().unwrap().to_owned();
        let own = i32::try_from(std::process::id()).unwrap();
        let found = running(&name).into_iter().find(|daemon| daemon.pid == own).unwrap();
        assert!(!found.is_older_than(&me), "a program is older than its process");
        assert!(!found.is_older_than(Path::new("/nonexistent")));
        let file = std::env::temp_dir().join(format!("lateen-daemon-{own}"));
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
        std::fs::File::create(&file).unwrap().set_modified(later).unwrap();
        assert!(found.is_older_than(&file));
        std::fs::remove_file(file).unwrap();
    }
}
