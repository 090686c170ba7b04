//! The charts in `charts/`: they are what the generator writes, and Helm makes the same objects of them as
//! `lateen manifest generate` does of an IstioOperator with the same settings.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "../examples/charts/generate.rs"]
mod generate;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use lateen_testkit::tools::cached;
use serde_json::{Value, json};

fn charts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts")
}

#[test]
fn the_charts_are_those_of_the_renderer() {
    let files = generate::files();
    for (name, text) in &files {
        let there = std::fs::read_to_string(charts().join(name)).unwrap_or_default();
        let same = there == *text;
        assert!(same, "{name} is old: cargo run -p lateen-install --example charts -- charts");
    }
    for chart in ["base", "istiod", "cni", "gateway"] {
        for entry in std::fs::read_dir(charts().join(chart).join("templates")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = format!("{chart}/templates/{name}");
            assert!(files.iter().any(|(known, _)| *known == path), "{path} is nobody's");
        }
    }
}

/// A release of a chart, and the IstioOperator that is the same.
struct Case {
    chart: &'static str,
    release: &'static str,
    namespace: &'static str,
    component: &'static str,
    values: Value,
    spec: Value,
}

fn helm(case: &Case, more: &[&str]) -> Output {
    let folder = tempdir();
    let values = folder.join("values.json");
    std::fs::write(&values, case.values.to_string()).unwrap();
    let output = Command::new(cached("helm").unwrap())
        .args(["template", case.release, "--namespace", case.namespace, "--values"])
        .arg(&values)
        .args(more)
        .arg(charts().join(case.chart))
        .output()
        .unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    output
}

fn tempdir() -> PathBuf {
    let thread = format!("{:?}", std::thread::current().id());
    let name = format!("lateen-charts-{}-{thread}", std::process::id());
    let folder = std::env::temp_dir().join(name.replace(['(', ')'], "-"));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn rendered(case: &Case) -> Vec<Value> {
    let operator = json!({
        "apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator",
        "metadata": {"name": "unknown"}, "spec": case.spec,
    });
    let plan = lateen_install::read(&[("case".to_owned(), operator)], &[]).unwrap();
    let (objects, _) = lateen_install::render(&plan);
    let label = lateen_install::labels::COMPONENT;
    let own = objects.into_iter();
    own.filter(|object| object["metadata"]["labels"][label] == case.component).collect()
}

#[track_caller]
fn check(case: &Case) {
    let output = helm(case, &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    let ours = sorted(lateen_install::documents(&text).unwrap());
    let theirs = sorted(rendered(case));
    assert!(!theirs.is_empty(), "nothing is rendered");
    let names = |objects: &[Value]| objects.iter().map(name).collect::<Vec<_>>();
    assert_eq!(names(&ours), names(&theirs), "{}", case.chart);
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let mut differences = Vec::new();
        differ("", ours, theirs, &mut differences);
        assert!(differences.is_empty(), "{}: {}", name(ours), differences.join("\n"));
    }
}

fn name(object: &Value) -> String {
    format!("{} {}", object["kind"], object["metadata"]["name"])
}

/// Texts that are trees themselves are compared as such.
fn sorted(mut objects: Vec<Value>) -> Vec<Value> {
    objects.sort_by_key(name);
    for object in &mut objects {
        if object["kind"] == "ConfigMap" {
            for text in object["data"].as_object_mut().unwrap().values_mut() {
                *text = lateen_install::documents(text.as_str().unwrap()).unwrap().remove(0);
            }
        }
    }
    objects
}

fn differ(path: &str, ours: &Value, theirs: &Value, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(one), Value::Object(other)) => {
            for key in one.keys().chain(other.keys().filter(|key| !one.contains_key(*key))) {
                differ(&format!("{path}.{key}"), &ours[key], &theirs[key], found);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (at, (one, other)) in one.iter().zip(other).enumerate() {
                differ(&format!("{path}[{at}]"), one, other, found);
            }
        }
        _ if ours == theirs => {}
        _ => found.push(format!("{path}: Helm has {ours}, the manifest {theirs}")),
    }
}

fn istiod(values: Value, mut spec: Value) -> Case {
    // The chart writes its defaults out, for the sidecars too.
    let cluster = &mut spec["values"]["global"]["multiCluster"]["clusterName"];
    if cluster.is_null() {
        *cluster = json!("Kubernetes");
    }
    let agent = &mut spec["values"]["pilot"]["cni"]["enabled"];
    if agent.is_null() {
        *agent = json!(false);
    }
    let (release, namespace) = ("istiod", "istio-system");
    Case { chart: "istiod", release, namespace, component: "Pilot", values, spec }
}

#[test]
fn base_has_every_definition() {
    let spec = json!({"profile": "minimal"});
    let (release, namespace) = ("base", "istio-system");
    let values = json!({});
    check(&Case { chart: "base", release, namespace, component: "Base", values, spec });
}

#[test]
fn the_control_plane_without_values_is_the_minimal_profile() {
    check(&istiod(json!({}), json!({"profile": "minimal"})));
    check(&istiod(json!({"revision": "default"}), json!({"profile": "minimal"})));
    let elsewhere = istiod(json!({}), json!({"profile": "minimal", "namespace": "mesh"}));
    check(&Case { namespace: "mesh", ..elsewhere });
}

#[test]
fn every_value_of_the_control_plane_is_that_of_an_operator_file() {
    let affinity = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname"},
    ]}});
    let pilot = json!({
        "autoscaleEnabled": false, "replicaCount": 3, "rollingMaxSurge": 1,
        "nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "infra", "operator": "Exists"}],
        "affinity": affinity, "env": {"ONE": "1", "TWO": "x y"},
        "keepaliveMaxServerConnectionAge": "5m",
    });
    let global = json!({
        "hub": "reg:5000/mesh", "tag": "v2", "imagePullPolicy": "Always",
        "imagePullSecrets": ["one", "two"], "logAsJson": true, "logging": {"level": "default:debug"},
        "multiCluster": {"clusterName": "east"}, "configValidation": false,
        "defaultPodDisruptionBudget": {"enabled": false},
        "proxy": {
            "resources": {"requests": {"cpu": "30m"}}, "logLevel": "info",
            "clusterDomain": "k8s.corp.example",
        },
    });
    let hook = json!({"enableNamespacesByDefault": true, "rewriteAppHTTPProbe": false});
    let mesh = json!({"accessLogFile": "/dev/stdout", "defaultConfig": {"concurrency": 4}});
    let more = json!({"priorityClassName": "high", "podAnnotations": {"a/b": "c"},
        "resources": {"limits": {"cpu": "2"}}});
    let mut values = json!({
        "revision": "canary", "pilot": pilot, "global": global, "sidecarInjectorWebhook": hook,
        "meshConfig": mesh,
    });
    let spec = json!({
        "profile": "minimal", "revision": "canary", "meshConfig": mesh,
        "components": {"pilot": {"k8s": more}},
        "values": {"pilot": pilot, "global": global, "sidecarInjectorWebhook": hook},
    });
    for (field, value) in more.as_object().unwrap() {
        values["pilot"][field] = value.clone();
    }
    check(&istiod(values, spec));
}

#[test]
fn an_autoscaler_of_the_control_plane_follows_its_values() {
    let pilot =
        json!({"autoscaleMin": 2, "autoscaleMax": 9, "cpu": {"targetAverageUtilization": 60}});
    let spec = json!({"profile": "minimal", "values": {"pilot": pilot}});
    check(&istiod(json!({"pilot": pilot}), spec));
}

fn cni(values: Value, spec: Value) -> Case {
    let (release, namespace) = ("cni", "istio-system");
    Case { chart: "cni", release, namespace, component: "Cni", values, spec }
}

#[test]
fn the_node_agent_without_values_is_that_of_a_file_without_settings() {
    let spec = json!({"profile": "empty", "components": {"cni": {"enabled": true}}});
    check(&cni(json!({}), spec));
    let used = json!({"pilot": {"cni": {"enabled": true}}});
    check(&istiod(used.clone(), json!({"profile": "minimal", "values": used})));
}

#[test]
fn every_value_of_the_node_agent_is_that_of_an_operator_file() {
    let own = json!({
        "excludeNamespaces": ["kube-system", "other"], "cniBinDir": "/home/kubernetes/bin",
        "cniConfDir": "/etc/net.d", "podLabels": {"team": "net"}, "env": {"CNI_CONF_NAME": "x.conf"},
        "rollingMaxUnavailable": "25%", "seccompProfile": {"type": "RuntimeDefault"},
        "repair": {"repairPods": false, "deletePods": true},
    });
    let k8s = json!({
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
        "tolerations": [{"operator": "Exists"}], "podAnnotations": {"a/b": "c"},
    });
    let global = json!({"hub": "reg:5000/mesh", "tag": "v2", "logAsJson": true});
    let mut values = own.clone();
    for (field, value) in k8s.as_object().unwrap() {
        values[field] = value.clone();
    }
    values["global"] = global.clone();
    values["revision"] = json!("canary");
    let spec = json!({
        "profile": "empty", "revision": "canary",
        "components": {"cni": {"enabled": true, "k8s": k8s}},
        "values": {"cni": own, "global": global},
    });
    check(&cni(values, spec));
}

fn gateway(release: &'static str, namespace: &'static str, values: Value, spec: Value) -> Case {
    Case { chart: "gateway", release, namespace, component: "IngressGateways", values, spec }
}

#[test]
fn a_gateway_without_values_is_the_usual_one() {
    let spec = json!({"profile": "default"});
    check(&gateway("istio-ingressgateway", "istio-system", json!({}), spec));
}

#[test]
fn a_gateway_of_an_own_name_has_its_ports_addresses_and_settings() {
    let service = json!({
        "type": "NodePort", "externalIPs": ["192.0.2.7"], "externalTrafficPolicy": "Local",
        "loadBalancerClass": "example.com/lb", "ipFamilies": ["IPv6"], "ipFamilyPolicy": "SingleStack",
        "ports": [
            {"name": "http", "port": 80}, {"name": "also", "port": 8080, "targetPort": 80},
            {"name": "tcp", "port": 31400, "targetPort": 31400, "nodePort": 31400},
            {"name": "named", "port": 9000, "targetPort": "app"},
            {"name": "dns", "port": 53, "targetPort": 5353, "protocol": "UDP"},
        ],
    });
    let shared = json!({
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}, "nodeSelector": {"edge": "true"},
        "tolerations": [{"operator": "Exists"}], "podAnnotations": {"a/b": "c"},
        "replicaCount": 2, "priorityClassName": "high",
    });
    let mut values = shared.clone();
    values["service"] = service.clone();
    values["service"]["annotations"] = json!({"x/y": "z"});
    values["serviceAccount"] = json!({"annotations": {"role": "edge"}});
    values["autoscaling"] = json!({"enabled": false});
    values["env"] = json!({"ISTIO_META_ROUTER_MODE": "sni-dnat"});
    values["revision"] = json!("canary");
    values["global"] = json!({
        "istioNamespace": "mesh", "hub": "reg:5000/mesh", "tag": "v2",
        "proxy": {"clusterDomain": "k8s.corp.example"},
    });
    let mut k8s = shared;
    let ports = service["ports"].clone();
    k8s["service"] = service;
    k8s["service"].as_object_mut().unwrap().shift_remove("ports");
    k8s["serviceAnnotations"] = json!({"x/y": "z"});
    k8s["env"] = json!([{"name": "ISTIO_META_ROUTER_MODE", "value": "sni-dnat"}]);
    let spec = json!({
        "profile": "minimal", "revision": "canary", "namespace": "mesh",
        "hub": "reg:5000/mesh", "tag": "v2",
        "components": {"ingressGateways": [
            {
                "name": "istio-edge", "namespace": "gateways", "enabled": true, "k8s": k8s,
                "label": {"istio": "edge"},
            },
        ]},
        "values": {
            "global": {"proxy": {"clusterDomain": "k8s.corp.example"}},
            "gateways": {"istio-ingressgateway": {
                "autoscaleEnabled": false, "ports": ports,
                "serviceAccount": {"annotations": {"role": "edge"}},
            }},
        },
    });
    check(&gateway("istio-edge", "gateways", values.clone(), spec.clone()));
    values["name"] = json!("istio-edge");
    check(&gateway("another-release", "gateways", values, spec));
}

#[test]
fn a_value_that_the_chart_does_not_have_is_refused_by_its_name() {
    let case = istiod(json!({}), json!({"profile": "minimal"}));
    for setting in ["pilot.autoscaleEnbled=true", "pilto.env.A=b", "pilot.autoscaleMin=many"] {
        let output = helm(&case, &["--set", setting]);
        let said = String::from_utf8_lossy(&output.stderr);
        let path = setting.split(['=', '.']).find(|step| said.contains(*step));
        assert!(!output.status.success() && path.is_some(), "{setting}: {said}");
    }
}

/// As Istio's own guides install, and with one file of values for all charts.
#[test]
fn values_of_istios_guides_that_change_nothing_are_taken() {
    let base = Case {
        chart: "base",
        release: "istio-base",
        namespace: "istio-system",
        component: "Base",
        values: json!({}),
        spec: json!({"profile": "minimal"}),
    };
    let control_plane = istiod(json!({}), json!({"profile": "minimal"}));
    for (case, setting) in [
        (&base, "defaultRevision=default".to_owned()),
        (&control_plane, format!("global.istioNamespace={}", control_plane.namespace)),
    ] {
        let (plain, set) = (helm(case, &[]), helm(case, &["--set", &setting]));
        assert!(set.status.success(), "{setting}: {}", String::from_utf8_lossy(&set.stderr));
        assert!(plain.stdout == set.stdout, "{setting} changes something");
    }
    for (case, setting) in
        [(&base, "defaultRevision=blue"), (&control_plane, "global.istioNamespace=elsewhere")]
    {
        let output = helm(case, &["--set", setting]);
        let (path, _) = setting.split_once('=').unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let name = path.rsplit('.').next().unwrap();
        assert!(!output.status.success() && said.contains(name), "{setting}: {said}");
    }
}
