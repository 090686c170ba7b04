//! The one writer: in, queued writes; out, one durable commit per group, then the answers.

use std::collections::HashMap;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;

use super::disk::{Disk, Failure};
use super::{Event, Expect, Job, Key, LOG_BYTES, LOG_EVENTS, State, Stored, Write, WriteError};
use crate::catalog;
use crate::object;

/// Writes that share one commit.
const GROUP: usize = 128;

pub(super) struct Writer {
    disk: Disk,
    state: Arc<RwLock<State>>,
    notify: watch::Sender<u64>,
}

/// Writes decided but not yet committed; `None` marks a removal.
type Pending = HashMap<Key, Option<Stored>>;

/// One write that may happen.
struct Decided {
    event: Event,
    deleting: bool,
    /// As it is answered.
    object: Value,
}

impl Writer {
    pub(super) fn new(disk: Disk, state: Arc<RwLock<State>>, notify: watch::Sender<u64>) -> Self {
        Self { disk, state, notify }
    }

    /// Runs until the queue ends, or until nobody can tell what the file has: a new process finds out.
    /// A full disk is waited out; what is there is served meanwhile.
    pub(super) fn run(mut self, queue: &Receiver<Job>) {
        while let Ok(first) = queue.recv() {
            let mut group = vec![first];
            while group.len() < GROUP {
                let Ok(job) = queue.try_recv() else { break };
                group.push(job);
            }
            if !self.commit(group) {
                return;
            }
        }
    }

    /// False if the file's state is not known any more.
    fn commit(&mut self, group: Vec<Job>) -> bool {
        let mut pending = Pending::new();
        let mut events = Vec::with_capacity(group.len());
        let mut answers = Vec::with_capacity(group.len());
        let mut rv = self.state.read().unwrap_or_else(PoisonError::into_inner).rv;
        for Job { writes, reply } in group {
            let answer = self.decide_all(writes, rv, &mut pending).map(|decided| {
                rv += decided.len() as u64;
                let mut written = Vec::with_capacity(decided.len());
                for Decided { event, deleting, object } in decided {
                    events.push((event, deleting));
                    written.push(object);
                }
                written
            });
            answers.push((reply, answer));
        }
        let mut known = true;
        if !events.is_empty()
            && let Err(error) = self.make_durable(events)
        {
            known = matches!(error, Failure::NoRoom(_));
            tracing::error!(%error, "the store cannot commit");
            let error = WriteError::Storage(error.to_string());
            for (_, answer) in answers.iter_mut().filter(|(_, answer)| answer.is_ok()) {
                *answer = Err(error.clone());
            }
        }
        for (reply, answer) in answers {
            // A client that went away does not undo its write.
            let _ = reply.send(answer);
        }
        known
    }

    /// Decides writes that belong together, from the version after `rv` on. If one cannot be, `pending`
    /// is as it was before all of them.
    fn decide_all(
        &self,
        writes: Vec<Write>,
        rv: u64,
        pending: &mut Pending,
    ) -> Result<Vec<Decided>, WriteError> {
        let mut decided = Vec::with_capacity(writes.len());
        let mut undo: Vec<(Key, Option<Option<Stored>>)> = Vec::new();
        for (write, rv) in writes.into_iter().zip(rv + 1..) {
            let key = write.key.clone();
            let before = pending.get(&key).cloned();
            match self.decide(write, rv, pending) {
                Ok(one) => decided.push(one),
                Err(error) => {
                    for (key, before) in undo.into_iter().rev() {
                        match before {
                            Some(before) => pending.insert(key, before),
                            None => pending.remove(&key),
                        };
                    }
                    return Err(error);
                }
            }
            undo.push((key, before));
        }
        Ok(decided)
    }

    fn decide(&self, write: Write, rv: u64, pending: &mut Pending) -> Result<Decided, WriteError> {
        let Write { key, expect, object } = write;
        let current = self.look(pending, &key);
        match (expect, &current) {
            (Expect::Absent, None) => self.namespace_accepts(pending, &key)?,
            (Expect::Absent, Some(_)) => return Err(WriteError::Exists),
            (Expect::At(wanted), Some(stored)) if stored.rv == wanted => {}
            (Expect::At(_), _) => return Err(WriteError::Conflict),
        }
        let before = current.map(|stored| stored.bytes);
        let (object, after, deleting) = match object {
            Some(mut object) => {
                object::set_resource_version(&mut object, rv);
                let bytes = Bytes::from(object.to_string());
                let deleting = object::is_deleting(&object);
                (object, Some(bytes), deleting)
            }
            None => {
                let mut last: Value = before.as_deref().map_or(Value::Null, object::parse_stored);
                object::set_resource_version(&mut last, rv);
                (last, None, false)
            }
        };
        let stored = after.clone().map(|bytes| Stored { rv, deleting, bytes });
        pending.insert(key.clone(), stored);
        Ok(Decided { event: Event { rv, key, before, after }, deleting, object })
    }

    fn look(&self, pending: &Pending, key: &Key) -> Option<Stored> {
        match pending.get(key) {
            Some(stored) => stored.clone(),
            None => {
                self.state.read().unwrap_or_else(PoisonError::into_inner).objects.get(key).cloned()
            }
        }
    }

    fn namespace_accepts(&self, pending: &Pending, key: &Key) -> Result<(), WriteError> {
        if key.namespace.is_empty() {
            return Ok(());
        }
        let namespace = Key {
            resource: catalog::NAMESPACES,
            namespace: String::new(),
            name: key.namespace.clone(),
        };
        match self.look(pending, &namespace) {
            None => Err(WriteError::NoNamespace),
            Some(stored) if stored.deleting => Err(WriteError::NamespaceTerminating),
            Some(_) => Ok(()),
        }
    }

    fn make_durable(&mut self, events: Vec<(Event, bool)>) -> Result<(), Failure> {
        let (from, forget) = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            (state.rv, state.forget_after(&events))
        };
        self.disk.commit(from, &events, forget)?;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        for (event, deleting) in events {
            state.apply(event, deleting);
        }
        state.trim();
        let rv = state.rv;
        drop(state);
        self.notify.send_replace(rv);
        Ok(())
    }
}

impl State {
    /// The resource versions that leave the log when `events` join it.
    fn forget_after(&self, events: &[(Event, bool)]) -> std::ops::RangeInclusive<u64> {
        let mut count = self.log.len() + events.len();
        let mut bytes =
            self.log_bytes + events.iter().map(|(event, _)| super::size(event)).sum::<usize>();
        let mut compacted = self.compacted;
        for event in &self.log {
            if count <= LOG_EVENTS && bytes <= LOG_BYTES {
                break;
            }
            count -= 1;
            bytes -= super::size(event);
            compacted = event.rv;
        }
        self.compacted + 1..=compacted
    }
}
