//! What the server itself decides about an object's metadata: in, the object as sent, and the one
//! stored; out, the object with the fields that only the server may set, and the parts that this
//! endpoint may not change put back.

use jiff::Timestamp;
use lateen_api::kinds::{Kind, Source};
use lateen_api::labels::{is_annotation_key, is_label_key};
use serde_json::{Value, json};

use super::names;
use crate::error::{ApiError, Cause};
use crate::object;

/// Metadata that a client cannot change.
const KEPT: [&str; 7] = [
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

/// Checks an object's `apiVersion` and `kind` against those of the path; absent ones are filled in
/// only if `lenient`.
pub fn check_type(
    value: &mut Value,
    kind: &Kind,
    version: &str,
    lenient: bool,
) -> Result<(), ApiError> {
    if !value.is_object() {
        return Err(ApiError::bad_request("the body must be an object"));
    }
    let expected = kind.api_version(version);
    for (field, wanted) in [("apiVersion", expected.as_str()), ("kind", kind.kind)] {
        match value.get(field).map(|sent| sent.as_str()) {
            Some(Some(sent)) if sent == wanted => {}
            None | Some(Some("")) if lenient => value[field] = json!(wanted),
            None | Some(Some("")) => {
                let name = if field == "kind" { "Kind" } else { field };
                let message = format!("Object '{name}' is missing in '{}'", brief(value));
                return Err(ApiError::bad_request(message));
            }
            Some(Some(sent)) if field == "kind" => {
                let kind = kind.kind;
                let message =
                    format!("{sent} in version {version:?} cannot be handled as a {kind}");
                return Err(ApiError::bad_request(message));
            }
            Some(sent) => {
                let sent = sent.unwrap_or("something else");
                return Err(ApiError::bad_request(format!(
                    "the API version in the data ({sent}) does not match the expected API version \
                     ({expected})"
                )));
            }
        }
    }
    Ok(())
}

fn brief(value: &Value) -> String {
    value.to_string().chars().take(200).collect()
}

/// Makes a new object's metadata. The name must be there already.
pub fn for_create(
    kind: &Kind,
    value: &mut Value,
    namespace: &str,
    now: Timestamp,
) -> Result<(), ApiError> {
    let metadata = object::meta_mut(value);
    if metadata.get("resourceVersion").and_then(Value::as_str).is_some_and(|rv| !rv.is_empty()) {
        let message = "resourceVersion should not be set on objects to be created";
        return Err(ApiError::bad_request(message));
    }
    for field in KEPT.iter().skip(1).chain(&["resourceVersion", "selfLink"]) {
        metadata.shift_remove(*field);
    }
    if kind.namespaced {
        metadata.insert("namespace".to_owned(), json!(namespace));
    }
    metadata.insert("uid".to_owned(), json!(object::uuid()));
    metadata.insert("creationTimestamp".to_owned(), json!(object::timestamp(now)));
    if has_generation(kind) {
        metadata.insert("generation".to_owned(), json!(1));
    }
    if kind.status
        && let Some(fields) = value.as_object_mut()
    {
        fields.shift_remove("status");
    }
    Ok(())
}

/// Puts back into `new` what this endpoint may not change, and moves the generation on.
pub fn for_update(
    kind: &Kind,
    old: &Value,
    new: &mut Value,
    subresource: &str,
) -> Result<(), ApiError> {
    let uid = object::meta(new, "uid");
    if !uid.is_empty() && uid != object::meta(old, "uid") {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            object::meta(old, "uid")
        );
        return Err(ApiError::conflict(kind, object::meta(old, "name"), &why));
    }
    if subresource == "status" {
        let status = new.get("status").cloned();
        let entries = object::at(new, &["metadata", "managedFields"]).cloned();
        *new = old.clone();
        put(new, "status", status);
        if let Some(entries) = entries {
            object::meta_mut(new).insert("managedFields".to_owned(), entries);
        }
        return Ok(());
    }
    let kept: Vec<_> =
        KEPT.iter().chain(&["managedFields"]).map(|f| (*f, old["metadata"].get(*f))).collect();
    let metadata = object::meta_mut(new);
    metadata.shift_remove("selfLink");
    for (field, value) in kept {
        match value {
            Some(_) if field == "managedFields" && metadata.contains_key(field) => {}
            Some(value) => {
                metadata.insert(field.to_owned(), value.clone());
            }
            None if field == "managedFields" => {}
            None => {
                metadata.shift_remove(field);
            }
        }
    }
    if kind.status {
        put(new, "status", old.get("status").cloned());
    }
    if has_generation(kind) && desired(old) != desired(new) {
        let generation = object::at(old, &["metadata", "generation"]).and_then(Value::as_i64);
        let next = generation.unwrap_or(0) + 1;
        object::meta_mut(new).insert("generation".to_owned(), json!(next));
    }
    Ok(())
}

/// Puts back into a new object what a webhook may not change.
pub fn protect(settled: &Value, new: &mut Value) {
    for field in KEPT {
        let value = object::at(settled, &["metadata", field]).cloned();
        let metadata = object::meta_mut(new);
        match value {
            Some(value) => {
                metadata.insert(field.to_owned(), value);
            }
            None => {
                metadata.shift_remove(field);
            }
        }
    }
}

fn put(value: &mut Value, field: &str, member: Option<Value>) {
    let Some(fields) = value.as_object_mut() else { return };
    match member {
        Some(member) => {
            fields.insert(field.to_owned(), member);
        }
        None => {
            fields.shift_remove(field);
        }
    }
}

/// Everything that is neither metadata nor status.
fn desired(value: &Value) -> Vec<(&String, &Value)> {
    let fields = value.as_object().into_iter().flatten();
    let mut found: Vec<_> = fields
        .filter(|(name, _)| !matches!(name.as_str(), "apiVersion" | "kind" | "metadata" | "status"))
        .collect();
    found.sort_by_key(|(name, _)| *name);
    found
}

/// Kubernetes counts generations where a controller follows a spec.
fn has_generation(kind: &Kind) -> bool {
    match kind.source {
        Source::Istio | Source::GatewayApi => true,
        Source::Kubernetes => matches!(
            kind.group,
            "admissionregistration.k8s.io"
                | "apiextensions.k8s.io"
                | "apps"
                | "batch"
                | "networking.k8s.io"
                | "policy"
        ),
    }
}

/// Whether nothing would change but bookkeeping.
pub fn same(old: &Value, new: &Value) -> bool {
    let bare = |value: &Value| {
        let mut bare = value.clone();
        let metadata = object::meta_mut(&mut bare);
        metadata.shift_remove("managedFields");
        metadata.shift_remove("resourceVersion");
        bare
    };
    let owners = |value: &Value| {
        let entries = object::at(value, &["metadata", "managedFields"]).and_then(Value::as_array);
        let mut owners = entries.cloned().unwrap_or_default();
        for entry in &mut owners {
            if let Some(fields) = entry.as_object_mut() {
                fields.shift_remove("time");
            }
        }
        owners
    };
    bare(old) == bare(new) && owners(old) == owners(new)
}

/// Finalizers that come too late: an object that is being deleted only loses them.
pub fn late_finalizers(old: &Value, new: &Value) -> Option<Cause> {
    if !object::is_deleting(old) {
        return None;
    }
    let before = object::finalizers(old);
    let mut late = object::finalizers(new);
    late.retain(|one| !before.contains(one));
    late.sort_unstable();
    late.dedup();
    let list: Vec<String> = late.iter().map(|one| format!("{one:?}")).collect();
    (!late.is_empty()).then(|| {
        let why = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers \
             []string{{{}}}",
            list.join(", ")
        );
        Cause::forbidden("metadata.finalizers", &why)
    })
}

/// What is wrong with an object's names and labels.
pub fn metadata_causes(kind: &Kind, value: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let name = object::meta(value, "name");
    let problems = name_problems(kind, name).into_iter();
    causes.extend(problems.map(|one| Cause::invalid("metadata.name", &json!(name), one)));
    for (key, label) in value["metadata"]["labels"].as_object().into_iter().flatten() {
        let text = label.as_str();
        let good = text.is_some_and(|text| names::label_value(text).is_empty());
        if !is_label_key(key) || !good {
            let problem = "a label's key is a qualified name and its value is empty or at most 63 \
                           of [A-Za-z0-9._-] that begin and end alphanumeric";
            causes.push(Cause::invalid("metadata.labels", &json!({key: label}), problem));
        }
    }
    for (key, note) in value["metadata"]["annotations"].as_object().into_iter().flatten() {
        if !is_annotation_key(key) || !note.is_string() {
            let problem = "an annotation's key is a qualified name and its value is a string";
            causes.push(Cause::invalid("metadata.annotations", &json!(key), problem));
        }
    }
    causes
}

fn name_problems(kind: &Kind, name: &str) -> Vec<&'static str> {
    match (kind.group, kind.kind) {
        ("rbac.authorization.k8s.io", _) => {
            let bad = name.is_empty() || name == "." || name == ".." || name.contains(['/', '%']);
            Vec::from_iter(bad.then_some("may not be empty, '.', '..' or contain '/' or '%'"))
        }
        ("", "Namespace") => names::label(name),
        ("", "Service") => names::service(name),
        _ => names::subdomain(name),
    }
}
