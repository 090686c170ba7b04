//! What a program leaves running in its workload's network namespace, and the end of it.
//!
//! In: the namespace, or the record of one whose `lateen run` was killed. Out: no process in it. Only
//! what is certainly in that namespace is ended: it is known by the descriptor that we hold, or by the
//! cookie that the kernel gave it (`SO_NETNS_COOKIE`, Linux 5.14), which is used once in a boot; its inode
//! number is used again at once. A process that has left the namespace is not ours to end.

mod identity;
mod processes;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use lateen_runtime::process::ProcessId;
use nix::sys::signal::Signal;

use crate::ns::Namespace;
pub use identity::Identity;
use processes::Finder;

/// How long processes may take to end after SIGTERM, as long as a sidecar may drain.
pub const GRACE: Duration = Duration::from_secs(5);
/// How long the kernel may take after SIGKILL.
const FORCE: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(20);
const EXTENSION: &str = "netns";

/// How many processes are in the namespace, but for those in `spared`.
pub fn count(namespace: &Namespace, spared: &[u32]) -> usize {
    Finder::held(namespace, spared).map_or(0, |finder| finder.find().len())
}

/// SIGTERM, after `grace` SIGKILL, to every process in the namespace but those in `spared`. Blocks until
/// they are gone; false if some are not.
pub fn end(namespace: &Namespace, spared: &[u32], grace: Duration) -> bool {
    Finder::held(namespace, spared).is_ok_and(|finder| end_all(&finder, grace).1)
}

/// How many there were at the most, and whether all are gone.
fn end_all(finder: &Finder<'_>, grace: Duration) -> (usize, bool) {
    let begin = Instant::now();
    let mut seen = BTreeSet::new();
    loop {
        let found = finder.find();
        if found.is_empty() || begin.elapsed() > grace + FORCE {
            return (seen.len(), found.is_empty());
        }
        let force = begin.elapsed() >= grace;
        for process in found {
            let is_new = seen.insert(process.pid);
            if force {
                process.signal(Signal::SIGKILL);
            } else if is_new {
                process.signal(Signal::SIGTERM);
            }
        }
        sleep(POLL);
    }
}

/// A file in `DIR/run` that names a namespace and the process that looks after it, until dropped. One left
/// behind says that its owner was killed.
#[derive(Debug)]
pub struct Record {
    path: PathBuf,
}

/// What was found of a killed `lateen run`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swept {
    pub workload: String,
    pub processes: usize,
    /// False if some could not be ended.
    pub complete: bool,
}

impl Record {
    /// `None` where the kernel gives namespaces no cookie: then only `lateen run` itself can tell what is
    /// in its own.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(
        run: &Path,
        instance: &str,
        workload: &str,
        namespace: &Namespace,
    ) -> io::Result<Option<Self>> {
        let Some(identity) = Identity::of(namespace) else { return Ok(None) };
        let owner = ProcessId::current();
        let path = run.join(format!("{instance}.{}.{EXTENSION}", owner.pid));
        let fresh = path.with_added_extension("new");
        fs::write(&fresh, format!("{} {}\n{identity}\n{workload}\n", owner.pid, owner.start))
            .and_then(|()| fs::rename(&fresh, &path))?;
        Ok(Some(Self { path }))
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // One that stays names a process that is gone, and a namespace without processes.
        let _ = fs::remove_file(&self.path);
    }
}

/// Ends what killed owners left behind, by the records in `run`. Blocks for as long as that takes. Only
/// root can see and end the processes, so for others it is nothing.
pub fn sweep(run: &Path, grace: Duration) -> Vec<Swept> {
    if !nix::unistd::geteuid().is_root() {
        return Vec::new();
    }
    let Ok(entries) = fs::read_dir(run) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == EXTENSION))
        .filter_map(|path| sweep_one(&path, grace))
        .collect()
}

fn sweep_one(path: &Path, grace: Duration) -> Option<Swept> {
    let (owner, identity, workload) = parse(&fs::read_to_string(path).ok()?)?;
    if owner.is_alive() {
        return None;
    }
    let (processes, complete) = end_all(&Finder::recorded(&identity), grace);
    if complete {
        // Somebody else may have swept it too.
        let _ = fs::remove_file(path);
    }
    (processes > 0).then_some(Swept { workload, processes, complete })
}

fn parse(text: &str) -> Option<(ProcessId, Identity, String)> {
    let mut lines = text.lines();
    let (pid, start) = lines.next()?.split_once(' ')?;
    let owner = ProcessId { pid: pid.parse().ok()?, start: start.parse().ok()? };
    Some((owner, Identity::parse(lines.next()?), lines.next()?.to_owned()))
}
