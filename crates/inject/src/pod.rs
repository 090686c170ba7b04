//! Reading and editing a pod that is JSON. In: a pod whose shape [`problems`] found in order. Out: its
//! parts; whatever is not named here stays as it was.

use serde_json::{Map, Value};

/// What keeps the value from being read as a pod, with the field; empty for a pod.
pub fn problems(pod: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut want = |ok: bool, path: &str, what: &str| {
        if !ok {
            found.push((path.to_owned(), what.to_owned()));
        }
    };
    want(pod["spec"].is_object(), "spec", "is not an object: a pod needs one");
    let metadata = &pod["metadata"];
    want(metadata.is_object() || metadata.is_null(), "metadata", "is not an object");
    for field in ["annotations", "labels"] {
        let map = &metadata[field];
        let texts = map.as_object().is_some_and(|map| map.values().all(Value::is_string));
        want(map.is_null() || texts, &format!("metadata.{field}"), "is not a map of strings");
    }
    want(pod["spec"]["containers"].is_array(), "spec.containers", "is missing: a pod needs some");
    for field in ["containers", "initContainers", "volumes", "imagePullSecrets"] {
        let list = &pod["spec"][field];
        let objects = list.as_array().is_some_and(|list| list.iter().all(Value::is_object));
        want(list.is_null() || objects, &format!("spec.{field}"), "is not a list of objects");
    }
    found
}

pub fn label<'a>(pod: &'a Value, name: &str) -> Option<&'a str> {
    pod["metadata"]["labels"][name].as_str()
}

pub fn annotation<'a>(pod: &'a Value, name: &str) -> Option<&'a str> {
    pod["metadata"]["annotations"][name].as_str()
}

/// `labels` or `annotations`, made if missing.
pub fn metadata_mut<'a>(pod: &'a mut Value, field: &str) -> &'a mut Map<String, Value> {
    object_at(object_at(pod, "metadata"), field).as_object_mut().expect("object_at makes objects")
}

/// The object in a field of an object, made if it is missing or null.
pub fn object_at<'a>(value: &'a mut Value, field: &str) -> &'a mut Value {
    let slot = &mut value[field];
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    slot
}

/// The containers, volumes … of a pod.
pub fn list<'a>(pod: &'a Value, field: &str) -> &'a [Value] {
    pod["spec"][field].as_array().map_or(&[], Vec::as_slice)
}

/// The same to edit, made if missing.
pub fn list_mut<'a>(pod: &'a mut Value, field: &str) -> &'a mut Vec<Value> {
    let slot = &mut object_at(pod, "spec")[field];
    if !slot.is_array() {
        *slot = Value::Array(Vec::new());
    }
    slot.as_array_mut().expect("an array was put there")
}

/// The same to edit where it is; nothing if it is not there.
pub fn items_mut<'a>(pod: &'a mut Value, field: &str) -> &'a mut [Value] {
    let list = pod.get_mut("spec").and_then(|spec| spec.get_mut(field));
    list.and_then(Value::as_array_mut).map_or(&mut [], Vec::as_mut_slice)
}

/// Drops a list that holds nothing.
pub fn drop_empty(pod: &mut Value, field: &str) {
    if pod["spec"][field].as_array().is_some_and(Vec::is_empty)
        && let Some(spec) = pod["spec"].as_object_mut()
    {
        spec.shift_remove(field);
    }
}

/// The name of a container, a volume, a variable.
pub fn name(item: &Value) -> &str {
    item["name"].as_str().unwrap_or_default()
}

pub fn names(items: &[Value]) -> Vec<&str> {
    items.iter().map(name).collect()
}

pub fn find<'a>(items: &'a [Value], wanted: &str) -> Option<&'a Value> {
    items.iter().find(|item| name(item) == wanted)
}

/// A container of this name, wherever it is.
pub fn container<'a>(pod: &'a Value, wanted: &str) -> Option<&'a Value> {
    find(list(pod, "containers"), wanted).or_else(|| find(list(pod, "initContainers"), wanted))
}

/// The same to edit.
pub fn container_mut<'a>(pod: &'a mut Value, wanted: &str) -> Option<&'a mut Value> {
    let field = match find(list(pod, "containers"), wanted) {
        Some(_) => "containers",
        None => "initContainers",
    };
    items_mut(pod, field).iter_mut().find(|item| name(item) == wanted)
}

/// The text of a container's variable.
pub fn variable<'a>(container: &'a Value, wanted: &str) -> Option<&'a str> {
    find(container["env"].as_array()?, wanted)?["value"].as_str()
}

/// Sets variables of an injected pod's proxy, in place of ones of the same names.
pub fn set_proxy_variables(pod: &mut Value, variables: &[(String, String)]) {
    let Some(proxy) = container_mut(pod, crate::PROXY_CONTAINER) else { return };
    for (wanted, value) in variables {
        if let Some(env) = proxy["env"].as_array_mut() {
            env.retain(|item| name(item) != wanted);
        }
        set_variable(proxy, wanted, value.clone());
    }
}

/// Adds a variable to a container.
pub fn set_variable(container: &mut Value, name: &str, value: String) {
    let variable = serde_json::json!({"name": name, "value": value});
    match container["env"].as_array_mut() {
        Some(variables) => variables.push(variable),
        None => container["env"] = Value::Array(vec![variable]),
    }
}
