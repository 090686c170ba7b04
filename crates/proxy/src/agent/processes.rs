//! Whether the programs of a pod have ended, where its containers share a process namespace. In: `/proc`. Out:
//! the moment after which nobody is left but the pod's first process and the agent's own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// A container's first process is there for longer than this, however short its program is.
const LOOK: Duration = Duration::from_millis(20);
/// Once all containers have been seen there is no hurry.
const REST: Duration = Duration::from_millis(500);
/// How often nobody must be seen in a row: between two processes of a script there may be none.
const LOOKS: usize = 2;

/// Resolves when the application has ended. So many of its containers start after the agent, and have to
/// have been there first; those that were started before may be gone already.
pub async fn ended(later: usize) {
    ended_in(Path::new("/proc"), later).await;
}

async fn ended_in(proc: &Path, later: usize) {
    let mut seen = BTreeSet::new();
    let mut empty = 0;
    loop {
        let others = others(proc);
        empty = if others.is_empty() { empty + 1 } else { 0 };
        seen.extend(others.into_values());
        if seen.len() < later {
            empty = 0;
            tokio::time::sleep(LOOK).await;
        } else if empty < LOOKS {
            tokio::time::sleep(REST).await;
        } else {
            return;
        }
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

    use super::{LOOK, REST, ended_in};

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
        let watch = tokio::spawn(async move { ended_in(&path, 0).await });
        tokio::time::sleep(10 * REST).await;
        assert!(!watch.is_finished());
        process(proc.path(), ID, 'Z', "0::/../app");
        watch.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn containers_that_start_later_are_waited_for_however_short_they_are() {
        let proc = pod();
        ended_in(proc.path(), 0).await;
        let path = proc.path().to_owned();
        let watch = tokio::spawn(async move { ended_in(&path, 2).await });
        for name in ["first", "second"] {
            tokio::time::sleep(1000 * LOOK).await;
            assert!(!watch.is_finished(), "{name} has not been there");
            let folder = process(proc.path(), ID, 'S', &format!("0::/../{name}"));
            tokio::time::sleep(2 * LOOK).await;
            fs::remove_dir_all(folder).unwrap();
        }
        watch.await.unwrap();
    }
}
