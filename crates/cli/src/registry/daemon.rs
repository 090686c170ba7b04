//! The running daemons of a node. In: a runtime's program and its settings file. Out: the process that reads
//! this file, its command line, and whether it started before the file was changed.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, getuid, sysconf};

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
        trusted(program).find(|daemon| match daemon.named(flags, file) {
            None => is_same_place(&daemon.sees(file), &root.join(file)),
            Some(named) => is_same(&daemon.sees(&named), &root.join(file)),
        })
    }

    /// The files that daemons of `program` read, which have this node's `file` before them, in place of it.
    pub fn other_files(root: &Root, program: &str, flags: &[&str], file: &str) -> Vec<String> {
        let other = |daemon: Daemon| {
            let named = daemon.named(flags, file)?;
            let is_other = !is_same(&daemon.sees(&named), &root.join(file));
            (is_other && is_same_place(&daemon.sees(file), &root.join(file))).then_some(named)
        };
        trusted(program).filter_map(other).collect()
    }

    /// Another file than `file` that one of `flags` names.
    fn named(&self, flags: &[&str], file: &str) -> Option<String> {
        flags.iter().find_map(|flag| self.value(flag)).filter(|named| named != file)
    }

    /// A path as the daemon sees it: one in a container or another root has files of its own.
    fn sees(&self, path: &str) -> PathBuf {
        Path::new(&format!("/proc/{}/root", self.pid)).join(path.trim_start_matches('/'))
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

/// Those that root has started, or who runs this: other people's processes call themselves what they like, and a runtime is
/// given credentials.
fn trusted(program: &str) -> impl Iterator<Item = Daemon> {
    let own = getuid().as_raw();
    let is_trusted =
        move |daemon: &Daemon| owner(daemon.pid).is_some_and(|it| [0, own].contains(&it));
    running(program).into_iter().filter(is_trusted)
}

/// The real user of a process: the owner of its folder is root's also where it only keeps its memory to itself.
fn owner(pid: i32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    users.split_whitespace().next()?.parse().ok()
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

/// Whether two paths lead to one file.
fn is_same(a: &Path, b: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    identity(a).is_some_and(|a| identity(b) == Some(a))
}

/// Whether one path, as two see it, leads both to one file, or to where there is no such file yet.
fn is_same_place(a: &Path, b: &Path) -> bool {
    match (a.exists(), b.exists()) {
        (true, true) => is_same(a, b),
        (false, false) => match (a.parent(), b.parent()) {
            (Some(a), Some(b)) => is_same_place(a, b),
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

    use super::{Daemon, getuid, is_same, is_same_place, owner, running};

    #[test]
    fn flags_have_values_in_both_forms() {
        let words = ["dockerd", "--config-file=/a", "-H", "unix:///b"];
        let daemon = Daemon { pid: 1, arguments: words.map(str::to_owned).to_vec() };
        assert_eq!(daemon.value("--config-file").as_deref(), Some("/a"));
        assert_eq!(daemon.value("-H").as_deref(), Some("unix:///b"));
        assert_eq!(daemon.value("--config"), None);
        let named = |file| daemon.named(&["--config-file"], file);
        assert_eq!((named("/b").as_deref(), named("/a")), (Some("/a"), None));
    }

    #[test]
    fn a_place_is_one_for_both_who_see_it_though_its_folder_is_not_there() {
        let dir = std::env::temp_dir().join(format!("lateen-place-{}", std::process::id()));
        let (a, b) = (dir.join("a"), dir.join("b"));
        for folder in [&a, &b] {
            std::fs::create_dir_all(folder).unwrap();
        }
        let file = |root: &Path| root.join("docker/daemon.json");
        let seen = file(&dir.join("b/../a"));
        assert!(is_same_place(&file(&a), &seen) && !is_same_place(&file(&a), &file(&b)));
        assert!(!is_same(&file(&a), &seen), "it is not there");
        std::fs::create_dir(a.join("docker")).unwrap();
        assert!(is_same_place(&file(&a), &seen) && !is_same_place(&file(&a), &file(&b)));
        std::fs::write(file(&a), "{}").unwrap();
        assert!(is_same(&file(&a), &seen));
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_process_is_found_and_knows_what_is_newer_than_it() {
        let me = std::env::current_exe().unwrap();
        let name = me.file_name().unwrap().to_str().unwrap().to_owned();
        let own = i32::try_from(std::process::id()).unwrap();
        let found = running(&name).into_iter().find(|daemon| daemon.pid == own).unwrap();
        assert_eq!(owner(own), Some(getuid().as_raw()));
        assert!(!found.is_older_than(&me), "a program is older than its process");
        assert!(!found.is_older_than(Path::new("/nonexistent")));
        let file = std::env::temp_dir().join(format!("lateen-daemon-{own}"));
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
        std::fs::File::create(&file).unwrap().set_modified(later).unwrap();
        assert!(found.is_older_than(&file));
        std::fs::remove_file(file).unwrap();
    }
}
