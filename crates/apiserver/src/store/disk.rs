//! The store's file: in, committed changes; out, at start, the objects and the event log.
//!
//! Three tables: objects by key, the event log by resource version, and two counters. Every commit
//! is durable before it is acknowledged.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bytes::{Buf, Bytes};
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use super::{Event, Key, State, Stored};
use crate::catalog;

const OBJECTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("objects");
const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
const COUNTERS: TableDefinition<'_, &str, u64> = TableDefinition::new("counters");
const REVISION: &str = "revision";
const COMPACTED: &str = "compacted";

/// Everything is kept in memory by the index, so the file needs next to no cache of its own.
const CACHE_BYTES: usize = 1 << 20;

pub(super) struct Disk {
    path: PathBuf,
    /// `None` after a write that failed for want of room: redb wants to be opened anew then.
    database: Option<Database>,
}

/// Why nothing was committed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// There may be room later, and all that was acknowledged is there.
    #[error("{0}")]
    NoRoom(redb::Error),
    /// Only a new start shows what is there.
    #[error("{0}")]
    Broken(redb::Error),
}

impl Disk {
    pub(super) fn open(path: &Path) -> Result<(Self, State), redb::Error> {
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(path)?;
        // Nothing is written that need not be: the disk may be full.
        if !has_tables(&database)? {
            let transaction = database.begin_write()?;
            transaction.open_table(OBJECTS)?;
            transaction.open_table(LOG)?;
            transaction.open_table(COUNTERS)?;
            transaction.commit()?;
        }
        let state = load(&database)?;
        Ok((Self { path: path.into(), database: Some(database) }, state))
    }

    /// Commits `events`, the first after revision `from`. After a failure for want of room the file is
    /// opened anew, which takes back what was half done.
    pub(super) fn commit(
        &mut self,
        from: u64,
        events: &[(Event, bool)],
        forget: std::ops::RangeInclusive<u64>,
    ) -> Result<(), Failure> {
        let database = match self.database.take() {
            Some(database) => database,
            None => reopen(&self.path, from)?,
        };
        let written = write(&database, events, forget);
        match written {
            Ok(()) => self.database = Some(database),
            Err(error) if is_no_room(&error) => return Err(Failure::NoRoom(error)),
            Err(error) => return Err(Failure::Broken(error)),
        }
        Ok(())
    }
}

fn has_tables(database: &Database) -> Result<bool, redb::Error> {
    let transaction = database.begin_read()?;
    match transaction.open_table(COUNTERS) {
        Ok(_) => Ok(true),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The same file, if it ends where memory does: what was refused must not have been written after all.
fn reopen(path: &Path, revision: u64) -> Result<Database, Failure> {
    let opened = || -> Result<(Database, u64), redb::Error> {
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(path)?;
        let found = database.begin_read()?.open_table(COUNTERS)?.get(REVISION)?;
        let found = found.map_or(0, |value| value.value());
        Ok((database, found))
    };
    match opened() {
        Ok((database, found)) if found == revision => Ok(database),
        Ok((_, found)) => {
            let text = format!("the file is at revision {found}, memory at {revision}");
            Err(Failure::Broken(redb::Error::Corrupted(text)))
        }
        Err(error) if is_no_room(&error) => Err(Failure::NoRoom(error)),
        Err(error) => Err(Failure::Broken(error)),
    }
}

fn is_no_room(error: &redb::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error, redb::Error::Io(io) if matches!(io.kind(), StorageFull | QuotaExceeded))
}

/// Writes `events` (with their deletion marks) durably and drops the log up to `forget`'s end.
fn write(
    database: &Database,
    events: &[(Event, bool)],
    forget: std::ops::RangeInclusive<u64>,
) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    {
        let mut objects = transaction.open_table(OBJECTS)?;
        let mut log = transaction.open_table(LOG)?;
        let mut counters = transaction.open_table(COUNTERS)?;
        for (event, deleting) in events {
            let path = path_of(&event.key);
            match &event.after {
                Some(bytes) => {
                    let row = object_row(event.rv, *deleting, bytes);
                    objects.insert(path.as_str(), row.as_slice())?;
                }
                None => {
                    objects.remove(path.as_str())?;
                }
            }
            log.insert(event.rv, log_row(&path, event).as_slice())?;
            counters.insert(REVISION, event.rv)?;
        }
        if !forget.is_empty() {
            counters.insert(COMPACTED, *forget.end())?;
            log.retain_in(forget, |_, _| false)?;
        }
    }
    transaction.commit()?;
    Ok(())
}

fn load(database: &Database) -> Result<State, redb::Error> {
    let transaction = database.begin_read()?;
    let counters = transaction.open_table(COUNTERS)?;
    let counter = |name: &str| -> Result<u64, redb::Error> {
        Ok(counters.get(name)?.map_or(0, |value| value.value()))
    };
    let mut state =
        State { rv: counter(REVISION)?, compacted: counter(COMPACTED)?, ..State::default() };
    for row in transaction.open_table(OBJECTS)?.iter()? {
        let (path, value) = row?;
        if let (Some(key), Some(stored)) = (key_of(path.value()), stored_of(value.value())) {
            state.objects.insert(key, stored);
        }
    }
    // The file holds an object once for each place that it is in; memory shares it, as it did before.
    let mut latest: HashMap<Key, Bytes> = HashMap::new();
    for row in transaction.open_table(LOG)?.iter()? {
        let (rv, value) = row?;
        if let Some(mut event) = event_of(rv.value(), value.value()) {
            let current = state.objects.get(&event.key).map(|stored| &stored.bytes);
            event.before = event.before.map(|before| shared(before, latest.get(&event.key)));
            event.after = event.after.map(|after| shared(after, current));
            match &event.after {
                Some(after) => latest.insert(event.key.clone(), after.clone()),
                None => latest.remove(&event.key),
            };
            state.log_bytes += super::size(&event);
            state.log.push_back(std::sync::Arc::new(event));
        }
    }
    Ok(state)
}

/// `bytes`, or an equal piece of memory that is there already.
fn shared(bytes: Bytes, known: Option<&Bytes>) -> Bytes {
    known.filter(|known| **known == bytes).cloned().unwrap_or(bytes)
}

fn path_of(key: &Key) -> String {
    format!("{}\0{}\0{}", key.resource, key.namespace, key.name)
}

/// None for a resource that is no longer served: its rows stay untouched.
fn key_of(path: &str) -> Option<Key> {
    let mut parts = path.splitn(3, '\0');
    let resource = catalog::known_resource(parts.next()?)?;
    let (namespace, name) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    Some(Key { resource, namespace, name })
}

fn object_row(rv: u64, deleting: bool, bytes: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(9 + bytes.len());
    row.extend_from_slice(&rv.to_be_bytes());
    row.push(u8::from(deleting));
    row.extend_from_slice(bytes);
    row
}

fn stored_of(mut row: &[u8]) -> Option<Stored> {
    let rv = row.try_get_u64().ok()?;
    let deleting = row.try_get_u8().ok()? != 0;
    Some(Stored { rv, deleting, bytes: Bytes::copy_from_slice(row) })
}

fn log_row(path: &str, event: &Event) -> Vec<u8> {
    let mut row = Vec::new();
    for part in [Some(path.as_bytes()), event.before.as_deref(), event.after.as_deref()] {
        // An absent part is written as length zero: no object is empty.
        let part = part.unwrap_or_default();
        let length = u32::try_from(part.len()).expect("bodies are limited far below 4 GiB");
        row.extend_from_slice(&length.to_be_bytes());
        row.extend_from_slice(part);
    }
    row
}

fn event_of(rv: u64, row: &[u8]) -> Option<Event> {
    let mut rest = row;
    let mut next = || -> Option<&[u8]> {
        let length = rest.try_get_u32().ok()? as usize;
        let (part, tail) = rest.split_at_checked(length)?;
        rest = tail;
        Some(part)
    };
    let key = key_of(std::str::from_utf8(next()?).ok()?)?;
    let object = |part: &[u8]| (!part.is_empty()).then(|| Bytes::copy_from_slice(part));
    Some(Event { rv, key, before: object(next()?), after: object(next()?) })
}
