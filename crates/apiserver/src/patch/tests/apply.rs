//! Server-side apply: merging, ownership, conflicts.

use serde_json::{Value, json};

use super::{context, kind, service};
use crate::patch::{Patch, PatchError, apply, managed_fields_update};

fn applied(
    manager: &str,
    config: Value,
    current: Option<&Value>,
    force: bool,
) -> Result<Value, PatchError> {
    let mut context = context(manager, "v1");
    context.force = force;
    apply(kind("", "Service"), Patch::Apply(config), current, &context)
}

fn entry<'a>(object: &'a Value, manager: &str) -> &'a Value {
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    entries.iter().find(|entry| entry["manager"] == manager).unwrap_or(&Value::Null)
}

#[test]
fn the_first_apply_creates_and_owns_what_it_says() {
    let created = applied("a", service(json!([{"port": 80}])), None, false).unwrap();
    assert_eq!(
        *entry(&created, "a"),
        json!({
            "apiVersion": "v1", "fieldsType": "FieldsV1", "manager": "a", "operation": "Apply",
            "time": super::NOW,
            "fieldsV1": {"f:spec": {
                "f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}},
                "f:selector": {},
            }},
        })
    );
}

#[test]
fn applying_the_same_again_changes_nothing() {
    let created = applied("a", service(json!([{"port": 80}])), None, false).unwrap();
    let mut later = context("a", "v1");
    later.now = "2027-01-01T00:00:00Z";
    let patch = Patch::Apply(service(json!([{"port": 80}])));
    let again = apply(kind("", "Service"), patch, Some(&created), &later).unwrap();
    assert_eq!(again, created);
}

#[test]
fn fields_that_the_applier_drops_are_removed_with_their_items() {
    let created =
        applied("a", service(json!([{"port": 80}, {"port": 81, "name": "x"}])), None, false)
            .unwrap();
    let mut defaulted = created.clone();
    defaulted["spec"]["ports"][1]["nodePort"] = json!(30000);
    let after = applied("a", service(json!([{"port": 80}])), Some(&defaulted), false).unwrap();
    assert_eq!(after["spec"]["ports"], json!([{"port": 80}]));
}

#[test]
fn what_others_own_too_stays() {
    let created = applied("a", service(json!([{"port": 80}, {"port": 81}])), None, false).unwrap();
    let shared = applied("b", service(json!([{"port": 81}])), Some(&created), false).unwrap();
    let after = applied("a", service(json!([{"port": 80}])), Some(&shared), false).unwrap();
    assert_eq!(after["spec"]["ports"], json!([{"port": 80}, {"port": 81}]));
    let last = applied("b", service(json!([])), Some(&after), false).unwrap();
    assert_eq!(last["spec"]["ports"], json!([{"port": 80}]));
}

fn written(live: &Value, manager: &str, kind: (&str, &str), change: impl Fn(&mut Value)) -> Value {
    let mut new = live.clone();
    change(&mut new);
    let kind = super::kind(kind.0, kind.1);
    managed_fields_update(kind, Some(live), &mut new, manager, "Update", None, "t");
    new
}

#[test]
fn an_item_of_which_another_owns_but_a_part_goes_with_that_part() {
    let created = applied("a", service(json!([{"port": 80}, {"port": 81}])), None, false).unwrap();
    let live = written(&created, "b", ("", "Service"), |service| {
        service["spec"]["ports"][1]["nodePort"] = json!(30000);
        service["metadata"]["labels"] = json!({"x": "y"});
    });
    let after = applied("a", service(json!([{"port": 80}])), Some(&live), false).unwrap();
    assert_eq!(after["spec"]["ports"], json!([{"port": 80}]));
    let left = json!({"f:metadata": {"f:labels": {".": {}, "f:x": {}}}});
    assert_eq!(entry(&after, "b")["fieldsV1"], left);

    let kept = applied("a", service(json!([{"port": 80}, {"port": 81}])), Some(&live), false);
    assert_eq!(kept.unwrap()["spec"]["ports"][1]["nodePort"], 30000);
}

fn deployment(containers: Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "echo", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": "echo"}},
            "template": {
                "metadata": {"labels": {"app": "echo"}},
                "spec": {"containers": containers},
            },
        },
    })
}

#[test]
fn a_container_goes_although_another_has_set_a_field_of_it() {
    let containers = |names: &[&str]| {
        let all = names.iter().map(|name| json!({"name": name, "image": "x"}));
        deployment(all.collect())
    };
    let run = |config: Value, live: Option<&Value>| {
        let context = context("a", "apps/v1");
        apply(kind("apps", "Deployment"), Patch::Apply(config), live, &context).unwrap()
    };
    let created = run(containers(&["one", "two"]), None);
    let live = written(&created, "b", ("apps", "Deployment"), |deployment| {
        deployment["spec"]["template"]["spec"]["containers"][1]["workingDir"] = json!("/tmp");
    });
    let after = run(containers(&["one"]), Some(&live));
    let left = &after["spec"]["template"]["spec"]["containers"];
    assert_eq!(*left, json!([{"name": "one", "image": "x"}]));
    assert_eq!(*entry(&after, "b"), Value::Null);
}

#[test]
fn a_dropped_struct_goes_with_what_nobody_owns_in_it() {
    let mut config = deployment(json!([{"name": "one", "image": "x"}]));
    let run = |config: Value, live: Option<&Value>| {
        let context = context("a", "apps/v1");
        apply(kind("apps", "Deployment"), Patch::Apply(config), live, &context).unwrap()
    };
    config["spec"]["strategy"] = json!({"rollingUpdate": {"maxSurge": 1}});
    let mut live = run(config.clone(), None);
    live["spec"]["strategy"]["type"] = json!("RollingUpdate");
    config["spec"].as_object_mut().unwrap().shift_remove("strategy");
    let after = run(config, Some(&live));
    assert_eq!(after["spec"].get("strategy"), None);
    assert_eq!(after["metadata"], {
        let mut metadata = live["metadata"].clone();
        metadata["managedFields"] = after["metadata"]["managedFields"].clone();
        metadata
    });
}

#[test]
fn a_dropped_map_goes_when_it_is_empty() {
    let with = |annotations: Value| {
        let mut config = service(json!([]));
        config["metadata"]["annotations"] = annotations;
        config
    };
    let created = applied("a", with(json!({"x/y": "1"})), None, false).unwrap();
    let after = applied("a", service(json!([])), Some(&created), false).unwrap();
    assert_eq!(after["metadata"].get("annotations"), None);
}

#[test]
fn one_conflict_names_manager_and_field() {
    let mut live = service(json!([{"port": 80}]));
    live["spec"]["type"] = json!("NodePort");
    managed_fields_update(kind("", "Service"), None, &mut live, "kubectl", "Update", None, "t");
    let mut config = service(json!([{"port": 80}]));
    config["spec"]["type"] = json!("ClusterIP");
    let error = applied("a", config.clone(), Some(&live), false).unwrap_err();
    assert_eq!((error.code, error.reason), (409, "Conflict"));
    assert_eq!(
        error.message,
        "Apply failed with 1 conflict: conflict with \"kubectl\" using v1: .spec.type"
    );
    assert_eq!(error.causes[0].reason, "FieldManagerConflict");
    assert_eq!(error.causes[0].message, "conflict with \"kubectl\" using v1");
    assert_eq!(error.causes[0].field, ".spec.type");

    let forced = applied("a", config, Some(&live), true).unwrap();
    assert_eq!(forced["spec"]["type"], "ClusterIP");
    assert_eq!(entry(&forced, "kubectl")["fieldsV1"]["f:spec"].get("f:type"), None);
    assert_eq!(entry(&forced, "a")["fieldsV1"]["f:spec"]["f:type"], json!({}));
}

#[test]
fn several_conflicts_are_listed_by_manager() {
    let with = |name: &str| {
        let mut config = service(json!([{"port": 80, "name": name}]));
        config["spec"]["type"] = json!(if name == "x" { "ClusterIP" } else { "NodePort" });
        config
    };
    let live = applied("other", with("x"), None, false).unwrap();
    let error = applied("a", with("y"), Some(&live), false).unwrap_err();
    assert_eq!(
        error.message,
        "Apply failed with 2 conflicts: conflicts with \"other\":\n\
         - .spec.ports[port=80,protocol=\"TCP\"].name\n- .spec.type"
    );
}

#[test]
fn atomic_lists_and_maps_are_one_value() {
    let mut config = service(json!([]));
    config["spec"]["externalIPs"] = json!(["10.0.0.1", "10.0.0.2"]);
    let live = applied("a", config.clone(), None, false).unwrap();
    config["spec"]["externalIPs"] = json!(["10.0.0.3"]);
    config["spec"]["selector"] = json!({"tier": "db"});
    let error = applied("b", config.clone(), Some(&live), false).unwrap_err();
    let fields: Vec<&str> = error.causes.iter().map(|cause| cause.field.as_str()).collect();
    assert_eq!(fields, [".spec.externalIPs", ".spec.selector"]);
    let own = applied("a", config, Some(&live), false).unwrap();
    assert_eq!(own["spec"]["selector"], json!({"tier": "db"}));
}

#[test]
fn untracked_objects_belong_to_before_first_apply() {
    let mut config = service(json!([{"port": 80}]));
    config["spec"]["selector"] = json!({"app": "other"});
    let live = service(json!([{"port": 80}]));
    let error = applied("a", config, Some(&live), false).unwrap_err();
    assert_eq!(
        error.message,
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .spec.selector"
    );
}

#[test]
fn kubectl_takes_over_what_client_side_apply_set() {
    let mut live = service(json!([{"port": 80}]));
    let annotation = serde_json::to_string(&live).unwrap();
    live["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": annotation});
    let kind = kind("", "Service");
    let manager = "kubectl-client-side-apply";
    managed_fields_update(kind, None, &mut live, manager, "Update", None, "t");
    let mut config = service(json!([{"port": 80}]));
    config["spec"]["selector"] = json!({"app": "new"});
    assert_eq!(applied("other", config.clone(), Some(&live), false).unwrap_err().code, 409);
    let after = applied("kubectl", config.clone(), Some(&live), false).unwrap();
    assert_eq!(after["spec"]["selector"], json!({"app": "new"}));
    let kept =
        &after["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"];
    let kept: Value = serde_json::from_str(kept.as_str().unwrap()).unwrap();
    assert_eq!(kept, config);
}

#[test]
fn refused_configurations_say_why() {
    let mut managed = service(json!([]));
    managed["metadata"]["managedFields"] = json!([{"manager": "x"}]);
    let mut version = service(json!([]));
    version["apiVersion"] = json!("v2");
    for (manager, config, code, message) in [
        ("a", managed, 400, "metadata.managedFields must be nil"),
        (
            "a",
            version,
            400,
            "Incorrect version specified in apply patch. Specified patch version: v2, expected: v1",
        ),
        (
            "a",
            service(json!([{"name": "x"}])),
            400,
            "failed to create typed patch object (default/echo; v1, Kind=Service): .spec.ports: \
             element 0: associative list with keys has an element that omits key field \"port\" \
             (and doesn't have default value)",
        ),
        (
            "",
            service(json!([])),
            422,
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required \
             for apply patch",
        ),
    ] {
        let error = applied(manager, config, None, false).unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (code, message));
    }
}

#[test]
fn custom_kinds_apply_with_atomic_lists() {
    let kind = kind("networking.istio.io", "VirtualService");
    let version = "networking.istio.io/v1";
    let config = |hosts: Value| {
        json!({
            "apiVersion": version, "kind": "VirtualService",
            "metadata": {"name": "a", "namespace": "b"},
            "spec": {"hosts": hosts, "tcp": [{"route": [{"destination": {"host": "x"}}]}]},
        })
    };
    let run = |manager: &str, hosts: Value, current: Option<&Value>| {
        apply(kind, Patch::Apply(config(hosts)), current, &context(manager, version))
    };
    let live = run("a", json!(["*"]), None).unwrap();
    assert_eq!(entry(&live, "a")["fieldsV1"], json!({"f:spec": {"f:hosts": {}, "f:tcp": {}}}));
    let error = run("b", json!(["c"]), Some(&live)).unwrap_err();
    assert_eq!(error.message, "Apply failed with 1 conflict: conflict with \"a\": .spec.hosts");
}
