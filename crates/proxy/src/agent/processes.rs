//! Whether the programs of a pod have ended, where its containers share a process namespace. In: `/proc` and
//! `/etc/hosts`. Out: the moment after which nobody is left but the pod's first process and the agent's own, and
//! nobody will come.
//!
//! Nothing here tells how a program ended. Where the kubelet starts again what failed, a program has succeeded
//! when it has been away for longer than the kubelet takes for that.

mod unseen;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use std::{fs, io, thread};

use tokio::runtime;
use tokio::sync::oneshot;
use tokio::time::Instant;

use unseen::Unseen;

/// A container's first process is there for longer than this, however short its program is, but on a machine so busy
/// that nobody looks meanwhile.
const LOOK: Duration = Duration::from_millis(20);
/// So soon somebody who comes is looked at, where nobody is there.
const GLANCE: Duration = Duration::from_millis(5);
/// Once all containers have been seen there is no hurry. Nobody must be seen for so long: between two
/// processes of a script there may be none.
const REST: Duration = Duration::from_millis(500);
/// The kubelet starts a container again at once after its first failure and so long after the second, then
/// after twice the time each, up to a limit. It may be configured to be faster, and not to be slower.
const BACK_OFF: Duration = Duration::from_secs(10);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(300);
/// So much later than planned may a container be there: the kubelet looks after 15 seconds at the latest.
const DELAY: Duration = Duration::from_secs(30);

/// Who has left no trace after so long with nobody there came and went all the same; before the first one images may
/// have to be pulled, and big ones.
const UNTRACED: Duration = LONGEST_BACK_OFF.saturating_add(DELAY);
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

/// Resolves when the application has ended for good. It looks from a thread of its own: what the proxy has to do when
/// it starts would keep it from looking.
pub async fn ended(containers: Containers) {
    let (sender, told) = oneshot::channel();
    if let Err(error) = look_on(containers, sender) {
        tracing::error!(%error, "no thread that looks for the end of the application");
    }
    if told.await.is_err() {
        std::future::pending().await
    }
}

fn look_on(containers: Containers, mut sender: oneshot::Sender<()>) -> io::Result<()> {
    let looks = runtime::Builder::new_current_thread().enable_time().build()?;
    let look = async move {
        tokio::select! {
            () = ended_in(Path::new("/"), containers) => {
                // Whoever asked may have gone at that moment.
                let _ = sender.send(());
            }
            () = sender.closed() => {}
        }
    };
    let thread = thread::Builder::new().name("processes".into());
    thread.spawn(move || looks.block_on(look)).map(drop)
}

async fn ended_in(root: &Path, Containers { later, restarts }: Containers) {
    let proc = &root.join("proc");
    let mut seen = BTreeSet::new();
    let mut unseen = Unseen::new(root);
    let mut gone: Option<Instant> = None;
    loop {
        unseen.before();
        let others = others(proc);
        let is_empty = !others.iter().any(|other| other.is_alive);
        let before = seen.len();
        seen.extend(others.into_iter().filter_map(|other| other.container));
        unseen.after(is_empty, seen.len() > before);
        gone = is_empty.then(|| gone.unwrap_or_else(Instant::now));
        let starts = seen.len() + unseen.count;
        let complete = starts >= later;
        let patience = match (complete, starts) {
            (true, _) => restarts.patience(starts),
            (false, 1..) => UNTRACED,
            (false, 0) => NOBODY,
        };
        if gone.is_some_and(|since| since.elapsed() >= patience) {
            return;
        }
        // Each start counts, however soon it fails.
        let hurry = !complete || (gone.is_some() && restarts != Restarts::Never);
        if hurry && is_empty {
            unseen.somebody(LOOK).await;
        } else {
            tokio::time::sleep(if hurry { LOOK } else { REST }).await;
        }
    }
}

/// A process, or what is left of one that its parent has not asked about.
struct Other {
    container: Option<String>,
    is_alive: bool,
}

/// The container of every process that is neither the pod's first nor in the agent's own, by the control
/// groups, which anybody may read. What `kubectl exec` runs is somebody; so is who is on the way into a
/// container, which may be the agent's: it has none yet.
fn others(proc: &Path) -> Vec<Other> {
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
            let other =
                || Other { container: container.map(str::to_owned), is_alive: is_alive(&folder) };
            (!is_own).then(other)
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
