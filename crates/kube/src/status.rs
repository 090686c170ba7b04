//! The status writer. In: what the `status` of an object should be merged with. Out: patches of the
//! subresource, coalesced, no faster than a limit, repeated while the API does not answer.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use lateen_api::resource::Key;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use crate::client::Client;

/// The pause between two patches, which bounds their rate.
const PACE: Duration = Duration::from_millis(5);
/// The pause after a patch that the API did not answer.
const RETRY: Duration = Duration::from_millis(500);

/// Takes what is to be written; cheap to clone, never waits.
#[derive(Clone)]
pub struct StatusWriter {
    shared: Arc<Shared>,
}

/// Does the writing; run it as a task.
pub struct StatusWorker {
    shared: Arc<Shared>,
    client: Client,
    /// Whether this process is the one that writes.
    may: watch::Receiver<bool>,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Notify,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no panic while the queue is held")
    }
}

/// What is to be written, in the order in which it was first asked for; a newer patch of the same
/// object takes the older one's place.
#[derive(Default)]
struct Queue {
    order: VecDeque<Key>,
    /// What is in that order, whether it is still to be written or not.
    ordered: BTreeSet<Key>,
    patches: BTreeMap<Key, Value>,
    /// What was taken last, until it is written.
    writing: Option<(Key, Value)>,
}

/// Nothing is written while `may` is false, and what is being written then is broken off.
pub fn writer(client: Client, may: watch::Receiver<bool>) -> (StatusWriter, StatusWorker) {
    let shared = Arc::new(Shared { queue: Mutex::default(), wake: Notify::new() });
    (StatusWriter { shared: shared.clone() }, StatusWorker { shared, client, may })
}

impl StatusWriter {
    /// Merges `status` into the object's status, as a JSON merge patch does. The caller compares with
    /// the object's present status first: what is equal should not be written.
    pub fn write(&self, key: Key, status: Value) {
        self.shared.queue().put(key, status);
        self.shared.wake.notify_one();
    }

    /// Drops what has not been written yet, because the object is gone or right as it is.
    pub fn forget(&self, key: &Key) {
        self.shared.queue().forget(key);
    }
}

impl StatusWorker {
    /// Writes until dropped.
    pub async fn run(self) {
        let mut may = self.may.clone();
        loop {
            is(&mut may, true).await;
            tokio::select! {
                biased;
                () = is(&mut may, false) => {}
                () = self.write() => {}
            }
        }
    }

    /// Writes until dropped, whoever else does.
    async fn write(&self) {
        self.shared.queue().resume();
        loop {
            let next = self.shared.queue().pop();
            match next {
                Some((key, status)) => {
                    self.patch(key, status).await;
                    self.shared.queue().writing = None;
                }
                None => self.shared.wake.notified().await,
            }
        }
    }

    async fn patch(&self, key: Key, status: Value) {
        let patch = json!({ "status": status });
        let done =
            self.client.patch_status(key.kind, Some(&key.namespace), &key.name, &patch).await;
        match done {
            Ok(()) => tokio::time::sleep(PACE).await,
            Err(error) if error.is_transient() => {
                tracing::debug!(%error, "status will be written later");
                self.shared.queue().put_back(key, status);
                tokio::time::sleep(RETRY).await;
            }
            // The object is gone: there is nothing to tell about it.
            Err(error) if error.is_not_found() => {}
            Err(error) => tracing::warn!(%error, "cannot write a status"),
        }
    }
}

/// Resolves when it is so. When nobody is left to say otherwise it stays as it is.
async fn is(may: &mut watch::Receiver<bool>, wanted: bool) {
    if may.wait_for(|may| *may == wanted).await.is_err() {
        std::future::pending().await
    }
}

impl Queue {
    fn put(&mut self, key: Key, status: Value) {
        self.patches.insert(key.clone(), status);
        if self.ordered.insert(key.clone()) {
            self.order.push_back(key);
        }
    }

    fn forget(&mut self, key: &Key) {
        self.patches.remove(key);
        self.writing.take_if(|(writing, _)| writing == key);
    }

    /// Returns a patch that was not written, unless a newer one has come in the meantime.
    fn put_back(&mut self, key: Key, status: Value) {
        if !self.patches.contains_key(&key) {
            self.put(key, status);
        }
    }

    /// Returns what was being written when the writing was broken off.
    fn resume(&mut self) {
        if let Some((key, status)) = self.writing.take() {
            self.put_back(key, status);
        }
    }

    fn pop(&mut self) -> Option<(Key, Value)> {
        loop {
            let key = self.order.pop_front()?;
            self.ordered.remove(&key);
            if let Some(status) = self.patches.remove(&key) {
                self.writing = Some((key.clone(), status.clone()));
                return Some((key, status));
            }
        }
    }
}
