//! The answers about lists and objects, as `ui/src/api/types.ts` has them.

use std::collections::BTreeSet;
use std::sync::Arc;

use lateen_api::issue::{Code, Issue};
use lateen_api::kinds::{by_kind, split_api_version};
use lateen_api::resource::{Key, parse};
use lateen_model::{Change, World};
use lateen_runtime::pages::Reader;
use lateen_testkit::contract::check;
use serde_json::{Value, json};

use super::{Foreseen, Objects, Owner, Seen, Update, Verdict, WhatIf, not_valid};
use crate::acts::Reach;
use crate::findings::{Facts, Findings};
use crate::inventory::{Inventory, short_list};
use crate::published::Published;
use crate::pushes::Making;
use crate::whatif::Outlook;

fn gateway() -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "Gateway",
        "metadata": { "name": "front", "namespace": "shop", "resourceVersion": "7",
                      "creationTimestamp": "2026-01-01T00:00:00Z" },
        "spec": { "selector": { "istio": "ingressgateway" } },
    })
}

fn key() -> Key {
    let kind = by_kind("networking.istio.io", "Gateway").unwrap();
    Key { kind, namespace: "shop".to_owned(), name: "front".to_owned() }
}

fn inventory(findings: Arc<Findings>) -> Inventory {
    let mut world = World::new();
    for object in [
        json!({"apiVersion": "v1", "kind": "Namespace",
               "metadata": {"name": "shop", "labels": {"istio-injection": "enabled", "istio.io/rev": "one"}}}),
        json!({"apiVersion": "v1", "kind": "Service",
               "metadata": {"name": "echo", "namespace": "shop", "labels": {"app": "echo"}},
               "spec": {"ports": [{"port": 80, "name": "tcp"}], "selector": {"app": "echo"}}}),
        json!({"apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry",
               "metadata": {"name": "echo-1", "namespace": "shop"},
               "spec": {"address": "10.0.0.1", "labels": {"app": "echo"}}}),
    ] {
        let api_version = object["apiVersion"].as_str().unwrap().to_owned();
        let (group, version) = split_api_version(&api_version);
        let kind = by_kind(group, object["kind"].as_str().unwrap()).unwrap();
        let (resource, _) = parse(kind, version, object);
        world.apply(Change::Put(Box::new(resource.unwrap())));
    }
    let published = Arc::new(Published::default());
    published.publish(world.snapshot(), Making::default());
    Inventory::new(published, findings, Arc::default(), Arc::default())
}

fn issue() -> Issue {
    let text = "the port is none";
    Issue::error(key().object_ref(), "spec.servers", Code::SCHEMA_VALIDATION_ERROR, text)
}

/// Of the object itself and of more others than are told.
fn outlook() -> Outlook {
    let other = Key { name: "other".to_owned(), ..key() }.object_ref();
    let path = |i: usize| format!("spec.servers[{i}]");
    let others = (0..200).map(|i| {
        Issue::warning(other.clone(), path(i), Code::SCHEMA_VALIDATION_ERROR, "it would be none")
    });
    Outlook { own: BTreeSet::from([issue()]), others: others.collect() }
}

#[test]
fn what_is_told_of_lists_and_objects_is_what_the_page_reads() {
    let findings = Arc::new(Findings::default());
    let reach = Arc::new(Reach::default());
    let facts =
        Facts { generation: Some(1), created: 1_767_225_600_000, status: Value::Null, reach };
    findings.put_object(key(), facts);
    let inventory = inventory(findings.clone());
    let health = json!({ "state": "idle", "reasons": [] });
    let list = |name: &str| {
        let page = inventory.list(name, "", &|_| health.clone()).unwrap();
        let value: Value = serde_json::from_slice(&page.body).unwrap();
        let rows = value.as_object().unwrap().values().next().unwrap();
        assert!(!rows.as_array().unwrap().is_empty(), "{name}");
        value
    };
    let lists = ["namespaces", "services", "workloads", "applications"].map(list);
    let [namespaces, services, workloads, applications] = lists;
    let config = inventory.config::<String>("", |_| Ok(BTreeSet::new())).unwrap();
    let config: Value = serde_json::from_slice(&config.body).unwrap();
    assert_eq!(config["items"].as_array().unwrap().len(), 1);

    let tasks = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let home = tempfile::tempdir().unwrap();
    let client = tasks.block_on(super::tests::unreachable(home.path()));
    let (whatif, _) = WhatIf::new(Arc::default());
    let objects = Objects::new(inventory.clone(), findings, Arc::new(Owner(client)), whatif);
    let verdict = Verdict { validation: BTreeSet::from([issue()]), ..Verdict::default() };
    let foreseen = Some(Foreseen::new(Ok(outlook()), &BTreeSet::new(), &Reader::Owner));
    let page = objects.shown(&key(), Seen { object: gateway(), verdict, foreseen }, true).unwrap();
    let mut object: Value = serde_json::from_slice(&page.body).unwrap();
    let foreseen = object["foreseen"].as_object_mut().unwrap();
    assert_eq!(foreseen["leftOut"], 1);
    foreseen["issues"].as_array_mut().unwrap().truncate(2);
    let told = foreseen["issues"].as_array().unwrap();
    assert_eq!((&told[0]["object"], &told[1]["object"]["name"]), (&Value::Null, &json!("other")));
    let update = json!({ "yaml": object["yaml"], "resourceVersion": object["resourceVersion"] });
    let read: Update = serde_json::from_value(update.clone()).unwrap();
    assert_eq!(
        (json!(read.yaml), json!(read.resource_version)),
        (object["yaml"].clone(), update["resourceVersion"].clone())
    );
    let problem: Value = serde_json::from_slice(&not_valid(&[issue()]).body).unwrap();

    check(
        "control.ts",
        "crates/control",
        &["ConfigItem", "ConfigObject", "ConfigUpdate", "List", "ListItem", "Namespace", "Problem"],
        &[
            ("namespaces", "{ namespaces: Required<Namespace>[] }", namespaces),
            ("services", "List<ListItem>", services),
            ("workloads", "List<Required<ListItem>>", workloads),
            ("applications", "List<ListItem>", applications),
            ("shortList", "Required<List<ListItem>>", short_list()),
            ("config", "List<Required<ConfigItem>>", config),
            ("object", "Required<ConfigObject>", object),
            ("update", "Required<ConfigUpdate>", update),
            ("problem", "Required<Problem>", problem),
        ],
    );
}
