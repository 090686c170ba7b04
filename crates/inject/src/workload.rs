//! Injection into workloads, as `lateen inject` and other clients without a webhook do it. In: any
//! object. Out: the object with its pod template injected, or unchanged with the reason. Lists are gone
//! through item by item.

use std::collections::BTreeMap;

use lateen_api::issue::{Issue, ObjectRef};
use serde_json::{Value, json};

use crate::decide::{Decision, Reason, decide};
use crate::discovery::{self, sight};
use crate::inject::{Target, inject_into};
use crate::owner;
use crate::settings::Settings;
use crate::webhook::selected;
use crate::{Injected, Subject, pod};

/// What is known without an API server.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manual<'a> {
    /// For objects that do not name theirs.
    pub namespace: &'a str,
    /// With labels, a pod is injected only if a webhook would be called for it; without, whatever its
    /// namespace says.
    pub namespace_labels: Option<&'a BTreeMap<String, String>>,
}

/// What became of an object.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// With warnings and hints.
    Injected {
        object: Value,
        issues: Vec<Issue>,
    },
    Skipped {
        reason: Reason,
    },
    /// No webhook would be called for it.
    NotSelected,
    /// Not a workload.
    Passed,
    /// With at least one error.
    Refused {
        issues: Vec<Issue>,
    },
}

/// Injects into one object that is not a `List`.
pub fn workload(object: &Value, manual: &Manual, settings: &Settings) -> Outcome {
    let Some((target, path)) = places(object, manual) else { return Outcome::Passed };
    let ObjectRef { kind, name, namespace, .. } = &target.object;
    let api_version = object["apiVersion"].as_str().unwrap_or_default();
    let template = path.iter().fold(object, |at, part| &at[*part]);
    let pod = json!({"metadata": template["metadata"], "spec": template["spec"]});
    let nothing = BTreeMap::new();
    let namespace_labels = manual.namespace_labels.unwrap_or(&nothing);
    let subject = Subject { namespace, namespace_labels, pod: &pod };
    if manual.namespace_labels.is_some() && selected(&subject, settings).is_none() {
        return Outcome::NotSelected;
    }
    if let Decision::Skip { reason } = decide(&subject, settings) {
        return Outcome::Skipped { reason };
    }
    let owner = match kind.as_str() {
        "Pod" => owner::of_pod(&pod),
        _ => owner::of_template(api_version, kind, name, &pod),
    };
    match inject_into(&subject, settings, &owner, &target) {
        Ok(Injected { pod, mut issues }) => {
            let sight = sight(settings, namespace, manual.namespace_labels);
            issues.extend(discovery::warning(&target, namespace, &pod, settings, sight));
            Outcome::Injected { object: put_back(object, &path, &pod), issues }
        }
        Err(issues) => Outcome::Refused { issues },
    }
}

/// The items of a `List`, or of a list of one kind of workload, whose items need not say what they are. The
/// object is left with none.
pub fn take_items(object: &mut Value) -> Option<Vec<Value>> {
    let kind = object["kind"].as_str()?.strip_suffix("List")?.to_owned();
    let of = json!({"apiVersion": object["apiVersion"], "kind": kind});
    if !(kind.is_empty() && of["apiVersion"] == "v1") && template_path(&of).is_none() {
        return None;
    }
    let mut items = object["items"].as_array_mut().map(std::mem::take)?;
    for item in items.iter_mut().filter_map(Value::as_object_mut).filter(|_| !kind.is_empty()) {
        for field in ["kind", "apiVersion"] {
            item.entry(field).or_insert_with(|| of[field].clone());
        }
    }
    Some(items)
}

/// Whether an object that is not one of the workloads has a pod template all the same.
pub fn is_foreign_workload(object: &Value) -> bool {
    let has_pod = |holder: &Value| holder["template"]["spec"]["containers"].is_array();
    // A PodTemplate has no spec around its own.
    template_path(object).is_none() && (has_pod(&object["spec"]) || has_pod(object))
}

/// What issues about a workload point to, and where it holds its pod; `None` if it is not a workload.
pub fn places(object: &Value, manual: &Manual) -> Option<(Target, Vec<&'static str>)> {
    let path = template_path(object)?;
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or(manual.namespace);
    let kind = object["kind"].as_str().unwrap_or_default();
    let group = group(object["apiVersion"].as_str().unwrap_or_default());
    let target = Target {
        object: ObjectRef::new(group, kind, namespace, name),
        prefix: path.iter().map(|part| format!("{part}.")).collect(),
    };
    Some((target, path))
}

fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// Where an object of this kind holds its pod.
fn template_path(object: &Value) -> Option<Vec<&'static str>> {
    let group = group(object["apiVersion"].as_str()?);
    match (group, object["kind"].as_str()?) {
        ("", "Pod") => Some(Vec::new()),
        ("", "ReplicationController")
        | ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
        | ("batch", "Job") => Some(vec!["spec", "template"]),
        ("batch", "CronJob") => Some(vec!["spec", "jobTemplate", "spec", "template"]),
        _ => None,
    }
}

fn put_back(object: &Value, path: &[&str], pod: &Value) -> Value {
    let mut object = object.clone();
    let template = path.iter().fold(&mut object, |at, part| pod::object_at(at, part));
    template["metadata"] = pod["metadata"].clone();
    template["spec"] = pod["spec"].clone();
    object
}

#[cfg(test)]
mod tests;
