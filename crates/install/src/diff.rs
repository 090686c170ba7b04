//! What an apply would change. In: objects as they are and as they are wanted. Out: one change for
//! each that differs, with the fields that do.

use std::fmt;

use lateen_api::issue::ObjectRef;
use lateen_api::kinds::split_api_version;
use serde_json::Value;

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
                compare(Some(&clean(before)), Some(&clean(after)), String::new(), &mut fields);
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
    path: String,
    found: &mut Vec<FieldChange>,
) {
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let dot = if path.is_empty() { "" } else { "." };
                let inner = format!("{path}{dot}{}", key.replace('.', "\\."));
                compare(old.get(key), new.get(key), inner, found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for index in 0..old.len().max(new.len()) {
                compare(old.get(index), new.get(index), format!("{path}[{index}]"), found);
            }
        }
        (before, after) if before == after => {}
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
mod tests {
    use serde_json::{Value, json};

    use super::{ChangeKind, diff};

    fn object(name: &str, data: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
    }

    #[test]
    fn objects_are_added_removed_and_changed() {
        let live = [object("a", json!({"x": 1, "y": [1, 2]})), object("gone", json!({}))];
        let wanted = [object("a", json!({"x": 2, "y": [1]})), object("new", json!({}))];
        let changes = diff(&live, &wanted);
        let names: Vec<&str> = changes.iter().map(|change| change.object.name.as_str()).collect();
        assert_eq!(names, ["a", "new", "gone"]);
        let ChangeKind::Changed(fields) = &changes[0].kind else { panic!("{changes:?}") };
        let shown: Vec<String> = fields.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["data.x: 1 -> 2", "data.y[1]: 2 -> nothing"]);
        assert_eq!(changes[1].kind, ChangeKind::Added);
        assert_eq!(changes[2].kind, ChangeKind::Removed);
    }

    #[test]
    fn of_a_long_text_the_lines_that_differ_are_told() {
        let changes = diff(
            &[object("a", json!({"t": "a\nb\nc\n"}))],
            &[object("a", json!({"t": "a\nx\nc\n"}))],
        );
        let ChangeKind::Changed(fields) = &changes[0].kind else { panic!("{changes:?}") };
        assert_eq!(fields[0].to_string(), "data.t line 2: \"b\" -> \"x\"");
    }

    #[test]
    fn what_the_api_writes_is_no_change() {
        let mut live = object("a", json!({}));
        live["metadata"]["resourceVersion"] = json!("7");
        live["metadata"]["managedFields"] = json!([]);
        live["status"] = json!({"x": 1});
        assert_eq!(diff(&[live], &[object("a", json!({}))]), []);
    }
}
