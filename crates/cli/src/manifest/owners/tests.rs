//! Objects by who applied them: which are an installation's, which are left alone, and what a refusal says.

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
    assert_eq!(not_ours(&unmarked).unwrap(), "somebody else (kubectl)");
}

#[test]
fn each_kind_of_refusal_has_its_own_remedy() {
    let remedy = |objects: &[Value]| {
        let plan = lateen_install::read(&[], &[]).unwrap();
        refuse(&foreign(&plan, objects, &[])).map_err(|error| error.to_string())
    };
    let mut other = workload("istiod", "lateen-install", "any.io/lateen:1");
    other["metadata"]["labels"]["install.operator.istio.io/owning-resource-namespace"] = json!("n");
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
    let by = "Service n/installed-state was applied by kubectl-client-side-apply, not by lateen";
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
