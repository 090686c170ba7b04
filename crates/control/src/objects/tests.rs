//! Which objects there are to ask for, and what a text may be.

use std::path::Path;
use std::sync::Arc;

use lateen_api::issue::{Code, Issue};
use lateen_api::kinds::by_kind;
use lateen_api::resource::Key;
use lateen_kube::{Client, Source};
use lateen_runtime::pages::{Reader, Secret, User};
use serde_json::json;

use super::{Foreseen, dry_run, key, text};
use crate::whatif::Outlook;

const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

fn gateway() -> Key {
    let kind = by_kind("networking.istio.io", "Gateway").unwrap();
    Key { kind, namespace: "shop".to_owned(), name: "front".to_owned() }
}

#[test]
fn only_objects_of_the_mesh_are_here() {
    assert_eq!(key("Gateway.networking.istio.io/shop/front").unwrap(), gateway());
    assert_eq!(key("Service/shop/front").unwrap().kind.kind, "Service");
    for path in [
        "Secret/shop/front",
        "ConfigMap/istio-system/istio",
        "Gateway.networking.istio.io/_/front",
        "Gateway.networking.istio.io/shop/",
        "Gateway.networking.istio.io/shop",
        "Gateway.networking.istio.io/shop/front/status",
        "Nothing.networking.istio.io/shop/front",
    ] {
        assert_eq!(key(path).unwrap_err().status, 404, "{path}");
    }
}

#[test]
fn a_status_makes_no_other_version_and_is_not_edited() {
    let object = |version: &str, status: &str, port: u16| {
        json!({
            "apiVersion": "networking.istio.io/v1", "kind": "Gateway",
            "metadata": { "name": "front", "namespace": "shop", "resourceVersion": version,
                          "generation": 3, "managedFields": [{}], "labels": { "a": "b" },
                          "annotations": { APPLIED: version } },
            "spec": { "servers": [{ "port": { "number": port } }] },
            "status": { "conditions": [status] },
        })
    };
    let content = |value| text::content(gateway().kind, value);
    let first = content(object("1", "a", 80));
    assert_eq!(text::version(&first), text::version(&content(object("2", "b", 80))));
    assert_ne!(text::version(&first), text::version(&content(object("1", "a", 81))));
    let written = text::write(&first).unwrap();
    for hidden in ["managedFields", "resourceVersion", "generation", "status", "annotations"] {
        assert!(!written.contains(hidden), "{written}");
    }
    let read = text::read(&gateway(), &written).unwrap();
    assert_eq!(read, first);
    let completed = text::complete(read, &object("7", "c", 1))["metadata"].clone();
    assert_eq!(
        (&completed["resourceVersion"], &completed["annotations"][APPLIED]),
        (&json!("7"), &json!("7"))
    );
}

#[test]
fn an_object_is_shown_in_the_version_that_kubectl_shows_and_taken_in_any() {
    let kind = by_kind("telemetry.istio.io", "Telemetry").unwrap();
    let key = Key { kind, namespace: "shop".to_owned(), name: "all".to_owned() };
    let stored = json!({
        "apiVersion": "telemetry.istio.io/v1alpha1", "kind": "Telemetry",
        "metadata": { "name": "all", "namespace": "shop" }, "spec": {},
    });
    let shown = text::content(kind, stored.clone());
    assert_eq!(shown["apiVersion"], "telemetry.istio.io/v1");
    let written = text::write(&shown).unwrap();
    assert_eq!(text::read(&key, &written).unwrap(), stored);
    assert_eq!(text::read(&key, &written.replace("/v1", "/v1alpha1")).unwrap(), stored);
}

#[test]
fn whoever_misspells_a_dry_run_changes_nothing() {
    assert!(dry_run("").is_ok() && dry_run("dryRun=true").is_ok());
    for query in ["dryrun=true", "dryRun=yes", "dryRun=true&dryRun=false"] {
        assert_eq!(dry_run(query).map(drop).unwrap_err().status, 400, "{query}");
    }
}

#[test]
fn a_text_is_the_object_that_is_edited_or_nothing() {
    let head = "apiVersion: networking.istio.io/v1\nkind: Gateway\n";
    let meta = "metadata: {name: front, namespace: shop}\n";
    for (yaml, path) in [
        ("a: [", ""),
        ("", ""),
        ("- 1\n", "metadata"),
        (&format!("{head}{meta}---\n{head}{meta}"), ""),
        (head, "metadata"),
        (&format!("apiVersion: v1\nkind: Gateway\n{meta}"), "apiVersion"),
        (&format!("apiVersion: networking.istio.io/v9\nkind: Gateway\n{meta}"), "apiVersion"),
        (&format!("apiVersion: networking.istio.io/v1\nkind: Sidecar\n{meta}"), "kind"),
        (&format!("{head}metadata: {{name: other, namespace: shop}}\n"), "metadata.name"),
        (&format!("{head}metadata: {{name: front, namespace: x}}\n"), "metadata.namespace"),
    ] {
        let issue = text::read(&gateway(), yaml).unwrap_err();
        assert_eq!(issue.path, path, "{yaml}: {}", issue.message);
        assert!(!issue.message.contains('\n'), "one sentence: {}", issue.message);
    }
    let older = format!("apiVersion: networking.istio.io/v1beta1\nkind: Gateway\n{meta}");
    let read = text::read(&gateway(), &older).unwrap();
    assert_eq!(read["apiVersion"], "networking.istio.io/v1");
    let without_namespace = format!("{head}metadata: {{name: front}}\n");
    let read = text::read(&gateway(), &without_namespace).unwrap();
    assert_eq!(read["metadata"]["namespace"], "shop");
}

#[test]
fn what_is_foreseen_is_told_once_and_not_of_where_the_reader_may_not_look() {
    let at = |key: Key, path: &str| {
        Issue::error(key.object_ref(), path, Code::REFERENCED_RESOURCE_NOT_FOUND, "it is gone")
    };
    let known = at(gateway(), "spec.a");
    let other = |namespace: &str| Key { namespace: namespace.to_owned(), ..gateway() };
    let outlook = Outlook {
        own: [known.clone(), at(gateway(), "spec.b")].into(),
        others: [at(other("hidden"), "spec.c"), at(other("seen"), "spec.d")].into(),
    };
    let namespaces = ["shop", "seen"].map(str::to_owned);
    let jane = Reader::User(User {
        name: "jane".to_owned(),
        groups: Vec::new(),
        token: Secret::new("t"),
        namespaces: Some(Arc::new(namespaces.into())),
    });
    let paths = |reader: &Reader| {
        let told = Foreseen::new(Ok(outlook.clone()), &[known.clone()].into(), reader);
        let shown = told.shown(&gateway());
        let rows = shown["issues"].as_array().unwrap().clone();
        rows.iter().map(|row| row["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(paths(&Reader::Owner), ["spec.b", "spec.c", "spec.d"]);
    assert_eq!(paths(&jane), ["spec.b", "spec.d"]);
}

/// An API that nobody asks anything.
pub async fn unreachable(home: &Path) -> Client {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
        "clusters": [{ "name": "c", "cluster": { "server": "https://127.0.0.1:1" } }],
        "users": [{ "name": "u", "user": { "token": "t" } }],
    });
    let path = home.join("kubeconfig");
    std::fs::write(&path, config.to_string()).unwrap();
    Client::connect(Source::Kubeconfig(path)).await.unwrap()
}
