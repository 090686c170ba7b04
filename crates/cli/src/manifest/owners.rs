//! Whose the objects of an installation are. In: a plan and the objects that are in its place, or those that are to be
//! removed. Out: those of them that an IstioOperator of another name installed, or another program.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use lateen_install::{Plan, labels};
use serde_json::Value;

use super::cluster::{Comparison, title};
use super::managers;

/// Owners that stand for none: of tags, and of what was rendered for others to apply.
const NOBODYS: [&str; 2] = [labels::NOBODY, "unknown"];

/// So many fields of an object are named.
const NAMED: usize = 12;
/// Of a workload that is another IstioOperator's.
const SAME: &str = "to change such an installation, give the file its metadata.name (without a file it is installed-state) \
                    and spec.namespace; to install beside it, give a --revision, and gateways names of their own";
/// Of what Istio's installer or manifests made.
const BESIDE: &str = "to install beside Istio, give a --revision, and gateways names of their own";
/// Of an object that is no installation's.
const ALONE: &str = "remove an object that somebody applied by itself, or let it have another name";
/// Of definitions of a newer Istio.
const NEWER: &str = "objects that have the fields that a definition lacks lose them";
/// The program of the images, as their names have it.
const PROGRAM: &str = "lateen";

/// An object that an installation must not change without a word.
#[derive(Debug, PartialEq, Eq)]
pub struct Foreign {
    pub told: String,
    /// What helps but to take it over.
    pub remedy: &'static str,
}

/// Each workload of another installation, and each other object that no installation of this program applied;
/// definitions are everybody's, unless they would lose fields to those that are `applied`. What revisions share is whose it was applied last, and a gateway goes from one
/// revision to the next with its IstioOperator.
pub fn foreign(plan: &Plan, live: &[Value], applied: &[Value]) -> Vec<Foreign> {
    let own = (plan.operator.name.as_str(), plan.namespace());
    let restored = restored(live);
    let of_other = |object: &Value| {
        if object["kind"] == "CustomResourceDefinition" {
            return newer(object, applied);
        }
        if !is_workload(object) {
            return of_nobody(object, &restored);
        }
        if let Some(by) = not_ours(object) {
            let told = format!("{} was installed by {by}", title(object));
            return Some(Foreign { told, remedy: BESIDE });
        }
        let owner = owner(object).filter(|_| object["kind"] == "Deployment")?;
        (owner != own).then(|| {
            let (name, namespace) = owner;
            let told = format!(
                "{} was installed by the IstioOperator {name} of namespace {namespace}, and this one is {} of {}",
                title(object),
                own.0,
                own.1
            );
            Foreign { told, remedy: SAME }
        })
    };
    live.iter().filter_map(of_other).collect()
}

fn is_workload(object: &Value) -> bool {
    matches!(object["kind"].as_str(), Some("Deployment" | "DaemonSet"))
}

/// What is no workload and no installation's of this program, with who applied it.
fn of_nobody(object: &Value, restored: &BTreeSet<(String, String)>) -> Option<Foreign> {
    let is_known =
        managers::is_ours(object) || has_release(object) || is_restored(object, restored);
    let istio = managers::of_istio(object);
    let by = istio.or_else(|| managers::first(object));
    let by = by.filter(|_| !is_known)?;
    let told = format!("{} was applied by {by}, not by lateen", title(object));
    Some(Foreign { told, remedy: if istio.is_some() { BESIDE } else { ALONE } })
}

/// A definition of others that has fields which the one that is applied lacks: objects would lose them.
fn newer(object: &Value, applied: &[Value]) -> Option<Foreign> {
    if managers::is_ours(object) {
        return None;
    }
    let named = title(object);
    let own = fields(applied.iter().find(|applied| title(applied) == named)?);
    let all = fields(object);
    // Of a field and all that is in it the field says enough.
    let is_within = |path: &String| path.rsplit_once('.').is_some_and(|(of, _)| !own.contains(of));
    let lost: Vec<_> = all.difference(&own).filter(|path| !is_within(path)).cloned().collect();
    let told = format!("{named} has fields that this one lacks: {}", first(&lost));
    (!lost.is_empty()).then_some(Foreign { told, remedy: NEWER })
}

/// The paths of all fields of a definition's objects.
fn fields(definition: &Value) -> BTreeSet<String> {
    fn walk(schema: &Value, at: &str, found: &mut BTreeSet<String>) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
            walk(field, &path, found);
            found.insert(path);
        }
        for inner in [&schema["items"], &schema["additionalProperties"]] {
            if inner.is_object() {
                walk(inner, at, found);
            }
        }
    }
    let mut found = BTreeSet::new();
    for version in definition["spec"]["versions"].as_array().into_iter().flatten() {
        walk(&version["schema"]["openAPIV3Schema"], "", &mut found);
    }
    found
}

/// Told of by its release.
fn has_release(object: &Value) -> bool {
    object["metadata"]["annotations"][super::helm::NAME].is_string()
}

/// The owners of workloads that run this program, whoever applied them but Istio: what others applied that has the same
/// owner is restored, or of this program's manifests.
fn restored(found: &[Value]) -> BTreeSet<(String, String)> {
    let runs = |object: &&Value| {
        runs_program(object) && (managers::is_ours(object) || managers::of_istio(object).is_none())
    };
    let owners = found.iter().filter(runs).map(owner_labels);
    owners.filter(|(name, _)| !name.is_empty()).collect()
}

fn is_restored(object: &Value, restored: &BTreeSet<(String, String)>) -> bool {
    managers::of_istio(object).is_none()
        && (runs_program(object) || restored.contains(&owner_labels(object)))
}

/// Who installed what this program did not; a Helm release is told of as such. Istio's labels are this program's too, so
/// what others applied of its manifests, or restored, is known by the image that it runs.
fn not_ours(object: &Value) -> Option<String> {
    if managers::is_ours(object) || has_release(object) {
        return None;
    }
    if let Some(manager) = managers::of_istio(object) {
        return Some(format!("Istio ({manager})"));
    }
    let is_marked = object["metadata"]["labels"][labels::MANAGED] == "Reconcile";
    let by = managers::first(object).map(|name| format!(" ({name})")).unwrap_or_default();
    let how = if is_marked { ", as by Istio's manifests" } else { "" };
    (!(is_marked && runs_program(object))).then(|| format!("somebody else{by}{how}"))
}

/// Whether a container's image has this program's name.
fn runs_program(object: &Value) -> bool {
    let containers = object["spec"]["template"]["spec"]["containers"].as_array();
    let mut images = containers.into_iter().flatten().filter_map(|it| it["image"].as_str());
    images.any(|image| image.rsplit('/').next().is_some_and(|name| name.contains(PROGRAM)))
}

/// Takes those out that this program did not apply. Out: a line for each. What was restored of an installation, or
/// applied from its manifests, is this program's with the workloads of the same owner that run it; of what Helm has
/// its release tells.
pub fn keep_others(found: &mut Vec<Value>) -> Vec<String> {
    let restored = restored(found);
    let is_others = |object: &Value| {
        !(managers::is_ours(object) || has_release(object) || is_restored(object, &restored))
    };
    let others: Vec<Value> = found.extract_if(.., |object| is_others(object)).collect();
    others.iter().map(left_alone).collect()
}

fn left_alone(object: &Value) -> String {
    let by = managers::of_istio(object).or_else(|| managers::first(object));
    let by = by.unwrap_or("somebody else");
    format!("left: {}: applied by {by}, not by lateen", title(object))
}

fn owner_labels(object: &Value) -> (String, String) {
    let label = |name: &str| object["metadata"]["labels"][name].as_str().unwrap_or_default();
    (label(labels::OWNER).to_owned(), label(labels::OWNER_NAMESPACE).to_owned())
}

/// A line for each object with fields that its former installer alone has, and that go with it.
pub fn left(found: &Comparison) -> Vec<String> {
    let line = |object: &Value| {
        let named = title(object);
        let applied = found.applied.iter().find(|applied| title(applied) == named)?;
        let mut left = managers::left(object, applied);
        left.sort_by_key(|path| weight(path));
        (!left.is_empty())
            .then(|| format!("{named} loses what these settings do not have: {}", first(&left)))
    };
    found.live.iter().filter_map(line).collect()
}

/// The first fields, and how many there are besides.
fn first(fields: &[String]) -> String {
    let named = fields[..fields.len().min(NAMED)].join(", ");
    match fields.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// What is missed most comes first: what traffic and containers go by, and marks of installers last.
fn weight(path: &str) -> u8 {
    let has = |parts: &[&str]| parts.iter().any(|part| path.contains(part));
    match path {
        _ if has(&["app.kubernetes.io/", "helm.sh/", "operator.istio.io/"]) => 3,
        _ if has(&["metadata.labels", "metadata.annotations"]) => 2,
        _ if has(&[".ports", ".env", ".volumes", ".volumeMounts"]) => 0,
        _ => 1,
    }
}

pub fn refuse(foreign: &[Foreign]) -> Result<()> {
    if foreign.is_empty() {
        return Ok(());
    }
    let remedies: BTreeSet<&str> = foreign.iter().map(|it| it.remedy).collect();
    bail!(
        "nothing was done: {}; or take these objects away from whoever has them with --take-over (with --dry-run it \
         says what they lose)",
        Vec::from_iter(remedies).join("; ")
    )
}

/// The IstioOperator's name, without a revision, and the control plane's namespace.
fn owner(object: &Value) -> Option<(&str, &str)> {
    let label = |name: &str| object["metadata"]["labels"][name].as_str();
    let (owner, namespace) = (label(labels::OWNER)?, label(labels::OWNER_NAMESPACE)?);
    let revision = label(labels::REVISION).unwrap_or_default();
    let name = owner.strip_suffix(revision).and_then(|rest| rest.strip_suffix('-'));
    let name = name.unwrap_or(owner);
    (!NOBODYS.contains(&name)).then_some((name, namespace))
}

#[cfg(test)]
mod tests;
