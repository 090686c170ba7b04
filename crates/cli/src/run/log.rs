//! Where `lateen run` writes what it does not say on the program's terminal. In: who the workload is. Out: a
//! log file in the home, small, and only those of the newest workloads.

use std::collections::BTreeMap;
use std::fs;
use std::time::SystemTime;

use lateen_runtime::log::Copy;
use lateen_runtime::rotated::Rotated;

use crate::home::Home;
use crate::lock;

/// Two files of this size are kept of a workload at most.
const LIMIT: u64 = 1 << 20;
/// Logs of this many workloads stay, those that still run not counted.
const KEPT: usize = 50;
const FILTER: &str = "info,kube_client=off";
/// What follows a workload's instance in the names of its log files; longer ones first.
const ENDINGS: [&str; 5] = [".access.log.1", ".access.log", ".envoy.log", ".log.1", ".log"];

/// `None` where no mesh has ever run.
pub(super) fn copy(home: &Home, instance: &str) -> Option<Copy> {
    let file = Rotated::new(home.log(instance), LIMIT);
    home.logs().is_dir().then_some(Copy { file, filter: FILTER })
}

/// Removes the logs of workloads that ended longest ago.
pub(super) fn prune(home: &Home) {
    let mut ended: Vec<(SystemTime, String)> = newest_change(home)
        .into_iter()
        .filter(|(instance, _)| !lock::is_held(&home.instance_lock(instance)))
        .map(|(instance, changed)| (changed, instance))
        .collect();
    ended.sort();
    let surplus = ended.len().saturating_sub(KEPT);
    for (_, instance) in &ended[..surplus] {
        for ending in ENDINGS {
            // Most workloads do not have all of them.
            let _ = fs::remove_file(home.logs().join(format!("{instance}{ending}")));
        }
    }
}

/// When something was last written about each workload.
fn newest_change(home: &Home) -> BTreeMap<String, SystemTime> {
    let mut found = BTreeMap::new();
    let Ok(entries) = fs::read_dir(home.logs()) else { return found };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(instance) = instance_of(&name) else { continue };
        let Ok(changed) = entry.metadata().and_then(|metadata| metadata.modified()) else {
            continue;
        };
        let newest = found.entry(instance.to_owned()).or_insert(changed);
        *newest = changed.max(*newest);
    }
    found
}

/// Of a workload's log file; the mesh's own processes have others.
fn instance_of(file: &str) -> Option<&str> {
    let instance = ENDINGS.iter().find_map(|ending| file.strip_suffix(ending))?;
    instance.starts_with("w.").then_some(instance)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::{Duration, SystemTime};

    use super::{KEPT, instance_of, prune};
    use crate::home::Home;
    use crate::lock;

    #[test]
    fn log_files_are_told_from_those_of_the_mesh() {
        assert_eq!(instance_of("w.default.a.log"), Some("w.default.a"));
        assert_eq!(instance_of("w.default.a.access.log.1"), Some("w.default.a"));
        assert_eq!(instance_of("gateway.log"), None);
        assert_eq!(instance_of("w.default.a.txt"), None);
    }

    #[test]
    fn only_the_logs_of_the_newest_and_of_the_running_stay() {
        let folder = std::env::temp_dir().join(format!("lateen-logs-{}", std::process::id()));
        let home = Home::new(Some(folder.clone())).unwrap();
        home.create().unwrap();
        let old = SystemTime::now() - Duration::from_secs(3600);
        for at in 0..KEPT + 3 {
            let file = File::create(home.log(&format!("w.default.n{at}"))).unwrap();
            file.set_modified(old + Duration::from_secs(at as u64)).unwrap();
        }
        fs::write(home.logs().join("w.default.n0.envoy.log"), "old").unwrap();
        File::options()
            .write(true)
            .open(home.logs().join("w.default.n0.envoy.log"))
            .unwrap()
            .set_modified(old)
            .unwrap();
        fs::write(home.log("gateway"), "").unwrap();
        let lock = lock::take(&home.instance_lock("w.default.n1")).unwrap();
        prune(&home);
        let exists = |name: &str| home.logs().join(name).exists();
        assert!(!exists("w.default.n0.log") && !exists("w.default.n0.envoy.log"));
        assert!(exists("w.default.n1.log"), "it runs");
        assert!(!exists("w.default.n2.log") && exists("w.default.n3.log"));
        assert!(exists("gateway.log"));
        drop(lock);
        fs::remove_dir_all(folder).unwrap();
    }
}
