//! The charts in `charts/`: they are what the generator writes, and Helm makes the same objects of them as
//! `lateen manifest generate` does of an IstioOperator with the same settings.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "charts/forms.rs"]
mod forms;
#[path = "../examples/charts/generate.rs"]
mod generate;
#[path = "charts/nulls.rs"]
mod nulls;
#[path = "charts/refused.rs"]
mod refused;
#[path = "charts/settings.rs"]
mod settings;
#[path = "charts/taken.rs"]
mod taken;

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
    let own: Vec<Value> =
        own.filter(|object| object["metadata"]["labels"][label] == case.component).collect();
    if case.chart != "gateway" {
        return own;
    }
    // Istio's chart names account and role after the gateway.
    let text = json!(own).to_string().replace("-service-account\"", "\"").replace("-sds\"", "\"");
    serde_json::from_str(&text).unwrap()
}

#[track_caller]
fn made(case: &Case) -> Vec<Value> {
    let output = helm(case, &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    lateen_install::documents(&String::from_utf8(output.stdout).unwrap()).unwrap()
}

#[track_caller]
fn check(case: &Case) {
    let (ours, theirs) = (made(case), rendered(case));
    let values = |objects: &[Value]| {
        objects.iter().find_map(|object| object["data"]["values"].as_str().map(str::to_owned))
    };
    assert_eq!(values(&ours), values(&theirs), "{}", case.chart);
    let (ours, theirs) = (sorted(ours), sorted(theirs));
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

fn istiod(values: Value, spec: Value) -> Case {
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
fn tags_have_their_webhooks_and_the_tag_default_the_validator_of_all_else() {
    for tags in [json!(["prod"]), json!(["default"]), json!(["default", "prod"])] {
        for revision in ["", "canary"] {
            let spec = json!({
                "profile": "minimal", "revision": revision, "values": {"revisionTags": tags},
            });
            check(&istiod(json!({"revision": revision, "revisionTags": tags}), spec));
        }
    }
    let values = json!({"revision": "canary", "revisionTags": ["default"]});
    let objects = made(&istiod(values, json!({})));
    let validator =
        objects.iter().find(|one| one["metadata"]["name"] == "istiod-default-validator");
    let called = &validator.unwrap()["webhooks"][0]["clientConfig"]["service"]["name"];
    assert_eq!(called, "istiod-canary");
}

#[test]
fn an_autoscaler_of_the_control_plane_follows_its_values() {
    let pilot =
        json!({"autoscaleMin": 2, "autoscaleMax": 9, "cpu": {"targetAverageUtilization": 60}});
    let spec = json!({"profile": "minimal", "values": {"pilot": pilot}});
    check(&istiod(json!({"pilot": pilot}), spec));
}

#[test]
fn injection_where_pods_ask_for_it_alone_is_the_charts_too() {
    let values = json!({"global": {"proxy": {"autoInject": "disabled"}}});
    check(&istiod(values.clone(), json!({"profile": "minimal", "values": values})));
}

#[test]
fn variables_that_are_set_on_the_command_line_are_texts() {
    let case = istiod(json!({}), json!({"profile": "minimal"}));
    let output = helm(&case, &["--set", "pilot.env.A=true,pilot.env.B=5"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    for variable in [r#"{name: "A", value: "true"}"#, r#"{name: "B", value: "5"}"#] {
        assert!(text.contains(variable), "{variable}: {text}");
    }
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

/// What both have, under the names of Istio's chart.
#[test]
fn a_gateways_budget_volumes_update_and_secrets_are_those_of_an_operator_file() {
    let (volumes, mounts) = (
        json!([{"name": "extra", "emptyDir": {}}]),
        json!([{"name": "extra", "mountPath": "/extra", "readOnly": true}]),
    );
    let values = json!({
        "podDisruptionBudget": {"maxUnavailable": 1}, "volumes": volumes, "volumeMounts": mounts,
        "strategy": {"type": "Recreate"}, "imagePullSecrets": [{"name": "one"}],
        "imagePullPolicy": "Always", "meshConfig": {"trustDomain": "corp.example"},
        "global": {"imagePullSecrets": ["two"]},
    });
    let k8s = json!({
        "podDisruptionBudget": {"maxUnavailable": 1}, "volumes": volumes, "volumeMounts": mounts,
        "strategy": {"type": "Recreate"}, "imagePullPolicy": "Always",
    });
    let spec = json!({
        "profile": "default", "meshConfig": {"trustDomain": "corp.example"},
        "components": {"ingressGateways": [{"name": "istio-ingressgateway", "k8s": k8s}]},
        "values": {"global": {"imagePullSecrets": ["one", "two"]}},
    });
    check(&gateway("istio-ingressgateway", "istio-system", values, spec));
}

#[test]
fn a_gateways_pods_spread_and_stop_and_are_scaled_as_its_values_say() {
    let spread = json!([{
        "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app": "edge"}},
    }]);
    let behavior = json!({"scaleDown": {"selectPolicy": "Disabled"}});
    let objects = edge(json!({
        "topologySpreadConstraints": spread, "terminationGracePeriodSeconds": 45,
        "minReadySeconds": 7, "autoscaling": {"autoscaleBehavior": behavior},
    }));
    let deployment = &of(&objects, "Deployment")["spec"];
    let pod = &deployment["template"]["spec"];
    assert_eq!(pod["topologySpreadConstraints"], spread);
    assert_eq!(pod["terminationGracePeriodSeconds"], 45);
    assert_eq!(deployment["minReadySeconds"], 7);
    assert_eq!(of(&objects, "HorizontalPodAutoscaler")["spec"]["behavior"], behavior);
}

fn edge(values: Value) -> Vec<Value> {
    made(&gateway("istio-edge", "gateways", values, json!({})))
}

fn of<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let found = objects.iter().find(|object| object["kind"] == kind);
    found.unwrap_or_else(|| panic!("no {kind}"))
}

#[test]
fn labels_and_annotations_are_on_everything_and_labels_choose_the_gateway() {
    let objects = edge(json!({
        "labels": {"team": "net", "istio": "front"}, "annotations": {"a/b": "all", "x/y": "all"},
        "service": {"annotations": {"x/y": "own"}}, "podAnnotations": {"p/q": "pod"},
    }));
    assert_eq!(objects.len(), 7);
    for object in &objects {
        let labels = &object["metadata"]["labels"];
        assert_eq!(
            (&labels["team"], &labels["istio"]),
            (&json!("net"), &json!("front")),
            "{object}"
        );
        assert_eq!(labels["app"], "istio-edge");
    }
    let selected = json!({"app": "istio-edge", "istio": "front"});
    let deployment = of(&objects, "Deployment");
    assert_eq!(deployment["spec"]["selector"]["matchLabels"], selected);
    assert_eq!(of(&objects, "Service")["spec"]["selector"], selected);
    assert_eq!(of(&objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"], selected);
    let pod = &deployment["spec"]["template"]["metadata"];
    assert_eq!((&pod["labels"]["team"], &pod["labels"]["istio"]), (&json!("net"), &json!("front")));
    assert_eq!(
        (&pod["annotations"]["p/q"], &pod["annotations"]["a/b"]),
        (&json!("pod"), &Value::Null)
    );
    for kind in ["Deployment", "Service", "HorizontalPodAutoscaler", "Role", "RoleBinding"] {
        let annotations = &of(&objects, kind)["metadata"]["annotations"];
        assert_eq!(annotations["a/b"], "all", "{kind}");
        let expected = if kind == "Service" { "own" } else { "all" };
        assert_eq!(annotations["x/y"], expected, "{kind}");
    }
    assert!(of(&edge(json!({})), "Service")["metadata"]["annotations"].is_null());
}

#[test]
fn a_daemon_set_has_no_replicas_and_nobody_scales_it() {
    for autoscaled in [true, false] {
        let scaling = json!({"enabled": autoscaled});
        let objects = edge(json!({"kind": "DaemonSet", "autoscaling": scaling}));
        assert!(!objects.iter().any(|one| one["kind"] == "HorizontalPodAutoscaler"));
        let own = of(&objects, "DaemonSet");
        assert!(own["spec"]["replicas"].is_null() && own["spec"]["strategy"].is_null(), "{own}");
        assert!(own.to_string().contains("/namespaces/gateways/daemonsets/istio-edge\""), "{own}");
    }
    let case = gateway("edge", "gateways", json!({"kind": "StatefulSet"}), json!({}));
    let said = helm(&case, &[]).stderr;
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("kind is StatefulSet: it is Deployment or DaemonSet"), "{said}");
}

#[test]
fn a_networks_gateway_has_its_label_its_view_and_the_ports_of_other_networks() {
    let objects = edge(json!({"networkGateway": "west"}));
    let (service, deployment) = (of(&objects, "Service"), of(&objects, "Deployment"));
    let pod = &deployment["spec"]["template"];
    for labels in [&service["metadata"]["labels"], &pod["metadata"]["labels"]] {
        assert_eq!(labels["topology.istio.io/network"], "west");
    }
    let container = &pod["spec"]["containers"][0];
    for name in ["ISTIO_META_NETWORK", "ISTIO_META_REQUESTED_NETWORK_VIEW"] {
        let variable = json!({"name": name, "value": "west"});
        assert!(container["env"].as_array().unwrap().contains(&variable), "{container}");
    }
    let numbers = |list: &Value, field: &str| -> Vec<u64> {
        list.as_array().unwrap().iter().map(|port| port[field].as_u64().unwrap()).collect()
    };
    assert_eq!(numbers(&service["spec"]["ports"], "port"), [15021, 15443, 15012, 15017]);
    assert_eq!(numbers(&container["ports"], "containerPort"), [15021, 15443, 15012, 15017, 15090]);
}

#[test]
fn account_role_service_and_budget_can_be_those_that_are_there() {
    let own = edge(json!({"serviceAccount": {"name": "robot"}}));
    assert_eq!(of(&own, "ServiceAccount")["metadata"]["name"], "robot");
    assert_eq!(of(&own, "RoleBinding")["subjects"][0]["name"], "robot");
    for (name, expected) in [("robot", "robot"), ("", "default")] {
        let objects = edge(json!({
            "serviceAccount": {"create": false, "name": name}, "rbac": {"enabled": false},
            "service": {"type": "None"},
            "global": {"defaultPodDisruptionBudget": {"enabled": false}},
        }));
        let kinds: Vec<&Value> = objects.iter().map(|object| &object["kind"]).collect();
        assert_eq!(kinds, ["Deployment", "HorizontalPodAutoscaler"]);
        assert_eq!(objects[0]["spec"]["template"]["spec"]["serviceAccountName"], expected);
    }
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
