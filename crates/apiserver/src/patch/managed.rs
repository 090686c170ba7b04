//! `metadata.managedFields`: which manager owns which fields. In: objects before and after a write,
//! who wrote, when. Out: the entries, updated as Kubernetes updates them for ordinary writes.

use lateen_api::kinds::Kind;
use serde_json::{Map, Value, json};

use super::fields::{Changes, FieldSet, Path, compare};
use crate::openapi::shape::Shape;

pub const APPLY: &str = "Apply";
pub const UPDATE: &str = "Update";

/// One entry of `metadata.managedFields`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub manager: String,
    /// `Apply` or `Update`.
    pub operation: String,
    pub api_version: String,
    /// Empty for the object itself.
    pub subresource: String,
    pub time: String,
    pub fields: FieldSet,
}

impl Entry {
    /// Whether both entries are the same manager's.
    pub fn same_manager(&self, other: &Entry) -> bool {
        // An applier keeps one entry over all versions.
        self.manager == other.manager
            && self.operation == other.operation
            && self.subresource == other.subresource
            && (self.operation == APPLY || self.api_version == other.api_version)
    }

    fn read(entry: &Value) -> Entry {
        let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        Entry {
            manager: text("manager"),
            operation: text("operation"),
            api_version: text("apiVersion"),
            subresource: text("subresource"),
            time: text("time"),
            fields: FieldSet::from_v1(&entry["fieldsV1"]),
        }
    }

    fn write(&self) -> Value {
        let mut out = Map::new();
        let mut put = |name: &str, text: &str| {
            if !text.is_empty() {
                out.insert(name.to_owned(), Value::from(text));
            }
        };
        put("apiVersion", &self.api_version);
        put("fieldsType", "FieldsV1");
        put("manager", &self.manager);
        put("operation", &self.operation);
        put("subresource", &self.subresource);
        put("time", &self.time);
        out.insert("fieldsV1".to_owned(), self.fields.to_v1());
        Value::Object(out)
    }
}

/// The entries of an object; none when it has none.
pub fn read(object: &Value) -> Vec<Entry> {
    object["metadata"]["managedFields"]
        .as_array()
        .map(|entries| entries.iter().map(Entry::read).collect())
        .unwrap_or_default()
}

/// Replaces the entries of `object`: those that own nothing go, appliers come first, then by time.
pub fn write(object: &mut Value, mut entries: Vec<Entry>) {
    entries.retain(|entry| !entry.fields.is_empty());
    entries.sort_by(|a, b| {
        let key = |e: &Entry| (e.operation != APPLY, e.time.clone(), e.manager.clone());
        key(a).cmp(&key(b))
    });
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    if entries.is_empty() {
        metadata.shift_remove("managedFields");
    } else {
        let written = entries.iter().map(Entry::write).collect();
        metadata.insert("managedFields".to_owned(), Value::Array(written));
    }
}

/// The object without its entries.
pub fn without_entries(object: &Value) -> Value {
    let mut bare = object.clone();
    if let Some(metadata) = bare.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("managedFields");
    }
    bare
}

/// Takes out the paths that nobody owns: identity and what the server writes, and the part of the
/// object that this endpoint cannot change.
pub fn strip(set: &mut FieldSet, kind: &Kind, subresource: Option<&str>) {
    set.retain(|path| is_owned(path, kind.status, subresource));
}

const UNOWNED_METADATA: [&str; 9] = [
    "f:name",
    "f:namespace",
    "f:creationTimestamp",
    "f:selfLink",
    "f:uid",
    "f:clusterName",
    "f:generation",
    "f:managedFields",
    "f:resourceVersion",
];

fn is_owned(path: &Path, status_apart: bool, subresource: Option<&str>) -> bool {
    let first = path.first().map(String::as_str).unwrap_or_default();
    match (first, path.get(1)) {
        ("f:apiVersion" | "f:kind" | "", _) | ("f:metadata", None) => return false,
        ("f:metadata", Some(name)) if UNOWNED_METADATA.contains(&name.as_str()) => return false,
        _ => {}
    }
    match subresource {
        Some("status") => first == "f:status",
        _ => first != "f:status" || !status_apart,
    }
}

/// Who writes, and through which endpoint.
pub struct Writer<'a> {
    pub manager: &'a str,
    pub operation: &'a str,
    pub subresource: Option<&'a str>,
    /// RFC 3339, seconds.
    pub now: &'a str,
}

/// Sets `new.metadata.managedFields` after an ordinary write (create, update, patch): the writer owns
/// what it changed, everybody else loses it. `new` may carry entries of its own: `[{}]` resets them.
pub fn update(
    kind: &Kind,
    shape: Shape<'_>,
    old: Option<&Value>,
    new: &mut Value,
    writer: &Writer<'_>,
) {
    let mut entries = starting_entries(old, new);
    let before = old.map(without_entries).unwrap_or_else(|| json!({}));
    let Ok(mut changes) = compare(&before, &without_entries(new), shape) else {
        // An item without its key cannot be owned; the owners stay as they were.
        write(new, entries);
        return;
    };
    for set in [&mut changes.added, &mut changes.modified, &mut changes.removed] {
        strip(set, kind, writer.subresource);
    }
    own_changes(&mut entries, &changes, new["apiVersion"].as_str().unwrap_or_default(), writer);
    write(new, entries);
}

fn starting_entries(old: Option<&Value>, new: &Value) -> Vec<Entry> {
    match new["metadata"]["managedFields"].as_array() {
        Some(sent) if sent.len() == 1 && sent[0].as_object().is_some_and(Map::is_empty) => {
            Vec::new()
        }
        Some(sent) if !sent.is_empty() => read(new),
        _ => old.map(read).unwrap_or_default(),
    }
}

fn own_changes(
    entries: &mut Vec<Entry>,
    changes: &Changes,
    api_version: &str,
    writer: &Writer<'_>,
) {
    let mut gained = changes.added.clone();
    gained.extend(&changes.modified);
    if gained.is_empty() && changes.removed.is_empty() {
        return;
    }
    let this = Entry {
        manager: writer.manager.to_owned(),
        operation: writer.operation.to_owned(),
        api_version: api_version.to_owned(),
        subresource: writer.subresource.unwrap_or_default().to_owned(),
        time: writer.now.to_owned(),
        fields: gained.clone(),
    };
    let mut found = false;
    for entry in entries.iter_mut() {
        entry.fields.subtract(&changes.removed);
        if entry.same_manager(&this) {
            found = true;
            entry.fields.extend(&gained);
            entry.time.clone_from(&this.time);
        } else {
            entry.fields.subtract(&gained);
        }
    }
    if !found {
        entries.push(this);
    }
}
