//! Containers that came and went while nobody looked. In: the number of the last process that began, and the time
//! at which the kubelet wrote `/etc/hosts`, as it does before it makes each container. Out: how many there were, and
//! never more than that.
//!
//! Whoever began and went between two looks that found nobody is of a container that did so too: no process of it
//! could be left. Only what runs in the agent's own container is no other one. A hook there has ended before the
//! kubelet writes the file, and what is run there by hand counts for nothing unless the kubelet has just written.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::GLANCE;

pub struct Unseen {
    proc: PathBuf,
    hosts: PathBuf,
    /// The containers of which nothing but this is known.
    pub count: usize,
    /// Of the last look, if it found nobody.
    quiet: Option<Signs>,
    /// Before this look.
    now: Signs,
    /// What was written for a container that is known already.
    known: Option<SystemTime>,
}

#[derive(Clone, Copy, Default)]
struct Signs {
    last: Option<u32>,
    written: Option<SystemTime>,
}

impl Unseen {
    pub fn new(root: &Path) -> Self {
        let (proc, hosts) = (root.join("proc"), root.join("etc/hosts"));
        let now = Signs::default();
        let mut unseen = Self { proc, hosts, count: 0, quiet: None, now, known: None };
        unseen.known = unseen.signs().written;
        unseen
    }

    /// A look begins.
    pub fn before(&mut self) {
        self.now = self.signs();
    }

    /// A look has found nobody, or somebody, and maybe of a container that was not seen before.
    pub fn after(&mut self, is_empty: bool, is_new: bool) {
        if is_new {
            self.known = self.now.written;
        }
        let quiet = self.quiet.take().filter(|_| is_empty);
        if let Some(quiet) = quiet
            && quiet.written > self.known
            && self.has_gone(quiet.last, self.now.last)
        {
            self.count += 1;
            self.known = quiet.written;
        }
        // Numbers that were given during the look say nothing: they may be of somebody who was there before it.
        self.quiet = is_empty.then(|| Signs { last: self.last(), ..self.now });
    }

    /// Waits until somebody has begun, and no longer than this.
    pub async fn somebody(&self, longest: Duration) {
        let known = self.quiet.and_then(|quiet| quiet.last);
        let someone = async {
            while self.last() == known {
                tokio::time::sleep(GLANCE).await;
            }
        };
        // Then it is time to look in any case.
        let _ = tokio::time::timeout(longest, someone).await;
    }

    fn signs(&self) -> Signs {
        let written = fs::metadata(&self.hosts).and_then(|about| about.modified()).ok();
        Signs { last: self.last(), written }
    }

    /// The last number that was given to a process or thread of the namespace; see proc_sys_kernel(5).
    fn last(&self) -> Option<u32> {
        let text = fs::read_to_string(self.proc.join("sys/kernel/ns_last_pid")).ok()?;
        text.trim().parse().ok()
    }

    /// Whether a number was given to somebody who is not there. Numbers begin again at the end, and then nothing
    /// is known; nor where others' processes are hidden, as the first one would be.
    fn has_gone(&self, before: Option<u32>, now: Option<u32>) -> bool {
        let is_there = |id: u32| self.proc.join(id.to_string()).exists();
        let (Some(before), Some(now)) = (before, now) else { return false };
        is_there(1) && (before..now).any(|id| !is_there(id + 1))
    }
}
