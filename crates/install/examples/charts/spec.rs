//! The charts' values. In: nothing. Out: for each value its path in the chart, its path in an IstioOperator,
//! its default, and how it is found again in what is rendered.

#[path = "node_agent.rs"]
mod node_agent;

use serde_json::{Value, json};

pub use node_agent::cni;

pub struct Chart {
    pub name: &'static str,
    pub description: &'static str,
    /// `operator.istio.io/component` of its objects.
    pub component: &'static str,
    /// The IstioOperator's spec before any value is set.
    pub spec: Value,
    pub settings: Vec<Setting>,
    /// Values that Istio's users set and that change nothing here, as long as they have this schema.
    pub taken: Vec<Taken>,
    /// A template that refuses what a schema cannot.
    pub checks: &'static str,
    /// Marks that stand for what is no value: the release's name and namespace.
    pub release: &'static [(&'static str, &'static str)],
    /// Named templates.
    pub helpers: &'static str,
}

pub struct Setting {
    /// In the chart's values.
    pub path: &'static str,
    /// In the IstioOperator's spec, if not below `values`.
    pub operator: Option<&'static str>,
    pub default: Option<Value>,
    pub about: &'static str,
    pub way: Way,
}

pub struct Taken {
    pub path: &'static str,
    pub about: &'static str,
    pub schema: Value,
}

/// How a value is found again.
pub enum Way {
    /// True or false, which changes anything at all.
    Switch,
    /// A name that may be left out, and is found within texts: a switch with a mark.
    Name(&'static str),
    /// A text with this mark.
    Text(&'static str),
    /// A whole value, and what becomes of this probe.
    Node { probe: Value, becomes: Vec<Becomes> },
    /// Entries of this name beside fixed ones, in an object or among environment variables.
    Entries(&'static str),
    /// What only reaches the ConfigMaps.
    Free,
}

/// A place that follows from a value.
pub struct Becomes {
    /// From the probe.
    pub rendered: Value,
    pub template: String,
    /// Without it the field is left out.
    pub condition: Option<String>,
}

pub const REVISION: &str = "zz-revision";
/// The revision behind a hyphen, or nothing; itself or `default`; itself or nothing.
pub const SUFFIX: &str = "zz-suffix";
pub const LABEL: &str = "zz-label";
pub const BARE: &str = "zz-bare";
/// The namespace behind a hyphen, unless it is the usual one.
pub const ELSEWHERE: &str = "zz-elsewhere";
pub const NAMESPACE: &str = "zz-namespace";
pub const RELEASE: &str = "zz-release";
const SYSTEM: &str = "zz-system";
const ROLE: &str = "zz-role";

fn setting(path: &'static str, about: &'static str, default: Value, way: Way) -> Setting {
    Setting { path, operator: None, default: Some(default), about, way }
}

/// A switch that is off unless it is set.
fn off(path: &'static str, about: &'static str) -> Setting {
    Setting { path, operator: None, default: None, about, way: Way::Switch }
}

fn of(operator: &'static str, setting: Setting) -> Setting {
    Setting { operator: Some(operator), ..setting }
}

/// A whole value that is rendered as it is, and left out when it is empty.
fn optional(path: &'static str, about: &'static str, probe: Value) -> Setting {
    let becomes = vec![Becomes {
        rendered: probe.clone(),
        template: format!("{{{{ toJson .Values.{path} }}}}"),
        condition: Some(format!(".Values.{path}")),
    }];
    Setting { path, operator: None, default: None, about, way: Way::Node { probe, becomes } }
}

/// A whole value that is always there.
fn always(path: &'static str, about: &'static str, probe: Value, default: Value) -> Setting {
    let becomes = vec![Becomes {
        rendered: probe.clone(),
        template: format!("{{{{ toJson .Values.{path} }}}}"),
        condition: None,
    }];
    setting(path, about, default, Way::Node { probe, becomes })
}

fn image() -> Vec<Setting> {
    let secrets = Becomes {
        rendered: json!([{"name": "zz-secret"}]),
        template:
            "[{{- range $at, $name := .Values.global.imagePullSecrets }}{{ if $at }}, {{ end }}\
                   {\"name\": {{ toJson $name }}}{{ end -}}]"
                .to_owned(),
        condition: Some(".Values.global.imagePullSecrets".to_owned()),
    };
    let version = env!("CARGO_PKG_VERSION");
    vec![
        setting("global.hub", "where the image is", json!("lateen-mesh"), Way::Text("zz-hub")),
        setting("global.tag", "which image", json!(version), Way::Text("zz-tag")),
        optional("global.imagePullPolicy", "when it is pulled", json!("IfNotPresent")),
        Setting {
            path: "global.imagePullSecrets",
            operator: None,
            default: None,
            about: "names of Secrets",
            way: Way::Node { probe: json!(["zz-secret"]), becomes: vec![secrets] },
        },
    ]
}

fn affinity() -> Value {
    let expression = json!({"key": "zz-node", "operator": "Exists"});
    let preference = json!({"matchExpressions": [expression]});
    let preferred = json!([{"weight": 1, "preference": preference}]);
    json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}})
}

fn common() -> Vec<Setting> {
    let mut settings = image();
    settings.extend([
        of("revision", setting("revision", "of the control plane", json!(""), Way::Name(REVISION))),
        setting(
            "global.logging.level",
            "as Istio writes it",
            json!("default:info"),
            Way::Text("zz-level"),
        ),
        off("global.logAsJson", "one object a line"),
        setting(
            "global.multiCluster.clusterName",
            "this cluster's",
            json!("Kubernetes"),
            Way::Text("zz-cluster"),
        ),
        setting(
            "global.defaultPodDisruptionBudget.enabled",
            "whether there are budgets",
            json!(true),
            Way::Switch,
        ),
    ]);
    settings
}

/// The domain of Services' names.
fn cluster_domain() -> Setting {
    setting(
        "global.proxy.clusterDomain",
        "of Services",
        json!("cluster.local"),
        Way::Text("zz-domain"),
    )
}

pub fn base() -> Chart {
    Chart {
        name: "base",
        description: "CustomResourceDefinitions of Lateen, a service mesh with the API of Istio",
        component: "Base",
        spec: json!({ "profile": "minimal" }),
        settings: Vec::new(),
        taken: vec![Taken {
            path: "defaultRevision",
            about: "default, or nothing; the chart istiod has its validators",
            schema: json!({ "enum": ["", "default"] }),
        }],
        checks: "",
        release: &[],
        helpers: "",
    }
}

pub fn istiod() -> Chart {
    let mut settings = common();
    settings.extend(istiod_workload());
    settings.extend(istiod_mesh());
    Chart {
        name: "istiod",
        description: "The control plane of Lateen, a service mesh with the API of Istio",
        component: "Pilot",
        spec: json!({ "profile": "minimal", "namespace": NAMESPACE }),
        settings,
        taken: vec![Taken {
            path: "global.istioNamespace",
            about: "that of the release",
            schema: json!({ "type": "string" }),
        }],
        checks: "{{- with .Values.global.istioNamespace }}{{ if ne . $.Release.Namespace }}\n\
                 {{- fail (printf \"global.istioNamespace is %s: install into it, with --namespace %s\" . .) }}\n\
                 {{- end }}{{ end }}\n",
        release: &[
            (NAMESPACE, ".Release.Namespace"),
            (ELSEWHERE, "(include \"istiod.elsewhere\" .)"),
        ],
        helpers: "{{- define \"istiod.elsewhere\" -}}\n\
                  {{- if ne .Release.Namespace \"istio-system\" -}}-{{ .Release.Namespace }}{{- end -}}\n\
                  {{- end -}}\n",
    }
}

fn istiod_workload() -> Vec<Setting> {
    vec![
        setting("pilot.autoscaleEnabled", "by CPU", json!(true), Way::Switch),
        always("pilot.autoscaleMin", "replicas at least", json!(990_001), json!(1)),
        always("pilot.autoscaleMax", "replicas at most", json!(990_002), json!(5)),
        always(
            "pilot.cpu.targetAverageUtilization",
            "per cent of the request",
            json!(990_003),
            json!(80),
        ),
        always("pilot.replicaCount", "without autoscaler", json!(990_004), json!(1)),
        always("pilot.rollingMaxSurge", "of an update", json!("zz-surge"), json!("100%")),
        always("pilot.rollingMaxUnavailable", "of an update", json!("zz-less"), json!("25%")),
        setting(
            "pilot.keepaliveMaxServerConnectionAge",
            "after which proxies connect anew",
            json!("30m"),
            Way::Text("zz-age"),
        ),
        of(
            "components.pilot.k8s.resources",
            always(
                "pilot.resources",
                "of the container",
                json!({"requests": {"cpu": "990005m", "memory": "990006Mi"}}),
                json!({"requests": {"cpu": "50m", "memory": "64Mi"}}),
            ),
        ),
        optional("pilot.nodeSelector", "labels of nodes", json!({"zz": "nodes"})),
        optional("pilot.tolerations", "of taints", json!([{"key": "zz-taint"}])),
        optional("pilot.affinity", "of pods", affinity()),
        of(
            "components.pilot.k8s.priorityClassName",
            optional("pilot.priorityClassName", "of pods", json!("zz-priority")),
        ),
        of(
            "components.pilot.k8s.podAnnotations",
            setting("pilot.podAnnotations", "of pods", json!({}), Way::Entries("zz/annotation")),
        ),
        setting("pilot.env", "variables by name", json!({}), Way::Entries("ZZ_VARIABLE")),
    ]
}

/// What the control plane does with pods and proxies.
fn istiod_mesh() -> Vec<Setting> {
    vec![
        off("sidecarInjectorWebhook.enableNamespacesByDefault", "inject everywhere"),
        setting(
            "pilot.cni.enabled",
            "the chart cni is installed: it lays the rules of injected pods",
            json!(false),
            Way::Switch,
        ),
        setting(
            "sidecarInjectorWebhook.rewriteAppHTTPProbe",
            "probes through the proxy",
            json!(true),
            Way::Free,
        ),
        setting("global.configValidation", "by a webhook", json!(true), Way::Switch),
        setting("global.proxy", "settings of sidecars", proxy(), Way::Free),
        cluster_domain(),
        of(
            "meshConfig",
            setting(
                "meshConfig",
                "the mesh's settings",
                json!({
                    "defaultConfig": {"proxyMetadata": {}},
                    "enablePrometheusMerge": true,
                    "trustDomain": "cluster.local",
                }),
                Way::Free,
            ),
        ),
    ]
}

/// The profile's own.
fn proxy() -> Value {
    json!({
        "autoInject": "enabled", "componentLogLevel": "misc:error", "logLevel": "warning", "includeIPRanges": "*",
        "readinessInitialDelaySeconds": 0, "readinessPeriodSeconds": 15,
        "readinessFailureThreshold": 4,
        "startupProbe": {"enabled": true, "failureThreshold": 600}, "statusPort": 15020,
        "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}},
    })
}

pub fn gateway() -> Chart {
    let mut settings = common();
    settings.push(of(
        "namespace",
        setting(
            "global.istioNamespace",
            "the control plane's",
            json!("istio-system"),
            Way::Text(SYSTEM),
        ),
    ));
    settings.push(cluster_domain());
    settings.extend(gateway_workload());
    settings.extend(gateway_service());
    Chart {
        name: "gateway",
        description: "A gateway of Lateen, a service mesh with the API of Istio",
        component: "IngressGateways",
        spec: json!({
            "profile": "minimal",
            "components": {"ingressGateways": [
                {"name": "istio-ingressgateway", "enabled": false},
                {
                    "name": RELEASE, "namespace": NAMESPACE, "enabled": true,
                    "label": {"istio": ROLE},
                },
            ]},
        }),
        settings,
        taken: vec![Taken {
            path: "name",
            about: "in place of the release's",
            schema: json!({ "type": "string" }),
        }],
        checks: "",
        release: &[
            (NAMESPACE, ".Release.Namespace"),
            (RELEASE, "(default .Release.Name .Values.name)"),
            // As Istio's chart has it: Gateway objects select istio-ingressgateway by istio=ingressgateway.
            (ROLE, "(trimPrefix \"istio-\" (default .Release.Name .Values.name))"),
        ],
        helpers: include_str!("gateway.tpl"),
    }
}

fn gateway_workload() -> Vec<Setting> {
    vec![
        of(
            "values.gateways.istio-ingressgateway.autoscaleEnabled",
            setting("autoscaling.enabled", "by CPU", json!(true), Way::Switch),
        ),
        of(
            "values.gateways.istio-ingressgateway.autoscaleMin",
            always("autoscaling.minReplicas", "at least", json!(990_001), json!(1)),
        ),
        of(
            "values.gateways.istio-ingressgateway.autoscaleMax",
            always("autoscaling.maxReplicas", "at most", json!(990_002), json!(5)),
        ),
        of(
            "values.gateways.istio-ingressgateway.cpu.targetAverageUtilization",
            always(
                "autoscaling.targetCPUUtilizationPercentage",
                "of the request",
                json!(990_003),
                json!(80),
            ),
        ),
        of(
            "k8s.replicaCount",
            always("replicaCount", "without autoscaler", json!(990_004), json!(1)),
        ),
        of(
            "k8s.resources",
            always(
                "resources",
                "of the container",
                json!({"requests": {"cpu": "990005m", "memory": "990006Mi"}}),
                json!({"requests": {"cpu": "20m", "memory": "32Mi"}}),
            ),
        ),
        of("k8s.nodeSelector", optional("nodeSelector", "labels of nodes", json!({"zz": "nodes"}))),
        of("k8s.tolerations", optional("tolerations", "of taints", json!([{"key": "zz-taint"}]))),
        of("k8s.affinity", optional("affinity", "of pods", affinity())),
        of(
            "values.gateways.istio-ingressgateway.serviceAccount.annotations",
            Setting {
                default: Some(json!({})),
                ..optional("serviceAccount.annotations", "of the account", json!({"zz": "account"}))
            },
        ),
        of("k8s.priorityClassName", optional("priorityClassName", "of pods", json!("zz-priority"))),
        of(
            "k8s.podAnnotations",
            setting("podAnnotations", "of pods", json!({}), Way::Entries("zz/annotation")),
        ),
        of(
            "values.gateways.istio-ingressgateway.env",
            setting("env", "variables by name", json!({}), Way::Entries("ZZ_VARIABLE")),
        ),
    ]
}

/// The pod's ports follow from the Service's, and so does the leave to listen below 1024.
fn gateway_service() -> Vec<Setting> {
    let probe = json!([{"name": "zz-port", "port": 99, "protocol": "TCP"}]);
    let becomes = vec![
        Becomes {
            rendered: probe.clone(),
            template: "[{{- range $at, $port := .Values.service.ports }}{{ if $at }}, {{ end }}\
                       {{ toJson (merge (deepCopy $port) (dict \"protocol\" \"TCP\")) }}{{ end -}}]"
                .to_owned(),
            condition: None,
        },
        Becomes {
            rendered: json!([
                {"containerPort": 99, "protocol": "TCP"},
                {"containerPort": 15090, "name": "http-envoy-prom", "protocol": "TCP"},
            ]),
            template: "{{ include \"gateway.containerPorts\" . }}".to_owned(),
            condition: None,
        },
        Becomes {
            rendered: json!([{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]),
            template: "[{\"name\": \"net.ipv4.ip_unprivileged_port_start\", \"value\": \"0\"}]"
                .to_owned(),
            condition: Some("include \"gateway.privileged\" .".to_owned()),
        },
    ];
    let usual = json!([
        {"name": "status-port", "port": 15021, "targetPort": 15021},
        {"name": "http2", "port": 80, "targetPort": 8080},
        {"name": "https", "port": 443, "targetPort": 8443},
    ]);
    vec![
        of(
            "values.gateways.istio-ingressgateway.ports",
            setting("service.ports", "as a Service has them", usual, Way::Node { probe, becomes }),
        ),
        of(
            "k8s.service.type",
            always("service.type", "of the Service", json!("NodePort"), json!("LoadBalancer")),
        ),
        of(
            "k8s.service.externalIPs",
            optional("service.externalIPs", "addresses of nodes", json!(["192.0.2.199"])),
        ),
        of(
            "k8s.service.loadBalancerIP",
            optional("service.loadBalancerIP", "a wish", json!("192.0.2.198")),
        ),
        of(
            "k8s.service.loadBalancerSourceRanges",
            optional("service.loadBalancerSourceRanges", "who may", json!(["192.0.2.196/31"])),
        ),
        of(
            "k8s.service.externalTrafficPolicy",
            optional("service.externalTrafficPolicy", "Local or Cluster", json!("Local")),
        ),
        of(
            "k8s.service.loadBalancerClass",
            optional("service.loadBalancerClass", "who balances", json!("zz.example/class")),
        ),
        of(
            "k8s.service.ipFamilies",
            optional("service.ipFamilies", "IPv4 or IPv6 first", json!(["IPv6", "IPv4"])),
        ),
        of(
            "k8s.service.ipFamilyPolicy",
            optional("service.ipFamilyPolicy", "one or both", json!("PreferDualStack")),
        ),
        of(
            "k8s.serviceAnnotations",
            optional("service.annotations", "of the Service", json!({"zz": "service"})),
        ),
    ]
}
