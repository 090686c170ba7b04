//! The present snapshot, as the writer publishes it and everyone else reads it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use lateen_model::Snapshot;
use tokio::sync::watch;

/// One writer, any number of readers that never wait.
pub struct Published {
    snapshot: ArcSwap<Snapshot>,
    changes: watch::Sender<u64>,
    /// Version and time of the last publication, if there was one.
    last: Mutex<Option<(u64, Instant)>>,
}

impl Published {
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        let version = snapshot.version();
        self.snapshot.store(snapshot);
        *self.last.lock().expect("no panic while the time is held") =
            Some((version, Instant::now()));
        self.changes.send_replace(version);
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// How long ago this version was published; `None` once a newer one has been.
    pub fn age(&self, version: u64) -> Option<Duration> {
        let last = *self.last.lock().expect("no panic while the time is held");
        last.filter(|(last, _)| *last == version).map(|(_, at)| at.elapsed())
    }

    /// Whether there has been a first snapshot.
    pub fn is_published(&self) -> bool {
        self.last.lock().expect("no panic while the time is held").is_some()
    }
}

impl Default for Published {
    fn default() -> Self {
        Self {
            snapshot: ArcSwap::default(),
            changes: watch::Sender::new(0),
            last: Mutex::default(),
        }
    }
}
