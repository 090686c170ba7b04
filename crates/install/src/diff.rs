//! What an apply would change. In: objects as they are and as they are wanted. Out: one change for
//! each that differs, with the fields that do.

mod lists;
mod place;

use std::fmt;

use lateen_api::issue::ObjectRef;
use lateen_api::kinds::split_api_version;
use serde_json::Value;

use lists::Pair;
use place::Place;

/// Metadata that the API writes.
const SERVER_METADATA: &[&str] = &[
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];
/// The annotation in which kubectl keeps what it applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// An object that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub object: ObjectRef,
    pub kind: ChangeKind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ChangeKind {
    Added,
    Removed,
    Changed(Vec<FieldChange>),
}

/// A field that differs; what is not set is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange {
    pub path: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

impl fmt::Display for FieldChange {
    /// As in `spec.replicas: 1 -> 2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show =
            |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), Value::to_string);
        write!(f, "{}: {} -> {}", self.path, show(&self.before), show(&self.after))
    }
}

/// Compares by kind, namespace and name; what the API itself writes does not count.
pub fn diff(live: &[Value], wanted: &[Value]) -> Vec<Change> {
    let mut changes = Vec::new();
    for after in wanted {
        let object = name_of(after);
        let kind = match live.iter().find(|before| name_of(before) == object) {
            None => ChangeKind::Added,
            Some(before) => {
                let mut fields = Vec::new();
                let place = Place::of(after);
                let (before, after) = (clean(before), clean(after));
                compare(Some(&before), Some(&after), place, String::new(), &mut fields);
                if fields.is_empty() {
                    continue;
                }
                ChangeKind::Changed(fields)
            }
        };
        changes.push(Change { object, kind });
    }
    for before in live {
        let object = name_of(before);
        if !wanted.iter().any(|after| name_of(after) == object) {
            changes.push(Change { object, kind: ChangeKind::Removed });
        }
    }
    changes
}

/// The object's name; versions of one kind are one kind.
fn name_of(object: &Value) -> ObjectRef {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let api_version = text(&object["apiVersion"]);
    let metadata = &object["metadata"];
    let (group, _) = split_api_version(&api_version);
    ObjectRef::new(
        group,
        text(&object["kind"]),
        text(&metadata["namespace"]),
        text(&metadata["name"]),
    )
}

fn clean(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.shift_remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| !SERVER_METADATA.contains(&key.as_str()));
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.shift_remove(LAST_APPLIED);
        }
    }
    object
}

fn compare(
    before: Option<&Value>,
    after: Option<&Value>,
    place: Place,
    path: String,
    found: &mut Vec<FieldChange>,
) {
    match (before, after) {
        (before, after) if before == after => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let dot = if path.is_empty() { "" } else { "." };
                let inner = format!("{path}{dot}{}", key.replace('.', "\\."));
                compare(old.get(key), new.get(key), place.field(key), inner, found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            let (pairs, order) = lists::pairs(old, new, place.keys);
            for Pair { at, before, after } in pairs {
                compare(before, after, place.item(), format!("{path}{at}"), found);
            }
            if let Some((before, after)) = order {
                let (before, after) = (Some(before), Some(after));
                found.push(FieldChange { path: format!("{path} order"), before, after });
            }
        }
        (Some(Value::String(old)), Some(Value::String(new)))
            if old.contains('\n') && new.contains('\n') =>
        {
            found.push(lines(old, new, path));
        }
        (before, after) => {
            let (before, after) = (before.cloned(), after.cloned());
            found.push(FieldChange { path, before, after });
        }
    }
}

/// The lines between what two texts have in common at their beginnings and ends.
fn lines(old: &str, new: &str, path: String) -> FieldChange {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let same = |(a, b): &(&&str, &&str)| a == b;
    let head = old.iter().zip(&new).take_while(same).count();
    let (old, new) = (&old[head..], &new[head..]);
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(same).count();
    let middle = |lines: &[&str]| {
        let lines = &lines[..lines.len() - tail];
        (!lines.is_empty()).then(|| Value::String(lines.join("\n")))
    };
    let path = format!("{path} line {}", head + 1);
    FieldChange { path, before: middle(old), after: middle(new) }
}

#[cfg(test)]
mod tests;
