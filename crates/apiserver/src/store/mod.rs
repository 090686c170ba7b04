//! The objects and their history: an in-memory index over a transactional file.
//!
//! In: [`Write`]s, answered when they are on disk. Out: current objects as shared compact JSON, and
//! an event log that watches follow. One writer thread commits groups of writes; every commit moves
//! the one resource version that all objects share.

mod disk;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{oneshot, watch};

/// How much history is kept: a watch that falls further behind has to list again.
const LOG_EVENTS: usize = 16 * 1024;
const LOG_BYTES: usize = 8 << 20;

/// Names one object. The order of keys is the order of lists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// `group/plural`, as [`crate::catalog::resource_id`] gives it.
    pub resource: &'static str,
    /// Empty for objects of the cluster.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

/// The current state of one object.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The resource version of its last write.
    pub rv: u64,
    /// Whether it has a deletion timestamp.
    pub deleting: bool,
    /// Compact JSON that begins with the storage `apiVersion` and `kind`.
    pub bytes: Bytes,
}

/// One committed change.
#[derive(Debug)]
pub struct Event {
    /// The resource version of the change.
    pub rv: u64,
    /// The object it changed.
    pub key: Key,
    /// The object before, if there was one.
    pub before: Option<Bytes>,
    /// The object after, unless it was removed.
    pub after: Option<Bytes>,
}

/// What must hold for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// No such object; if it is namespaced, its namespace exists and is not being deleted.
    Absent,
    /// The object is at this resource version.
    At(u64),
}

/// One change to make.
#[derive(Debug)]
pub struct Write {
    /// The object.
    pub key: Key,
    /// The precondition.
    pub expect: Expect,
    /// The new object, or its removal.
    pub object: Option<Value>,
}

/// Why a write did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// It was to be created and exists.
    #[error("the object already exists")]
    Exists,
    /// It is at another resource version, or gone.
    #[error("the object has been modified")]
    Conflict,
    /// The namespace is missing.
    #[error("the namespace does not exist")]
    NoNamespace,
    /// The namespace is being deleted.
    #[error("the namespace is being deleted")]
    NamespaceTerminating,
    /// The store cannot write.
    #[error("the store cannot write: {0}; check the disk of the data directory")]
    Storage(String),
}

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("store {path}: {reason}; check that no other process uses it")]
pub struct OpenError {
    path: String,
    reason: String,
}

/// A page of a list.
pub struct Page {
    /// The resource version of the whole list.
    pub rv: u64,
    /// Objects in key order.
    pub items: Vec<(Key, Stored)>,
    /// The key after which the next page starts, if there is one.
    pub more: Option<Key>,
    /// How many objects follow this page.
    pub remaining: usize,
}

/// What a watch finds after a resource version.
pub enum Since {
    /// Events in order; empty if nothing has happened.
    Events(Vec<Arc<Event>>, u64),
    /// The log no longer (or never) reached there.
    Expired,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<Key, Stored>,
    log: VecDeque<Arc<Event>>,
    log_bytes: usize,
    /// Events up to and including this resource version are forgotten.
    compacted: u64,
    rv: u64,
}

/// Writes that happen together or not at all.
struct Job {
    writes: Vec<Write>,
    reply: oneshot::Sender<Result<Vec<Value>, WriteError>>,
}

/// The store. Dropping it ends the writer after the writes already queued.
pub struct Store {
    state: Arc<RwLock<State>>,
    jobs: Option<std::sync::mpsc::SyncSender<Job>>,
    changed: watch::Receiver<u64>,
    writer: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens or creates the store file.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |reason: String| OpenError { path: path.display().to_string(), reason };
        let (disk, state) = disk::Disk::open(path).map_err(|error| failed(error.to_string()))?;
        let (notify, changed) = watch::channel(state.rv);
        let state = Arc::new(RwLock::new(state));
        let (jobs, queue) = std::sync::mpsc::sync_channel(1024);
        let writer = writer::Writer::new(disk, Arc::clone(&state), notify);
        let writer = std::thread::Builder::new()
            .name("api-store-writer".to_owned())
            .spawn(move || writer.run(&queue))
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self { state, jobs: Some(jobs), changed, writer: Some(writer) })
    }

    /// Resolves when the writer has ended, after which nothing can be written any more.
    pub async fn ended(&self) {
        let mut changed = self.changed.clone();
        while changed.changed().await.is_ok() {}
    }

    /// Performs one write; returns, when it is on disk, the object as stored or as it was when removed.
    pub async fn write(&self, write: Write) -> Result<Value, WriteError> {
        let written = self.write_all(vec![write]).await?;
        Ok(written.into_iter().next().expect("invariant: every write has a result"))
    }

    /// Performs writes in this order, each seeing those before it: all of them in one commit, or none.
    pub async fn write_all(&self, writes: Vec<Write>) -> Result<Vec<Value>, WriteError> {
        let (reply, answer) = oneshot::channel();
        let stopped = || WriteError::Storage("the writer has ended".to_owned());
        let jobs = self.jobs.as_ref().ok_or_else(stopped)?;
        let mut job = Job { writes, reply };
        loop {
            match jobs.try_send(job) {
                Ok(()) => break,
                Err(std::sync::mpsc::TrySendError::Full(back)) => {
                    job = back;
                    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                }
                Err(std::sync::mpsc::TrySendError::Disconnected(_)) => return Err(stopped()),
            }
        }
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// The current state of one object.
    pub fn get(&self, key: &Key) -> Option<Stored> {
        self.state().objects.get(key).cloned()
    }

    /// The resource version of the last commit.
    pub fn revision(&self) -> u64 {
        self.state().rv
    }

    /// Objects of one resource, of one namespace or (`None`) of all, after `after`, at most `limit`.
    pub fn list(
        &self,
        resource: &'static str,
        namespace: Option<&str>,
        after: Option<&Key>,
        limit: usize,
    ) -> Page {
        let from = after.cloned().unwrap_or_else(|| Key {
            resource,
            namespace: namespace.unwrap_or_default().to_owned(),
            name: String::new(),
        });
        let state = self.state();
        let mut matching = state
            .objects
            .range(from..)
            .skip_while(|(key, _)| after == Some(key))
            .take_while(|(key, _)| {
                key.resource == resource && namespace.is_none_or(|wanted| wanted == key.namespace)
            });
        let items: Vec<_> = matching
            .by_ref()
            .take(limit)
            .map(|(key, stored)| (key.clone(), stored.clone()))
            .collect();
        let remaining = matching.count();
        let more = if remaining > 0 { items.last().map(|(key, _)| key.clone()) } else { None };
        Page { rv: state.rv, items, more, remaining }
    }

    /// All objects of one resource.
    pub fn all(&self, resource: &'static str, namespace: Option<&str>) -> Vec<(Key, Stored)> {
        self.list(resource, namespace, None, usize::MAX).items
    }

    /// Visits every stored object.
    pub fn for_each(&self, mut visit: impl FnMut(&Key, &Stored)) {
        for (key, stored) in &self.state().objects {
            visit(key, stored);
        }
    }

    /// The events after `rv`, at most a bounded number, and the version reached with them.
    pub fn since(&self, rv: u64) -> Since {
        const CHUNK: usize = 256;
        let state = self.state();
        if rv < state.compacted || rv > state.rv {
            return Since::Expired;
        }
        let start = state.log.partition_point(|event| event.rv <= rv);
        let events: Vec<_> = state.log.iter().skip(start).take(CHUNK).map(Arc::clone).collect();
        let full = events.len() == CHUNK;
        let reached = events.last().filter(|_| full).map_or(state.rv, |event| event.rv);
        Since::Events(events, reached)
    }

    /// Tells of every new resource version.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.clone()
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl State {
    fn apply(&mut self, event: Event, deleting: bool) {
        self.rv = event.rv;
        match &event.after {
            Some(bytes) => {
                let stored = Stored { rv: event.rv, deleting, bytes: bytes.clone() };
                self.objects.insert(event.key.clone(), stored);
            }
            None => {
                self.objects.remove(&event.key);
            }
        }
        self.log_bytes += size(&event);
        self.log.push_back(Arc::new(event));
    }

    /// Forgets the oldest events beyond the bounds.
    fn trim(&mut self) {
        while self.log.len() > LOG_EVENTS || self.log_bytes > LOG_BYTES {
            let Some(event) = self.log.pop_front() else { return };
            self.log_bytes -= size(&event);
            self.compacted = event.rv;
        }
    }
}

/// An event's share of memory: its `before` is usually shared with the event before it.
fn size(event: &Event) -> usize {
    128 + event.after.as_ref().or(event.before.as_ref()).map_or(0, Bytes::len)
}
