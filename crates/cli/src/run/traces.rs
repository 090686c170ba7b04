//! What a workload changes on the machine, undone by whoever drops it: every way out of `lateen run` does.
//! In: an attachment, a file. Out: nothing of them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Result;
use lateen_netns::host;
use lateen_netns::ns::Attachment;
use nix::fcntl::Flock;

use crate::home::{Home, HomeState};
use crate::lock;

/// A namespace's plug in the bridge, pulled at once: the kernel would take its time.
pub(super) struct Plug(pub(super) Attachment);

impl Drop for Plug {
    fn drop(&mut self) {
        if let Err(error) = self.0.detach() {
            tracing::warn!(%error, "the kernel unplugs the workload later");
        }
    }
}

/// A file of the workload.
pub(super) struct Scrap(pub(super) PathBuf);

impl Scrap {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scrap {
    fn drop(&mut self) {
        // It may not have been written.
        let _ = fs::remove_file(&self.0);
    }
}

/// That a workload runs: the files in the home that have its name are this process's alone.
pub(super) struct Presence {
    /// The lock is the last one: while it is there, all are this process's.
    files: [PathBuf; 3],
    _lock: Flock<File>,
}

impl Presence {
    /// `None` while another process runs the workload.
    pub(super) fn take(home: &Home, instance: &str) -> Result<Option<Self>> {
        let lock = home.instance_lock(instance);
        let files = [home.admin_socket(instance), home.resolv_conf(instance), lock.clone()];
        let lock = lock::take(&lock)?;
        Ok(lock.map(|lock| Self { files, _lock: lock }))
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        for file in &self.files {
            // It may not have been made.
            let _ = fs::remove_file(file);
        }
    }
}

/// Removes what killed workloads have left of themselves in the home.
pub(super) fn sweep(home: &Home) {
    for instance in home.instances() {
        if !lock::is_held(&home.instance_lock(&instance)) {
            // Whoever cannot have it leaves it.
            drop(Presence::take(home, &instance));
        }
    }
}

/// The mesh takes its bridge with it when it ends; if it ended before us, that is left to the last of us.
pub(super) fn forget_host(home: &Home, state: &HomeState) {
    if home.running().is_ok() {
        return;
    }
    if let Err(error) = host::remove_bridge(&state.bridge, &home.bridge_record()) {
        tracing::warn!(%error, "the bridge {} is left behind", state.bridge);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Presence, sweep};
    use crate::home::Home;

    #[test]
    fn a_workload_that_ended_leaves_no_files_and_a_killed_ones_are_swept() {
        let folder = std::env::temp_dir().join(format!("lateen-traces-{}", std::process::id()));
        let home = Home::new(Some(folder.clone())).unwrap();
        home.create().unwrap();
        let runs = Presence::take(&home, "w.default.runs").unwrap().unwrap();
        assert!(Presence::take(&home, "w.default.runs").unwrap().is_none());
        for name in ["w.default.runs", "w.default.killed"] {
            fs::write(home.admin_socket(name), "").unwrap();
        }
        fs::write(home.resolv_conf("w.default.killed"), "").unwrap();
        fs::write(home.instance_lock("w.default.killed"), "").unwrap();
        fs::write(home.run().join("addresses.lock"), "").unwrap();
        sweep(&home);
        let left = || {
            let entries = fs::read_dir(home.run()).unwrap();
            let mut names: Vec<String> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        assert_eq!(left(), ["addresses.lock", "w.default.runs.admin.sock", "w.default.runs.lock"]);
        drop(runs);
        assert_eq!(left(), ["addresses.lock"]);
        fs::remove_dir_all(folder).unwrap();
    }
}
