//! What must hold for every injected pod, whatever its golden says.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{Injected, PROXY_CONTAINER, Settings, Subject, inject, patch, pod};

fn pod_with(metadata: Value, spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}

fn plain() -> Value {
    let container = json!({"name": "app", "image": "app", "ports": [{"containerPort": 80}]});
    pod_with(json!({"name": "web", "labels": {"app": "web"}}), json!({"containers": [container]}))
}

fn annotated(name: &str, value: &str) -> Value {
    let mut pod = plain();
    pod["metadata"]["annotations"] = json!({name: value});
    pod
}

fn run(pod: &Value, settings: &Settings) -> Result<Injected, Vec<String>> {
    let labels = BTreeMap::new();
    let subject = Subject { namespace: "default", namespace_labels: &labels, pod };
    inject(&subject, settings)
        .map_err(|issues| issues.iter().map(ToString::to_string).collect::<Vec<_>>())
}

fn native() -> Settings {
    Settings { native_sidecar: true, ..Settings::default() }
}

fn names(pod: &Value, field: &str) -> Vec<String> {
    pod::names(pod::list(pod, field)).into_iter().map(str::to_owned).collect()
}

fn init_arguments(pod: &Value) -> String {
    let init = pod::container(pod, "istio-init").unwrap();
    let arguments = init["args"].as_array().unwrap().iter();
    arguments.map(|one| one.as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[test]
fn bad_annotations_refuse_the_pod_and_are_named_with_a_remedy() {
    let cases = [
        ("traffic.sidecar.istio.io/includeInboundPorts", "80,many", "80,443"),
        ("traffic.sidecar.istio.io/excludeInboundPorts", "*", "80,443"),
        ("traffic.sidecar.istio.io/excludeOutboundPorts", "70000", "80,443"),
        ("traffic.sidecar.istio.io/includeOutboundIPRanges", "10.0.0.1", "10.0.0.1/32"),
        ("traffic.sidecar.istio.io/includeOutboundIPRanges", "fd00::1", "fd00::1/128"),
        ("traffic.sidecar.istio.io/excludeOutboundIPRanges", "*", "CIDR"),
        ("sidecar.istio.io/interceptionMode", "redirect", "REDIRECT"),
        ("sidecar.istio.io/proxyCPU", "lots", "100m"),
        ("sidecar.istio.io/proxyMemoryLimit", "1.2.3Mi", "128Mi"),
        ("sidecar.istio.io/userVolume", "{not json", "JSON"),
        ("status.sidecar.istio.io/port", "-1", "65535"),
        ("status.sidecar.istio.io/port", "15021", "take another"),
        ("readiness.status.sidecar.istio.io/periodSeconds", "0", "from 1"),
        ("readiness.status.sidecar.istio.io/failureThreshold", "4294967295", "2147483647"),
        ("readiness.status.sidecar.istio.io/initialDelaySeconds", "-1", "from 0"),
        ("traffic.sidecar.istio.io/excludeInterfaces", "eth0;rm -rf", "eth1,net1"),
        ("traffic.sidecar.istio.io/kubevirtInterfaces", "net1,sixteen-letters-", "eth1,net1"),
        ("istio.io/reroute-virtual-interfaces", "a/b", "eth1,net1"),
        ("sidecar.istio.io/userVolumeMount", "{\"certs\": {}}", "mountPath"),
        ("readiness.status.sidecar.istio.io/periodSeconds", "soon", "whole number"),
        ("prometheus.istio.io/merge-metrics", "perhaps", "true nor false"),
        ("proxy.istio.io/config", "concurrency: many", "concurrency"),
        ("proxy.istio.io/config", "{{{", "not YAML"),
        ("proxy.istio.io/overrides", "garbage", "remove it"),
        ("proxy.istio.io/overrides", "{\"containers\": [{\"image\": \"app\"}]}", "remove it"),
        ("sidecar.istio.io/proxyImage", "../x", "has no registry"),
        ("sidecar.istio.io/proxyImage", "hub/lateen:a@b", "has no digest"),
        ("inject.istio.io/templates", "sidecr", "sidecar, gateway"),
        ("inject.istio.io/templates", "sidecar,gateway", "one of them"),
    ];
    for (name, value, remedy) in cases {
        let refused = run(&annotated(name, value), &Settings::default()).unwrap_err();
        assert!(refused[0].contains(name), "{name}={value}: {refused:?}");
        assert!(refused[0].contains(remedy), "{name}={value}: {refused:?}");
    }
}

#[test]
fn a_mount_of_no_volume_is_refused() {
    let mount = "sidecar.istio.io/userVolumeMount";
    let mut pod = annotated(mount, r#"[{"name": "certs", "mountPath": "/etc/certs"}]"#);
    let refused = run(&pod, &Settings::default()).unwrap_err();
    assert_eq!(refused.len(), 1, "{refused:?}");
    let place = format!("metadata.annotations[{mount:?}]: the pod has no volume \"certs\"");
    assert!(refused[0].contains(&place), "{refused:?}");
    // Its claims are volumes of its pods.
    let owner =
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "controller": true});
    let mut of_set = pod.clone();
    of_set["metadata"]["generateName"] = json!("db-");
    of_set["metadata"]["ownerReferences"] = json!([owner]);
    assert!(run(&of_set, &Settings::default()).is_ok());
    let mut with_volume = pod.clone();
    with_volume["spec"]["volumes"] = json!([{"name": "certs", "emptyDir": {}}]);
    assert!(run(&with_volume, &Settings::default()).is_ok());
    pod["metadata"]["annotations"]["sidecar.istio.io/userVolume"] =
        json!(r#"{"certs": {"emptyDir": {}}}"#);
    assert!(run(&pod, &Settings::default()).is_ok());
}

#[test]
fn more_than_the_limit_is_refused_by_the_annotations_name() {
    let run = |annotations: Value, own: Value| {
        let mut pod = plain();
        pod["metadata"]["annotations"] = annotations;
        let proxy = json!({"name": PROXY_CONTAINER, "image": "auto", "resources": own});
        pod["spec"]["containers"].as_array_mut().unwrap().push(proxy);
        run(&pod, &Settings::default()).map(|injected| injected.issues)
    };
    let [cpu, cpu_limit, memory, memory_limit] = ["CPU", "CPULimit", "Memory", "MemoryLimit"]
        .map(|end| format!("sidecar.istio.io/proxy{end}"));
    let none = json!({});
    for (annotations, own, named) in [
        (json!({&cpu: "2", &cpu_limit: "500m"}), &none, &cpu),
        (json!({&memory: "1Gi", &memory_limit: "1G"}), &none, &memory),
        (json!({&cpu: "2"}), &json!({"limits": {"cpu": 1}}), &cpu),
        (json!({&memory_limit: "64Mi"}), &json!({"requests": {"memory": "1Gi"}}), &memory_limit),
    ] {
        let refused = run(annotations, own.clone()).unwrap_err();
        assert_eq!(refused.len(), 1, "{refused:?}");
        let place = format!("metadata.annotations[{named:?}]: the proxy would ask for ");
        assert!(refused[0].contains(&place), "{refused:?}");
        assert!(refused[0].contains("Limit"), "{refused:?}");
    }
    for (annotations, own) in [
        (json!({&cpu: "1100m", &cpu_limit: "1.1"}), &none),
        (json!({&memory: "1Gi"}), &none),
        // What the pod's own container says counts, and the API names it.
        (
            json!({&cpu: "2", &cpu_limit: "3"}),
            &json!({"requests": {"cpu": "1"}, "limits": {"cpu": "500m"}}),
        ),
    ] {
        assert_eq!(run(annotations, own.clone()), Ok(Vec::new()));
    }
}

#[test]
fn half_of_a_pods_own_resources_that_the_default_is_against_is_refused_by_its_name() {
    let run = |own: Value| {
        let mut pod = plain();
        let proxy = json!({"name": PROXY_CONTAINER, "image": "auto", "resources": own});
        pod["spec"]["containers"].as_array_mut().unwrap().push(proxy);
        let mut settings = Settings::default();
        settings.resources["limits"] = json!({"memory": "64Mi"});
        run(&pod, &settings).map(|injected| injected.issues)
    };
    for (own, said) in [
        (
            json!({"limits": {"cpu": "10m"}}),
            "spec.containers[1].resources.limits.cpu: the proxy would ask for \"20m\" of cpu and be limited to \
             \"10m\", which Kubernetes refuses: write requests.cpu beside it",
        ),
        (
            json!({"requests": {"memory": "1Gi"}}),
            "spec.containers[1].resources.requests.memory: the proxy would ask for \"1Gi\" of memory and be limited \
             to \"64Mi\", which Kubernetes refuses: write limits.memory beside it",
        ),
    ] {
        let refused = run(own).unwrap_err();
        assert!(refused.len() == 1 && refused[0].contains(said), "{refused:?}");
    }
    for own in [
        json!({"limits": {"cpu": "20m"}}),
        json!({"limits": {"cpu": "10m"}, "requests": {"cpu": "10m"}}),
        // Both are the pod's own: the API names them.
        json!({"limits": {"cpu": "10m"}, "requests": {"cpu": "20m"}}),
    ] {
        assert_eq!(run(own), Ok(Vec::new()));
    }
}

#[test]
fn good_annotations_are_taken() {
    let cases = [
        ("traffic.sidecar.istio.io/includeInboundPorts", ""),
        ("traffic.sidecar.istio.io/includeInboundPorts", "80, 443"),
        ("traffic.sidecar.istio.io/includeOutboundIPRanges", "10.0.0.0/8,fd00::/8"),
        ("sidecar.istio.io/proxyCPU", "0.5"),
        ("sidecar.istio.io/proxyMemory", "1e9"),
        ("status.sidecar.istio.io/port", "0"),
    ];
    for (name, value) in cases {
        let injected = run(&annotated(name, value), &Settings::default()).unwrap();
        assert_eq!(injected.issues, [], "{name}={value}");
    }
}

#[test]
fn annotations_without_effect_say_so_and_unknown_ones_too() {
    for name in [
        "sidecar.istio.io/bootstrapOverride",
        "sidecar.istio.io/statsInclusionPrefixes",
        "sidecar.istio.io/statsCompression",
        "sidecar.istio.io/proxyImageType",
        "readiness.status.sidecar.istio.io/applicationPorts",
    ] {
        let injected = run(&annotated(name, "x"), &Settings::default()).unwrap();
        let issue = injected.issues[0].to_string();
        assert!(issue.contains(name) && issue.contains("has no effect: "), "{issue}");
    }
    let injected = run(&annotated("sidecar.istio.io/proxyCpu", "1"), &Settings::default()).unwrap();
    assert!(injected.issues[0].to_string().starts_with("warning IST0108"), "{injected:?}");
    for name in ["sidecars.istio.io/inject", "sidecar.istio.io.inject", "sidecar.istio.io/Inject"] {
        let injected = run(&annotated(name, "false"), &Settings::default()).unwrap();
        let issue = injected.issues[0].to_string();
        assert!(issue.ends_with("did you mean sidecar.istio.io/inject?"), "{issue}");
    }
    let own = run(&annotated("example.com/inject", "false"), &Settings::default()).unwrap();
    assert_eq!(own.issues, []);
}

/// Istio's `applyPrometheusMerge` passes over `prometheus.io/scheme`, too.
#[test]
fn metrics_over_tls_stay_as_they_are_and_are_told_where_they_are_merged() {
    let mut pod = plain();
    let annotations = |merge: &str| {
        json!({
            "prometheus.io/scheme": "https", "prometheus.io/port": "9090",
            "prometheus.istio.io/merge-metrics": merge,
        })
    };
    pod["metadata"]["annotations"] = annotations("true");
    let injected = run(&pod, &Settings::default()).unwrap();
    assert_eq!(injected.pod["metadata"]["annotations"]["prometheus.io/scheme"], "https");
    let told = injected.issues[0].to_string();
    assert!(told.starts_with("warning LTN0203"), "{told}");
    assert!(told.contains("prometheus.io/scheme") && told.contains("merge-metrics: \"false\""));
    assert_eq!(run(&injected.pod, &Settings::default()).unwrap(), injected, "it is told again");
    pod["metadata"]["annotations"] = annotations("false");
    assert_eq!(run(&pod, &Settings::default()).unwrap().issues, []);
    pod["metadata"]["annotations"]["prometheus.io/scheme"] = json!("http");
    assert_eq!(run(&pod, &Settings::default()).unwrap().issues, []);
}

#[test]
fn fields_of_a_proxy_config_without_effect_say_so() {
    let config =
        "{concurrency: 2, tracing: {sampling: 1}, proxyStatsMatcher: {inclusionPrefixes: [a]}}";
    let injected = run(&annotated("proxy.istio.io/config", config), &Settings::default()).unwrap();
    let told: Vec<_> = injected.issues.iter().map(|issue| issue.message.as_str()).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("proxyStatsMatcher has no effect: "), "{told:?}");
    assert!(told[1].starts_with("tracing has no effect: "), "{told:?}");
}

#[test]
fn values_that_istio_passes_over_leave_the_setting() {
    let name = "sidecar.istio.io/rewriteAppHTTPProbers";
    let mut pod = annotated(name, "maybe");
    pod["spec"]["containers"][0]["livenessProbe"] = json!({"httpGet": {"path": "/", "port": 80}});
    let injected = run(&pod, &Settings::default()).unwrap();
    assert!(injected.issues[0].message.contains("the mesh's setting is used"));
    let app = pod::container(&injected.pod, "app").unwrap();
    assert_eq!(app["livenessProbe"]["httpGet"]["port"], 15020);
}

#[test]
fn every_traffic_annotation_reaches_the_rules() {
    let mut pod = plain();
    pod["metadata"]["annotations"] = json!({
        "traffic.sidecar.istio.io/includeOutboundIPRanges": "10.0.0.0/8",
        "traffic.sidecar.istio.io/excludeOutboundIPRanges": "10.1.0.0/16",
        "traffic.sidecar.istio.io/includeInboundPorts": "80,81",
        "traffic.sidecar.istio.io/excludeInboundPorts": "82",
        "traffic.sidecar.istio.io/includeOutboundPorts": "9000",
        "traffic.sidecar.istio.io/excludeOutboundPorts": "9001",
        "traffic.sidecar.istio.io/excludeInterfaces": "eth1",
        "traffic.sidecar.istio.io/kubevirtInterfaces": "net1",
        "sidecar.istio.io/interceptionMode": "TPROXY",
    });
    let injected = run(&pod, &Settings::default()).unwrap().pod;
    assert_eq!(
        init_arguments(&injected),
        "interception -p 15001 -z 15006 -u 1337 -m TPROXY -i 10.0.0.0/8 -x 10.1.0.0/16 -b 80,81 \
         -d 15090,15021,82,15020 -q 9000 -o 9001 -k net1 -c eth1 --log_output_level=default:info"
    );
    let proxy = pod::container(&injected, PROXY_CONTAINER).unwrap();
    assert_eq!(proxy["securityContext"]["runAsUser"], 0);
    assert_eq!(proxy["securityContext"]["capabilities"]["add"], json!(["NET_ADMIN"]));
}

#[test]
fn a_gateway_in_mode_tproxy_is_not_root_for_it() {
    let mut pod = annotated("inject.istio.io/templates", "gateway");
    pod["metadata"]["annotations"]["sidecar.istio.io/interceptionMode"] = json!("TPROXY");
    pod["spec"]["containers"] = json!([{"name": "istio-proxy", "image": "auto"}]);
    let injected = run(&pod, &Settings::default()).unwrap().pod;
    let proxy = pod::container(&injected, PROXY_CONTAINER).unwrap();
    assert_eq!(proxy["securityContext"]["runAsUser"], 1337);
    assert!(proxy["securityContext"]["capabilities"].get("add").is_none());
}

#[test]
fn the_agent_s_port_is_excluded_once_and_not_at_all_without_an_agent() {
    let exclude = "traffic.sidecar.istio.io/excludeInboundPorts";
    let injected = run(&annotated(exclude, "15020, 82"), &Settings::default()).unwrap().pod;
    assert!(init_arguments(&injected).contains("-d 15090,15021,15020,82 "));
    let injected = run(&annotated("status.sidecar.istio.io/port", "0"), &Settings::default());
    let injected = injected.unwrap().pod;
    assert!(init_arguments(&injected).contains("-d 15090,15021 "));
    let proxy = pod::container(&injected, PROXY_CONTAINER).unwrap();
    assert!(proxy.get("readinessProbe").is_none());
}

#[test]
fn a_pod_without_interception_has_no_init_container() {
    let name = "sidecar.istio.io/interceptionMode";
    let injected = run(&annotated(name, "NONE"), &Settings::default()).unwrap().pod;
    assert!(injected["spec"].get("initContainers").is_none());
}

#[test]
fn containers_are_in_the_order_that_gives_each_the_network_it_needs() {
    let mut pod = plain();
    let init = |name: &str| json!({"name": name, "image": "x"});
    pod["spec"]["initContainers"] = json!([init("migrate"), init("vault"), init("seed")]);
    let injected = run(&pod, &Settings::default()).unwrap().pod;
    assert_eq!(names(&injected, "initContainers"), ["migrate", "vault", "seed", "istio-init"]);
    assert_eq!(names(&injected, "containers"), ["istio-proxy", "app"]);

    let injected = run(&pod, &native()).unwrap().pod;
    let expected = ["istio-init", "istio-proxy", "migrate", "vault", "seed"];
    assert_eq!(names(&injected, "initContainers"), expected);
    assert_eq!(names(&injected, "containers"), ["app"]);

    pod["metadata"]["annotations"] =
        json!({"sidecar.istio.io/init-containers-before-proxy": "seed, vault"});
    let injected = run(&pod, &native()).unwrap().pod;
    let expected = ["seed", "vault", "istio-init", "istio-proxy", "migrate"];
    assert_eq!(names(&injected, "initContainers"), expected);

    let settings = Settings { node_agent: true, ..Settings::default() };
    let injected = run(&pod, &settings).unwrap().pod;
    let expected = ["istio-validation", "migrate", "vault", "seed"];
    assert_eq!(names(&injected, "initContainers"), expected);
}

#[test]
fn an_application_that_waits_comes_after_the_proxy() {
    let hold = annotated("proxy.istio.io/config", "holdApplicationUntilProxyStarts: true");
    let injected = run(&hold, &Settings::default()).unwrap().pod;
    assert_eq!(names(&injected, "containers"), ["istio-proxy", "app"]);
    let hook = &injected["spec"]["containers"][0]["lifecycle"]["postStart"]["exec"]["command"];
    assert_eq!(*hook, json!(["lateen", "proxy", "wait"]));
    let injected = run(&hold, &native()).unwrap().pod;
    let proxy = pod::container(&injected, PROXY_CONTAINER).unwrap();
    assert!(proxy.get("lifecycle").is_none(), "the startup probe holds it");
    assert_eq!(proxy["startupProbe"]["failureThreshold"], 600);
}

#[test]
fn the_annotation_decides_over_the_cluster_s_native_sidecars() {
    let name = "sidecar.istio.io/nativeSidecar";
    let off = run(&annotated(name, "false"), &native()).unwrap().pod;
    assert_eq!(names(&off, "containers"), ["istio-proxy", "app"]);
    let on = run(&annotated(name, "true"), &Settings::default()).unwrap().pod;
    assert_eq!(pod::container(&on, PROXY_CONTAINER).unwrap()["restartPolicy"], "Always");
}

#[test]
fn one_resource_annotation_takes_the_place_of_all_settings() {
    let injected = run(&annotated("sidecar.istio.io/proxyMemory", "64Mi"), &Settings::default());
    let proxy = pod::container(&injected.unwrap().pod, PROXY_CONTAINER).unwrap().clone();
    assert_eq!(proxy["resources"], json!({"requests": {"memory": "64Mi"}}));
    let injected = run(&plain(), &Settings::default()).unwrap().pod;
    let proxy = pod::container(&injected, PROXY_CONTAINER).unwrap();
    assert_eq!(proxy["resources"]["requests"], json!({"cpu": "20m", "memory": "32Mi"}));
}

#[test]
fn a_pod_s_proxy_config_lies_over_the_mesh_s() {
    let mesh =
        "defaultConfig: {concurrency: 2, proxyMetadata: {A: mesh, B: mesh}, statusPort: 15030}";
    let (settings, issues) = Settings::from_texts("", mesh, "");
    assert_eq!(issues, []);
    let pod = annotated("proxy.istio.io/config", "concurrency: 4\nproxyMetadata: {B: pod}\n");
    let injected = run(&pod, &settings).unwrap().pod;
    let proxy = pod::container(&injected, PROXY_CONTAINER).unwrap();
    let config: Value =
        serde_json::from_str(pod::variable(proxy, "PROXY_CONFIG").unwrap()).unwrap();
    let metadata = json!({"A": "mesh", "B": "pod"});
    let expected = json!({
        "concurrency": 4,
        "proxyMetadata": metadata,
        "statusPort": 15030,
        "holdApplicationUntilProxyStarts": true,
    });
    assert_eq!(config, expected);
    assert_eq!(pod::variable(proxy, "B"), Some("pod"));
    let init = pod::container(&injected, "istio-init").unwrap();
    assert_eq!(pod::variable(init, "A"), Some("mesh"), "the rules read it too");
}

#[test]
fn istio_s_own_images_are_replaced_and_others_are_taken() {
    let image = |value: &str| {
        let injected = run(&annotated("sidecar.istio.io/proxyImage", value), &Settings::default());
        let injected = injected.unwrap();
        let proxy = pod::container(&injected.pod, PROXY_CONTAINER).unwrap();
        (proxy["image"].as_str().unwrap().to_owned(), injected.issues.len())
    };
    let own = Settings::default().image.reference();
    assert_eq!(image("docker.io/istio/proxyv2:1.20.0"), (own.clone(), 1));
    assert_eq!(image("proxyv2"), (own, 1));
    for kept in ["hub:5000/mine/lateen:2", "hub/istio/proxyv2:1.20.0", "reg.example/infra/proxy:2"]
    {
        assert_eq!(image(kept), (kept.to_owned(), 0));
    }
}

#[test]
fn a_pod_on_the_host_s_network_is_refused() {
    let mut pod = plain();
    pod["spec"]["hostNetwork"] = json!(true);
    assert!(run(&pod, &Settings::default()).unwrap_err()[0].contains("spec.hostNetwork"));
}

#[test]
fn what_is_no_pod_is_refused_and_never_panics() {
    for wrong in [
        json!(null),
        json!([]),
        json!("pod"),
        json!({}),
        json!({"spec": []}),
        json!({"spec": {"containers": {}}}),
        json!({"spec": {"containers": [1]}}),
        json!({"metadata": "x", "spec": {"containers": []}}),
        json!({"metadata": {"annotations": []}, "spec": {"containers": []}}),
        json!({"metadata": {"labels": {"app": 1}}, "spec": {"containers": []}}),
        json!({"spec": {"containers": [], "volumes": "x"}}),
    ] {
        assert!(!run(&wrong, &Settings::default()).unwrap_err().is_empty(), "{wrong}");
    }
}

#[test]
fn fields_that_nobody_knows_survive() {
    let mut pod = plain();
    pod["spec"]["fromTheFuture"] = json!({"x": [1, 2]});
    pod["spec"]["containers"][0]["alsoNew"] = json!(true);
    let injected = run(&pod, &Settings::default()).unwrap().pod;
    assert_eq!(injected["spec"]["fromTheFuture"], pod["spec"]["fromTheFuture"]);
    assert_eq!(pod::container(&injected, "app").unwrap()["alsoNew"], true);
}

#[test]
fn overrides_count_with_and_without_an_injection_before() {
    let overrides = "{\"containers\": [{\"name\": \"istio-proxy\", \"image\": \"hub/mine:1\"}]}";
    let once =
        run(&annotated("proxy.istio.io/overrides", overrides), &Settings::default()).unwrap();
    let image = |pod: &Value| pod::container(pod, PROXY_CONTAINER).unwrap()["image"].clone();
    assert_eq!(image(&once.pod), "hub/mine:1");
    assert_eq!(run(&once.pod, &Settings::default()).unwrap().pod, once.pod);
}

#[test]
fn default_templates_that_are_not_there_are_told_where_they_are_named() {
    let settings = Settings { default_templates: vec!["mine".to_owned()], ..Settings::default() };
    let refused = run(&plain(), &settings).unwrap_err();
    let expected = "error LTN0202 ConfigMap istio-system/istio-sidecar-injector: \
                    sidecarInjectorWebhook.defaultTemplates: there is no template \"mine\"";
    assert!(refused[0].starts_with(expected), "{refused:?}");
}

#[test]
fn an_injected_pod_is_injected_anew_when_settings_change() {
    let first = run(&plain(), &Settings::default()).unwrap().pod;
    let again = run(&first, &native()).unwrap().pod;
    let fresh = run(&plain(), &native()).unwrap().pod;
    assert_eq!(patch(&fresh, &again), json!([]));
}

#[test]
fn a_revision_s_pods_find_their_control_plane() {
    let settings = Settings { revision: "canary".to_owned(), ..Settings::default() };
    let injected = run(&plain(), &settings).unwrap().pod;
    let proxy = pod::container(&injected, PROXY_CONTAINER).unwrap();
    let address = "istiod-canary.istio-system.svc:15012";
    assert_eq!(pod::variable(proxy, "CA_ADDR"), Some(address));
    assert!(pod::variable(proxy, "PROXY_CONFIG").unwrap().contains(address));
    assert_eq!(pod::annotation(&injected, "istio.io/rev"), Some("canary"));
}

#[test]
fn the_agent_is_told_that_the_application_waits_for_it() {
    let first = |settings: &Settings| {
        let injected = run(&plain(), settings).unwrap().pod;
        let proxy = pod::container(&injected, PROXY_CONTAINER).unwrap();
        let config = pod::variable(proxy, "PROXY_CONFIG").unwrap();
        let told = config.contains("\"holdApplicationUntilProxyStarts\":true");
        let first = pod::name(&pod::list(&injected, "containers")[0]) == PROXY_CONTAINER;
        assert_eq!(told, first, "{config}");
        first
    };
    let proxy_config = |wanted: bool| json!({"holdApplicationUntilProxyStarts": wanted});
    assert!(first(&Settings::default()));
    assert!(!first(&Settings { proxy_config: proxy_config(false), ..Settings::default() }));
    let off = Settings { hold_application: false, ..Settings::default() };
    assert!(!first(&off));
    assert!(first(&Settings { proxy_config: proxy_config(true), ..off }));
}

#[test]
fn an_image_that_nothing_fills_in_is_refused() {
    let mut pod = plain();
    pod["spec"]["containers"][0]["image"] = json!("auto");
    assert!(run(&pod, &Settings::default()).unwrap_err()[0].starts_with("error IST0147"));
}

#[test]
fn a_proxy_alone_is_a_gateway_or_refused() {
    let own = json!({"name": "istio-proxy", "image": "auto"});
    let pod = pod_with(json!({"name": "web"}), json!({"containers": [own]}));
    let refused = run(&pod, &native()).unwrap_err();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].starts_with("error IST0147"), "{refused:?}");
    assert!(refused[0].contains("spec.containers[0]: "), "{refused:?}");
    let mut gateway = pod.clone();
    gateway["metadata"]["annotations"] = json!({"inject.istio.io/templates": "gateway"});
    let gateway = run(&gateway, &native()).unwrap().pod;
    assert_eq!(names(&gateway, "containers"), ["istio-proxy"]);
    let plain = run(&pod, &Settings::default()).unwrap().pod;
    assert_eq!(names(&plain, "containers"), ["istio-proxy"], "the API takes it");
}

#[test]
fn a_container_of_the_application_does_not_become_the_init_container() {
    let mut pod = plain();
    let own = json!({"name": "istio-init", "image": "mine"});
    pod["spec"]["containers"].as_array_mut().unwrap().push(own.clone());
    let refused = run(&pod, &Settings::default()).unwrap_err();
    assert!(refused[0].contains("spec.containers[1].name: "), "{refused:?}");
    let of_node = Settings { node_agent: true, ..Settings::default() };
    let stays = run(&pod, &of_node).unwrap().pod;
    assert_eq!(pod::find(pod::list(&stays, "containers"), "istio-init"), Some(&own));
    let again = run(&stays, &of_node).unwrap().pod;
    assert_eq!(patch(&stays, &again), json!([]));
    pod["metadata"]["annotations"] = json!({"sidecar.istio.io/interceptionMode": "NONE"});
    assert_eq!(names(&run(&pod, &Settings::default()).unwrap().pod, "containers").len(), 3);
}

#[test]
fn issues_count_containers_as_their_author_did() {
    let own = json!({"name": "istio-proxy", "image": "auto"});
    let probe = json!({"httpGet": {"port": "web"}});
    let app = json!({"name": "app", "image": "app", "livenessProbe": probe});
    let pod = pod_with(json!({"name": "web"}), json!({"containers": [own, app]}));
    let injected = run(&pod, &Settings::default()).unwrap();
    assert_eq!(injected.issues[0].path, "spec.containers[1].livenessProbe");
    let auto = json!({"name": "app", "image": "auto"});
    let pod = pod_with(json!({"name": "web"}), json!({"containers": [auto]}));
    let refused = run(&pod, &Settings::default()).unwrap_err();
    assert!(refused[0].contains("spec.containers[0].image: "), "{refused:?}");
}

#[test]
fn a_job_with_a_plain_sidecar_ends_and_says_where_it_cannot() {
    let job = |spec: Value| {
        let mut pod = plain();
        pod["metadata"]["generateName"] = json!("once-");
        pod["metadata"]["ownerReferences"] = json!([
            {"apiVersion": "batch/v1", "kind": "Job", "name": "once", "controller": true},
        ]);
        for (field, value) in spec.as_object().unwrap() {
            pod["spec"][field] = value.clone();
        }
        pod
    };
    let never = run(&job(json!({"restartPolicy": "Never"})), &Settings::default()).unwrap();
    let proxy = pod::container(&never.pod, PROXY_CONTAINER).unwrap();
    assert_eq!(pod::variable(proxy, crate::END_WITH), Some("processes"));
    assert_eq!(never.pod["spec"]["shareProcessNamespace"], true);
    let told = |injected: &Injected| {
        let paths = injected.issues.iter().map(|issue| issue.path.clone());
        paths.collect::<Vec<_>>()
    };
    assert_eq!(told(&never), ["spec.shareProcessNamespace"]);
    let shared = job(json!({"restartPolicy": "Never", "shareProcessNamespace": true}));
    assert_eq!(
        told(&run(&shared, &Settings::default()).unwrap()),
        [""; 0],
        "it is the author's own"
    );
    let again = run(&job(json!({"restartPolicy": "OnFailure"})), &Settings::default()).unwrap();
    assert!(again.issues[0].message.contains("use Never"));
    assert_eq!(told(&again), ["spec.restartPolicy", "spec.shareProcessNamespace"]);
    let proxy = pod::container(&again.pod, PROXY_CONTAINER).unwrap();
    assert_eq!(pod::variable(proxy, crate::END_WITH), Some("success"));
    let apart = run(&job(json!({"shareProcessNamespace": false})), &Settings::default()).unwrap();
    assert!(apart.issues[0].message.contains("will not end"));
    assert_eq!(apart.pod["spec"]["shareProcessNamespace"], false);
    let proxy = pod::container(&apart.pod, PROXY_CONTAINER).unwrap();
    assert_eq!(pod::variable(proxy, crate::END_WITH), None);
    let of_the_node = run(&job(json!({"hostPID": true})), &Settings::default()).unwrap();
    assert!(of_the_node.issues[0].to_string().contains("spec.hostPID: "), "{of_the_node:?}");
    assert!(of_the_node.pod["spec"].get("shareProcessNamespace").is_none());
    let proxy = pod::container(&of_the_node.pod, PROXY_CONTAINER).unwrap();
    assert_eq!(pod::variable(proxy, crate::END_WITH), None);
    let native = run(&job(json!({})), &native()).unwrap();
    assert!(native.pod["spec"].get("shareProcessNamespace").is_none());
}

#[test]
fn what_a_pod_calls_as_istio_does_stays_its_own_where_nothing_is_injected_for_it() {
    let mut settings = Settings::default();
    let overlay = json!({"metadata": {"labels": {"team": "a"}}});
    settings.templates.insert("mine".to_owned(), crate::Template::Overlay(overlay));
    let mut pod = annotated("inject.istio.io/templates", "mine");
    pod["spec"]["containers"][0]["name"] = json!("istio-proxy");
    pod["spec"]["initContainers"] = json!([{"name": "istio-init", "image": "x"}]);
    pod["spec"]["volumes"] = json!([{"name": "istio-data", "hostPath": {"path": "/x"}}]);
    let first = run(&pod, &settings).unwrap().pod;
    assert_eq!(pod::label(&first, "team"), Some("a"));
    assert_eq!(first["spec"]["volumes"], pod["spec"]["volumes"]);
    let again = run(&first, &settings).unwrap().pod;
    assert_eq!(patch(&first, &again), json!([]));
    assert_eq!(names(&again, "containers"), ["istio-proxy"]);
}

#[test]
fn a_volume_of_an_injected_name_gives_way() {
    let mut pod = plain();
    pod["spec"]["volumes"] = json!([{"name": "istio-token", "emptyDir": {}}]);
    let first = run(&pod, &Settings::default()).unwrap().pod;
    let volumes = pod::list(&first, "volumes");
    assert_eq!(volumes.iter().filter(|one| pod::name(one) == "istio-token").count(), 1);
    assert!(pod::find(volumes, "istio-token").unwrap()["projected"].is_object());
    let again = run(&first, &Settings::default()).unwrap().pod;
    assert_eq!(patch(&first, &again), json!([]));
}

#[test]
fn a_windows_pod_is_refused() {
    let mut pod = plain();
    pod["spec"]["os"] = json!({"name": "windows"});
    assert!(run(&pod, &Settings::default()).unwrap_err()[0].contains("spec.os.name: "));
    pod["spec"]["os"] = json!({"name": "linux"});
    assert!(run(&pod, &Settings::default()).is_ok());
}

#[test]
fn an_empty_label_counts_as_none_and_a_name_too_long_for_one_is_cut() {
    let canonical = "service.istio.io/canonical-name";
    let mut pod = plain();
    pod["metadata"]["labels"] = json!({canonical: "", "app.kubernetes.io/name": "", "app": "web"});
    let injected = run(&pod, &Settings::default()).unwrap();
    assert_eq!(pod::label(&injected.pod, canonical), Some("web"));
    assert_eq!(injected.issues, []);

    let (full, dashed) = ("n".repeat(63), format!("{}--web", "n".repeat(61)));
    for (name, label) in [(full.as_str(), &*full), (&"n".repeat(64), &full), (&dashed, &full[..61])]
    {
        let mut pod = plain();
        pod["metadata"] = json!({"name": name});
        let injected = run(&pod, &Settings::default()).unwrap();
        assert_eq!(pod::label(&injected.pod, canonical), Some(label));
        assert_eq!(injected.issues, []);
    }
}

#[test]
fn a_variable_of_the_pod_s_own_proxy_has_one_source() {
    let mut pod = plain();
    let from = json!({"fieldRef": {"fieldPath": "metadata.uid"}});
    let env = json!([
        {"name": "POD_NAME", "value": "x"},
        {"name": "TRUST_DOMAIN", "valueFrom": from},
        {"name": "CA_ADDR"},
    ]);
    let own = json!({"name": "istio-proxy", "image": "auto", "env": env});
    pod["spec"]["containers"].as_array_mut().unwrap().push(own);
    let injected = run(&pod, &Settings::default()).unwrap().pod;
    let proxy = pod::container(&injected, PROXY_CONTAINER).unwrap();
    let variable = |name| pod::find(proxy["env"].as_array().unwrap(), name).unwrap();
    assert_eq!(*variable("POD_NAME"), json!({"name": "POD_NAME", "value": "x"}));
    assert_eq!(*variable("TRUST_DOMAIN"), json!({"name": "TRUST_DOMAIN", "valueFrom": from}));
    assert_eq!(variable("CA_ADDR")["value"], "istiod.istio-system.svc:15012");
}

#[test]
fn what_the_api_made_of_the_name_auto_is_not_the_author_s_pull_policy() {
    let policy = |own: Value, image: &str, of_values: &str| {
        let mut settings = Settings::default();
        (settings.image.name, settings.image.pull_policy) =
            (image.to_owned(), of_values.to_owned());
        let mut pod = plain();
        pod["spec"]["containers"].as_array_mut().unwrap().push(own);
        let injected = run(&pod, &settings).unwrap().pod;
        let again = run(&injected, &settings).unwrap().pod;
        assert_eq!(patch(&injected, &again), json!([]), "{image}");
        pod::container(&injected, PROXY_CONTAINER).unwrap()["imagePullPolicy"].clone()
    };
    let own = |image: &str, policy: &str| json!({"name": "istio-proxy", "image": image, "imagePullPolicy": policy});
    let defaulted = || own("auto", "Always");
    let digest = format!("hub.example/mesh@sha256:{}", "0".repeat(64));
    for fixed in ["mesh", "hub.example:5000/mesh:1.2", &*digest] {
        assert_eq!(policy(defaulted(), fixed, ""), "IfNotPresent", "{fixed}");
    }
    for moving in ["hub.example:5000/mesh", "hub.example/mesh:latest"] {
        assert_eq!(policy(defaulted(), moving, ""), "Always", "{moving}");
    }
    assert_eq!(policy(defaulted(), "mesh", "Never"), "Never");
    assert_eq!(policy(own("auto", "Never"), "mesh", "IfNotPresent"), "Never", "it was written");
    assert_eq!(policy(own("hub/own:1", "Always"), "mesh", ""), "Always", "it was written");
    assert_eq!(policy(json!({"name": "istio-proxy", "image": "auto"}), "mesh", ""), Value::Null);
}

#[test]
fn a_list_of_scrape_targets_is_known_and_a_wrong_one_is_told() {
    let of = |list: &str| {
        run(&annotated("prometheus.istio.io/scrape-targets", list), &Settings::default()).unwrap()
    };
    let injected = of("8080:/metrics,9100:/custom");
    assert_eq!(injected.issues, []);
    let proxy = pod::container(&injected.pod, PROXY_CONTAINER).unwrap();
    let own = pod::variable(proxy, "ISTIO_PROMETHEUS_ANNOTATIONS").unwrap();
    assert!(own.contains(r#""targets":[{"port":"8080""#), "{own}");
    let injected = of("8080:/metrics,15090");
    let told: Vec<String> = injected.issues.iter().map(ToString::to_string).collect();
    assert!(told.len() == 1 && told[0].starts_with("warning IST0125 "), "{told:?}");
}
