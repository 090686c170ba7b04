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
    // The embedded API has objects of its own, which nobody's name is on.
    let istio = managers::of_istio(object);
    let by = istio.or_else(|| managers::first(object));
    let by = by.filter(|by| !is_known && *by != "unknown")?;
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
    let more = match lost.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let told = format!(
        "{named} has fields that this one lacks: {}{more}",
        lost[..lost.len().min(NAMED)].join(", ")
    );
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
            walk(inner, at, found);
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
    (!(is_marked && runs_program(object)))
        .then(|| format!("somebody else{by}, as by Istio's manifests"))
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
        let more = match left.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let fields = left.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        (!left.is_empty())
            .then(|| format!("{named} loses what these settings do not have: {fields}{more}"))
    };
    found.live.iter().filter_map(line).collect()
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
mod tests {
    use serde_json::{Value, json};

    use super::{
        ALONE, BESIDE, SAME, foreign, is_workload, keep_others, left, not_ours, of_nobody, owner,
        refuse, restored,
    };
    use crate::manifest::cluster::Comparison;

    #[test]
    fn what_istio_installed_is_known_without_an_owners_name() {
        let said = |manager: &str, image: &str| not_ours(&workload("istiod", manager, image));
        assert_eq!(said("lateen-install", "any/image:1"), None);
        assert_eq!(said("kubectl", "any.io/lateen:1"), None, "manifests of this program");
        let istios = said("istio-operator", "docker.io/istio/pilot:1").unwrap();
        assert_eq!(istios, "Istio (istio-operator)");
        for manager in ["kubectl-client-side-apply", "argocd-controller", "velero-server"] {
            let told = said(manager, "docker.io/istio/pilot:1").unwrap();
            assert_eq!(told, format!("somebody else ({manager}), as by Istio's manifests"));
        }
        let mut unmarked = workload("istiod", "kubectl", "any.io/lateen:1");
        unmarked["metadata"]["labels"] = Value::Null;
        assert!(not_ours(&unmarked).is_some());
    }

    #[test]
    fn each_kind_of_refusal_has_its_own_remedy() {
        let remedy = |objects: &[Value]| {
            let plan = lateen_install::read(&[], &[]).unwrap();
            refuse(&foreign(&plan, objects, &[])).map_err(|error| error.to_string())
        };
        let mut other = workload("istiod", "lateen-install", "any.io/lateen:1");
        other["metadata"]["labels"]["install.operator.istio.io/owning-resource-namespace"] =
            json!("n");
        let istios = service("istio-operator", "a");
        let alone = service("kubectl-create", "");
        let said = |objects: &[Value]| {
            let said = remedy(objects).unwrap_err();
            assert!(said.contains("--take-over"), "{said}");
            [SAME, BESIDE, ALONE].map(|it| said.contains(it))
        };
        assert_eq!(said(&[other.clone(), other]), [true, false, false]);
        assert_eq!(said(std::slice::from_ref(&istios)), [false, true, false]);
        assert_eq!(said(std::slice::from_ref(&alone)), [false, false, true]);
        assert_eq!(said(&[alone, istios]), [false, true, true]);
        assert_eq!(remedy(&[service("lateen-install", "a")]), Ok(()));
    }

    fn workload(name: &str, manager: &str, image: &str) -> Value {
        json!({
            "kind": "Deployment",
            "metadata": {
                "namespace": "n", "name": name,
                "labels": {
                    "operator.istio.io/managed": "Reconcile",
                    "install.operator.istio.io/owning-resource": "installed-state",
                },
                "managedFields": [
                    { "manager": "kube-controller-manager", "subresource": "status" },
                    { "manager": manager, "operation": "Apply" },
                ],
            },
            "spec": { "template": { "spec": { "containers": [{ "image": image }] } } },
        })
    }

    fn service(manager: &str, owner: &str) -> Value {
        json!({
            "kind": "Service",
            "metadata": {
                "namespace": "n", "name": owner,
                "labels": { "install.operator.istio.io/owning-resource": owner },
                "managedFields": [{ "manager": manager, "operation": "Apply" }],
            },
        })
    }

    #[test]
    fn what_others_applied_is_left_and_named() {
        let own = [
            workload("own", "lateen-install", "any/image:1"),
            service("lateen-install", "mesh"),
            workload("restored", "kubectl-client-side-apply", "any.io/lateen:1"),
            service("kubectl-client-side-apply", "installed-state"),
        ];
        let others = [
            workload("istiod", "istio-operator", "docker.io/istio/pilot:1"),
            service("argocd-controller", "other"),
        ];
        let mut found = [&own[..], &others].concat();
        let told = keep_others(&mut found);
        assert_eq!(found, own);
        assert_eq!(
            told,
            [
                "left: Deployment n/istiod: applied by istio-operator, not by lateen",
                "left: Service n/other: applied by argocd-controller, not by lateen",
            ]
        );
    }

    #[test]
    fn what_no_installation_applied_is_foreign_but_what_was_restored_is_not() {
        let told = |objects: &[Value]| {
            let restored = restored(objects);
            let told = objects.iter().filter(|it| !is_workload(it));
            told.filter_map(|it| of_nobody(it, &restored).map(|it| it.told)).collect::<Vec<_>>()
        };
        let mut released = service("helm", "b");
        released["metadata"]["annotations"] = json!({ super::super::helm::NAME: "r" });
        let own = service("lateen-install", "c");
        assert!(told(&[released, own]).is_empty());
        let theirs = service("kubectl-client-side-apply", "installed-state");
        let by =
            "Service n/installed-state was applied by kubectl-client-side-apply, not by lateen";
        assert_eq!(told(std::slice::from_ref(&theirs)), [by]);
        let beside = workload("istiod", "kubectl-client-side-apply", "any.io/lateen:1");
        assert!(told(&[theirs.clone(), beside]).is_empty());
        let running = workload("istiod", "lateen-install", "any.io/lateen:1");
        assert!(told(&[theirs.clone(), running.clone()]).is_empty());
        let other = workload("istiod", "lateen-install", "any.io/other:1");
        assert_eq!(told(&[theirs, other]), [by]);
        let nobodys = service("kubectl-create", "");
        let mut unmarked = running;
        unmarked["metadata"]["labels"] = Value::Null;
        assert_eq!(told(&[nobodys, unmarked]).len(), 1);
        let istios = service("istio-operator", "installed-state");
        let beside = workload("istiod", "argocd-controller", "any.io/lateen:1");
        assert_eq!(told(&[istios, beside]).len(), 1);
    }

    #[test]
    fn a_definition_of_others_with_more_fields_is_not_replaced_without_a_word() {
        let definition = |manager: &str, spec: Value| {
            let mut it = service(manager, "gateways");
            it["kind"] = json!("CustomResourceDefinition");
            let schema = json!({ "openAPIV3Schema": { "properties": { "spec": spec } } });
            it["spec"] = json!({ "versions": [{ "name": "v1", "schema": schema }] });
            it
        };
        let tls = |tls: Value| {
            let servers = json!({ "items": { "properties": { "tls": { "properties": tls } } } });
            json!({ "properties": { "servers": servers } })
        };
        let own = definition("lateen-install", tls(json!({ "mode": {} })));
        let more = tls(json!({ "mode": {}, "curves": { "properties": { "a": {}, "b": {} } } }));
        let plan = lateen_install::read(&[], &[]).unwrap();
        let told = |live: Value| {
            let found = foreign(&plan, &[live], std::slice::from_ref(&own));
            found.into_iter().map(|it| it.told).collect::<Vec<_>>()
        };
        let named = "CustomResourceDefinition n/gateways";
        let lost = format!("{named} has fields that this one lacks: spec.servers.tls.curves");
        assert_eq!(told(definition("kubectl", more.clone())), [lost]);
        assert_eq!(told(definition("lateen-install", more)), [""; 0]);
        assert_eq!(told(definition("kubectl", tls(json!({})))), [""; 0]);
    }

    #[test]
    fn of_what_is_lost_ports_are_named_before_labels() {
        let mut live = service("istio-operator", "mesh");
        let label = |number: u8| (format!("f:app.kubernetes.io/{number:02}"), json!({}));
        live["metadata"]["managedFields"][0]["fieldsV1"] = json!({
            "f:metadata": { "f:labels": Value::Object((0..20).map(label).collect()) },
            "f:spec": {
                "f:ports": { r#"k:{"port":9000,"protocol":"TCP"}"#: {} },
                "f:type": {},
            },
        });
        let mut applied = service("lateen-install", "mesh");
        applied["metadata"]["managedFields"][0]["fieldsV1"] =
            json!({ "f:metadata": { "f:labels": {} }, "f:spec": { "f:ports": {} } });
        let found = Comparison { changes: Vec::new(), live: vec![live], applied: vec![applied] };
        let told = left(&found);
        let first = "Service n/mesh loses what these settings do not have: \
                     spec.ports[port=9000,protocol=TCP], spec.type, metadata.labels.app.kubernetes.io/00, ";
        assert!(told[0].starts_with(first) && told[0].ends_with(" and 10 more"), "{told:?}");
    }

    fn object(owner: Value, revision: &str) -> Value {
        json!({ "metadata": { "labels": {
            "install.operator.istio.io/owning-resource": owner, "istio.io/rev": revision,
            "install.operator.istio.io/owning-resource-namespace": "n",
        } } })
    }

    #[test]
    fn an_owner_is_the_same_in_all_its_revisions() {
        assert_eq!(owner(&object(json!("mesh"), "default")), Some(("mesh", "n")));
        assert_eq!(owner(&object(json!("mesh-1-1"), "1-1")), Some(("mesh", "n")));
        assert_eq!(owner(&object(json!("mesh-1-1"), "1-0")), Some(("mesh-1-1", "n")));
        for nobody in [json!("none"), json!("unknown-1-1"), Value::Null] {
            assert_eq!(owner(&object(nobody.clone(), "1-1")), None, "{nobody}");
        }
    }
}
