//! Reading and editing a pod that is JSON. In: a pod whose shape [`problems`] found in order. Out: its
//! parts; whatever is not named here stays as it was.

use std::collections::{HashMap, HashSet};

use lateen_api::labels::quoted;
use serde_json::{Map, Value};

use crate::{INIT_CONTAINER, PROXY_CONTAINER, VALIDATION_CONTAINER};

/// The containers that a pod may have parts of its own for.
pub const INJECTED: [&str; 3] = [PROXY_CONTAINER, INIT_CONTAINER, VALIDATION_CONTAINER];

const CONTAINERS: [&str; 2] = ["containers", "initContainers"];
/// Fields of a container that hold objects, and lists of objects.
const OBJECTS: [&str; 6] = [
    "securityContext",
    "resources",
    "lifecycle",
    "readinessProbe",
    "livenessProbe",
    "startupProbe",
];
const LISTS: [&str; 3] = ["env", "ports", "volumeMounts"];

/// A field, and what is wrong with it.
pub type Problem = (String, String);

/// What keeps the value from being read as a pod; empty for a pod.
pub fn problems(pod: &Value) -> Vec<Problem> {
    let mut found = Vec::new();
    if !pod["spec"].is_object() {
        found.push(("spec".to_owned(), "is not an object: a pod needs one".to_owned()));
    }
    if !pod["spec"]["containers"].is_array() {
        found.push(("spec.containers".to_owned(), "is missing: a pod needs some".to_owned()));
    }
    found.extend(misfits(pod));
    let names = CONTAINERS.iter().flat_map(|field| list(pod, field)).map(name);
    let mut seen = HashSet::new();
    let mut injected = names.filter(|name| INJECTED.contains(name));
    if let Some(twice) = injected.find(|name| !seen.insert(*name)) {
        found.push(("spec.containers".to_owned(), format!("{twice} is there twice")));
    }
    found
}

/// What keeps a part of a pod, as a template has it, from being merged into one.
pub fn misfits(part: &Value) -> Vec<Problem> {
    let mut found = Vec::new();
    want_object(&part["metadata"], || "metadata".to_owned(), &mut found);
    want_object(&part["spec"], || "spec".to_owned(), &mut found);
    for field in ["annotations", "labels"] {
        let (map, path) = (&part["metadata"][field], format!("metadata.{field}"));
        match map.as_object() {
            Some(map) => found.extend(map.iter().filter_map(|(key, value)| {
                Some((format!("{path}[{:?}]", quoted(key)), no_text(value)?))
            })),
            None => want_object(map, || path.clone(), &mut found),
        }
    }
    for field in ["securityContext", "dnsConfig"] {
        want_object(&part["spec"][field], || format!("spec.{field}"), &mut found);
    }
    for field in ["containers", "initContainers", "volumes", "imagePullSecrets"] {
        want_objects(&part["spec"][field], || format!("spec.{field}"), &mut found);
    }
    for containers in CONTAINERS {
        for (index, container) in list(part, containers).iter().enumerate() {
            let at = |field: &str| format!("spec.{containers}[{index}].{field}");
            for field in OBJECTS {
                want_object(&container[field], || at(field), &mut found);
            }
            for field in LISTS {
                want_objects(&container[field], || at(field), &mut found);
            }
        }
    }
    found
}

/// Why a value is none of a label or an annotation.
fn no_text(value: &Value) -> Option<String> {
    match value {
        Value::String(_) | Value::Null => None,
        Value::Bool(_) | Value::Number(_) => {
            Some(format!("is {value} and must be a text: write it in quotes, \"{value}\""))
        }
        Value::Array(_) => Some("is a list and must be a text".to_owned()),
        Value::Object(_) => Some("is an object and must be a text".to_owned()),
    }
}

fn want_object(value: &Value, path: impl Fn() -> String, found: &mut Vec<Problem>) {
    if !value.is_object() && !value.is_null() {
        found.push((path(), "is not an object".to_owned()));
    }
}

fn want_objects(value: &Value, path: impl Fn() -> String, found: &mut Vec<Problem>) {
    let objects = value.as_array().is_some_and(|list| list.iter().all(Value::is_object));
    if !objects && !value.is_null() {
        found.push((path(), "is not a list of objects".to_owned()));
    }
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

/// The object in a field of an object; what is not one makes way for one.
pub fn object_at<'a>(value: &'a mut Value, field: &str) -> &'a mut Value {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
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

/// Items by their names, the first of each: a pod's lists may be as long as a request is.
pub fn by_name(items: &[Value]) -> HashMap<&str, &Value> {
    let mut found = HashMap::with_capacity(items.len());
    for item in items {
        found.entry(name(item)).or_insert(item);
    }
    found
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

/// Where containers are in the pod as its author wrote it: an injection moves them.
pub struct Places<'a>([(&'static str, HashMap<&'a str, usize>); 2]);

impl<'a> Places<'a> {
    pub fn of(base: &'a Value) -> Self {
        Places(CONTAINERS.map(|field| {
            let mut found = HashMap::new();
            for (index, container) in list(base, field).iter().enumerate() {
                found.entry(name(container)).or_insert(index);
            }
            (field, found)
        }))
    }

    /// `spec.containers[1]`, or by its name one that the author does not have.
    pub fn path(&self, field: &str, wanted: &str) -> String {
        let containers = self.0.iter().find(|(known, _)| *known == field);
        match containers.and_then(|(_, found)| found.get(wanted)) {
            Some(index) => format!("spec.{field}[{index}]"),
            None => format!("spec.{field}[{wanted:?}]"),
        }
    }
}

/// The text of a container's variable.
pub fn variable<'a>(container: &'a Value, wanted: &str) -> Option<&'a str> {
    find(container["env"].as_array()?, wanted)?["value"].as_str()
}

/// Sets variables of an injected pod's proxy, in place of ones of the same names.
pub fn set_proxy_variables(pod: &mut Value, variables: &[(String, String)]) {
    let Some(proxy) = container_mut(pod, PROXY_CONTAINER) else { return };
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

#[cfg(test)]
mod tests {
    #[test]
    fn an_annotation_that_is_no_text_is_named_with_its_remedy() {
        let annotations = serde_json::json!({"a": "x", "sidecar.istio.io/inject": true, "port": 80, "n": null, "l": []});
        let pod = serde_json::json!({
            "metadata": {"annotations": annotations, "labels": "x"},
            "spec": {"containers": []},
        });
        let told: Vec<String> = super::problems(&pod)
            .into_iter()
            .map(|(path, told)| format!("{path} {told}"))
            .collect();
        assert_eq!(
            told,
            [
                "metadata.annotations[\"sidecar.istio.io/inject\"] is true and must be a text: write it in quotes, \"true\"",
                "metadata.annotations[\"port\"] is 80 and must be a text: write it in quotes, \"80\"",
                "metadata.annotations[\"l\"] is a list and must be a text",
                "metadata.labels is not an object",
            ]
        );
    }
}
