//! The status writer. In: what the `status` of an object should be merged with. Out: patches of the
//! subresource, coalesced, no faster than a limit, repeated while the API does not answer.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use lateen_api::resource::Key;
use serde_json::{Value, json};
use tokio::sync::Notify;

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
    patches: BTreeMap<Key, Value>,
}

pub fn writer(client: Client) -> (StatusWriter, StatusWorker) {
    let shared = Arc::new(Shared { queue: Mutex::default(), wake: Notify::new() });
    (StatusWriter { shared: shared.clone() }, StatusWorker { shared, client })
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
        self.shared.queue().patches.remove(key);
    }
}

impl StatusWorker {
    /// Writes until dropped.
    pub async fn run(self) {
        loop {
            let next = self.shared.queue().pop();
            match next {
                Some((key, status)) => self.patch(key, status).await,
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

impl Queue {
    fn put(&mut self, key: Key, status: Value) {
        if self.patches.insert(key.clone(), status).is_none() && !self.order.contains(&key) {
            self.order.push_back(key);
        }
    }

    /// Returns a patch that was not written, unless a newer one has come in the meantime.
    fn put_back(&mut self, key: Key, status: Value) {
        if !self.patches.contains_key(&key) {
            self.put(key, status);
        }
    }

    fn pop(&mut self) -> Option<(Key, Value)> {
        loop {
            let key = self.order.pop_front()?;
            if let Some(status) = self.patches.remove(&key) {
                return Some((key, status));
            }
        }
    }
}
