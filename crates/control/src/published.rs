//! The present snapshot, as the writer publishes it and everyone else reads it.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use lateen_model::Snapshot;
use tokio::sync::watch;

use crate::pushes::Making;

/// One writer, any number of readers that never wait.
pub struct Published {
    snapshot: ArcSwap<Snapshot>,
    changes: watch::Sender<u64>,
    /// The last publication, if there was one.
    last: Mutex<Option<Last>>,
}

#[derive(Clone, Copy)]
struct Last {
    version: u64,
    at: Instant,
    making: Making,
}

impl Published {
    pub fn publish(&self, snapshot: Arc<Snapshot>, making: Making) {
        let version = snapshot.version();
        self.snapshot.store(snapshot);
        *self.last() = Some(Last { version, at: Instant::now(), making });
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
        self.last().filter(|last| last.version == version).map(|last| last.at.elapsed())
    }

    /// How this version came to be; `None` once a newer one has been published.
    pub fn making(&self, version: u64) -> Option<Making> {
        self.last().filter(|last| last.version == version).map(|last| last.making)
    }

    /// Whether there has been a first snapshot.
    pub fn is_published(&self) -> bool {
        self.last().is_some()
    }

    fn last(&self) -> MutexGuard<'_, Option<Last>> {
        self.last.lock().expect("no panic while the time is held")
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
