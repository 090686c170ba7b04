//! Housekeeping: in, the store's state; out, deletions that follow from it. Namespaces that are being
//! deleted are emptied, objects whose owners are gone are removed, what every cluster has is made
//! again, old Events are dropped.
//!
//! Each sweep looks at the whole state, so one that was missed or failed is made good by the next.

use std::time::Duration;

use jiff::Timestamp;
use lateen_api::kinds::by_kind;
use serde_json::{Value, json};

use crate::catalog;
use crate::object;
use crate::server::Server;
use crate::store::{Expect, Key, Stored, Write};
use crate::write::delete::{Propagation, begin};

/// The finalizer of an owner that goes after its dependents.
pub const FOREGROUND: &str = "foregroundDeletion";

const EVENT_LIFE: Duration = Duration::from_secs(3600);
const EVENTS_AT_MOST: usize = 4096;
/// Old Events are looked for this often; everything else on every change.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// Sweeps until the server stops.
pub async fn run(server: &Server) {
    let mut stopping = server.stopping();
    let mut changes = server.store.changes();
    let mut seen = 0;
    let mut tidy = tokio::time::interval(TIDY_EVERY);
    loop {
        changes.borrow_and_update();
        if deletions_since(server, &mut seen) {
            sweep(server).await;
        }
        tokio::select! {
            _ = tidy.tick() => {
                expire_events(server).await;
                sweep(server).await;
            }
            changed = changes.changed() => if changed.is_err() { return },
            _ = stopping.changed() => return,
        }
    }
}

/// Whether anything was removed, marked for removal or given an owner since the last look.
fn deletions_since(server: &Server, seen: &mut u64) -> bool {
    let mut found = false;
    loop {
        match server.store.since(*seen) {
            crate::store::Since::Expired => {
                *seen = server.store.revision();
                found = true;
            }
            crate::store::Since::Events(events, reached) => {
                *seen = reached;
                if events.is_empty() {
                    return found;
                }
                found |= events.iter().any(|event| match &event.after {
                    None => true,
                    Some(bytes) => mentions(bytes, b"\"deletionTimestamp\"") || owned(bytes),
                });
            }
        }
    }
}

async fn sweep(server: &Server) {
    let mut doomed: Vec<(Key, Stored)> = Vec::new();
    let mut leaving: Vec<(Key, Stored)> = Vec::new();
    server.store.for_each(|key, stored| {
        if stored.deleting {
            leaving.push((key.clone(), stored.clone()));
        } else if owned(&stored.bytes) {
            doomed.push((key.clone(), stored.clone()));
        }
    });
    doomed.retain(|(key, stored)| is_orphan(server, key, &object::parse_stored(&stored.bytes)));
    for (key, stored) in &doomed {
        remove(server, key, stored).await;
    }
    for (key, stored) in &leaving {
        if key.resource == catalog::NAMESPACES {
            empty_namespace(server, key, stored).await;
        } else {
            finish_foreground(server, key, stored).await;
        }
    }
    crate::seed::repair(server).await;
}

async fn remove(server: &Server, key: &Key, stored: &Stored) {
    // A conflict means that it changed; the change brings the next sweep.
    if let Err(error) = begin(server, key, stored, Propagation::Background).await {
        tracing::debug!(resource = key.resource, name = key.name, %error, "not removed yet");
    }
}

async fn empty_namespace(server: &Server, key: &Key, stored: &Stored) {
    let mut content = Vec::new();
    server.store.for_each(|other, stored| {
        if other.namespace == key.name {
            content.push((other.clone(), stored.clone()));
        }
    });
    for (key, stored) in &content {
        if !stored.deleting {
            remove(server, key, stored).await;
        }
    }
    let left = content.iter().any(|(key, _)| server.store.get(key).is_some());
    if !left && object::finalizers(&object::parse_stored(&stored.bytes)).is_empty() {
        let write = Write { key: key.clone(), expect: Expect::At(stored.rv), object: None };
        if let Err(error) = server.store.write(write).await {
            tracing::debug!(namespace = key.name, %error, "the namespace is not gone yet");
        }
    }
}

/// Deletes the dependents of an owner that waits for them, and lets it go when none is left.
async fn finish_foreground(server: &Server, key: &Key, stored: &Stored) {
    let mut value = object::parse_stored(&stored.bytes);
    if !object::finalizers(&value).contains(&FOREGROUND) {
        return;
    }
    let dependents = dependents(server, object::meta(&value, "uid"));
    for (key, stored) in &dependents {
        if !stored.deleting {
            remove(server, key, stored).await;
        }
    }
    if dependents.iter().any(|(key, _)| server.store.get(key).is_some()) {
        return;
    }
    let rest: Vec<String> = object::finalizers(&value)
        .into_iter()
        .filter(|one| *one != FOREGROUND)
        .map(str::to_owned)
        .collect();
    let gone = rest.is_empty();
    object::meta_mut(&mut value).insert("finalizers".to_owned(), json!(rest));
    let object = (!gone).then_some(value);
    let write = Write { key: key.clone(), expect: Expect::At(stored.rv), object };
    match server.store.write(write).await {
        Ok(written) if gone => server.addresses.release(&written),
        Ok(_) => {}
        Err(error) => tracing::debug!(name = key.name, %error, "not released yet"),
    }
}

/// Takes the owner out of its dependents.
pub async fn orphan_dependents(server: &Server, uid: &str) {
    for (key, stored) in dependents(server, uid) {
        let mut value = object::parse_stored(&stored.bytes);
        if let Some(Value::Array(owners)) = object::meta_mut(&mut value).get_mut("ownerReferences")
        {
            owners.retain(|owner| owner["uid"] != uid);
        }
        let write = Write { key, expect: Expect::At(stored.rv), object: Some(value) };
        if let Err(error) = server.store.write(write).await {
            tracing::warn!(%error, "a dependent keeps its reference to a deleted owner");
        }
    }
}

fn dependents(server: &Server, uid: &str) -> Vec<(Key, Stored)> {
    let mut found = Vec::new();
    server.store.for_each(|key, stored| {
        if owned(&stored.bytes) && mentions(&stored.bytes, uid.as_bytes()) {
            found.push((key.clone(), stored.clone()));
        }
    });
    found.retain(|(_, stored)| {
        let value = object::parse_stored(&stored.bytes);
        let owners = value["metadata"]["ownerReferences"].as_array();
        owners.into_iter().flatten().any(|owner| owner["uid"] == uid)
    });
    found
}

/// Whether an object has owners and all of them are gone. Owners of kinds that are not served here
/// cannot be looked up and count as present.
fn is_orphan(server: &Server, key: &Key, value: &Value) -> bool {
    let owners = value["metadata"]["ownerReferences"].as_array();
    let owners = owners.map(Vec::as_slice).unwrap_or_default();
    !owners.is_empty()
        && owners.iter().all(|owner| {
            let api_version = object::text(owner, &["apiVersion"]);
            let kind = catalog::find_object(api_version, object::text(owner, &["kind"]));
            kind.is_some_and(|kind| {
                let key = catalog::key(kind, &key.namespace, object::text(owner, &["name"]));
                let stored = server.store.get(&key);
                stored.is_none_or(|stored| {
                    object::meta(&object::parse_stored(&stored.bytes), "uid") != owner["uid"]
                })
            })
        })
}

async fn expire_events(server: &Server) {
    let kind = by_kind("", "Event").expect("the table of kinds has events");
    let now = server.now();
    let mut events: Vec<(Timestamp, Key, Stored)> = server
        .store
        .all(catalog::resource_id(kind), None)
        .into_iter()
        .map(|(key, stored)| (last_seen(&object::parse_stored(&stored.bytes)), key, stored))
        .collect();
    events.sort_by_key(|(time, ..)| *time);
    let surplus = events.len().saturating_sub(EVENTS_AT_MOST);
    for (index, (time, key, stored)) in events.iter().enumerate() {
        let age = now.duration_since(*time);
        if index < surplus || age.unsigned_abs() > EVENT_LIFE && age.is_positive() {
            remove(server, key, stored).await;
        }
    }
}

fn last_seen(event: &Value) -> Timestamp {
    let times = [
        object::text(event, &["lastTimestamp"]),
        object::text(event, &["series", "lastObservedTime"]),
        object::text(event, &["eventTime"]),
        object::meta(event, "creationTimestamp"),
    ];
    times.iter().find_map(|time| time.parse().ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn owned(bytes: &[u8]) -> bool {
    mentions(bytes, b"\"ownerReferences\"")
}

fn mentions(bytes: &[u8], word: &[u8]) -> bool {
    !word.is_empty() && bytes.windows(word.len()).any(|window| window == word)
}
