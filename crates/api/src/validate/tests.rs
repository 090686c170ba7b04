//! Golden files: `testdata/CASE.yaml`, a stream of objects, and `CASE.golden`, the findings about each.
//! `UPDATE_GOLDEN=1` writes the golden files anew.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::{KnownProvider, unusable_providers, validate};
use crate::issue::ObjectRef;
use crate::kinds::{by_kind, split_api_version};
use crate::resource::object_ref;

#[track_caller]
fn check(case: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(case);
    let yaml = std::fs::read_to_string(path.with_extension("yaml")).unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&yaml).unwrap();
    let mut found = String::new();
    for object in &objects {
        let (group, version) = split_api_version(object["apiVersion"].as_str().unwrap());
        let kind = by_kind(group, object["kind"].as_str().unwrap()).unwrap();
        assert!(kind.serves(version), "{kind:?} {version}");
        let issues = validate(kind, version, object);
        if issues.is_empty() {
            writeln!(found, "ok {}", object_ref(kind, object)).unwrap();
        }
        for issue in issues {
            writeln!(found, "{issue}").unwrap();
        }
    }
    let golden = path.with_extension("golden");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(found, expected, "{case}: read the difference, then UPDATE_GOLDEN=1");
    found
}

#[test]
fn the_echo_demo_is_valid() {
    let found = check("echo");
    assert!(found.lines().all(|line| line.starts_with("ok ")), "{found}");
}

#[test]
fn gateways() {
    check("gateway");
}

#[test]
fn what_istio_1_32_takes_and_refuses() {
    let found = check("taken-1_32");
    assert!(found.lines().all(|line| line.starts_with("ok ")), "{found}");
    let found = check("refused-1_32");
    assert!(found.lines().all(|line| !line.starts_with("ok ")), "{found}");
}

#[test]
fn virtual_services() {
    check("virtual-service");
}

#[test]
fn destinations_and_entries() {
    check("destination");
}

#[test]
fn workloads_and_sidecars() {
    check("workload");
}

#[test]
fn policies_and_extensions() {
    check("policy");
}

#[test]
fn telemetries() {
    check("telemetry");
}

#[test]
fn what_istio_refuses_is_refused() {
    let found = check("refused");
    assert!(found.lines().all(|line| !line.starts_with("ok ")), "{found}");
}

#[test]
fn what_istio_takes_is_taken() {
    let found = check("taken");
    assert!(found.lines().all(|line| line.starts_with("ok ")), "{found}");
}

/// Comparing all entries with all others would take minutes here.
#[test]
fn long_lists_are_read_once() {
    let count = 100_000;
    let hosts: Vec<String> = (0..count).map(|n| format!("h{n}.example.com")).collect();
    let wildcards = (0..count).map(|n| format!("*.w{n}.com"));
    let wide: Vec<String> = wildcards.chain(["H7.example.com".into(), "*".into()]).collect();
    let names: Vec<String> = (0..count).map(|n| format!("n{n}")).chain([".".into()]).collect();
    let destination = json!({"destination": {"host": "a"}});
    let object = |hosts: &[String]| {
        let tls = json!([{"match": [{"sniHosts": hosts}], "route": [destination]}]);
        json!({"metadata": {"name": "a", "namespace": "n7"}, "spec": {
            "hosts": hosts, "exportTo": names, "gateways": ["gw"], "tls": tls,
        }})
    };
    let kind = by_kind("networking.istio.io", "VirtualService").unwrap();
    let told = |hosts: &[String]| {
        let found = validate(kind, "v1", &object(hosts)).into_iter();
        found.map(|issue| (issue.path, issue.message)).collect::<Vec<_>>()
    };
    let twice = ("spec.exportTo[100000]".to_owned(), "\".\" is listed twice".to_owned());
    assert_eq!(told(&hosts), [twice]);
    let all = [&hosts[..], &wide].concat();
    // The last one stands for all others.
    let found = told(&all);
    assert_eq!(found.len(), all.len());
    assert!(found[0].1.contains("\"*\" cover each other"), "{:?}", found[0]);
    let found = told(&all[..all.len() - 1]);
    let message = "the host \"H7.example.com\" is listed twice";
    assert_eq!(found[0], ("spec.hosts[200000]".into(), message.into()));
}

#[test]
fn a_response_has_a_mebibyte_at_most_of_text_or_of_what_base64_stands_for() {
    let kind = by_kind("networking.istio.io", "VirtualService").unwrap();
    let is_taken = |body: Value| {
        let route = json!({"directResponse": {"status": 200, "body": body}});
        let object = json!({"metadata": {"name": "a"}, "spec": {"hosts": ["a"], "http": [route]}});
        validate(kind, "v1", &object).is_empty()
    };
    let text = |length: usize| "A".repeat(length);
    assert!(is_taken(json!({"string": text(1 << 20)})));
    assert!(!is_taken(json!({"string": text((1 << 20) + 1)})));
    // A mebibyte is a third of a group more than whole groups.
    let groups = (1 << 20) / 3 * 4;
    assert!(is_taken(json!({"bytes": format!("{}==", text(groups + 2))})));
    assert!(!is_taken(json!({"bytes": format!("{}=", text(groups + 3))})));
}

#[test]
fn many_providers_are_looked_up_and_told_of_up_to_a_limit() {
    let known = |n: usize| KnownProvider { name: format!("P{n}"), kind: "prometheus" };
    let known: Vec<KnownProvider> = (0..100_000).map(known).collect();
    let refs = |start: &str| {
        let refs: Vec<Value> =
            (0..100_000).map(|n| json!({"name": format!("{start}{n}")})).collect();
        json!({"spec": {"metrics": [{"providers": refs}]}})
    };
    let told = |start| unusable_providers(&refs(start), &ObjectRef::default(), &known);
    assert_eq!(told("p"), []);
    let found = told("q");
    assert_eq!(found.len(), 20);
    assert!(found[0].message.len() < 200, "{}", found[0].message);
}
