//! Golden files: `testdata/CASE.yaml`, a stream of objects, and `CASE.golden`, the findings about each.
//! `UPDATE_GOLDEN=1` writes the golden files anew.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use super::validate;
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
