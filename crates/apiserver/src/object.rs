//! Small pure helpers over objects as JSON: in, a value; out, its metadata fields, or the value
//! with one field changed.

use serde_json::{Map, Value, json};

/// Deeper objects cannot be read back: serde_json stops at 128 levels, a list and its item take some.
pub const MAX_DEPTH: usize = 100;

/// Parses what the store itself wrote.
pub fn parse_stored(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("the store holds only JSON that it serialised itself")
}

/// How deep arrays and objects are nested; 0 for a scalar.
pub fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(fields) => fields.values().map(depth).max(),
        _ => return 0,
    };
    1 + inner.unwrap_or(0)
}

/// The value at a path of object keys.
pub fn at<'a>(object: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, key| value.get(key))
}

/// The string at a path, or "".
pub fn text<'a>(object: &'a Value, path: &[&str]) -> &'a str {
    at(object, path).and_then(Value::as_str).unwrap_or_default()
}

/// A string field of `metadata`, or "".
pub fn meta<'a>(object: &'a Value, field: &str) -> &'a str {
    text(object, &["metadata", field])
}

/// `metadata`, made if it is missing or not an object.
pub fn meta_mut(object: &mut Value) -> &mut Map<String, Value> {
    child_mut(object, "metadata")
}

/// The member `key` as an object, made if it is missing or something else.
pub fn child_mut<'a>(object: &'a mut Value, key: &str) -> &'a mut Map<String, Value> {
    if !object.is_object() {
        *object = json!({});
    }
    let member =
        object.as_object_mut().expect("it was just made one").entry(key).or_insert(json!({}));
    if !member.is_object() {
        *member = json!({});
    }
    member.as_object_mut().expect("it was just made one")
}

/// Sets `metadata.resourceVersion`.
pub fn set_resource_version(object: &mut Value, rv: u64) {
    meta_mut(object).insert("resourceVersion".to_owned(), json!(rv.to_string()));
}

/// Whether a deletion was asked for and waits for finalizers.
pub fn is_deleting(object: &Value) -> bool {
    at(object, &["metadata", "deletionTimestamp"]).is_some_and(|value| !value.is_null())
}

/// `metadata.finalizers`.
pub fn finalizers(object: &Value) -> Vec<&str> {
    let list = at(object, &["metadata", "finalizers"]).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Puts `apiVersion`, `kind` and `metadata` first, in this order, as [`write_as`] expects.
pub fn normalize(object: Value, api_version: &str, kind: &str) -> Value {
    let Value::Object(mut fields) = object else { return object };
    let mut sorted = Map::with_capacity(fields.len());
    fields.shift_remove("apiVersion");
    fields.shift_remove("kind");
    sorted.insert("apiVersion".to_owned(), json!(api_version));
    sorted.insert("kind".to_owned(), json!(kind));
    if let Some(metadata) = fields.shift_remove("metadata") {
        sorted.insert("metadata".to_owned(), metadata);
    }
    sorted.append(&mut fields);
    Value::Object(sorted)
}

/// Appends stored JSON to `out` with its leading `apiVersion` replaced, without parsing it.
pub fn write_as(out: &mut Vec<u8>, stored: &[u8], api_version: &str) {
    const LEAD: &[u8] = b"{\"apiVersion\":\"";
    let tail = stored.strip_prefix(LEAD).and_then(|rest| {
        let end = rest.iter().position(|byte| *byte == b'"')?;
        rest.get(end..)
    });
    match tail {
        Some(tail) => {
            out.extend_from_slice(LEAD);
            out.extend_from_slice(api_version.as_bytes());
            out.extend_from_slice(tail);
        }
        None => out.extend_from_slice(stored),
    }
}

/// Time as Kubernetes writes it, to the second.
pub fn timestamp(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A random (version 4) UUID.
pub fn uuid() -> String {
    let mut bits: u128 = rand::random();
    bits = bits & !(0xf << 76) | (0x4 << 76);
    bits = bits & !(0x3 << 62) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::{normalize, uuid, write_as};
    use serde_json::json;

    #[test]
    fn stored_json_is_served_in_another_version_without_parsing() {
        let stored =
            normalize(json!({"spec": {}, "kind": "X", "metadata": {"name": "a"}}), "g/v1", "X");
        let mut out = Vec::new();
        write_as(&mut out, stored.to_string().as_bytes(), "g/v1beta1");
        let text = r#"{"apiVersion":"g/v1beta1","kind":"X","metadata":{"name":"a"},"spec":{}}"#;
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }

    #[test]
    fn uuids_are_version_4_and_differ() {
        let (one, two) = (uuid(), uuid());
        assert_ne!(one, two);
        assert_eq!((one.len(), &one[14..15]), (36, "4"));
        assert!("89ab".contains(&one[19..20]), "{one}");
    }
}
