//! An object as a text to edit. In: the API's JSON, or a reader's YAML. Out: the other, without what nobody edits.

use aws_lc_rs::digest::{SHA256, digest};
use lateen_api::issue::{Code, Issue};
use lateen_api::kinds::{Kind, split_api_version};
use lateen_api::resource::Key;
use lateen_api::yaml;
use serde_json::{Value, json};

/// What the API keeps for itself, and what changes with the status.
const KEPT: [&str; 3] = ["managedFields", "resourceVersion", "generation"];

/// kubectl's note of what it applied last: as long as the object, and nobody's to edit.
const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What a writer can change of an object, and what tells it from others; in the version that kubectl shows, as all
/// versions of a kind have the same fields.
pub fn content(kind: &Kind, mut object: Value) -> Value {
    object["apiVersion"] = kind.api_version(kind.preferred_version()).into();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|name, _| !KEPT.contains(&name.as_str()));
        let annotations = metadata.get_mut("annotations").and_then(Value::as_object_mut);
        if annotations.is_some_and(|all| all.shift_remove(APPLIED).is_some() && all.is_empty()) {
            metadata.shift_remove("annotations");
        }
    }
    if let Some(fields) = object.as_object_mut().filter(|_| kind.status) {
        fields.shift_remove("status");
    }
    object
}

/// Gives a content what only the present object has: its version for the API, and kubectl's note.
pub fn complete(mut content: Value, present: &Value) -> Value {
    let (metadata, old) = (&mut content["metadata"], &present["metadata"]);
    metadata["resourceVersion"] = old["resourceVersion"].clone();
    if let Some(applied) = old["annotations"].get(APPLIED) {
        if !metadata["annotations"].is_object() {
            metadata["annotations"] = json!({});
        }
        metadata["annotations"][APPLIED] = applied.clone();
    }
    content
}

/// The version of a content.
pub fn version(content: &Value) -> String {
    let hash = digest(&SHA256, content.to_string().as_bytes());
    hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

pub fn write(content: &Value) -> Result<String, String> {
    yaml::write(content).map_err(|error| format!("the object cannot be written as YAML: {error}"))
}

/// Reads a text that is to become the object of this key.
///
/// # Errors
/// Why it is no such object, by the field.
pub fn read(key: &Key, text: &str) -> Result<Value, Box<Issue>> {
    let wrong = |path: &str, message: String| {
        Box::new(Issue::error(key.object_ref(), path, Code::SCHEMA_VALIDATION_ERROR, message))
    };
    let documents: Vec<Value> =
        yaml::all(text).map_err(|reason| wrong("", format!("the text is no YAML: {reason}")))?;
    let [object] = documents.as_slice() else {
        return Err(wrong("", format!("the text has {} objects: one is edited", documents.len())));
    };
    let mut object = object.clone();
    if !object.is_object() || !object["metadata"].is_object() {
        return Err(wrong("metadata", "the text is no object with metadata".to_owned()));
    }
    let (group, version) = split_api_version(object["apiVersion"].as_str().unwrap_or_default());
    if group != key.kind.group || !key.kind.serves(version) {
        let versions = key.kind.versions.iter().map(|version| key.kind.api_version(version));
        let versions = versions.collect::<Vec<_>>().join(" or ");
        return Err(wrong("apiVersion", format!("apiVersion must be {versions}")));
    }
    let metadata = &object["metadata"];
    let namespace = metadata["namespace"].as_str().unwrap_or(&key.namespace);
    for (path, found, own) in [
        ("kind", object["kind"].as_str().unwrap_or_default(), key.kind.kind),
        ("metadata.name", metadata["name"].as_str().unwrap_or_default(), &*key.name),
        ("metadata.namespace", namespace, &*key.namespace),
    ] {
        if found != own {
            let text = format!("{path} must stay {own:?}: this is an update of {key}");
            return Err(wrong(path, text));
        }
    }
    // All versions of a kind have the same fields.
    object["apiVersion"] = key.kind.api_version(key.kind.storage_version()).into();
    if !key.namespace.is_empty() {
        object["metadata"]["namespace"] = json!(key.namespace);
    }
    Ok(object)
}
