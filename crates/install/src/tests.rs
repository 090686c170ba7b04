//! Golden files: `testdata/<case>.yaml` is an IstioOperator file, `<case>.golden` what it says and
//! installs. `UPDATE_GOLDEN=1` rewrites. Every object must pass the schema of its kind.

mod bad;
mod empty;
mod injector;
mod places;
mod refused;
mod settings;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::render::config;
use crate::{Plan, misfits, read, render, yaml};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

fn load(case: &str) -> Vec<(String, Value)> {
    let text = std::fs::read_to_string(directory().join(format!("{case}.yaml"))).unwrap();
    let documents = yaml::documents(&text).unwrap();
    documents.into_iter().map(|document| (case.to_owned(), document)).collect()
}

fn plan(case: &str, set: &[(&str, &str)]) -> Plan {
    let set: Vec<(String, String)> =
        set.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect();
    read(&load(case), &set).unwrap_or_else(|issues| {
        let shown: Vec<String> = issues.iter().map(ToString::to_string).collect();
        panic!("{case}: {}", shown.join("\n"))
    })
}

/// What is told of a spec.
fn check_issues(spec: Value) -> Vec<String> {
    let document = json!({
        "apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator", "spec": spec,
    });
    let plan = read(&[("file".to_owned(), document)], &[]).unwrap();
    plan.issues.iter().map(ToString::to_string).collect()
}

/// The object of a kind and a name.
#[track_caller]
fn object(objects: &[Value], kind: &str, name: &str) -> Value {
    let same = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
    objects.iter().find(same).unwrap_or_else(|| panic!("no {kind} {name}")).clone()
}

#[track_caller]
fn check(case: &str) {
    check_only(case, |_| true);
}

/// Of these kinds only.
#[track_caller]
fn check_only(case: &str, shows: impl Fn(&str) -> bool) {
    let (objects, issues) = render(&plan(case, &[]));
    let mut shown: String = issues.iter().map(|issue| format!("# {issue}\n")).collect();
    for object in &objects {
        assert_eq!(misfits(object), [], "{case}: {}", object["metadata"]["name"]);
        let text = yaml::text(object);
        assert_eq!(&yaml::documents(&text).unwrap()[0], object, "{case}: YAML differs");
        if !shows(object["kind"].as_str().unwrap()) {
            continue;
        }
        let title = format!("{} {}", object["kind"], object["metadata"]["name"]).replace('"', "");
        match object["kind"] == "CustomResourceDefinition" {
            true => shown.push_str(&format!("--- # {title}\n")),
            false => shown.push_str(&format!("---\n{text}")),
        }
    }
    golden(case, &shown);
}

#[track_caller]
fn golden(case: &str, shown: &str) {
    let path = directory().join(format!("{case}.golden"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        return std::fs::write(path, shown).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    let different = expected.lines().zip(shown.lines()).find(|(a, b)| a != b);
    assert!(expected == shown, "{case}: {different:?}; UPDATE_GOLDEN=1 rewrites, read the diff");
}

#[test]
fn profiles_render_what_they_say() {
    for case in ["default", "minimal", "demo", "empty"] {
        check(case);
    }
}

#[test]
fn the_notes_file_renders_unchanged() {
    check("notes");
}

#[test]
fn old_fields_have_todays_effect() {
    for case in ["old_pilot", "old_global", "old_gateway"] {
        check(case);
    }
}

#[test]
fn overlays_revisions_and_several_gateways_render() {
    for case in ["overlays", "revision", "two_gateways"] {
        check(case);
    }
}

#[test]
fn the_node_agent_renders_with_its_settings() {
    let own = |kind: &str| kind != "CustomResourceDefinition" && !kind.contains("Webhook");
    for case in ["cni", "cni_settings"] {
        check_only(case, own);
    }
}

#[test]
fn the_injector_uses_a_node_agent_that_is_installed() {
    let used = |set: &[(&str, &str)]| {
        let values = config::values(&plan("minimal", set));
        values["pilot"]["cni"]["enabled"].clone()
    };
    let installed = ("components.cni.enabled", "true");
    assert_eq!(used(&[installed]), true);
    assert_eq!(used(&[installed, ("values.pilot.cni.enabled", "false")]), false);
    assert_eq!(used(&[("values.istio_cni.enabled", "true")]), true);
    assert_eq!(used(&[]), Value::Null);
    let told = |set: &[(&str, &str)]| plan("minimal", set).issues;
    let hint = |set: &[(&str, &str)]| {
        told(set).iter().any(|issue| issue.message.contains("set components.cni.enabled to true"))
    };
    assert!(
        hint(&[("values.istio_cni.enabled", "true")])
            && hint(&[("values.pilot.cni.enabled", "true")])
    );
    assert!(!hint(&[installed, ("values.pilot.cni.enabled", "true")]) && !hint(&[]));
}

#[test]
fn a_plugin_alone_is_refused() {
    for (path, value) in [
        ("values.cni.chained", "false"),
        ("values.istio_cni.chained", "false"),
        ("values.cni.provider", "multus"),
        ("values.cni.istioOwnedCNIConfig", "true"),
        ("values.cni.ambient.enabled", "true"),
    ] {
        let issues = read(&load("minimal"), &[(path.to_owned(), value.to_owned())]).unwrap_err();
        assert!(issues.iter().any(|issue| issue.path.contains("cni")), "{path}: {issues:?}");
    }
}

#[test]
fn the_overlays_of_istios_documentation_apply() {
    check_only("docs_overlays", |kind| matches!(kind, "ConfigMap" | "Deployment" | "Service"));
}

/// They have the revision's label, address, CA and policy, and go when the installation goes.
#[test]
fn the_tags_of_a_file_inject_as_their_revision_does() {
    check_only("tags", |kind| kind == "MutatingWebhookConfiguration");
    let (objects, _) = render(&plan("tags", &[]));
    let tag = object(&objects, "MutatingWebhookConfiguration", "istio-revision-tag-default");
    assert_eq!(tag["metadata"]["labels"][crate::labels::OWNER], "mesh-c1");
    assert_eq!(tag["metadata"]["labels"][crate::labels::OWNER_NAMESPACE], "istio-system");
    let webhooks = tag["webhooks"].as_array().unwrap();
    assert!(webhooks.iter().any(|webhook| webhook["name"] == "auto.sidecar-injector.istio.io"));
    for webhook in webhooks {
        assert_eq!(webhook["clientConfig"]["url"], "https://injector.example/inject");
        assert_eq!(webhook["clientConfig"]["caBundle"], "Zm9v");
        assert_eq!(webhook["reinvocationPolicy"], "IfNeeded");
        assert!(webhook["namespaceSelector"].to_string().contains("my-inj"));
    }
}

#[test]
fn a_definition_is_structural() {
    let (objects, _) = render(&plan("default", &[]));
    let crds: Vec<&Value> =
        objects.iter().filter(|object| object["kind"] == "CustomResourceDefinition").collect();
    assert_eq!(crds.len(), 15);
    let gateway = crds.iter().find(|crd| crd["metadata"]["name"] == "gateways.networking.istio.io");
    golden("gateways.crd", &yaml::text(gateway.unwrap()));
    for crd in crds {
        // kubectl's client-side apply keeps the whole object in an annotation of at most 256 KiB.
        let (name, size) = (&crd["metadata"]["name"], crd.to_string().len());
        assert!(size < 200 * 1024, "{name} has {size} bytes");
        assert!(!crd.to_string().contains("$ref") && !crd.to_string().contains("x-lateen"));
        for version in crd["spec"]["versions"].as_array().unwrap() {
            typed(&version["schema"]["openAPIV3Schema"], name);
        }
    }
}

/// Every node has a type, or says that it takes anything.
fn typed(schema: &Value, name: &Value) {
    let open = ["x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"];
    let says = schema["type"].is_string() || open.iter().any(|key| schema[*key] == json!(true));
    assert!(says, "{name}: {schema}");
    let both = schema.get("properties").is_some() && schema.get("additionalProperties").is_some();
    assert!(!both, "{name}: {schema}");
    for inner in schema["properties"].as_object().into_iter().flat_map(serde_json::Map::values) {
        typed(inner, name);
    }
    for key in ["items", "additionalProperties"] {
        if schema[key].is_object() {
            typed(&schema[key], name);
        }
    }
}

#[test]
fn settings_of_the_command_line_win() {
    let plan = plan(
        "default",
        &[
            ("profile", "minimal"),
            ("spec.revision", "blue"),
            ("values.pilot.replicaCount", "3"),
            ("values.pilot.resources.requests.cpu", "70m"),
            ("values.pilot.autoscaleEnabled", "false"),
            ("components.ingressGateways[name:istio-ingressgateway].enabled", "true"),
            ("components.ingressGateways[0].k8s.resources.requests.cpu", "77m"),
            ("components.cni.enabled", "true"),
            ("values.cni.resources.requests.cpu", "66m"),
            ("components.ingressGateways[0].k8s.service.ports[0].port", "80"),
            ("components.ingressGateways[0].k8s.service.ports[0].targetPort", "8081"),
            ("components.pilot.k8s.podAnnotations.a\\.b/c", "\"1\""),
            ("meshConfig.defaultServiceExportTo", "{., istio-system}"),
        ],
    );
    let (objects, _) = render(&plan);
    let find = |kind: &str, name: &str| object(&objects, kind, name);
    let istiod = find("Deployment", "istiod-blue");
    assert_eq!(istiod["spec"]["replicas"], 3);
    let container = &istiod["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["resources"]["requests"], json!({"cpu": "70m", "memory": "64Mi"}));
    for (kind, name, cpu) in
        [("Deployment", "istio-ingressgateway", "77m"), ("DaemonSet", "istio-cni-node", "66m")]
    {
        let container = &find(kind, name)["spec"]["template"]["spec"]["containers"][0];
        let requests = &container["resources"]["requests"];
        assert_eq!(*requests, json!({"cpu": cpu, "memory": "32Mi"}), "{name}");
    }
    assert_eq!(istiod["spec"]["template"]["metadata"]["annotations"]["a.b/c"], "1");
    let port = &find("Service", "istio-ingressgateway")["spec"]["ports"][0];
    assert_eq!((&port["port"], &port["targetPort"]), (&json!(80), &json!(8081)));
    let mesh = find("ConfigMap", "istio-blue")["data"]["mesh"].as_str().unwrap().to_owned();
    assert!(mesh.contains("- istio-system"), "{mesh}");
}

#[test]
fn files_merge_in_order() {
    let file = |spec: Value| {
        let object = json!({
            "apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator", "spec": spec,
        });
        ("f".to_owned(), object)
    };
    let first =
        file(json!({"profile": "demo", "hub": "a/b", "meshConfig": {"connectTimeout": "1s"}}));
    let second = file(json!({"profile": "minimal", "hub": "c/d"}));
    let plan = read(&[first, second], &[]).unwrap();
    assert_eq!(plan.image("values.pilot"), format!("c/d/lateen:{}", env!("CARGO_PKG_VERSION")));
    assert_eq!(plan.spec()["meshConfig"]["connectTimeout"], "1s");
    assert_eq!(plan.spec()["profile"], "minimal");
}

#[test]
fn the_order_and_the_bytes_are_the_same_every_time() {
    let text = || {
        let (objects, _) = render(&plan("demo", &[]));
        objects.iter().map(yaml::text).collect::<String>()
    };
    assert_eq!(text(), text());
    let (objects, _) = render(&plan("demo", &[]));
    let ranks: Vec<usize> = objects.iter().map(crate::rank).collect();
    assert!(ranks.is_sorted(), "{ranks:?}");
}
