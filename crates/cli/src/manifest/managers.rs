//! Fields that others applied, as the API notes them for each manager. In: an object as it is, and as an apply would leave
//! it. Out: the fields that would stay with nobody to look after them, and the object's managers without those who are
//! replaced.

use anyhow::Result;
use lateen_kube::{Client, Error};
use serde_json::{Map, Value, json};

use super::cluster::{ATTEMPTS, MANAGER, kind_of, place};

/// How Istio's own installers call themselves.
const ISTIO: [&str; 3] = ["istio-operator", "istioctl", "operator"];
/// How those do who apply manifests that were rendered before.
const APPLIERS: [&str; 9] = [
    "argocd-controller",
    "helm",
    "helm-controller",
    "kubectl",
    "kubectl-client-side-apply",
    "kubectl-create",
    "kubectl-replace",
    "kustomize-controller",
    "velero-server",
];

fn managers(object: &Value) -> impl Iterator<Item = &Value> {
    object["metadata"]["managedFields"].as_array().into_iter().flatten()
}

fn name(manager: &Value) -> &str {
    manager["manager"].as_str().unwrap_or_default()
}

/// Whether an installation of this program applied the object.
pub fn is_ours(object: &Value) -> bool {
    managers(object).any(|manager| name(manager) == MANAGER)
}

/// By what Istio's own installer applied it, if one did.
pub fn of_istio(object: &Value) -> Option<&str> {
    managers(object).map(name).find(|name| ISTIO.contains(name))
}

/// Who wrote the object first, by the API's order, if that is known: the embedded API has objects of its own, which
/// nobody's name is on.
pub fn first(object: &Value) -> Option<&str> {
    let is_whole = |manager: &&Value| {
        manager["subresource"].as_str().unwrap_or_default().is_empty() && name(manager) != "unknown"
    };
    managers(object).find(is_whole).map(name)
}

/// What is written through a subresource, such as a status or a scale, is no installer's.
fn is_replaced(manager: &Value) -> bool {
    let subresource = manager["subresource"].as_str().unwrap_or_default();
    subresource.is_empty() && (ISTIO.contains(&name(manager)) || APPLIERS.contains(&name(manager)))
}

/// Fields of the object that only those have who are replaced; `applied` is what an apply would make of it.
pub fn left(object: &Value, applied: &Value) -> Vec<String> {
    let (mut theirs, mut stay) = (json!({}), json!({}));
    managers(object).filter(|it| is_replaced(it)).for_each(|it| add(&mut theirs, &it["fieldsV1"]));
    managers(applied).filter(|it| !is_replaced(it)).for_each(|it| add(&mut stay, &it["fieldsV1"]));
    let mut found = Vec::new();
    missing(&theirs, &stay, String::new(), &mut found);
    found
}

/// Adds a tree of fields to another one.
fn add(to: &mut Value, from: &Value) {
    let Some(from) = from.as_object() else { return };
    if !to.is_object() {
        *to = json!({});
    }
    for (key, fields) in from {
        add(&mut to[key], fields);
    }
}

/// The paths of what the first tree has and the second one has not.
fn missing(theirs: &Value, stay: &Value, path: String, found: &mut Vec<String>) {
    for (key, fields) in theirs.as_object().into_iter().flatten().filter(|(key, _)| *key != ".") {
        let path = join(&path, key);
        match stay.get(key) {
            None => found.push(path),
            Some(stay) => missing(fields, stay, path, found),
        }
    }
}

/// A path with the next step: `f:` is a field, `k:` an item by its keys, `v:` one by its value.
fn join(path: &str, step: &str) -> String {
    match step.split_once(':') {
        Some(("f", field)) if path.is_empty() => field.to_owned(),
        Some(("f", field)) => format!("{path}.{field}"),
        Some(("k", keys)) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
            let keys: Vec<String> =
                keys.iter().map(|(key, value)| format!("{key}={}", text(value))).collect();
            format!("{path}[{}]", keys.join(","))
        }
        _ => format!("{path}[{step}]"),
    }
}

/// Makes the fields of those who are replaced this program's, so that the next apply removes those that it does not
/// name; whether there were any. Nothing else of the object changes.
pub async fn take(client: &Client, object: &Value) -> Result<bool> {
    for _ in 1..ATTEMPTS {
        match try_take(client, object).await {
            Err(error) if error.is_conflict() => {}
            taken => return Ok(taken?),
        }
    }
    Ok(try_take(client, object).await?)
}

/// Fails with a conflict if somebody changes the object meanwhile.
async fn try_take(client: &Client, object: &Value) -> Result<bool, Error> {
    let Ok(kind) = kind_of(object) else { return Ok(false) };
    let (namespace, name) = place(object);
    let Some(live) = client.get(kind, namespace, name).await? else { return Ok(false) };
    let Some(managers) = taken(&live) else { return Ok(false) };
    let version = &live["metadata"]["resourceVersion"];
    let patch = json!({ "metadata": { "resourceVersion": version, "managedFields": managers } });
    client.patch(kind, namespace, name, &patch).await?;
    Ok(true)
}

/// The managers afterwards; nothing if nobody is replaced.
fn taken(object: &Value) -> Option<Vec<Value>> {
    let is_own = |it: &&Value| name(it) == MANAGER && it["operation"] == "Apply";
    let first = managers(object).find(|it| is_replaced(it))?;
    let mut own = managers(object).find(is_own).unwrap_or(first).clone();
    own["manager"] = json!(MANAGER);
    own["operation"] = json!("Apply");
    own["apiVersion"] = object["apiVersion"].clone();
    managers(object).filter(|it| is_replaced(it)).for_each(|it| {
        add(&mut own["fieldsV1"], &it["fieldsV1"]);
    });
    let rest = managers(object).filter(|it| !is_replaced(it) && !is_own(it)).cloned();
    Some(std::iter::once(own).chain(rest).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{left, of_istio, taken};

    fn manager(name: &str, operation: &str, fields: Value) -> Value {
        json!({"manager": name, "operation": operation, "apiVersion": "apps/v1",
               "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    fn object(managers: &[Value]) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment",
               "metadata": {"name": "istiod", "managedFields": managers}})
    }

    fn env(names: &[&str]) -> Value {
        let mut items = json!({".": {}});
        for name in names {
            items[format!("k:{{\"name\":\"{name}\"}}")] = json!({".": {}, "f:name": {}});
        }
        json!({"f:spec": {"f:env": items}})
    }

    #[test]
    fn fields_that_only_a_replaced_manager_has_are_listed() {
        let before = object(&[
            manager("istio-operator", "Apply", env(&["A", "B", "C"])),
            manager("kubectl-edit", "Update", env(&["C"])),
        ]);
        let mut after = before.clone();
        let managers = after["metadata"]["managedFields"].as_array_mut().unwrap();
        managers.push(manager("lateen-install", "Apply", env(&["A"])));
        assert_eq!(left(&before, &after), ["spec.env[name=B]"]);
        assert_eq!(of_istio(&before), Some("istio-operator"));
        let other = object(&[manager("kubectl-edit", "Update", env(&["C"]))]);
        assert!(left(&other, &other).is_empty());
    }

    #[test]
    fn what_a_replaced_manager_has_becomes_ours_and_nothing_of_the_others() {
        let mut status = manager("helm", "Update", json!({"f:status": {}}));
        status["subresource"] = json!("status");
        let edited = manager("kubectl-edit", "Update", env(&["C"]));
        let found = taken(&object(&[
            manager("helm", "Update", env(&["A"])),
            edited.clone(),
            status.clone(),
            manager("lateen-install", "Apply", env(&["B"])),
        ]));
        let own = manager("lateen-install", "Apply", env(&["B", "A"]));
        assert_eq!(found, Some(vec![own, edited.clone(), status]));
        assert_eq!(taken(&object(&[edited])), None);
    }
}
