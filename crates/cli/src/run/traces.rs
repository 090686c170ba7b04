//! What a workload changes on the machine, undone by whoever drops it: every way out of `lateen run` does.
//! In: an attachment, a file. Out: nothing of them.

use std::path::{Path, PathBuf};

use lateen_netns::host;
use lateen_netns::ns::Attachment;

use crate::home::{Home, HomeState};

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
        let _ = std::fs::remove_file(&self.0);
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
