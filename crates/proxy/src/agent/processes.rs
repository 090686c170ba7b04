//! Whether the programs of a pod have ended, where its containers share a process namespace. In: `/proc`. Out:
//! the moment after which nobody is left but the pod's first process and the agent's own, and nobody will come.
//!
//! Nothing here tells how a program ended. Where the kubelet starts again what failed, a program has succeeded
//! when it has been away for longer than the kubelet takes for that.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

/// A container's first process is there for longer than this, however short its program is.
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
        seen.extend(others.into_values());
        let complete = seen.len() >= later;
        if complete && gone.is_some_and(|since| since.elapsed() >= restarts.patience(seen.len())) {
            return;
        }
        // Each start counts, however soon it fails.
        let hurry = !complete || (gone.is_some() && restarts != Restarts::Never);
        tokio::time::sleep(if hurry { LOOK } else { REST }).await;
    }
}

/// Every process that is neither the pod's first nor in the agent's container, with its container's
/// control group, which anybody may read. What `kubectl exec` runs is somebody.
fn others(proc: &Path) -> BTreeMap<u32, String> {
    let group = |folder: &Path| fs::read_to_string(folder.join("cgroup")).unwrap_or_default();
    let own = group(&proc.join("self"));
    let Ok(entries) = fs::read_dir(proc) else { return BTreeMap::new() };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let found = ids.filter(|id| *id != 1 && *id != std::process::id()).filter_map(|id: u32| {
        let folder = proc.join(id.to_string());
        let group = group(&folder);
        (group != own && is_alive(&folder)).then_some((id, group))
    });
    found.collect()
}

/// Not the remains of a process that its parent has not asked about.
fn is_alive(folder: &Path) -> bool {
    let stat = fs::read_to_string(folder.join("stat")).unwrap_or_default();
    // The name before it may have spaces and parentheses of its own.
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Containers, DELAY, LOOK, REST, Restarts, ended_in};

    fn once(later: usize) -> Containers {
        Containers { later, restarts: Restarts::Never }
    }

    const ID: u32 = 4_000_001;

    fn process(proc: &Path, id: u32, state: char, group: &str) -> PathBuf {
        let folder = proc.join(id.to_string());
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("stat"), format!("{id} (a) b) {state} 1 1")).unwrap();
        fs::write(folder.join("cgroup"), group).unwrap();
        folder
    }

    /// A pod with its first process and the agent's container, in which a hook runs.
    fn pod() -> tempfile::TempDir {
        let proc = tempfile::tempdir().unwrap();
        process(proc.path(), 1, 'S', "0::/../pod");
        process(proc.path(), ID + 100, 'R', "0::/");
        fs::create_dir(proc.path().join("self")).unwrap();
        fs::write(proc.path().join("self/cgroup"), "0::/").unwrap();
        proc
    }

    #[tokio::test(start_paused = true)]
    async fn it_has_ended_when_only_the_first_and_remains_are_left() {
        let proc = pod();
        process(proc.path(), ID, 'R', "0::/../app");
        process(proc.path(), ID + 1, 'Z', "0::/../app");
        let path = proc.path().to_owned();
        let watch = tokio::spawn(async move { ended_in(&path, once(0)).await });
        tokio::time::sleep(10 * REST).await;
        assert!(!watch.is_finished());
        process(proc.path(), ID, 'Z', "0::/../app");
        watch.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn containers_that_start_later_are_waited_for_however_short_they_are() {
        let proc = pod();
        ended_in(proc.path(), once(0)).await;
        let path = proc.path().to_owned();
        let watch = tokio::spawn(async move { ended_in(&path, once(2)).await });
        for name in ["first", "second"] {
            tokio::time::sleep(1000 * LOOK).await;
            assert!(!watch.is_finished(), "{name} has not been there");
            let folder = process(proc.path(), ID, 'S', &format!("0::/../{name}"));
            tokio::time::sleep(2 * LOOK).await;
            fs::remove_dir_all(folder).unwrap();
        }
        watch.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_is_waited_for_as_long_as_the_kubelet_takes() {
        let proc = pod();
        let path = proc.path().to_owned();
        let restarts = Restarts::Failed { containers: 1 };
        let watch =
            tokio::spawn(async move { ended_in(&path, Containers { later: 1, restarts }).await });
        let late = Duration::from_secs(20);
        let mut gone = Instant::now();
        for (start, back_off) in [0, 0, 10, 20, 40, 80, 160, 300, 300].into_iter().enumerate() {
            tokio::time::sleep_until(gone + Duration::from_secs(back_off) + late).await;
            assert!(!watch.is_finished(), "the program of start {start} finds no proxy");
            let folder = process(proc.path(), ID, 'R', &format!("0::/../{start}"));
            tokio::time::sleep(2 * LOOK).await;
            fs::remove_dir_all(folder).unwrap();
            gone = Instant::now();
        }
        watch.await.unwrap();
        let waited = gone.elapsed();
        assert!(waited < Duration::from_secs(300) + DELAY + REST, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_that_succeeds_at_once_is_waited_for_half_a_minute() {
        let proc = pod();
        let since = Instant::now();
        let restarts = Restarts::Failed { containers: 1 };
        ended_in(proc.path(), Containers { later: 0, restarts }).await;
        assert!((DELAY..DELAY + REST).contains(&since.elapsed()), "{:?}", since.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_was_started_again_waits_the_longest() {
        let proc = pod();
        let since = Instant::now();
        let restarts = Restarts::FailedBefore;
        ended_in(proc.path(), Containers { later: 0, restarts }).await;
        assert!(since.elapsed() >= Duration::from_secs(300) + DELAY);
    }
}
