//! Whether the programs of a pod have ended, where its containers share a process namespace. In: `/proc`. Out:
//! the moment after which nobody is left but the pod's first process and the agent's own.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

const LOOK: Duration = Duration::from_millis(500);
/// How often nobody must be seen in a row: between two processes of a script there may be none.
const LOOKS: usize = 2;

/// Resolves when the application has ended. With `later`, the application starts after the agent, so that
/// somebody must have been there first; without, it was started before and may be gone already.
pub async fn ended(later: bool) {
    ended_in(Path::new("/proc"), later).await;
}

async fn ended_in(proc: &Path, later: bool) {
    let (mut seen, mut empty) = (!later, 0);
    loop {
        if others(proc).is_empty() {
            empty += 1;
        } else {
            (seen, empty) = (true, 0);
        }
        if seen && empty == LOOKS {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Every process that is neither the pod's first nor of the agent's own program. What `kubectl exec` runs
/// is somebody.
fn others(proc: &Path) -> BTreeSet<u32> {
    let own = program(&proc.join("self"));
    let own_id = std::process::id();
    let Ok(entries) = fs::read_dir(proc) else { return BTreeSet::new() };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id: &u32| {
        let folder = proc.join(id.to_string());
        let is_own = || own.is_some() && program(&folder) == own;
        *id != 1 && *id != own_id && !is_own() && is_alive(&folder)
    })
    .collect()
}

/// Device and inode of a process's program; `None` where it may not be looked at.
fn program(folder: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(folder.join("exe")).ok()?;
    Some((metadata.dev(), metadata.ino()))
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
    use std::path::Path;

    use super::{LOOK, ended_in};

    fn process(proc: &Path, id: u32, state: char) {
        let folder = proc.join(id.to_string());
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("stat"), format!("{id} (a) b) {state} 1 1")).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn it_has_ended_when_only_the_first_and_remains_are_left() {
        let proc = tempfile::tempdir().unwrap();
        process(proc.path(), 1, 'S');
        process(proc.path(), 4_000_001, 'R');
        process(proc.path(), 4_000_002, 'Z');
        let path = proc.path().to_owned();
        let watch = tokio::spawn(async move { ended_in(&path, false).await });
        tokio::time::sleep(10 * LOOK).await;
        assert!(!watch.is_finished());
        process(proc.path(), 4_000_001, 'Z');
        watch.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_application_that_starts_later_is_waited_for() {
        let proc = tempfile::tempdir().unwrap();
        process(proc.path(), 1, 'S');
        ended_in(proc.path(), false).await;
        let path = proc.path().to_owned();
        let watch = tokio::spawn(async move { ended_in(&path, true).await });
        tokio::time::sleep(100 * LOOK).await;
        assert!(!watch.is_finished());
        process(proc.path(), 4_000_001, 'S');
        tokio::time::sleep(2 * LOOK).await;
        fs::remove_dir_all(proc.path().join("4000001")).unwrap();
        watch.await.unwrap();
    }
}
