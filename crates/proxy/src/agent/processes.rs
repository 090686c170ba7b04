//! Whether the programs of a pod have ended, where its containers share a process namespace. In: `/proc`. Out:
//! the moment after which nobody is left but the pod's first process and the agent's own, and nobody will come.
//!
//! Nothing here tells how a program ended. Where the kubelet starts again what failed, a program has succeeded
//! when it has been away for longer than the kubelet takes for that.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

/// A container's first process is there for longer than this, however short its program is, but on a machine so busy
/// that nobody looks meanwhile.
const LOOK: Duration = Duration::from_millis(20);
/// Once all containers have been seen there is no hurry. Nobody must be seen for so long: between two
/// processes of a script there may be none.
const REST: Duration = Duration::from_millis(500);
/// The kubelet starts a container again at once after its first failure and so long after the second, then
/// after twice the time each, up to a limit. It may be configured to be faster, and not to be slower.
const BACK_OFF: Duration = Duration::from_secs(10);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(300);
/// So much later than planned may a container be there: the kubelet looks after 15 seconds at the latest.
const DELAY: Duration = Duration::from_secs(30);

/// Who has not been seen after so long with nobody there came and went unseen; before the first one images may have to
/// be pulled, and big ones.
const UNSEEN: Duration = LONGEST_BACK_OFF.saturating_add(DELAY);
const NOBODY: Duration = Duration::from_secs(3600);

/// The containers of the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Containers {
    /// How many start after the agent and have to have been there first; those that were started before
    /// may be gone already.
    pub later: usize,
    pub restarts: Restarts,
}

/// What the kubelet does with a container that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restarts {
    Never,
    /// One that failed starts again. There are so many containers.
    Failed {
        containers: usize,
    },
    /// The same, seen by an agent that was started again itself and does not know how often others were.
    FailedBefore,
}

impl Restarts {
    /// How long nobody is there at most when there is somebody to come, after so many starts of containers.
    fn patience(self, starts: usize) -> Duration {
        let Restarts::Failed { containers } = self else {
            return if self == Restarts::Never { REST } else { LONGEST_BACK_OFF + DELAY };
        };
        // One container may have had all of them.
        let back_off = match starts.saturating_sub(containers) {
            0 => Duration::ZERO,
            again => {
                let times = u32::try_from(again - 1).ok().and_then(|power| 2u32.checked_pow(power));
                times.map_or(LONGEST_BACK_OFF, |times| BACK_OFF.saturating_mul(times))
            }
        };
        back_off.min(LONGEST_BACK_OFF) + DELAY
    }
}

/// Resolves when the application has ended for good.
pub async fn ended(containers: Containers) {
    ended_in(Path::new("/proc"), containers).await;
}

async fn ended_in(proc: &Path, Containers { later, restarts }: Containers) {
    let mut seen = BTreeSet::new();
    let mut gone: Option<Instant> = None;
    loop {
        let others = others(proc);
        gone = others.is_empty().then(|| gone.unwrap_or_else(Instant::now));
        seen.extend(others.into_iter().flatten());
        let complete = seen.len() >= later;
        let patience = match (complete, seen.is_empty()) {
            (true, _) => restarts.patience(seen.len()),
            (false, false) => UNSEEN,
            (false, true) => NOBODY,
        };
        if gone.is_some_and(|since| since.elapsed() >= patience) {
            return;
        }
        // Each start counts, however soon it fails.
        let hurry = !complete || (gone.is_some() && restarts != Restarts::Never);
        tokio::time::sleep(if hurry { LOOK } else { REST }).await;
    }
}

/// The container of every process that is neither the pod's first nor in the agent's own, by the control
/// groups, which anybody may read. What `kubectl exec` runs is somebody; so is who is on the way into a
/// container, which may be the agent's: it has none yet.
fn others(proc: &Path) -> Vec<Option<String>> {
    let groups = |folder: &Path| fs::read_to_string(folder.join("cgroup")).unwrap_or_default();
    let own = groups(&proc.join("self"));
    let around = own.lines().map(ids).max_by_key(Vec::len).unwrap_or_default();
    let Ok(entries) = fs::read_dir(proc) else { return Vec::new() };
    let processes = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let found =
        processes.filter(|id| *id != 1 && *id != std::process::id()).filter_map(|id: u32| {
            let folder = proc.join(id.to_string());
            let groups = groups(&folder);
            let container = container(&groups, &around);
            let is_own =
                groups == own || (container.is_some() && container == around.last().copied());
            (!is_own && is_alive(&folder)).then(|| container.map(str::to_owned))
        });
    found.collect()
}

/// The container that groups are of: a runtime moves a process into them one after the other, so the first that
/// says it counts. `around` are the ids in the agent's own path: its container's last, before it those of
/// containers that the node itself is in. What a container makes below its group is in it.
fn container<'a>(groups: &'a str, around: &[&str]) -> Option<&'a str> {
    let nodes = around.split_last().map_or(around, |(_, nodes)| nodes);
    groups.lines().find_map(|line| ids(line).into_iter().find(|id| !nodes.contains(id)))
}

/// The ids of containers in a group's path, the outermost first: 64 digits by themselves, or between words as in
/// `cri-containerd-ID.scope` and `SLICE:cri-containerd:ID`. CRI-O's monitors have groups of their own.
fn ids(path: &str) -> Vec<&str> {
    let folders = path.split('/').filter(|folder| !folder.contains("conmon-"));
    let words = folders.flat_map(|folder| folder.split(['-', ':', '.']));
    words.filter(|word| word.len() == 64 && word.bytes().all(|c| c.is_ascii_hexdigit())).collect()
}

/// Not the remains of a process that its parent has not asked about.
fn is_alive(folder: &Path) -> bool {
    let stat = fs::read_to_string(folder.join("stat")).unwrap_or_default();
    // The name before it may have spaces and parentheses of its own.
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

#[cfg(test)]
mod tests;
