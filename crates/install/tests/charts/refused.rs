//! Values that no cluster and no proxy would take: a chart refuses what `lateen manifest generate` refuses, and takes
//! what that takes.

use lateen_api::issue::Issue;
use serde_json::{Value, json};

use super::{Case, helm};

/// A value of a chart, one that is wrong, what is told of that, and one that is right.
type Row = (&'static str, Value, &'static str, Value);

fn nested(path: &str, value: &Value) -> Value {
    path.rsplit('.').fold(value.clone(), |inner, step| json!({ step: inner }))
}

/// Why a file is refused.
fn errors(spec: Value) -> Vec<Issue> {
    let operator = json!({
        "apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator",
        "metadata": {"name": "unknown"}, "spec": spec,
    });
    let issues = match lateen_install::read(&[("case".to_owned(), operator)], &[]) {
        Ok(plan) => lateen_install::render(&plan).1,
        Err(issues) => issues,
    };
    issues.into_iter().filter(Issue::is_error).collect()
}

/// Both refuse what is wrong, the chart with these words, and both take what is right.
#[track_caller]
fn check(chart: &'static str, rows: &[Row], spec: impl Fn(&str, &Value) -> Value) {
    let said = |path: &str, value: &Value| {
        let values = nested(path, value);
        let (release, namespace, component) = ("istio-gate", "istio-system", "");
        helm(&Case { chart, release, namespace, component, values, spec: json!({}) }, &[])
    };
    for (path, wrong, words, right) in rows {
        let told = errors(spec(path, wrong));
        assert!(!told.is_empty(), "manifest generate takes {path}: {wrong}");
        let told = errors(spec(path, right));
        assert!(told.is_empty(), "manifest generate refuses {path}: {right}: {told:?}");
        let output = said(path, wrong);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "helm takes {path}: {wrong}");
        let field = path.rsplit('.').next().unwrap_or_default();
        assert!(told.contains(words) && told.contains(field), "{path}: {wrong}: {told}");
        let output = said(path, right);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "helm refuses {path}: {right}: {told}");
    }
}

/// As an IstioOperator has the control plane's values.
fn pilot(path: &str, value: &Value) -> Value {
    let mut spec = match path {
        "revision" => nested(path, value),
        _ if path.starts_with("meshConfig") => nested(path, value),
        "pilot.podDisruptionBudget" => nested("components.pilot.k8s.podDisruptionBudget", value),
        _ => nested(&format!("values.{path}"), value),
    };
    spec["profile"] = json!("minimal");
    spec
}

#[test]
fn sidecars_settings_have_their_forms() {
    let lifecycle = |more: Value| {
        let mut stop = more;
        stop["exec"] = json!({"command": ["sleep", "5"]});
        json!({ "preStop": stop })
    };
    let rows = [
        (
            "global.proxy.includeIPRanges",
            json!("abc"),
            "\"abc\" is not a range: write CIDR blocks",
            json!("10.0.0.0/8, fd00::/8"),
        ),
        ("global.proxy.includeIPRanges", json!("10.0.0.1"), "not a range", json!("*")),
        ("global.proxy.includeIPRanges", json!("10.0.0.0/33"), "not a range", json!("10.0.0.0/32")),
        ("global.proxy.includeIPRanges", json!("::1::/8"), "not a range", json!("1:2::3:4/128")),
        ("global.proxy.excludeIPRanges", json!("*"), "not a range", json!("::ffff:1.2.3.4/128,")),
        ("global.proxy.includeInboundPorts", json!("http"), "write ports as in", json!("*")),
        ("global.proxy.excludeInboundPorts", json!("70000"), "not a port", json!("65535")),
        ("global.proxy.includeOutboundPorts", json!("80;443"), "not a port", json!("80, 443")),
        ("global.proxy.excludeOutboundPorts", json!("*"), "not a port", json!("")),
        ("global.proxy.logLevel", json!("zzz"), "must be one of", json!("warning")),
        (
            "global.proxy.componentLogLevel",
            json!("misc"),
            "write it as in misc:error",
            json!("misc:error, upstream:debug"),
        ),
        ("global.proxy.statusPort", json!(99999), "maximum", json!(15020)),
        ("global.proxy.clusterDomain", json!("a b"), "no DNS domain", json!("k8s.corp.example.")),
        (
            "global.proxy.image",
            json!("reg.example/A b"),
            "the image",
            json!("reg.example:5000/own/proxy:1"),
        ),
        (
            "global.proxy.resources",
            json!({"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}),
            "more than the limit, 1: raise",
            json!({"requests": {"cpu": "1000m"}, "limits": {"cpu": "1"}}),
        ),
        (
            "global.proxy.resources",
            json!({"requests": {"memory": "2Gi"}, "limits": {"memory": "2000M"}}),
            "more than the limit",
            json!({"requests": {"memory": "1Gi"}, "limits": {"memory": "1074M"}}),
        ),
        (
            "global.proxy.resources",
            json!({"limits": {"gpu": "1"}}),
            "gpu",
            json!({"limits": {"example.com/gpu": "1"}}),
        ),
        (
            "global.proxy.resources",
            json!({"limits": {"cpu": "-1"}}),
            "'-1'",
            json!({"limits": {"cpu": "1"}}),
        ),
        (
            "global.proxy.lifecycle",
            lifecycle(json!({"httpGet": {"port": 80}})),
            "must be <nil>",
            lifecycle(json!({})),
        ),
        (
            "global.proxy.lifecycle",
            json!({"preStop": {"httpGet": {"port": 70000}}}),
            "maximum",
            json!({"preStop": {"httpGet": {"port": "web"}}}),
        ),
        (
            "global.proxy.seccompProfile",
            json!({"type": "Localhost"}),
            "localhostProfile",
            json!({"type": "RuntimeDefault"}),
        ),
        (
            "global.proxy_init.resources",
            json!({"limits": {"cpu": "1m"}}),
            "more than the limit",
            json!({"limits": {"cpu": "10m"}}),
        ),
        ("global.caAddress", json!("ca.example"), "is not host:port", json!("[fd00::1]:15012")),
        ("global.network", json!("a b"), "no value of a label", json!("Network_1")),
        (
            "global.podDNSSearchNamespaces",
            json!(["UPPER"]),
            "UPPER",
            json!(["{{ .DeploymentMeta.Namespace }}.global"]),
        ),
        (
            "global.imagePullSecrets",
            json!(["Bad_Name"]),
            "is no name",
            json!(["pull.secret-1", ""]),
        ),
    ];
    check("istiod", &rows, pilot);
}

#[test]
fn images_names_and_labels_of_the_control_plane_have_their_forms() {
    let rows = [
        (
            "global.hub",
            json!("UPPER x"),
            "is no place of images",
            json!("registry.example:5000/mesh"),
        ),
        (
            "global.hub",
            json!("https://docker.io"),
            "write it as in registry",
            json!("localhost/a__b/c.d"),
        ),
        ("global.hub", json!("a_b.c/d"), "no place of images", json!("a_b/c.d")),
        ("global.tag", json!("a/b"), "no tag of an image", json!("1.10-distroless")),
        ("pilot.hub", json!("a//b"), "no place of images", json!("[fd00::1]:5000/a")),
        ("pilot.tag", json!("-1"), "no tag of an image", json!(1.5)),
        ("pilot.image", json!("a:b:c/d"), "the image", json!("pilot")),
        (
            "global.logging.level",
            json!("default:loud"),
            "no level of a log",
            json!("default:debug, ads:warn"),
        ),
        ("global.priorityClassName", json!("High"), "no name", json!("high.1")),
        ("global.ipFamilies", json!(["IPv7"]), "must be one of", json!(["IPv6", "IPv4"])),
        ("global.ipFamilies", json!(["IPv4", "IPv4"]), "equal", json!(["IPv4"])),
        ("global.ipFamilyPolicy", json!("Dual"), "must be one of", json!("")),
        ("global.defaultNodeSelector", json!({"a b": "c"}), "a b", json!({"example.com/a": "b"})),
        (
            "global.defaultTolerations",
            json!([{"key": "a", "operator": "Near"}]),
            "must be one of",
            json!([{"operator": "Exists"}]),
        ),
        ("global.trustDomain", json!("A b"), "no trust domain", json!("corp.example")),
        ("revision", json!("-a-"), "is no name", json!("canary-1")),
        ("revision", json!("r".repeat(56)), "is no name", json!("canary")),
        ("revisionTags", json!(["A_B"]), "is no name", json!(["prod"])),
        ("revisionTags", json!(["a", "a"]), "equal", json!(["a", "b"])),
        (
            "base.validationURL",
            json!("http://a.example"),
            "does not begin with https://",
            json!("https://a.example"),
        ),
        (
            "base.validationCABundle",
            json!("-----BEGIN"),
            "encode the PEM text",
            json!("Zm9v\nYmE=\n"),
        ),
        (
            "sidecarInjectorWebhook.injectLabel",
            json!("-bad-"),
            "is no key",
            json!("corp.example/mesh"),
        ),
        (
            "sidecarInjectorWebhook.injectionURL",
            json!("a.example"),
            "does not begin with https://",
            json!("https://a.example/inject"),
        ),
        (
            "sidecarInjectorWebhook.injectionPath",
            json!("inject"),
            "does not begin with /",
            json!("/inject/cluster/east"),
        ),
        ("sidecarInjectorWebhook.caBundle", json!("Zm9"), "encode the PEM text", json!("Zm9v")),
        (
            "sidecarInjectorWebhook.injectedAnnotations",
            json!({"a b": "c"}),
            "a b",
            json!({"a/b": "any text"}),
        ),
        (
            "sidecarInjectorWebhook.neverInjectSelector",
            json!([{"matchLabels": {"a": "b c"}}]),
            "b c",
            json!([{"matchLabels": {"a": "b"}}]),
        ),
        (
            "sidecarInjectorWebhook.neverInjectSelector",
            json!([{"matchExpressions": [{"key": "a", "operator": "In"}]}]),
            "values",
            json!([{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]),
        ),
        ("sidecarInjectorWebhook.aliases", json!({"a": "text"}), "want", json!({"a": ["sidecar"]})),
    ];
    check("istiod", &rows, pilot);
}

#[test]
fn pods_of_the_control_plane_have_what_a_cluster_takes() {
    let spread = |key: &str| json!([{"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "ScheduleAnyway"}]);
    let mount = |name: &str, path: &str| json!({"volumes": [{"name": "v", "emptyDir": {}}], "volumeMounts": [{"name": name, "mountPath": path}]});
    let variable = |more: Value| json!([{"name": "A", "value": more, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]);
    let rows = [
        (
            "pilot",
            json!({"autoscaleMin": 9, "autoscaleMax": 2}),
            "autoscaleMin is 9 and pilot.autoscaleMax is 2",
            json!({"autoscaleMin": 2, "autoscaleMax": 2}),
        ),
        ("pilot", json!({"autoscaleMin": 0}), "at least 1", json!({"autoscaleMin": 1})),
        ("pilot.cpu.targetAverageUtilization", json!(0), "minimum", json!(1)),
        (
            "pilot",
            json!({"autoscaleBehavior": {"scaleDown": {"stabilizationWindowSeconds": 3601}}}),
            "maximum",
            json!({"autoscaleBehavior": {"scaleDown": {"stabilizationWindowSeconds": 3600}}}),
        ),
        (
            "pilot",
            json!({"rollingMaxSurge": 0, "rollingMaxUnavailable": "0%"}),
            "no pod could be replaced",
            json!({"rollingMaxSurge": 0, "rollingMaxUnavailable": "1%"}),
        ),
        ("pilot.rollingMaxSurge", json!("1"), "rollingMaxSurge", json!(1)),
        ("pilot.replicaCount", json!(-1), "minimum", json!(0)),
        (
            "pilot.podLabels",
            json!({"app": "x"}),
            "pods are selected by app=istiod",
            json!({"app": "istiod"}),
        ),
        ("pilot.podLabels", json!({"a": "b c"}), "b c", json!({"a": "b"})),
        ("pilot.podAnnotations", json!({"a b": "c"}), "a b", json!({"a": "b c"})),
        ("pilot.env", json!({"A=B": "c"}), "A=B", json!({"A.B": "c"})),
        ("pilot.envVarFrom", variable(json!("b")), "must be <nil>", variable(json!(""))),
        ("pilot.envVarFrom", json!([{"value": "b"}]), "name", json!([{"name": "A"}])),
        ("pilot.nodeSelector", json!({"a": "-b"}), "-b", json!({"a": ""})),
        (
            "pilot.tolerations",
            json!([{"value": "x"}]),
            "operator",
            json!([{"key": "a", "value": "x"}]),
        ),
        (
            "pilot.tolerations",
            json!([{"key": "a", "operator": "Exists", "value": "x"}]),
            "value",
            json!([{"key": "a", "operator": "Exists"}]),
        ),
        (
            "pilot.tolerations",
            json!([{"key": "a", "tolerationSeconds": 3}]),
            "effect",
            json!([{"key": "a", "effect": "NoExecute", "tolerationSeconds": 3}]),
        ),
        (
            "pilot.affinity",
            json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "a b"}]}}),
            "topologyKey",
            json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "a"}]}}),
        ),
        ("pilot.topologySpreadConstraints", spread("a b"), "topologyKey", spread("zone")),
        ("pilot.priorityClassName", json!("High"), "is no name", json!("high")),
        (
            "pilot.keepaliveMaxServerConnectionAge",
            json!("-5m"),
            "is not a duration",
            json!("1h30m"),
        ),
        (
            "pilot.resources",
            json!({"limits": {"cpu": "10m"}}),
            "more than the limit, 10m: raise pilot.resources.limits.cpu",
            json!({"limits": {"cpu": "0.05"}}),
        ),
        (
            "pilot.seccompProfile",
            json!({"type": "RuntimeDefault", "localhostProfile": "x"}),
            "localhostProfile",
            json!({"type": "Localhost", "localhostProfile": "x"}),
        ),
    ];
    check("istiod", &rows, pilot);
    let k8s = [
        ("pilot", mount("w", "/v"), "there is no volume w", mount("v", "/v")),
        (
            "pilot",
            mount("v", "/var/run/secrets/tokens"),
            "mounted at /var/run/secrets/tokens already",
            mount("v", "/v"),
        ),
        (
            "pilot",
            json!({"volumes": [{"name": "istio-token"}]}),
            "is there twice",
            json!({"volumes": [{"name": "token"}]}),
        ),
        (
            "pilot",
            json!({"volumes": [{"name": "a", "emptyDir": {}, "secret": {"secretName": "b"}}]}),
            "maxProperties",
            json!({"volumes": [{"name": "a", "secret": {"secretName": "b"}}]}),
        ),
    ];
    check("istiod", &k8s, pilot);
}

#[test]
fn settings_of_the_mesh_have_their_forms() {
    let variable = |name: &str, value: &str| json!({ name: value });
    let provider = |of: Value| json!([{"name": "a", "zipkin": of}]);
    let rows = [
        ("meshConfig.proxyListenPort", json!(70000), "maximum", json!(15001)),
        ("meshConfig.connectTimeout", json!("-1s"), "'-1s'", json!("1h2m")),
        ("meshConfig.trustDomain", json!("A b"), "'A b'", json!("corp.example")),
        ("meshConfig.rootNamespace", json!("a.b"), "'a.b'", json!("mesh")),
        ("meshConfig.defaultConfig.statusPort", json!(15001), "failed", json!(15020)),
        (
            "meshConfig.defaultConfig.discoveryAddress",
            json!("foo"),
            "'foo'",
            json!("istiod.mesh.svc:15012"),
        ),
        ("meshConfig.defaultConfig.concurrency", json!(-1), "minimum", json!(0)),
        (
            "meshConfig.defaultConfig.proxyMetadata",
            variable("POD_NAME", "a"),
            "POD_NAME",
            variable("OTHER", "a"),
        ),
        (
            "meshConfig.defaultConfig.proxyMetadata",
            variable("A B", "a"),
            "A B",
            variable("A_B", "a"),
        ),
        (
            "meshConfig.defaultConfig.proxyMetadata",
            variable("ISTIO_META_DNS_CAPTURE", "maybe"),
            "must be one of",
            variable("ISTIO_META_DNS_CAPTURE", "T"),
        ),
        (
            "meshConfig.defaultConfig.proxyMetadata",
            variable("INBOUND_CAPTURE_PORT", "x"),
            "INBOUND_CAPTURE_PORT",
            variable("INBOUND_CAPTURE_PORT", "15006"),
        ),
        (
            "meshConfig.defaultConfig.proxyMetadata",
            variable("PROXY_UID", "root"),
            "PROXY_UID",
            variable("PROXY_UID", "1, 2"),
        ),
        (
            "meshConfig.defaultConfig.proxyMetadata",
            variable("ISTIO_SERVICE_CIDR", "10.0.0.1"),
            "ISTIO_SERVICE_CIDR",
            variable("ISTIO_SERVICE_CIDR", "*"),
        ),
        (
            "meshConfig.defaultConfig.proxyMetadata",
            variable("ISTIO_INBOUND_INTERCEPTION_MODE", "FAST"),
            "INTERCEPTION_MODE",
            variable("ISTIO_INBOUND_INTERCEPTION_MODE", "tproxy"),
        ),
        (
            "meshConfig.defaultConfig.proxyMetadata",
            variable("KUBE_VIRT_INTERFACES", "a/b"),
            "KUBE_VIRT_INTERFACES",
            variable("KUBE_VIRT_INTERFACES", "eth1,net1"),
        ),
        (
            "meshConfig.defaultConfig.proxyMetadata",
            variable("PROBE_TIMEOUT", "soon"),
            "PROBE_TIMEOUT",
            variable("PROBE_TIMEOUT", "5s"),
        ),
        (
            "meshConfig.defaultConfig.proxyMetadata",
            variable("XDS_ROOT_CA", "SYSTEM"),
            "XDS_ROOT_CA",
            variable("XDS_ROOT_CA", "/a"),
        ),
        (
            "meshConfig.discoverySelectors",
            json!([{"matchLabels": {"a b": "c"}}]),
            "a b",
            json!([{"matchLabels": {"a": "c"}}]),
        ),
        (
            "meshConfig.discoverySelectors",
            json!([{"matchExpressions": [{"key": "a", "operator": "Near"}]}]),
            "must be one of",
            json!([{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]),
        ),
        (
            "meshConfig.extensionProviders",
            provider(json!({"service": "a.b"})),
            "port",
            provider(json!({"service": "a.b", "port": 9411})),
        ),
        (
            "meshConfig.extensionProviders",
            json!([{"name": "a"}]),
            "minProperties",
            json!([{"name": "a", "prometheus": {}}]),
        ),
    ];
    check("istiod", &rows, pilot);
}

#[test]
fn settings_of_the_node_agent_have_their_forms() {
    let rows = [
        ("cniBinDir", json!("opt/cni/bin"), "write its whole path", json!("/opt/cni/bin")),
        ("cniConfDir", json!("/etc/../x"), "no folder of a node", json!("/etc/cni..d/net.d")),
        ("cniConfFileName", json!("../x.conflist"), "no file's name", json!("10-x.conflist")),
        ("cniConfFileName", json!(".."), "no file's name", json!("..x")),
        ("excludeNamespaces", json!(["A_B"]), "is no name", json!(["a-b"])),
        ("excludeNamespaces", json!([""]), "is no name", json!([])),
        ("repair.brokenPodLabelKey", json!("a b"), "is no key", json!("corp/broken")),
        ("repair.brokenPodLabelValue", json!("a b"), "no value of a label", json!("yes")),
        ("repair.initContainerName", json!("A"), "is no name", json!("a")),
        ("hub", json!("UPPER x"), "no place of images", json!("reg.example/mesh")),
        ("tag", json!("a b"), "no tag of an image", json!("v1")),
        ("logging.level", json!("loud"), "no level of a log", json!("cni:debug")),
        ("rollingMaxUnavailable", json!("most"), "rollingMaxUnavailable", json!("25%")),
        (
            "updateStrategy",
            json!({"type": "Recreate"}),
            "must be one of",
            json!({"type": "OnDelete"}),
        ),
        ("podLabels", json!({"a": "b c"}), "b c", json!({"a": "b"})),
        (
            "podLabels",
            json!({"k8s-app": "x"}),
            "pods are selected by k8s-app=istio-cni-node",
            json!({"k8s-app": "istio-cni-node"}),
        ),
        ("daemonSetLabels", json!({"a b": "c"}), "a b", json!({"a/b": "c"})),
        ("env", json!({"A=B": "c"}), "A=B", json!({"AB": "c"})),
        (
            "seccompProfile",
            json!({"type": "Localhost"}),
            "localhostProfile",
            json!({"type": "Unconfined"}),
        ),
        (
            "resources",
            json!({"requests": {"memory": "2Mi"}, "limits": {"memory": "1Mi"}}),
            "more than the limit",
            json!({"limits": {"memory": "32Mi"}}),
        ),
        ("priorityClassName", json!("High"), "is no name", json!("high")),
    ];
    check("cni", &rows, |path, value| {
        let k8s = ["resources", "priorityClassName"];
        let path = match k8s.contains(&path) {
            true => format!("components.cni.k8s.{path}"),
            false => format!("values.cni.{path}"),
        };
        let mut spec = nested(&path, value);
        spec["profile"] = json!("empty");
        spec["components"]["cni"]["enabled"] = json!(true);
        spec
    });
}

#[test]
fn a_gateway_has_what_a_cluster_takes() {
    let ports = |list: Value| json!({ "ports": list });
    let typed = |kind: &str, more: Value| {
        let mut service = more;
        service["type"] = json!(kind);
        service
    };
    let one = |field: &str, value: Value| ports(json!([{"name": "a", "port": 80, field: value}]));
    let rows = [
        (
            "service.externalIPs",
            json!(["notanip"]),
            "\"notanip\" is no IP address",
            json!(["192.0.2.7", "2001:db8::1"]),
        ),
        ("service.externalIPs", json!(["127.0.0.1"]), "127.0.0.1", json!(["12.7.0.1"])),
        ("service.externalIPs", json!(["fe80::1"]), "fe80::1", json!(["fd80::1"])),
        (
            "service.loadBalancerSourceRanges",
            json!(["10.0.0.1"]),
            "write it as in 10.0.0.0/8",
            json!(["10.0.0.0/8"]),
        ),
        ("service.clusterIP", json!("x"), "is no IP address", json!("None")),
        ("service.externalTrafficPolicy", json!("Far"), "must be one of", json!("Local")),
        ("service.loadBalancerClass", json!("a b"), "is no key", json!("example.com/lb")),
        ("service.ipFamilies", json!(["IPv7"]), "must be one of", json!(["IPv6"])),
        ("service", one("port", json!(99999)), "maximum", one("port", json!(65535))),
        (
            "service",
            one("targetPort", json!("no_name")),
            "targetPort",
            one("targetPort", json!("web-1")),
        ),
        ("service", one("protocol", json!("tcp")), "must be one of", one("protocol", json!("UDP"))),
        ("service", one("name", json!("A b")), "name", one("name", json!("a-b"))),
        (
            "service",
            ports(json!([{"name": "a", "port": 80}, {"name": "a", "port": 81}])),
            "the name a is there twice",
            ports(json!([{"name": "a", "port": 80}, {"name": "b", "port": 81}])),
        ),
        (
            "service",
            ports(json!([{"name": "a", "port": 80}, {"name": "b", "port": 80}])),
            "two ports 80 of TCP",
            ports(json!([{"name": "a", "port": 80}, {"name": "b", "port": 80, "protocol": "UDP"}])),
        ),
        (
            "service",
            ports(json!([{"port": 80}, {"port": 81}])),
            "with several ports each has one",
            ports(json!([{"port": 80}])),
        ),
        (
            "service",
            typed("ClusterIP", one("nodePort", json!(30080))),
            "has no nodePort",
            typed("NodePort", one("nodePort", json!(30080))),
        ),
        (
            "service",
            typed("ClusterIP", json!({"externalTrafficPolicy": "Local"})),
            "no traffic from outside",
            typed(
                "ClusterIP",
                json!({"externalTrafficPolicy": "Local", "externalIPs": ["192.0.2.7"]}),
            ),
        ),
        ("service.annotations", json!({"a b": "c"}), "a b", json!({"a/b": "c d"})),
        (
            "autoscaling",
            json!({"minReplicas": 9, "maxReplicas": 2}),
            "minReplicas is 9 and autoscaling.maxReplicas is 2",
            json!({"minReplicas": 2, "maxReplicas": 9}),
        ),
        (
            "autoscaling",
            json!({"targetCPUUtilizationPercentage": 0}),
            "minimum",
            json!({"targetCPUUtilizationPercentage": 1}),
        ),
        (
            "strategy",
            json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}),
            "no pod could be replaced",
            json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}),
        ),
        (
            "podDisruptionBudget",
            json!({"minAvailable": 1, "maxUnavailable": 1}),
            "only one of them may be",
            json!({"maxUnavailable": 1}),
        ),
        (
            "podDisruptionBudget",
            json!({"minAvailable": "most"}),
            "minAvailable",
            json!({"minAvailable": "50%"}),
        ),
        (
            "resources",
            json!({"requests": {"cpu": "11m"}, "limits": {"cpu": "10m"}}),
            "more than the limit",
            json!({"limits": {"cpu": "20m"}}),
        ),
        (
            "readinessProbe",
            json!({"httpGet": {"port": 1}, "tcpSocket": {"port": 1}}),
            "must be <nil>",
            json!({"tcpSocket": {"port": 1}}),
        ),
        ("volumes", json!([{"name": "a b"}]), "name", json!([{"name": "a-b"}])),
        (
            "volumeMounts",
            json!([{"name": "x", "mountPath": "/x"}]),
            "there is no volume x",
            json!([]),
        ),
        ("priorityClassName", json!("High"), "is no name", json!("high")),
        ("global.caAddress", json!("ca"), "is not host:port", json!("ca.example:15012")),
        ("global.proxy.logLevel", json!("zzz"), "must be one of", json!("debug")),
    ];
    check("gateway", &rows, |path, value| {
        let k8s = |own: Value| {
            let gateway = json!({"name": "istio-gate", "enabled": true, "k8s": own});
            json!({"profile": "minimal", "components": {"ingressGateways": [gateway]}})
        };
        let of_all = "values.gateways.istio-ingressgateway";
        if path.starts_with("global.") {
            let mut spec = k8s(json!({}));
            spec["values"] = nested(path, value);
            return spec;
        }
        match path {
            "autoscaling" => {
                let mut spec = k8s(json!({}));
                let names = [
                    ("minReplicas", "autoscaleMin"),
                    ("maxReplicas", "autoscaleMax"),
                    ("targetCPUUtilizationPercentage", "cpu.targetAverageUtilization"),
                ];
                spec["values"] = json!({"gateways": {"istio-ingressgateway": {}}});
                for (name, own) in names.iter().filter(|(name, _)| !value[*name].is_null()) {
                    let inner = nested(&format!("{of_all}.{own}"), &value[*name]);
                    let inner = &inner["values"]["gateways"]["istio-ingressgateway"];
                    for (key, inner) in inner.as_object().unwrap() {
                        spec["values"]["gateways"]["istio-ingressgateway"][key] = inner.clone();
                    }
                }
                spec
            }
            "service.annotations" => k8s(json!({ "serviceAnnotations": value })),
            path => k8s(nested(path, value)),
        }
    });
}

#[test]
fn values_that_no_operator_file_has_have_their_forms_too() {
    let case = |chart: &'static str, values: Value| {
        let (release, namespace, component) = ("1st", "istio-system", "");
        helm(&Case { chart, release, namespace, component, values, spec: json!({}) }, &[])
    };
    let name = json!("gate");
    for (wrong, words, right) in [
        (json!({}), "name is 1st", json!({"name": name})),
        (json!({"name": "A"}), "name is A", json!({"name": name})),
        (
            json!({"name": name, "labels": {"a": "b c"}}),
            "b c",
            json!({"name": name, "labels": {"a": "b"}}),
        ),
        (
            json!({"name": name, "annotations": {"a b": "c"}}),
            "a b",
            json!({"name": name, "annotations": {"a": "b c"}}),
        ),
        (
            json!({"name": name, "networkGateway": "a b"}),
            "no value of a label",
            json!({"name": name, "networkGateway": "west"}),
        ),
        (
            json!({"name": name, "serviceAccount": {"name": "A"}}),
            "is no name",
            json!({"name": name, "serviceAccount": {"name": "a"}}),
        ),
        (
            json!({"name": name, "imagePullSecrets": [{"name": "A"}]}),
            "imagePullSecrets",
            json!({"name": name, "imagePullSecrets": [{"name": "a"}]}),
        ),
        (
            json!({"name": name, "additionalContainers": [{"name": "istio-proxy", "image": "a"}]}),
            "is there twice",
            json!({"name": name, "additionalContainers": [{"name": "a", "image": "a"}]}),
        ),
        (
            json!({"name": name, "initContainers": [{"name": "a", "image": "A b"}]}),
            "image",
            json!({"name": name, "initContainers": [{"name": "a", "image": "a"}]}),
        ),
    ] {
        let refused = case("gateway", wrong.clone());
        let told = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && told.contains(words), "{wrong}: {told}");
        let taken = case("gateway", right.clone());
        assert!(taken.status.success(), "{right}: {}", String::from_utf8_lossy(&taken.stderr));
    }
}
